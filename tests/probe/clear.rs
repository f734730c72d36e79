//! The part of the ladder in clear: TCP, the stream, STARTTLS.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};

use repoint::demo::{Behaviour, PoolServer};
use repoint::probe::{Phase, ProbeResult, Reason, StreamCondition};
use repoint::topology::Depth;
use socket2::{Domain, Socket, Type};

use super::fakes::{Fake, HEADER, PROCEED, STARTTLS, Step, error, to_proceed};
use super::{ANY_PORT, Bench, SHORT, domain, probe, reason, stopped};

fn say(text: &str) -> Step {
    Step::Say(text.to_owned())
}

/// What a server observes that answers our header with this.
async fn answered_with(text: &str) -> (Phase, Reason) {
    let fake = Fake::start([
        Step::Hear("version='1.0'>"),
        say(text),
        Step::Hear("</stream:stream>"),
    ])
    .await;
    reason(&probe(&Bench::new().check(fake.address, Depth::Tls)).await)
}

#[tokio::test]
async fn a_healthy_pool_is_climbed_to_every_depth() {
    let bench = Bench::new();
    let pool = PoolServer::start(ANY_PORT, &domain(), &bench.identity())
        .await
        .unwrap();
    for depth in Depth::ALL {
        let observation = probe(&bench.check(pool.address(), depth)).await;
        assert_eq!(observation.result, ProbeResult::Reached, "{depth}");
        assert_eq!(observation.reached, Some(depth));
        assert_eq!(observation.tls.is_some(), depth >= Depth::Tls);
        let phases: Vec<Phase> = observation
            .phases
            .iter()
            .map(|timing| timing.phase)
            .collect();
        assert_eq!(phases[0], Phase::Connect);
        assert!(phases.is_sorted(), "{phases:?}");
        assert!(observation.ended >= observation.began);
    }
}

#[tokio::test]
async fn a_healthy_pool_is_reached_over_ipv6() {
    let bench = Bench::new();
    let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);
    let pool = PoolServer::start(address, &domain(), &bench.identity())
        .await
        .unwrap();
    let observation = probe(&bench.check(pool.address(), Depth::Features)).await;
    assert_eq!(observation.result, ProbeResult::Reached);
    assert!(observation.peer.is_ipv6());
}

#[tokio::test]
async fn a_pool_changes_its_behaviour_on_command() {
    let bench = Bench::new();
    let pool = PoolServer::start(ANY_PORT, &domain(), &bench.identity())
        .await
        .unwrap();
    let check = bench.check(pool.address(), Depth::Features);
    let mut hasty = check.clone();
    hasty.settings.timeout = SHORT;
    for _ in 0..2 {
        pool.set(Behaviour::Hung).await.unwrap();
        let silence = stopped(Phase::StreamHeader, Reason::Silence);
        assert_eq!(probe(&hasty).await.result, silence);
        pool.set(Behaviour::Closed).await.unwrap();
        assert_eq!(
            probe(&check).await.result,
            stopped(Phase::Connect, Reason::Refused)
        );
        assert_eq!(pool.behaviour().await, Behaviour::Closed);
        pool.set(Behaviour::Healthy).await.unwrap();
        assert_eq!(probe(&check).await.result, ProbeResult::Reached);
    }
}

#[tokio::test]
async fn a_domain_the_pool_does_not_host_is_host_unknown() {
    let bench = Bench::new();
    let pool = PoolServer::start(ANY_PORT, &domain(), &bench.identity())
        .await
        .unwrap();
    let mut check = bench.check(pool.address(), Depth::Tls);
    check.domain = "example.net".parse().unwrap();
    let condition = StreamCondition::HostUnknown;
    assert_eq!(
        reason(&probe(&check).await).1,
        Reason::StreamError { condition }
    );
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_refused() {
    let free = TcpListener::bind(ANY_PORT).unwrap().local_addr().unwrap();
    let observation = probe(&Bench::new().check(free, Depth::Tls)).await;
    assert_eq!(observation.result, stopped(Phase::Connect, Reason::Refused));
    assert_eq!(observation.reached, None);
}

/// A listener whose queue is full: the kernel drops further connection attempts without a word.
pub(crate) fn full_listener() -> (Socket, Vec<Socket>, SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&ANY_PORT.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let fill = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _in_progress = socket.connect(&address.into());
        socket
    };
    let waiting = (0..3).map(|_| fill()).collect();
    (listener, waiting, address)
}

