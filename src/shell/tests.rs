//! The shell against cores and probers that panic, disks that hang, deadlines that stand still.

#![allow(clippy::unwrap_used)]
use std::net::SocketAddr;

use super::*;
use crate::clock::Wall;
use crate::decide::{Override, OverrideKey};
use crate::engine::{Batch, BatchToken};
use crate::engine::{Command, StoreFault};
use crate::probe::{CanaryObservation, Observation};
use crate::topology::{Check, CheckId};
use crate::zone::Zones;

/// A core that does what the test tells it by commands, and shows what it was told in `store_fault`.
struct Puppet {
    configuration: Arc<Configuration>,
    told: Vec<String>,
    deadline: Option<Mono>,
    tokens: u64,
}

impl Core for Puppet {
    fn begin(
        configuration: Arc<Configuration>,
        remembered: Remembered,
        _seed: u64,
        _now: Now,
    ) -> (Puppet, Vec<Effect>) {
        let puppet = Puppet {
            configuration,
            told: vec![format!(
                "begun with {} overrides",
                remembered.overrides.len()
            )],
            deadline: None,
            tokens: 0,
        };
        (puppet, vec![Effect::Publish(Arc::new(Zones::empty()))])
    }

    fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        match event {
            Event::Request(request) => match &request.command {
                Command::AcceptState => panic!("the test wants it"),
                Command::EndOverride { .. } => {
                    self.tokens += 1;
                    return vec![Effect::Store {
                        token: BatchToken(self.tokens),
                        batch: Box::new(pin()),
                        within: Some(Duration::from_millis(50)),
                    }];
                }
                Command::Failback { .. } => self.deadline = Some(now.mono),
                Command::Failover { .. } => {
                    let (id, check) = self.configuration.topology.checks.iter().next().unwrap();
                    let canary = "127.0.0.1:1".parse().unwrap();
                    return vec![
                        Effect::Probe {
                            id: id.clone(),
                            check: Arc::clone(check),
                        },
                        Effect::ProbeCanary {
                            canary,
                            timeout: Duration::from_secs(1),
                        },
                    ];
                }
                other => panic!("no such string: {other:?}"),
            },
            Event::Observed(observation) => {
                self.told.push(format!("observed {:?}", observation.result));
            }
            Event::ObservedAll(observations) => {
                let results = observations
                    .iter()
                    .map(|one| format!("observed {:?}", one.result));
                self.told.extend(results);
            }
            Event::Canary(observation) => {
                self.told.push(format!("canary {}", observation.answered));
            }
            Event::Stored { result, .. } => self.told.push(match result {
                Ok(()) => "stored".into(),
                Err(StoreFault::TooSlow(_)) => "slow".into(),
                Err(StoreFault::Failed(why)) => why,
            }),
            // The deadline stays: a core that forgets to move it.
            Event::Tick => self.told.push("tick".into()),
            Event::ConfigurationRejected(_)
            | Event::Concern { .. }
            | Event::SerialAhead(_)
            | Event::Kept(_)
            | Event::Inbound(_)
            | Event::Sighted(_)
            | Event::Parent { .. }
            | Event::KeyMade { .. }
            | Event::Drafted { .. } => {}
        }
        Vec::new()
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.deadline
    }

    fn view(&self, now: Now) -> View {
        View {
            at: now.wall,
            started: now.wall,
            version: String::new(),
            generation: crate::decide::Generation(0),
            blind: None,
            canaries: Vec::new(),
            routes: Vec::new(),
            pools: Vec::new(),
            checks: Vec::new(),
            overrides: Vec::new(),
            challenges: Vec::new(),
            alarms: Vec::new(),
            zones: Vec::new(),
            zone_keys: Vec::new(),
            store_fault: Some(self.told.join("; ")),
        }
    }

    fn configuration(&self) -> &Arc<Configuration> {
        &self.configuration
    }

    fn finish(&mut self) -> Parting {
        Parting {
            batch: Some(pin()),
            keep: None,
        }
    }
}

fn pin() -> Batch {
    let key = OverrideKey::FreezeAll;
    let value = Override {
        key: key.clone(),
        pool: None,
        never: false,
        author: "alice".into(),
        reason: None,
        since: Wall::from_millis(1),
        until: None,
    };
    Batch {
        overrides: vec![(key, Some(value))],
        ..Batch::default()
    }
}

/// A prober that panics.
struct Broken;

impl Probing for Broken {
    async fn probe(&self, _id: CheckId, _check: Arc<Check>) -> Observation {
        panic!("the test wants it")
    }

