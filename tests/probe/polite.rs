//! What a server sees of a probe: who it says it is, and how it leaves.

use repoint::health::judge;
use repoint::probe::{Phase, ProbeResult, Prober, Reason, StreamCondition};
use repoint::topology::Depth;

use super::fakes::{Fake, HEADER, INSIDE, STARTTLS, Step, to_proceed};
use super::tls::{modern, server};
use super::{Bench, SHORT, probe, probe_with, read_now, reason};

fn say(text: &str) -> Step {
    Step::Say(text.to_owned())
}

#[tokio::test]
async fn a_stream_is_ended_before_the_connection() {
    let fake = Fake::start([
        Step::Hear("version='1.0'>"),
        Step::Say(HEADER.to_owned() + STARTTLS),
        Step::Hear("</stream:stream>"),
        say("</stream:stream>"),
        Step::HearEnd,
    ])
    .await;
    let observation = probe(&Bench::new().check(fake.address, Depth::Stream)).await;
    assert_eq!(observation.result, ProbeResult::Reached);
    let heard = fake.heard().await;
    assert!(
        heard.closed_in_order && heard.text.ends_with("version='1.0'></stream:stream>"),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_stream_is_ended_after_a_failure_too() {
    let fake = Fake::start([
        Step::Hear("version='1.0'>"),
        Step::Say(format!("{HEADER}<stream:features/>")),
        Step::Hear("</stream:stream>"),
    ])
    .await;
    probe(&Bench::new().check(fake.address, Depth::Tls)).await;
    assert!(fake.heard().await.text.ends_with("</stream:stream>"));
}

#[tokio::test]
async fn every_deeper_depth_is_closed_in_order() {
    let bench = Bench::new();
    let context = server(&bench.identity(), modern);
    let inside = [
        Step::Hear("version='1.0'>"),
        Step::Say(HEADER.to_owned() + INSIDE),
        Step::Hear("</stream:stream>"),
        say("</stream:stream>"),
        Step::HearEnd,
    ];
    let tls = vec![Step::Tls(context)];
    for (depth, then) in [
        (Depth::Tcp, vec![]),
        (Depth::Starttls, to_proceed()),
        (Depth::Tls, [to_proceed(), tls.clone()].concat()),
        (
            Depth::Features,
            [to_proceed(), tls, inside.to_vec()].concat(),
        ),
    ] {
        let script = if depth == Depth::Features {
            then
        } else {
            [then, vec![Step::HearEnd]].concat()
        };
        let fake = Fake::start(script).await;
        let observation = probe(&bench.check(fake.address, depth)).await;
        assert_eq!(
            (&observation.result, observation.reached),
            (&ProbeResult::Reached, Some(depth))
        );
        let heard = fake.heard().await;
        assert!(heard.closed_in_order, "{depth}: {heard:?}");
        let ends = heard.text.matches("</stream:stream>").count();
        assert_eq!(
            ends,
            usize::from(depth == Depth::Features),
            "{depth}: {heard:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_let_go_changes_nothing() {
    let fake = Fake::start([
        Step::Hear("version='1.0'>"),
        Step::Say(HEADER.to_owned() + STARTTLS),
        Step::Hold,
    ])
    .await;
    let bench = Bench::new();
    let mut check = bench.check(fake.address, Depth::Stream);
    check.settings.timeout = SHORT * 2;
    let observation = probe(&check).await;
    assert_eq!(observation.result, ProbeResult::Reached);
    let closing = observation
        .phases
        .iter()
        .find(|timing| timing.phase == Phase::Close)
        .unwrap();
    // The rest of the time went into waiting, and none of it into the result.
    assert!(u128::from(closing.micros) > 0);
    assert!(
        observation.duration() < check.settings.timeout,
        "{:?}",
        observation.duration()
    );
}

#[tokio::test]
async fn the_header_names_the_domain_and_nobody_else_unless_configured() {
    let bench = Bench::new();
    let script = [
        Step::Hear("version='1.0'>"),
        Step::Say(HEADER.replace(" from='contoso.com'", "") + STARTTLS),
        Step::Hear("</stream:stream>"),
    ];
    let fake = Fake::start(script).await;
    let mut check = bench.check(fake.address, Depth::Stream);
    probe(&check).await;
    let heard = fake.heard().await.text;
    assert!(
        heard.contains(" to='contoso.com' version='1.0'>"),
        "{heard}"
    );
    assert!(!heard.contains("from="), "{heard}");

    check.settings.from = Some("probe.example.net".parse().unwrap());
    check.domain = "xn--bcher-kva.example".parse().unwrap();
    probe(&check).await;
    let heard = fake.heard().await.text;
    assert!(
        heard.contains(" to='bücher.example' from='probe.example.net' version='1.0'>"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_domain_that_a_server_knows_in_its_ascii_form_only_is_asked_for_in_both() {
    let bench = Bench::new();
    let ascii = "xn--bcher-kva.example";
    let header = HEADER.replace("from='contoso.com'", &format!("from='{ascii}'"));
    let script = [
        Step::Host(ascii),
        Step::Say(header + STARTTLS),
        Step::Hear("</stream:stream>"),
    ];
    let fake = Fake::start(script).await;
    let mut check = bench.check(fake.address, Depth::Stream);
    check.domain = ascii.parse().unwrap();
    let prober = Prober::new([&check.settings], read_now()).unwrap();
    // The second probe has learned from the first.
    for connections in [2, 3] {
        let observation = probe_with(&prober, &check).await;
        assert_eq!(observation.result, ProbeResult::Reached);
        assert_eq!(observation.known_as.as_deref(), Some(ascii));
        assert_eq!(fake.connections(), (connections, 1));
        let line = judge(&observation, &check.settings).line;
        assert!(line.ends_with("as xn--bcher-kva.example"), "{line}");
    }

    let neither = Fake::start([Step::Host("example.net")]).await;
    check.peer = neither.address;
    let observation = probe_with(&prober, &check).await;
    let condition = StreamCondition::HostUnknown;
    let expected = Reason::StreamError { condition };
    assert_eq!(reason(&observation).1, expected);
    assert_eq!(neither.connections(), (2, 1));
    assert!(observation.notes[0].contains("neither as bücher.example nor as xn--"));

    // A domain with one form is asked for once.
    check.domain = super::domain();
    assert_eq!(reason(&probe_with(&prober, &check).await).1, expected);
    assert_eq!(neither.connections(), (3, 1));
}