#[tokio::test]
async fn dropped_packets_are_a_connect_timeout() {
    let (_listener, _waiting, address) = full_listener();
    let bench = Bench::new();
    let mut check = bench.check(address, Depth::Tls);
    check.settings.timeout = SHORT;
    let observation = probe(&check).await;
    assert_eq!(
        observation.result,
        stopped(Phase::Connect, Reason::ConnectTimeout)
    );
    assert_eq!(observation.reached, None);
}

#[tokio::test]
async fn a_source_address_that_is_not_ours_is_a_local_failure() {
    let bench = Bench::new();
    let mut check = bench.check(ANY_PORT, Depth::Tcp);
    check.source = Some("203.0.113.7".parse().unwrap());
    let (phase, reason) = reason(&probe(&check).await);
    assert!(matches!(reason, Reason::LocalFailure { .. }), "{reason:?}");
    assert_eq!(phase, Phase::Connect);
}

#[tokio::test]
async fn a_probe_comes_from_the_configured_source() {
    let bench = Bench::new();
    let listener = tokio::net::TcpListener::bind(ANY_PORT).await.unwrap();
    let mut check = bench.check(listener.local_addr().unwrap(), Depth::Tcp);
    check.source = Some("127.0.0.77".parse().unwrap());
    let (observation, accepted) = tokio::join!(probe(&check), listener.accept());
    assert_eq!(observation.result, ProbeResult::Reached);
    assert_eq!(Some(accepted.unwrap().1.ip()), check.source);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_silent() {
    let fake = Fake::start([Step::Hold]).await;
    let bench = Bench::new();
    let mut check = bench.check(fake.address, Depth::Tls);
    check.settings.timeout = SHORT;
    let observation = probe(&check).await;
    assert_eq!(
        observation.result,
        stopped(Phase::StreamHeader, Reason::Silence)
    );
    assert_eq!(observation.reached, Some(Depth::Tcp));
    assert!(observation.duration() >= SHORT);
}

#[tokio::test]
async fn a_connection_accepted_and_closed_is_closed_at_once() {
    let fake = Fake::start([]).await;
    let observation = probe(&Bench::new().check(fake.address, Depth::Tls)).await;
    assert_eq!(
        observation.result,
        stopped(Phase::StreamHeader, Reason::ClosedAtOnce)
    );
}

#[tokio::test]
async fn a_server_that_drips_is_too_slow() {
    let script = [
        Step::Hear("version='1.0'>"),
        Step::Drip(HEADER.repeat(20)),
        Step::HearEnd,
    ];
    let fake = Fake::start(script).await;
    let bench = Bench::new();
    let mut check = bench.check(fake.address, Depth::Tls);
    check.settings.timeout = SHORT;
    let observation = probe(&check).await;
    assert_eq!(
        observation.result,
        stopped(Phase::StreamHeader, Reason::TooSlow)
    );
}

#[tokio::test]
async fn features_that_never_come_are_too_slow() {
    let fake = Fake::start([Step::Hear("version='1.0'>"), say(HEADER), Step::Hold]).await;
    let bench = Bench::new();
    let mut check = bench.check(fake.address, Depth::Tls);
    check.settings.timeout = SHORT;
    let observation = probe(&check).await;
    assert_eq!(
        observation.result,
        stopped(Phase::StreamFeatures, Reason::TooSlow)
    );
}

#[tokio::test]
async fn a_stream_that_does_not_end_is_too_much() {
    for (start, endless) in [
        ("", " "),
        ("", "<a>text</a>"),
        ("<a b='", "x"),
        ("<", "x"),
        ("", "<a>"),
        ("<![CDATA[", "x"),
    ] {
        let fake = Fake::start([
            Step::Hear("version='1.0'>"),
            Step::Say(format!("{HEADER}<stream:features>{start}")),
            Step::Repeat(endless.repeat(1000)),
        ])
        .await;
        let observation = probe(&Bench::new().check(fake.address, Depth::Tls)).await;
        let too_much = stopped(Phase::StreamFeatures, Reason::TooMuch);
        assert_eq!(observation.result, too_much, "{start}{endless}");
    }
}

#[tokio::test]
async fn an_xml_bomb_is_not_xml() {
    let bomb = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;&lol;'>]>\
                <stream:stream xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>&lol2;";
    assert_eq!(
        answered_with(bomb).await,
        (Phase::StreamHeader, Reason::NotXml)
    );
    let entity = format!("{HEADER}<stream:features>&lol;</stream:features>");
    assert_eq!(
        answered_with(&entity).await,
        (Phase::StreamFeatures, Reason::NotXml)
    );
}

#[tokio::test]
async fn another_protocol_is_not_xml() {
    for banner in [
        "220 mail.contoso.com ESMTP\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\u{0}\u{1}\u{2}",
    ] {
        assert_eq!(
            answered_with(banner).await,
            (Phase::StreamHeader, Reason::NotXml),
            "{banner}"
        );
    }
}

#[tokio::test]
async fn xml_that_is_no_server_stream_is_not_xmpp() {
    let for_clients = HEADER.replace("jabber:server", "jabber:client");
    for answer in ["<html>", &for_clients] {
        assert_eq!(
            answered_with(answer).await,
            (Phase::StreamHeader, Reason::NotXmpp),
            "{answer}"
        );
    }
    let stanza = format!("{HEADER}<message/>");
    assert_eq!(
        answered_with(&stanza).await,
        (Phase::StreamFeatures, Reason::NotXmpp)
    );
}

#[tokio::test]
async fn stream_errors_are_told_apart() {
    for (name, condition) in [
        ("host-unknown", StreamCondition::HostUnknown),
        ("host-gone", StreamCondition::HostGone),
        ("system-shutdown", StreamCondition::SystemShutdown),
        (
            "internal-server-error",
            StreamCondition::InternalServerError,
        ),
        (
            "remote-connection-failed",
            StreamCondition::RemoteConnectionFailed,
        ),
        ("resource-constraint", StreamCondition::ResourceConstraint),
        ("policy-violation", StreamCondition::PolicyViolation),
        ("not-authorized", StreamCondition::NotAuthorized),
        ("invalid-from", StreamCondition::InvalidFrom),
        ("undefined-condition", StreamCondition::UndefinedCondition),
    ] {
        let expected = (
            Phase::StreamFeatures,
            Reason::StreamError {
                condition: condition.clone(),
            },
        );
        assert_eq!(
            answered_with(&format!("{HEADER}{}", error(name))).await,
            expected
        );
    }
}

#[tokio::test]
async fn see_other_host_is_told_and_not_followed() {
    let elsewhere = "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\
                     xmpp2.contoso.com:5269</see-other-host></stream:error>";
    let fake = Fake::start([
        Step::Hear("version='1.0'>"),
        Step::Say(HEADER.to_owned() + elsewhere),
        Step::Hear("</stream:stream>"),
    ])
    .await;
    let observation = probe(&Bench::new().check(fake.address, Depth::Tls)).await;
    let condition = StreamCondition::SeeOtherHost;
    assert_eq!(reason(&observation).1, Reason::StreamError { condition });
    assert_eq!(
        observation.notes,
        ["the server points to \"xmpp2.contoso.com:5269\"; that is not followed"]
    );
}

#[tokio::test]
async fn a_header_of_another_domain_is_a_wrong_domain() {
    let other = HEADER.replace("contoso.com", "example.net");
    let wrong = (
        Phase::StreamHeader,
        Reason::WrongDomain {
            from: "example.net".into(),
        },
    );
    assert_eq!(answered_with(&format!("{other}{STARTTLS}")).await, wrong);
    assert_eq!(answered_with(&other).await, wrong);
    // What the server itself says about it is better.
    let condition = StreamCondition::HostUnknown;
    let explained = format!("{other}{}", error("host-unknown"));
    assert_eq!(
        answered_with(&explained).await,
        (Phase::StreamHeader, Reason::StreamError { condition })
    );
}

#[tokio::test]
async fn a_header_without_from_is_taken() {
    let bench = Bench::new();
    for from in ["", " from=''"] {
        let header = HEADER.replace(" from='contoso.com'", from);
        let fake = Fake::start([
            Step::Hear("version='1.0'>"),
            Step::Say(header + STARTTLS),
            Step::Hear("</stream:stream>"),
            say("</stream:stream>"),
            Step::HearEnd,
        ])
        .await;
        let observation = probe(&bench.check(fake.address, Depth::Stream)).await;
        assert_eq!(observation.result, ProbeResult::Reached);
    }
}

#[tokio::test]
async fn a_server_from_before_xmpp_1_0_has_a_stream_but_no_starttls() {
    let header = HEADER.replace(" version='1.0'>", ">");
    assert_ne!(header, HEADER);
    let bench = Bench::new();
    let fake = Fake::start([
        Step::Hear("version='1.0'>"),
        Step::Say(header),
        Step::Hear("</stream:stream>"),
    ])
    .await;
    let shallow = probe(&bench.check(fake.address, Depth::Stream)).await;
    assert_eq!(
        (shallow.result, shallow.reached),
        (ProbeResult::Reached, Some(Depth::Stream))
    );
    let deep = probe(&bench.check(fake.address, Depth::Tls)).await;
    assert_eq!(
        deep.result,
        stopped(Phase::Starttls, Reason::StarttlsNotOffered)
    );
    assert_eq!(deep.reached, Some(Depth::Stream));
}

#[tokio::test]
async fn starttls_can_be_missing_or_refused() {
    let without = format!("{HEADER}<stream:features/>");
    assert_eq!(
        answered_with(&without).await,
        (Phase::Starttls, Reason::StarttlsNotOffered)
    );
    for (answer, expected) in [
        (
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>".into(),
            Reason::StarttlsRefused,
        ),
        (
            error("internal-server-error"),
            Reason::StreamError {
                condition: StreamCondition::InternalServerError,
            },
        ),
        ("</stream:stream>".to_owned(), Reason::Closed),
        ("<proceed xmlns='urn:other'/>".to_owned(), Reason::NotXmpp),
    ] {
        let fake = Fake::start([
            Step::Hear("version='1.0'>"),
            Step::Say(HEADER.to_owned() + STARTTLS),
            Step::Hear("<starttls"),
            Step::Say(answer),
            Step::Hear("</stream:stream>"),
        ])
        .await;
        let observation = probe(&Bench::new().check(fake.address, Depth::Tls)).await;
        assert_eq!(observation.result, stopped(Phase::Starttls, expected));
        assert_eq!(observation.reached, Some(Depth::Stream));
    }
}

#[tokio::test]
async fn a_connection_lost_on_the_way_is_closed() {
    for said in [&HEADER[..30], HEADER] {
        let fake = Fake::start([Step::Hear("version='1.0'>"), say(said)]).await;
        let observation = probe(&Bench::new().check(fake.address, Depth::Tls)).await;
        assert_eq!(reason(&observation).1, Reason::Closed);
    }
}

#[tokio::test]
async fn text_slipped_in_before_tls_is_refused() {
    let mut script = to_proceed();
    script.pop();
    script.push(Step::Say(format!("{PROCEED}<stream:features/>")));
    script.push(Step::HearEnd);
    let fake = Fake::start(script).await;
    let observation = probe(&Bench::new().check(fake.address, Depth::Tls)).await;
    let detail = "data in clear after <proceed/>".to_owned();
    assert_eq!(
        observation.result,
        stopped(Phase::Tls, Reason::TlsBroken { detail })
    );
}

#[tokio::test]
async fn answers_with_flaws_end_in_an_observation_of_the_peer() {
    use rand::{RngExt, SeedableRng};
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let bench = Bench::new();
    let honest = format!("{HEADER}{STARTTLS}{PROCEED}");
    for round in 0..200 {
        let mut answer = honest.clone().into_bytes();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..answer.len());
            match rng.random_range(0..3) {
                0 => answer[at] = rng.random(),
                1 if answer.len() > 1 => drop(answer.remove(at)),
                _ => answer.truncate(at.max(1)),
            }
        }
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let fake = Fake::start([Step::Hear("version='1.0'>"), Step::SayBytes(answer)]).await;
        let observation = probe(&bench.check(fake.address, Depth::Tls)).await;
        let local = matches!(
            observation.result,
            ProbeResult::Reached
                | ProbeResult::Stopped {
                    reason: Reason::LocalFailure { .. },
                    ..
                }
        );
        assert!(!local, "round {round}: {shown}: {:?}", observation.result);
        assert!(observation.reached >= Some(Depth::Tcp));
    }
}
