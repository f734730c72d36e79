//! SIP federation: TLS with a server that wants to know who we are.

use openssl::ssl::{SslVerifyMode, SslVersion};
use repoint::demo::Leaf;
use repoint::probe::{CertificateFault, Observation, ProbeResult};
use repoint::topology::{Depth, ServiceKind};

use super::fakes::{Fake, Step};
use super::tls::{modern, server};
use super::{Bench, domain, probe};

fn edge() -> Leaf {
    Leaf {
        common_name: "edge1.contoso.com".into(),
        dns: vec!["edge1.contoso.com".into(), "sip.contoso.com".into()],
        srv: vec![],
        xmpp: vec![],
        ..Leaf::for_domain(&domain())
    }
}

async fn sip(bench: &Bench, fake: &Fake, depth: Depth) -> Observation {
    let mut check = bench.check_of(ServiceKind::SipFederationTls, fake.address, depth);
    check.target = Some("edge1.contoso.com".parse().unwrap());
    probe(&check).await
}

#[tokio::test]
async fn an_edge_is_reached_up_to_its_certificate() {
    let bench = Bench::new();
    let identity = bench.authority.issue(&edge()).unwrap();
    let fake = Fake::start([Step::Tls(server(&identity, modern)), Step::HearEnd]).await;
    for (depth, reached) in [
        (Depth::Tcp, Depth::Tcp),
        (Depth::Tls, Depth::Tls),
        (Depth::Features, Depth::Tls),
    ] {
        let observation = sip(&bench, &fake, depth).await;
        assert_eq!(
            (&observation.result, observation.reached),
            (&ProbeResult::Reached, Some(reached))
        );
        if depth > Depth::Tcp {
            assert_eq!(observation.certificate.unwrap().fault, None);
            assert_eq!(
                fake.heard().await.server_name.as_deref(),
                Some("contoso.com")
            );
            assert!(fake.heard().await.closed_in_order);
        }
    }
}

#[tokio::test]
async fn an_edge_that_demands_a_certificate_is_well() {
    let bench = Bench::new();
    let identity = bench.authority.issue(&edge()).unwrap();
    for version in [SslVersion::TLS1, SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let context = server(&identity, |builder| {
            builder
                .set_min_proto_version(Some(SslVersion::TLS1))
                .unwrap();
            builder.set_max_proto_version(Some(version)).unwrap();
            builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        });
        let fake = Fake::start([Step::Tls(context), Step::HearEnd]).await;
        let observation = sip(&bench, &fake, Depth::Tls).await;
        assert_eq!(
            (&observation.result, observation.reached),
            (&ProbeResult::Reached, Some(Depth::Tls))
        );
        assert!(
            observation.tls.unwrap().client_certificate_wanted,
            "{version:?}"
        );
        assert!(
            observation.notes[0].contains("client certificate"),
            "{:?}",
            observation.notes
        );
        assert_eq!(observation.certificate.unwrap().fault, None);
    }
}

#[tokio::test]
async fn a_name_outside_the_domain_is_wrong() {
    let bench = Bench::new();
    let leaf = Leaf {
        dns: vec!["edge1.example.net".into()],
        ..edge()
    };
    let identity = bench.authority.issue(&leaf).unwrap();
    let fake = Fake::start([Step::Tls(server(&identity, modern)), Step::HearEnd]).await;
    let observation = sip(&bench, &fake, Depth::Tls).await;
    let wanted = "edge1.contoso.com, sip.contoso.com or contoso.com".to_owned();
    let fault = Some(CertificateFault::WrongName { wanted });
    assert_eq!(observation.certificate.as_ref().unwrap().fault, fault);
    let hints = repoint::probe::report(&observation).join("\n");
    assert!(
        hints.contains("partners look for the SRV target"),
        "{hints}"
    );
    assert!(!hints.contains("xmppAddr"), "{hints}");
}

#[tokio::test]
async fn the_target_s_name_is_what_counts_and_not_a_sibling_of_the_domain() {
    let bench = Bench::new();
    for (names, good, noted) in [
        (vec!["www.contoso.com"], false, false),
        (vec!["edge2.contoso.com"], false, false),
        (vec!["edge1.contoso.com"], true, false),
        (vec!["edge2.contoso.com", "edge1.contoso.com"], true, false),
        (vec!["sip.contoso.com"], true, true),
        (vec!["contoso.com"], true, true),
        (vec!["*.contoso.com"], true, false),
    ] {
        let leaf = Leaf {
            dns: names.iter().map(|name| (*name).into()).collect(),
            ..edge()
        };
        let identity = bench.authority.issue(&leaf).unwrap();
        let fake = Fake::start([Step::Tls(server(&identity, modern)), Step::HearEnd]).await;
        let observation = sip(&bench, &fake, Depth::Tls).await;
        let fault = observation.certificate.unwrap().fault;
        assert_eq!(fault.is_none(), good, "{names:?}: {fault:?}");
        let notes = observation.notes.join("\n");
        assert_eq!(notes.contains("SRV target"), noted, "{names:?}: {notes}");
    }
}
