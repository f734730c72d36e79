//! A world to probe: what servers answer, how long that takes, and whether our own network works.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use repoint::clock::{Mono, Now, Wall};
use repoint::health::{CheckHealth, Health, PoolHealth, Transition, Verdict};
use repoint::probe::{CanaryObservation, Observation, Phase, ProbeResult, Reason, StreamCondition};
use repoint::topology::{
    Address, Check, CheckId, CheckSettings, Depth, FailbackPolicy, FailoverPolicy, Mode,
    Nameservers, OwnerTemplate, Pool, PoolName, Route, RouteName, RoutePool, Service, ServiceKind,
    Target, Topology, ZonePlacement,
};

/// What the world is made of.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// Addresses of each pool; one target each.
    pub(crate) pools: Vec<Vec<IpAddr>>,
    /// Port of the service per pool.
    pub(crate) ports: Vec<u16>,
    /// Check domains.
    pub(crate) domains: usize,
    /// The service.
    pub(crate) kind: ServiceKind,
    /// How checks are made.
    pub(crate) settings: CheckSettings,
    /// Canaries.
    pub(crate) canaries: Vec<SocketAddr>,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            pools: vec![vec!["192.0.2.10".parse().unwrap()]],
            ports: vec![5269],
            domains: 1,
            kind: ServiceKind::XmppServer,
            settings: CheckSettings::default_for(ServiceKind::XmppServer),
            canaries: Vec::new(),
        }
    }
}

impl Spec {
    /// The topology: one route per pool, so that pools may have different ports.
    pub(crate) fn topology(&self) -> Topology {
        let domains: Vec<_> = (0..self.domains)
            .map(|n| format!("d{n}.contoso.com").parse().unwrap())
            .collect();
        let mut pools = BTreeMap::new();
        let mut routes = BTreeMap::new();
        for (n, addresses) in self.pools.iter().enumerate() {
            let name = pool_name(n);
            let target = Target {
                name: format!("edge{n}.contoso.com").parse().unwrap(),
                addresses: addresses
                    .iter()
                    .map(|ip| Address {
                        publish: *ip,
                        probe: *ip,
                    })
                    .collect(),
                source: None,
            };
            let pool = Pool {
                name: name.clone(),
                site: None,
                targets: vec![target],
            };
            pools.insert(name.clone(), pool);
            let route = Route {
                name: route_name(n),
                domains: domains.clone(),
                check_domains: domains.clone(),
                pools: vec![RoutePool {
                    pool: name,
                    priority: 10,
                }],
                zones: ZonePlacement::Owners,
                failover: FailoverPolicy::Auto,
                failback: FailbackPolicy::Manual,
                hold_down: Duration::from_secs(600),
                ttl: 30,
                max_switches: 6,
                need: 1,
                require_families: None,
                address: None,
                services: vec![Service {
                    kind: self.kind,
                    mode: Mode::Order,
                    required: true,
                    owner: OwnerTemplate::new("_xmpp-server._tcp.{domain}").unwrap(),
                    port: self.ports[n % self.ports.len()],
                    target_names: BTreeMap::new(),
                    check: self.settings.clone(),
                }],
            };
            routes.insert(route.name.clone(), route);
        }
        let nameservers = Nameservers {
            servers: Vec::new(),
            hostmaster: None,
            negative_ttl: 30,
            ttl: 3600,
        };
        Topology::new(
            pools,
            routes,
            BTreeMap::new(),
            nameservers,
            self.canaries.clone(),
        )
    }
}

/// The name of the nth pool.
pub(crate) fn pool_name(n: usize) -> PoolName {
    format!("pool{n}").parse().unwrap()
}

/// The name of the nth pool's route.
pub(crate) fn route_name(n: usize) -> RouteName {
    format!("route{n}").parse().unwrap()
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All is well, at once.
    Good,
    /// All is well, but slowly.
    Slow,
    /// Nobody listens.
    Refused,
    /// Accepts and says nothing.
    Silence,
    /// Packets are dropped.
    Dropped,
    /// Does not know the domain.
    HostUnknown,
    /// Our own side cannot probe.
    Local,
    /// The result never comes.
    Never,
    /// A success, told 30 s after it was due.
    Late,
}

/// A probe that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) at: Mono,
    pub(crate) check: CheckId,
    pub(crate) peer: SocketAddr,
    /// The last result of this check, or one that counted for it, was a failure.
    pub(crate) retry: bool,
}

