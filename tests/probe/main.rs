//! Probes against servers that behave in every way the verdict table names.
//!
//! In: fakes on loopback, each following a script. Out: nothing but passed tests. Never here: verdicts;
//! a test holds an observation to the facts.
#![allow(clippy::unwrap_used)]

mod canary;
mod clear;
mod fakes;
mod polite;
mod sip;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use repoint::clock::{Mono, Now, ReadNow, Wall};
use repoint::demo::{Authority, Identity, Leaf};
use repoint::probe::{Observation, Phase, ProbeResult, Prober, Reason};
use repoint::topology::{Check, CheckId, CheckSettings, Depth, DomainName, ServiceKind};

/// What a good server answers with at once takes milliseconds; a machine with much to do gets its time.
const PATIENT: Duration = Duration::from_secs(20);
/// For tests in which the time has to run out, though not before what comes first.
const SHORT: Duration = Duration::from_millis(1500);

/// A port of the kernel's choice.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An authority, its file, and the checks that trust it.
struct Bench {
    authority: Authority,
    ca: PathBuf,
    /// Holds the file.
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let authority = Authority::new("A Test Authority").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, authority.pem().unwrap()).unwrap();
        Bench {
            authority,
            ca,
            _directory: directory,
        }
    }

    /// A good certificate for contoso.com.
    fn identity(&self) -> Identity {
        self.authority.issue(&Leaf::for_domain(&domain())).unwrap()
    }

    fn check(&self, peer: SocketAddr, depth: Depth) -> Check {
        self.check_of(ServiceKind::XmppServer, peer, depth)
    }

    fn check_of(&self, service: ServiceKind, peer: SocketAddr, depth: Depth) -> Check {
        let mut settings = CheckSettings::default_for(service);
        settings.depth = depth;
        settings.timeout = PATIENT;
        settings.ca = Some(self.ca.clone());
        Check {
            service,
            peer,
            domain: domain(),
            target: None,
            source: None,
            settings,
        }
    }
}

fn domain() -> DomainName {
    "contoso.com".parse().unwrap()
}

/// The machine's clocks.
fn read_now() -> ReadNow {
    let began = Instant::now();
    Arc::new(move || Now {
        mono: Mono::from_micros(i64::try_from(began.elapsed().as_micros()).unwrap()),
        wall: Wall::from_millis(
            i64::try_from(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap()
                    .as_millis(),
            )
            .unwrap(),
        ),
    })
}

async fn probe(check: &Check) -> Observation {
    probe_at(check, read_now()).await
}

async fn probe_at(check: &Check, read_now: ReadNow) -> Observation {
    probe_with(&Prober::new([&check.settings], read_now).unwrap(), check).await
}

async fn probe_with(prober: &Prober, check: &Check) -> Observation {
    let id = CheckId::from(format!("{}/{}", check.service, check.peer));
    let observation = prober.probe(&id, check).await;
    assert_eq!((&observation.check, observation.peer), (&id, check.peer));
    println!("{}", repoint::probe::report(&observation).join("\n"));
    observation
}

fn stopped(phase: Phase, reason: Reason) -> ProbeResult {
    ProbeResult::Stopped { phase, reason }
}

/// The reason of a probe that stopped, with its phase.
fn reason(observation: &Observation) -> (Phase, Reason) {
    match &observation.result {
        ProbeResult::Stopped { phase, reason } => (*phase, reason.clone()),
        ProbeResult::Reached => panic!("reached {:?}", observation.reached),
    }
}
