//! Canaries, and the prober's own errors.

use std::net::TcpListener;

use repoint::probe::{Prober, TrustError};
use repoint::topology::{CertificatePolicy, CheckSettings, Depth, ServiceKind};

use super::{ANY_PORT, Bench, read_now};

#[tokio::test]
async fn a_canary_answers_by_accepting_or_refusing() {
    let prober = Prober::new([], read_now()).unwrap();
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = prober.probe_canary(address).await;
    assert!(accepted.answered && accepted.canary == address && accepted.ended >= accepted.began);
    drop(listener);
    assert!(prober.probe_canary(address).await.answered);
}

#[tokio::test]
async fn a_network_that_cannot_be_reached_proves_nothing() {
    let prober = Prober::new([], read_now()).unwrap();
    // A multicast address takes no TCP connection: the kernel says that the network is unreachable.
    let nowhere = "224.0.0.1:53".parse().unwrap();
    assert!(!prober.probe_canary(nowhere).await.answered);
}

#[test]
fn a_ca_file_that_cannot_be_read_is_an_error_when_the_prober_is_made() {
    let mut settings = CheckSettings::default_for(ServiceKind::XmppServer);
    settings.ca = Some("/nowhere/ca.pem".into());
    let error = Prober::new([&settings], read_now()).err().unwrap();
    assert!(matches!(error, TrustError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
}

#[test]
fn the_roots_in_use_are_told() {
    let bench = Bench::new();
    let own = bench.check(ANY_PORT, Depth::Tls).settings;
    let mut system = own.clone();
    system.ca = None;
    system.certificate = CertificatePolicy::Ignore;
    let prober = Prober::new([&own, &system, &own], read_now()).unwrap();
    let file = bench.ca.display();
    assert_eq!(
        prober.trust_description(&own),
        format!("1 authority from {file}")
    );
    // A machine without a bundle of roots is told so: the policy here does without.
    let roots = prober.trust_description(&system);
    assert!(
        roots.contains("system roots from /") || roots.starts_with("no roots"),
        "{roots}"
    );
    assert_eq!(prober.trust_descriptions().count(), 2);
}
