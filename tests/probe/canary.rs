//! Canaries, and the prober's own errors.

use std::net::TcpListener;

use repoint::demo::PoolServer;
use repoint::probe::{Prober, TrustError};
use repoint::topology::{CertificatePolicy, CheckSettings, Depth, ServiceKind};

use super::clear::full_listener;
use super::{ANY_PORT, Bench, PATIENT, SHORT, domain, probe_with, read_now};

#[tokio::test]
async fn a_canary_answers_by_accepting_or_refusing() {
    let prober = Prober::new([], read_now()).unwrap();
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = prober.probe_canary(address, PATIENT).await;
    assert!(accepted.answered && accepted.canary == address && accepted.ended >= accepted.began);
    drop(listener);
    assert!(prober.probe_canary(address, PATIENT).await.answered);
}

#[tokio::test]
async fn a_network_that_cannot_be_reached_proves_nothing() {
    let prober = Prober::new([], read_now()).unwrap();
    // A multicast address takes no TCP connection: the kernel says that the network is unreachable.
    let nowhere = "224.0.0.1:53".parse().unwrap();
    assert!(!prober.probe_canary(nowhere, PATIENT).await.answered);
}

#[tokio::test]
async fn a_canary_that_is_cut_off_does_not_answer() {
    let prober = Prober::new([], read_now()).unwrap();
    let (_listener, _waiting, address) = full_listener();
    assert!(!prober.probe_canary(address, SHORT).await.answered);
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
    assert_eq!(prober.trust_descriptions().len(), 2);
}

#[tokio::test]
async fn a_configuration_brings_its_authorities_and_takes_them_away() {
    let (before, after) = (Bench::new(), Bench::new());
    let old = PoolServer::start(ANY_PORT, &domain(), &before.identity())
        .await
        .unwrap();
    let new = PoolServer::start(ANY_PORT, &domain(), &after.identity())
        .await
        .unwrap();
    let old_check = before.check(old.address(), Depth::Tls);
    let new_check = after.check(new.address(), Depth::Tls);
    let prober = Prober::new([&old_check.settings], read_now()).unwrap();
    let trusts = async |check| {
        let observation = probe_with(&prober, check).await;
        observation
            .certificate
            .is_some_and(|certificate| certificate.fault.is_none())
    };
    assert!(trusts(&old_check).await && !trusts(&new_check).await);

    let mut broken = new_check.settings.clone();
    broken.ca = Some("/nowhere/ca.pem".into());
    assert!(prober.prepare([&new_check.settings, &broken]).is_err());
    assert!(
        trusts(&old_check).await && !trusts(&new_check).await,
        "nothing has changed"
    );

    prober.prepare([&new_check.settings]).unwrap();
    assert!(trusts(&old_check).await && trusts(&new_check).await);
    prober.retain([&new_check.settings]);
    assert!(!trusts(&old_check).await && trusts(&new_check).await);

    // The file's new content counts from the next configuration on.
    std::fs::copy(&before.ca, &after.ca).unwrap();
    assert!(trusts(&new_check).await);
    prober.prepare([&new_check.settings]).unwrap();
    assert!(!trusts(&new_check).await);
}