/// What probes meet.
type Script = Box<dyn FnMut(&CheckId, &Check, Mono) -> Answer>;

/// One observation on its way, or a canary's.
enum Coming {
    Probe(Box<Observation>),
    Canary(CanaryObservation),
}

/// The world at one moment.
pub(crate) struct World {
    pub(crate) health: Health,
    pub(crate) topology: Topology,
    answer: Script,
    /// Whether our own network works.
    pub(crate) uplink: bool,
    /// Canaries that never answer.
    pub(crate) dead_canaries: BTreeSet<SocketAddr>,
    /// How long a canary takes to answer.
    pub(crate) canary_delay: Duration,
    coming: BTreeMap<(Mono, u64), Coming>,
    number: u64,
    time: Mono,
    pub(crate) starts: Vec<Start>,
    pub(crate) transitions: Vec<Transition>,
    pub(crate) times: Vec<Mono>,
    pub(crate) canary_successes: Vec<Mono>,
    pub(crate) observations: u64,
    /// The failures each check has seen itself: when the probe began and ended.
    pub(crate) failures: BTreeMap<CheckId, Vec<(Mono, Mono)>>,
    pub(crate) canary_starts: Vec<Mono>,
    in_flight: BTreeSet<IpAddr>,
    pub(crate) parallel: bool,
    /// The most probes that were under way at one time.
    pub(crate) most: usize,
}

impl World {
    pub(crate) fn new(spec: Spec, seed: u64) -> World {
        let topology = spec.topology();
        let now = Now {
            mono: Mono::START,
            wall: Wall::from_millis(1_800_000_000_000),
        };
        let health = Health::new(&topology, seed, now);
        World {
            health,
            topology,
            answer: Box::new(|_, _, _| Answer::Good),
            uplink: true,
            dead_canaries: BTreeSet::new(),
            canary_delay: Duration::from_millis(20),
            failures: BTreeMap::new(),
            canary_starts: Vec::new(),
            coming: BTreeMap::new(),
            number: 0,
            time: Mono::START,
            starts: Vec::new(),
            transitions: Vec::new(),
            times: Vec::new(),
            canary_successes: Vec::new(),
            observations: 0,
            in_flight: BTreeSet::new(),
            parallel: false,
            most: 0,
        }
    }

    pub(crate) fn now(&self) -> Mono {
        self.time
    }

    pub(crate) fn reading(&self) -> Now {
        let millis = 1_800_000_000_000 + self.time.as_micros() / 1000;
        Now {
            mono: self.time,
            wall: Wall::from_millis(millis),
        }
    }

    /// Sets what probes meet from now on.
    pub(crate) fn set(&mut self, answer: impl FnMut(&CheckId, &Check, Mono) -> Answer + 'static) {
        self.answer = Box::new(answer);
    }

    /// Sets what all probes meet from now on.
    pub(crate) fn set_all(&mut self, answer: Answer) {
        self.set(move |_, _, _| answer);
    }

    /// Takes over another configuration.
    pub(crate) fn reconfigure(&mut self, spec: &Spec) {
        self.topology = spec.topology();
        let transitions = self.health.reconfigure(&self.topology, self.reading());
        self.take(transitions);
    }

    /// The times at which the verdict of this check changed to `to`.
    pub(crate) fn changes(&self, to: Verdict) -> Vec<Mono> {
        let both = self.transitions.iter().zip(&self.times);
        both.filter(|(t, _)| matches!(t, Transition::Check { to: now, .. } if *now == to))
            .map(|(_, at)| *at)
            .collect()
    }

    /// Whether a transition like this has come about.
    pub(crate) fn has(&self, like: impl Fn(&Transition) -> bool) -> bool {
        self.transitions.iter().any(like)
    }

    pub(crate) fn pool_health(&self, n: usize) -> &PoolHealth {
        self.health.pool(&route_name(n), &pool_name(n)).unwrap()
    }

    pub(crate) fn pool(&self, n: usize) -> Verdict {
        self.pool_health(n).verdict
    }

