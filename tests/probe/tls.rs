//! TLS: what is negotiated, what the certificate says, and how a handshake can fail.

use std::sync::Arc;
use std::time::Duration;

use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslVerifyMode, SslVersion, select_next_proto,
};
use repoint::clock::Now;
use repoint::demo::{Authority, Identity, Leaf};
use repoint::probe::{
    CertificateFault, Distrust, Observation, Phase, ProbeResult, Reason, StreamCondition,
};
use repoint::topology::{Check, CheckSettings, Depth, ServiceKind};

use super::fakes::{self, Fake, HEADER, INSIDE, Step, to_proceed};
use super::{Bench, SHORT, domain, probe, probe_at, read_now, reason, stopped};

/// A server's TLS settings.
pub(crate) fn server(
    identity: &Identity,
    settings: impl FnOnce(&mut SslContextBuilder),
) -> SslContext {
    let mut builder = SslContext::builder(SslMethod::tls_server()).unwrap();
    builder.set_security_level(0);
    builder.set_certificate(&identity.certificate).unwrap();
    builder.set_private_key(&identity.key).unwrap();
    settings(&mut builder);
    builder.build()
}

/// The library's defaults.
pub(crate) fn modern(_: &mut SslContextBuilder) {}

/// One version and one suite only.
fn only(version: SslVersion, suites: &str) -> impl FnOnce(&mut SslContextBuilder) {
    move |builder| {
        builder.set_min_proto_version(Some(version)).unwrap();
        builder.set_max_proto_version(Some(version)).unwrap();
        builder
            .set_cipher_list(&format!("{suites}:@SECLEVEL=0"))
            .unwrap();
    }
}

