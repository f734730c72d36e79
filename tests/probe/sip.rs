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
    probe(&bench.check_of(ServiceKind::SipFederationTls, fake.address, depth)).await
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
    assert_eq!(
        observation.certificate.unwrap().fault,
        Some(CertificateFault::WrongName)
    );
}