    pub(crate) fn only_check(&self) -> &CheckHealth {
        let (id, _) = self.topology.checks.iter().next().unwrap();
        self.health.check(id).unwrap()
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Runs until something holds, or for a span of virtual time.
    pub(crate) fn run_until(&mut self, span: Duration, done: impl Fn(&World) -> bool) {
        let end = self.time + span;
        loop {
            let due = self.health.due(self.reading());
            self.take(due.transitions);
            for (id, check) in due.probes {
                self.begin(id, &check);
            }
            for canary in due.canaries {
                self.begin_canary(canary);
            }
            if done(self) {
                return;
            }
            let deadline = self.health.next_deadline();
            let coming = self.coming.keys().next().map(|(at, _)| *at);
            let next = deadline.into_iter().chain(coming).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.time = end;
                return;
            };
            assert!(
                next > self.time || coming.is_some_and(|at| at <= self.time),
                "time stands still"
            );
            self.time = self.time.max(next);
            while let Some(entry) = self.coming.first_entry().filter(|e| e.key().0 <= self.time) {
                let coming = entry.remove();
                let now = self.reading();
                let transitions = match coming {
                    Coming::Probe(observation) => {
                        self.in_flight.remove(&observation.peer.ip());
                        self.observations += 1;
                        self.health.observe(&observation, now)
                    }
                    Coming::Canary(observation) => {
                        if observation.answered {
                            self.canary_successes.push(observation.began);
                        }
                        self.health.canary(&observation, now)
                    }
                };
                self.take(transitions);
            }
        }
    }

    fn take(&mut self, transitions: Vec<Transition>) {
        for transition in transitions {
            self.transitions.push(transition);
            self.times.push(self.time);
        }
    }

    fn begin(&mut self, id: CheckId, check: &Check) {
        let answer = (self.answer)(&id, check, self.time);
        self.starts.push(Start {
            at: self.time,
            check: id.clone(),
            peer: check.peer,
            retry: self.health.check(&id).unwrap().suspect,
        });
        self.parallel |= !self.in_flight.insert(check.peer.ip());
        self.most = self.most.max(self.in_flight.len());
        let timeout = check.settings.timeout;
        let stopped = |phase, reason| ProbeResult::Stopped { phase, reason };
        let local = Reason::LocalFailure {
            error: "no such address".into(),
        };
        let unknown = Reason::StreamError {
            condition: StreamCondition::HostUnknown,
        };
        let quick = Duration::from_millis(15);
        let (result, took) = match answer {
            Answer::Never => {
                self.in_flight.remove(&check.peer.ip());
                return;
            }
            Answer::Local => (stopped(Phase::Connect, local), Duration::ZERO),
            _ if !self.uplink => (stopped(Phase::Connect, Reason::ConnectTimeout), timeout),
            Answer::Good => (ProbeResult::Reached, quick.min(timeout / 4)),
            Answer::Late => (ProbeResult::Reached, timeout + Duration::from_secs(30)),
            Answer::Slow => (ProbeResult::Reached, timeout.mul_f64(0.8)),
            Answer::Refused => (stopped(Phase::Connect, Reason::Refused), Duration::ZERO),
            Answer::Silence => (stopped(Phase::StreamHeader, Reason::Silence), timeout),
            Answer::Dropped => (stopped(Phase::Connect, Reason::ConnectTimeout), timeout),
            Answer::HostUnknown => (
                stopped(Phase::StreamHeader, unknown),
                quick.min(timeout / 4),
            ),
        };
        let ended = self.time + took;
        if matches!(result, ProbeResult::Stopped { .. }) && answer != Answer::Local {
            let failures = self.failures.entry(id.clone()).or_default();
            failures.push((self.time, ended));
        }
        let reached = (result == ProbeResult::Reached).then_some(Depth::Tls);
        let observation = Observation {
            check: id,
            peer: check.peer,
            began: self.time,
            ended,
            at: self.reading().wall + took,
            reached,
            result,
            phases: Vec::new(),
            tls: None,
            certificate: None,
            notes: Vec::new(),
            known_as: None,
        };
        self.number += 1;
        self.coming
            .insert((ended, self.number), Coming::Probe(Box::new(observation)));
    }

    fn begin_canary(&mut self, canary: SocketAddr) {
        let works = self.uplink && !self.dead_canaries.contains(&canary);
        self.canary_starts.push(self.time);
        let took = if works {
            self.canary_delay
        } else {
            Duration::from_secs(3)
        };
        let ended = self.time + took;
        let observation = CanaryObservation {
            canary,
            began: self.time,
            ended,
            answered: works,
        };
        self.number += 1;
        self.coming
            .insert((ended, self.number), Coming::Canary(observation));
    }
}