    async fn probe_canary(&self, _canary: SocketAddr, _timeout: Duration) -> CanaryObservation {
        panic!("the test wants it")
    }
}

fn configuration() -> Arc<Configuration> {
    let text = r#"
        version = 1
        [dns]
        nameservers = [{ name = "ns1.example.net" }]
        [[pool]]
        name = "edgepool1"
        target = [{ name = "edge1.contoso.com", publish = ["192.0.2.10"] }]
        [[route]]
        name = "contoso"
        domains = ["contoso.com"]
        pools = ["edgepool1"]
        zones = "owners"
        service = [{ kind = "xmpp-server" }]
    "#;
    Arc::new(
        crate::config::parse(text, "repoint.toml", &mut |_| {
            Err(std::io::Error::other("no files"))
        })
        .unwrap(),
    )
}

struct Running {
    handle: Handle,
    task: tokio::task::JoinHandle<()>,
    dir: tempfile::TempDir,
}

fn running() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let (store, remembered) = Store::open(dir.path(), Wall::from_millis(0)).unwrap();
    let (shell, handle) = Shell::<Puppet, Broken>::begin(
        configuration(),
        remembered,
        Arc::new(Broken),
        store,
        Clock::new(),
    );
    let task = tokio::spawn(shell.run());
    Running { handle, task, dir }
}

impl Running {
    async fn ask(&self, command: Command) -> Answer {
        let ask = Ask {
            command,
            author: "alice".into(),
            why: None,
            dry_run: false,
            volatile: false,
            expected: None,
        };
        self.handle.request(ask).await
    }

    /// Gives an order that the puppet never answers.
    fn order(&self, command: Command) {
        let handle = self.handle.clone();
        tokio::spawn(async move {
            let ask = Ask {
                command,
                author: "alice".into(),
                why: None,
                dry_run: false,
                volatile: false,
                expected: None,
            };
            drop(handle.request(ask).await);
        });
    }

    async fn told(&self, wanted: &str) -> String {
        let wait = async {
            loop {
                if let Ok(view) = self.handle.view().await {
                    let told = view.store_fault.unwrap();
                    if told.contains(wanted) {
                        return told;
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .unwrap_or_else(|_| panic!("the core is told {wanted:?}"))
    }
}

fn end() -> Command {
    Command::EndOverride {
        key: OverrideKey::FreezeAll,
    }
}

fn failover() -> Command {
    Command::Failover {
        route: "contoso".parse().unwrap(),
        to: None,
    }
}

#[tokio::test]
async fn a_core_that_panics_begins_again_from_the_store_while_zones_stay() {
    let running = running();
    running.handle.first_zones().await;
    let zones = running.handle.zones();
    let before = zones.load_full();
    running.order(end());
    running.told("stored").await;

    let refusal = running.ask(Command::AcceptState).await.unwrap_err();
    assert_eq!(refusal.code, "engine-restarting");
    assert!(
        Arc::ptr_eq(&zones.load_full(), &before),
        "answers stay as they were"
    );
    let told = running.told("begun").await;
    assert_eq!(
        told, "begun with 1 overrides",
        "from the store, not from nothing"
    );
}

#[tokio::test]
async fn a_prober_that_panics_gives_results_that_prove_nothing() {
    let running = running();
    running.order(failover());
    let told = running.told("canary").await;
    assert!(told.contains("canary false"), "{told}");
    let told = running.told("observed").await;
    assert!(told.contains("LocalFailure"), "{told}");
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_nothing_and_its_late_result_is_told() {
    let running = running();
    let lock = rusqlite::Connection::open(running.dir.path().join("repoint.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    running.order(end());
    let told = running.told("slow").await;
    assert!(!told.contains("stored"), "{told}");
    lock.execute_batch("ROLLBACK").unwrap();
    running.told("slow; stored").await;
}

#[tokio::test]
async fn a_core_that_does_not_move_its_deadline_does_not_starve_the_rest() {
    let running = running();
    running.order(Command::Failback {
        route: "contoso".parse().unwrap(),
    });
    running.told("tick; tick; tick").await;
    running.order(end());
    running.told("stored").await;
}

#[tokio::test]
async fn the_last_batch_is_stored_at_the_end() {
    let mut running = running();
    running.handle.stop().await.unwrap();
    (&mut running.task).await.unwrap();
    let error = running.ask(end()).await.unwrap_err();
    assert_eq!(error.code, "engine-stopped");
    drop(running.handle);
    let (_store, remembered) = Store::open(running.dir.path(), Wall::from_millis(0)).unwrap();
    assert_eq!(remembered.overrides.len(), 1);
}