/// The newest version allowed, and that a client without certificate is sent away.
fn demanding(version: SslVersion) -> impl FnOnce(&mut SslContextBuilder) {
    move |builder| {
        builder.set_max_proto_version(Some(version)).unwrap();
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
}

async fn with_starttls(context: SslContext) -> Fake {
    Fake::start([to_proceed(), vec![Step::Tls(context), Step::HearEnd]].concat()).await
}

/// What a probe finds at a server with this certificate.
async fn shown(bench: &Bench, identity: &Identity) -> Observation {
    let fake = with_starttls(server(identity, modern)).await;
    let observation = probe(&bench.check(fake.address, Depth::Tls)).await;
    assert_eq!(
        (&observation.result, observation.reached),
        (&ProbeResult::Reached, Some(Depth::Tls))
    );
    observation
}

fn wrong_name(wanted: &str) -> CertificateFault {
    CertificateFault::WrongName {
        wanted: wanted.to_owned(),
    }
}

fn fault(observation: &Observation) -> Option<CertificateFault> {
    observation.certificate.clone().unwrap().fault
}

#[tokio::test]
async fn a_good_certificate_is_told_with_its_facts() {
    let bench = Bench::new();
    let observation = shown(&bench, &bench.identity()).await;
    let certificate = observation.certificate.unwrap();
    assert_eq!(certificate.fault, None);
    assert_eq!(certificate.matches, Some(domain()));
    assert_eq!(certificate.subject, "CN=contoso.com");
    assert_eq!(certificate.issuer, "CN=A Test Authority");
    assert_eq!(
        certificate.names,
        ["contoso.com", "_xmpp-server.contoso.com", "contoso.com"]
    );
    assert!(certificate.client_auth);
    assert_eq!(certificate.fingerprint.len(), 64);
    assert_eq!(
        certificate.not_after.since(certificate.not_before),
        Duration::from_secs(90 * 86_400)
    );
    let left = certificate.remaining_permille(observation.at);
    assert!((980..=990).contains(&left), "{left}");
    let tls = observation.tls.unwrap();
    assert_eq!(
        (
            tls.version.as_str(),
            tls.legacy,
            tls.client_certificate_wanted
        ),
        ("TLSv1.3", false, false)
    );
    assert!(observation.notes.is_empty(), "{:?}", observation.notes);
}

#[tokio::test]
async fn one_name_of_any_kind_is_enough_and_the_common_name_is_not() {
    let bench = Bench::new();
    let nameless = Leaf {
        dns: vec![],
        srv: vec![],
        xmpp: vec![],
        ..Leaf::for_domain(&domain())
    };
    let text = || vec!["contoso.com".to_owned()];
    for good in [
        Leaf {
            dns: text(),
            ..nameless.clone()
        },
        Leaf {
            srv: vec!["_xmpp-server.contoso.com".into()],
            ..nameless.clone()
        },
        Leaf {
            xmpp: text(),
            ..nameless.clone()
        },
    ] {
        let observation = shown(&bench, &bench.authority.issue(&good).unwrap()).await;
        assert_eq!(fault(&observation), None, "{good:?}");
    }
    for bad in [
        nameless.clone(),
        Leaf {
            dns: vec!["xmpp.contoso.com".into(), "*.contoso.com".into()],
            ..nameless.clone()
        },
        Leaf {
            srv: text(),
            ..nameless.clone()
        },
        Leaf {
            uri: vec!["xmpp:contoso.com".into()],
            ..nameless
        },
    ] {
        let observation = shown(&bench, &bench.authority.issue(&bad).unwrap()).await;
        assert_eq!(
            fault(&observation),
            Some(wrong_name("contoso.com")),
            "{bad:?}"
        );
        assert_eq!(observation.certificate.unwrap().matches, None);
    }
}

#[tokio::test]
async fn a_wildcard_covers_a_domain_one_label_below() {
    let bench = Bench::new();
    let leaf = Leaf {
        dns: vec!["*.contoso.com".into()],
        srv: vec![],
        xmpp: vec![],
        ..Leaf::for_domain(&domain())
    };
    let identity = bench.authority.issue(&leaf).unwrap();
    for (below, expected) in [
        ("im.contoso.com", None),
        ("a.im.contoso.com", Some(wrong_name("a.im.contoso.com"))),
    ] {
        let script = [
            Step::Hear("version='1.0'>"),
            Step::Say(HEADER.replace("contoso.com", below) + super::fakes::STARTTLS),
            Step::Hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            Step::Say(super::fakes::PROCEED.to_owned()),
            Step::Tls(server(&identity, modern)),
            Step::HearEnd,
        ];
        let fake = Fake::start(script).await;
        let mut check = bench.check(fake.address, Depth::Tls);
        check.domain = below.parse().unwrap();
        let observation = probe(&check).await;
        assert_eq!(fault(&observation), expected, "{below}");
        assert_eq!(fake.heard().await.server_name.as_deref(), Some(below));
    }
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_told() {
    let bench = Bench::new();
    let expired = Leaf {
        from_s: -7200,
        until_s: -3600,
        ..Leaf::for_domain(&domain())
    };
    let observation = shown(&bench, &bench.authority.issue(&expired).unwrap()).await;
    assert_eq!(fault(&observation), Some(CertificateFault::Expired));
    let early = Leaf {
        from_s: 3600,
        until_s: 7200,
        ..Leaf::for_domain(&domain())
    };
    let observation = shown(&bench, &bench.authority.issue(&early).unwrap()).await;
    assert_eq!(fault(&observation), Some(CertificateFault::NotYetValid));
}

#[tokio::test]
async fn time_is_read_from_the_clock_handed_in() {
    let bench = Bench::new();
    let fake = with_starttls(server(&bench.identity(), modern)).await;
    let here = read_now();
    let ahead = Arc::new(move || Now {
        wall: here().wall + Duration::from_secs(100 * 86_400),
        ..here()
    });
    let observation = probe_at(&bench.check(fake.address, Depth::Tls), ahead).await;
    assert_eq!(fault(&observation), Some(CertificateFault::Expired));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_trusted() {
    let bench = Bench::new();
    let stranger = Authority::new("A Stranger").unwrap();
    let identity = stranger.issue(&Leaf::for_domain(&domain())).unwrap();
    let observation = shown(&bench, &identity).await;
    let detail = "unable to get local issuer certificate".to_owned();
    let why = Distrust::NoIssuer;
    assert_eq!(
        fault(&observation),
        Some(CertificateFault::NotTrusted { detail, why })
    );
    // The other facts are there all the same.
    assert_eq!(observation.certificate.unwrap().matches, Some(domain()));
}

#[tokio::test]
async fn what_is_wrong_with_a_chain_is_told_with_its_own_remedy() {
    let bench = Bench::new();
    let stranger = Authority::new("A Stranger").unwrap();
    let ca = openssl::x509::X509::from_pem(stranger.pem().unwrap().as_ref()).unwrap();
    let foreign = stranger.issue(&Leaf::for_domain(&domain())).unwrap();
    let for_clients_only = Leaf {
        server_auth: false,
        ..Leaf::for_domain(&domain())
    };
    let wrong_purpose = bench.authority.issue(&for_clients_only).unwrap();
    let cases = [
        // The authority's certificate is sent, and it is none of ours.
        (
            server(&foreign, |builder| {
                builder.add_extra_chain_cert(ca).unwrap();
            }),
            Distrust::UnknownAuthority,
            "set ca to its authority's file",
        ),
        (
            server(&foreign, modern),
            Distrust::NoIssuer,
            "install the intermediates",
        ),
        (
            server(&wrong_purpose, modern),
            Distrust::WrongPurpose,
            "extended key usage",
        ),
    ];
    for (context, expected, words) in cases {
        let fake = with_starttls(context).await;
        let observation = probe(&bench.check(fake.address, Depth::Tls)).await;
        let Some(CertificateFault::NotTrusted { why, .. }) = fault(&observation) else {
            panic!("{:?}", fault(&observation))
        };
        assert_eq!(why, expected);
        let report = repoint::probe::report(&observation).join("\n");
        assert!(report.contains(words), "{report}");
        let intermediates = report.contains("intermediates");
        assert_eq!(intermediates, why != Distrust::WrongPurpose, "{report}");
        assert!(!report.contains("renew"), "{report}");
    }
}

#[tokio::test]
async fn a_certificate_that_the_operator_names_is_trusted_by_itself() {
    let bench = Bench::new();
    let stranger = Authority::new("A Stranger").unwrap();
    let identity = stranger.issue(&Leaf::for_domain(&domain())).unwrap();
    std::fs::write(&bench.ca, identity.certificate.to_pem().unwrap()).unwrap();
    assert_eq!(fault(&shown(&bench, &identity).await), None);
}

#[tokio::test]
async fn a_certificate_that_is_not_for_clients_is_told() {
    let bench = Bench::new();
    let leaf = Leaf {
        client_auth: false,
        ..Leaf::for_domain(&domain())
    };
    let observation = shown(&bench, &bench.authority.issue(&leaf).unwrap()).await;
    assert_eq!(fault(&observation), None);
    assert!(!observation.certificate.unwrap().client_auth);
}

#[tokio::test]
async fn servers_of_the_last_decade_are_observed() {
    let bench = Bench::new();
    let leaf = Leaf {
        rsa: true,
        ..Leaf::for_domain(&domain())
    };
    let identity = bench.authority.issue(&leaf).unwrap();
    for (version, suite, name, legacy) in [
        (SslVersion::TLS1, "AES128-SHA", "TLSv1", true),
        (SslVersion::TLS1, "ECDHE-RSA-AES256-SHA", "TLSv1", true),
        (SslVersion::TLS1_1, "AES256-SHA", "TLSv1.1", true),
        (SslVersion::TLS1_2, "AES256-SHA", "TLSv1.2", false),
        (
            SslVersion::TLS1_2,
            "ECDHE-RSA-AES256-SHA384",
            "TLSv1.2",
            false,
        ),
    ] {
        let inside = [
            Step::Hear("version='1.0'>"),
            Step::Say(HEADER.to_owned() + INSIDE),
            Step::Hear("</stream:stream>"),
        ];
        let context = server(&identity, only(version, suite));
        let fake =
            Fake::start([to_proceed(), vec![Step::Tls(context)], inside.to_vec()].concat()).await;
        let observation = probe(&bench.check(fake.address, Depth::Features)).await;
        assert_eq!(observation.result, ProbeResult::Reached, "{name} {suite}");
        assert_eq!(fault(&observation), None);
        let tls = observation.tls.unwrap();
        assert_eq!(
            (tls.version.as_str(), tls.cipher.as_str(), tls.legacy),
            (name, suite, legacy)
        );
        assert!(!tls.client_certificate_wanted);
    }
}

/// What a probe finds at a server that answers a ClientHello with these bytes.
async fn hello_answered_with(bytes: &[u8]) -> (Phase, Reason) {
    let answer = vec![
        Step::HearAnything,
        Step::SayBytes(bytes.to_vec()),
        Step::HearEnd,
    ];
    let fake = Fake::start([to_proceed(), answer].concat()).await;
    let observation = probe(&Bench::new().check(fake.address, Depth::Tls)).await;
    assert_eq!(
        (observation.reached, &observation.tls),
        (Some(Depth::Starttls), &None)
    );
    reason(&observation)
}

/// A ServerHello in TLS 1.2 (3.3) or another version, with this suite.
fn server_hello(minor: u8, suite: [u8; 2]) -> Vec<u8> {
    let body = [&[3, minor][..], &[7; 32], &[0], &suite, &[0]].concat();
    [&[22, 3, minor, 0, 42, 2, 0, 0, 38][..], &body].concat()
}

#[tokio::test]
async fn a_server_that_refuses_the_handshake_has_refused_partners_too() {
    let mut answers = vec![[21, 3, 0, 0, 2, 2, 40].to_vec()];
    // handshake_failure, protocol_version, insufficient_security, internal_error, unrecognized_name,
    // illegal_parameter, unexpected_message, inappropriate_fallback, access_denied, bad_certificate,
    // certificate_required: before it has asked for a certificate, none of them is for want of one.
    for alert in [40, 70, 71, 80, 112, 47, 10, 86, 49, 42, 116] {
        answers.push([21, 3, 3, 0, 2, 2, alert].to_vec());
        let late = [21, 3, 3, 0, 2, 2, alert];
        answers.push([&server_hello(3, [0xc0, 0x2f])[..], &late].concat());
    }
    for answer in answers {
        let (phase, reason) = hello_answered_with(&answer).await;
        assert_eq!(phase, Phase::Tls);
        assert!(
            matches!(reason, Reason::TlsRefused { .. }),
            "{answer:?}: {reason:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_chooses_what_was_not_offered_is_broken() {
    let ssl3 = server_hello(0, [0, 5]);
    let rc4 = server_hello(3, [0, 5]);
    let unknown_version = server_hello(9, [0xc0, 0x2f]);
    for answer in [ssl3, rc4, unknown_version] {
        let (_, reason) = hello_answered_with(&answer).await;
        assert!(
            matches!(reason, Reason::TlsBroken { .. }),
            "{answer:?}: {reason:?}"
        );
    }
}

#[tokio::test]
async fn what_partners_can_speak_is_spoken() {
    let bench = Bench::new();
    let suites = "TLS_AES_128_CCM_8_SHA256";
    for group in [
        "X25519MLKEM768",
        "brainpoolP384r1tls13",
        "ffdhe8192",
        "P-256",
    ] {
        let context = server(&bench.identity(), |builder| {
            builder.set_groups_list(group).unwrap();
            builder.set_ciphersuites(suites).unwrap();
        });
        let fake = with_starttls(context).await;
        let observation = probe(&bench.check(fake.address, Depth::Tls)).await;
        assert_eq!(observation.result, ProbeResult::Reached, "{group}");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_broken() {
    for answer in [
        &[0xde; 64][..],
        b"<stream:features/>",
        b"HTTP/1.1 400 Bad\r\n\r\n",
    ] {
        let (phase, reason) = hello_answered_with(answer).await;
        assert_eq!(phase, Phase::Tls);
        assert!(
            matches!(reason, Reason::TlsBroken { .. }),
            "{answer:?}: {reason:?}"
        );
    }
}

#[tokio::test]
async fn a_handshake_can_be_lost_or_late() {
    let lost = Fake::start([to_proceed(), vec![Step::HearAnything]].concat()).await;
    let observation = probe(&Bench::new().check(lost.address, Depth::Tls)).await;
    assert_eq!(observation.result, stopped(Phase::Tls, Reason::Closed));

    let late = Fake::start([to_proceed(), vec![Step::Hold]].concat()).await;
    let bench = Bench::new();
    let mut check = bench.check(late.address, Depth::Tls);
    check.settings.timeout = SHORT;
    let observation = probe(&check).await;
    assert_eq!(observation.result, stopped(Phase::Tls, Reason::TooSlow));
    assert_eq!(observation.reached, Some(Depth::Starttls));
}

#[tokio::test]
async fn an_endless_handshake_is_bounded() {
    // Warning alerts without end, each of them valid.
    let alerts = [21, 3, 3, 0, 2, 1, 90].repeat(1000);
    let endless = [
        Step::HearAnything,
        Step::Repeat(String::from_utf8(alerts).unwrap()),
    ];
    let fake = Fake::start([to_proceed(), endless.to_vec()].concat()).await;
    let (phase, reason) = reason(&probe(&Bench::new().check(fake.address, Depth::Tls)).await);
    assert_eq!(phase, Phase::Tls);
    assert!(
        matches!(reason, Reason::TlsBroken { .. } | Reason::TooMuch),
        "{reason:?}"
    );
}

#[tokio::test]
async fn a_stream_inside_tls_fails_like_one_in_clear() {
    let bench = Bench::new();
    let context = server(&bench.identity(), modern);
    let cases: [(Vec<Step>, Reason); 4] = [
        (vec![], Reason::Closed),
        (vec![Step::Hold], Reason::TooSlow),
        (
            vec![
                Step::Hear(">"),
                Step::Say("<!DOCTYPE x>".into()),
                Step::HearEnd,
            ],
            Reason::NotXml,
        ),
        (
            vec![
                Step::Hear(">"),
                Step::Say(HEADER.into()),
                Step::Repeat("<a>".into()),
            ],
            Reason::TooMuch,
        ),
    ];
    for (inside, expected) in cases {
        let fake =
            Fake::start([to_proceed(), vec![Step::Tls(context.clone())], inside].concat()).await;
        let mut check = bench.check(fake.address, Depth::Features);
        if expected == Reason::TooSlow {
            check.settings.timeout = SHORT * 3;
        }
        let observation = probe(&check).await;
        assert_eq!(observation.result, stopped(Phase::Features, expected));
        assert_eq!(
            (observation.reached, fault(&observation)),
            (Some(Depth::Tls), None)
        );
    }
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_is_reached_without() {
    let bench = Bench::new();
    let identity = bench.identity();
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        for depth in [Depth::Tls, Depth::Features] {
            let fake = with_starttls(server(&identity, demanding(version))).await;
            let observation = probe(&bench.check(fake.address, depth)).await;
            assert_eq!(
                observation.result,
                ProbeResult::Reached,
                "{version:?} {depth}"
            );
            assert_eq!(
                (observation.reached, fault(&observation)),
                (Some(Depth::Tls), None)
            );
            assert!(observation.tls.clone().unwrap().client_certificate_wanted);
            assert!(
                observation.notes[0].contains("client certificate"),
                "{:?}",
                observation.notes
            );
        }
        // To ask is not to demand.
        let asking = |builder: &mut SslContextBuilder| {
            builder.set_max_proto_version(Some(version)).unwrap();
            builder.set_verify(SslVerifyMode::PEER);
        };
        let fake = with_starttls(server(&identity, asking)).await;
        let observation = probe(&bench.check(fake.address, Depth::Tls)).await;
        assert!(observation.tls.unwrap().client_certificate_wanted);
        assert!(observation.notes.is_empty());
    }
}

fn direct(bench: &Bench, fake: &Fake, depth: Depth) -> Check {
    bench.check_of(ServiceKind::XmppsServer, fake.address, depth)
}

#[tokio::test]
async fn direct_tls_asks_for_the_domain_and_the_protocol() {
    let bench = Bench::new();
    let context = server(&bench.identity(), |builder| {
        builder.set_alpn_select_callback(|_, offered| {
            select_next_proto(b"\x0bxmpp-server", offered)
                .ok_or(openssl::ssl::AlpnError::ALERT_FATAL)
        });
    });
    let inside = [
        Step::Hear("version='1.0'>"),
        Step::Say(HEADER.to_owned() + INSIDE),
        Step::Hear("</stream:stream>"),
    ];
    for (depth, reached) in [
        (Depth::Tcp, Depth::Tcp),
        (Depth::Stream, Depth::Features),
        (Depth::Starttls, Depth::Tls),
        (Depth::Tls, Depth::Tls),
        (Depth::Features, Depth::Features),
    ] {
        let then = if reached == Depth::Features {
            inside.to_vec()
        } else {
            vec![Step::HearEnd]
        };
        let fake = Fake::start([vec![Step::Tls(context.clone())], then].concat()).await;
        let observation = probe(&direct(&bench, &fake, depth)).await;
        assert_eq!(
            (&observation.result, observation.reached),
            (&ProbeResult::Reached, Some(reached))
        );
        if depth > Depth::Tcp {
            assert_eq!(fault(&observation), None);
            let heard = fake.heard().await;
            assert_eq!(heard.server_name.as_deref(), Some("contoso.com"));
            assert_eq!(heard.alpn.as_deref(), Some("xmpp-server"));
        }
    }
}

#[tokio::test]
async fn a_server_behind_direct_tls_that_is_not_xmpp_is_found_at_the_default_depth() {
    let bench = Bench::new();
    let identity = bench.identity();
    let usual = CheckSettings::default_for(ServiceKind::XmppsServer).depth;
    let answering = |text: &str| {
        [
            Step::HearAnything,
            Step::Say(text.to_owned()),
            Step::HearEnd,
        ]
    };
    let for_clients = HEADER.replace("jabber:server", "jabber:client");
    let unknown = HEADER.to_owned() + &fakes::error("host-unknown");
    let condition = StreamCondition::HostUnknown;
    for (text, expected) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", Reason::NotXml),
        (for_clients.as_str(), Reason::NotXmpp),
        (unknown.as_str(), Reason::StreamError { condition }),
    ] {
        let context = server(&identity, modern);
        let script = [vec![Step::Tls(context)], answering(text).to_vec()].concat();
        let fake = Fake::start(script).await;
        let observation = probe(&direct(&bench, &fake, usual)).await;
        assert_eq!(observation.result, stopped(Phase::Features, expected));
    }
}

#[tokio::test]
async fn a_server_behind_direct_tls_that_selects_another_protocol_is_not_one() {
    let bench = Bench::new();
    let identity = bench.identity();
    let inside = [
        Step::Hear("version='1.0'>"),
        Step::Say(HEADER.to_owned() + INSIDE),
        Step::Hear("</stream:stream>"),
    ];
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        for (selected, expected) in [
            (Ok(&b"http/1.1"[..]), Some(Reason::OtherProtocol)),
            (Ok(&b"xmpp-client"[..]), Some(Reason::OtherProtocol)),
            (Err(openssl::ssl::AlpnError::NOACK), None),
        ] {
            let context = server(&identity, |builder| {
                builder.set_max_proto_version(Some(version)).unwrap();
                builder.set_alpn_select_callback(move |_, _| selected);
            });
            let script = [vec![Step::Tls(context)], inside.to_vec()].concat();
            for depth in [Depth::Tls, Depth::Features] {
                let fake = Fake::start(script.clone()).await;
                let observation = probe(&direct(&bench, &fake, depth)).await;
                match expected.clone() {
                    Some(reason) => assert_eq!(observation.result, stopped(Phase::Tls, reason)),
                    None => assert_eq!(observation.result, ProbeResult::Reached),
                }
            }
        }
        let context = server(&identity, |builder| {
            builder.set_alpn_select_callback(|_, offered| {
                select_next_proto(b"\x02h2\x08http/1.1", offered)
                    .ok_or(openssl::ssl::AlpnError::ALERT_FATAL)
            });
        });
        let fake = Fake::start([Step::Tls(context)]).await;
        let (_, reason) = reason(&probe(&direct(&bench, &fake, Depth::Tls)).await);
        assert_eq!(reason, Reason::OtherProtocol);
    }
}

#[tokio::test]
async fn direct_tls_can_be_silent_closed_or_something_else() {
    let bench = Bench::new();
    let silent = Fake::start([Step::Hold]).await;
    let mut check = direct(&bench, &silent, Depth::Tls);
    check.settings.timeout = SHORT;
    assert_eq!(
        probe(&check).await.result,
        stopped(Phase::Tls, Reason::Silence)
    );

    let closing = Fake::start([Step::HearAnything]).await;
    let observation = probe(&direct(&bench, &closing, Depth::Tls)).await;
    assert_eq!(
        observation.result,
        stopped(Phase::Tls, Reason::ClosedAtOnce)
    );

    let in_clear = Fake::start([
        Step::HearAnything,
        Step::Say(HEADER.to_owned()),
        Step::HearEnd,
    ])
    .await;
    let observation = probe(&direct(&bench, &in_clear, Depth::Tls)).await;
    assert!(matches!(
        reason(&observation),
        (Phase::Tls, Reason::TlsBroken { .. })
    ));
}
