//! A node to look at in tests: two pools, one of them down, and two routes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::{Mono, Wall};
use crate::decide::{
    Back, CommandFault, Decision, Generation, Loss, Obstacle, Outlook, Override, OverrideKey,
    Reason, SrvRecord, Standby,
};
use crate::engine::{
    Alarm, AlarmKind, CanaryView, CheckView, OwnerView, PoolView, RoutePoolView, RouteView,
    Severity, View, ZoneView,
};
use crate::health::{AddressHealth, CheckHealth, Evidence, PoolHealth, TargetHealth, Verdict};
use crate::topology::{
    CheckId, CheckUse, DomainName, FailbackPolicy, FailoverPolicy, Family, PoolName, RouteName,
    ServiceKind,
};

/// 2026-11-21T03:00:00Z
pub(crate) const NOW: Wall = Wall::from_millis(1_795_230_000_000);

pub(crate) fn ago(seconds: i64) -> Wall {
    Wall::from_millis(NOW.as_millis() - seconds * 1000)
}

pub(crate) fn pool_name(text: &str) -> PoolName {
    text.parse().unwrap()
}

pub(crate) fn route_name(text: &str) -> RouteName {
    text.parse().unwrap()
}

fn domain(text: &str) -> DomainName {
    text.parse().unwrap()
}

/// A pool of one target: its name, what partners are given, what is probed.
struct Spec {
    pool: &'static str,
    target: &'static str,
    publish: &'static str,
    probe: &'static str,
    up: bool,
}

const SPECS: [Spec; 2] = [
    Spec {
        pool: "edgepool1",
        target: "edge1.contoso.com",
        publish: "192.0.2.10",
        probe: "192.0.2.10",
        up: false,
    },
    Spec {
        pool: "edgepool2",
        target: "edge2.contoso.com",
        publish: "198.51.100.20",
        probe: "10.0.0.20",
        up: true,
    },
];

fn check_id(spec: &Spec) -> CheckId {
    CheckId::from(format!("xmpp-server/{}:5269/contoso.com", spec.probe))
}

fn verdict(spec: &Spec) -> Verdict {
    match spec.up {
        true => Verdict::Up,
        false => Verdict::Down,
    }
}

fn check_view(spec: &Spec) -> CheckView {
    let (last, cause) = match spec.up {
        true => ("reached tls in 12 ms", None),
        false => ("silence in stream header", Some("silence in stream header")),
    };
    CheckView {
        id: check_id(spec),
        service: ServiceKind::XmppServer,
        peer: format!("{}:5269", spec.probe).parse().unwrap(),
        domain: domain("contoso.com"),
        health: CheckHealth {
            verdict: verdict(spec),
            since: Mono::START,
            since_wall: if spec.up { ago(273_840) } else { ago(1140) },
            suspect: false,
            failures: if spec.up { 0 } else { 9 },
            successes: if spec.up { 812 } else { 0 },
            proven: true,
            last: Some(last.into()),
            last_wall: Some(ago(4)),
            cause: cause.map(Into::into),
            observed: 1000,
        },
    }
}

fn evidence() -> Evidence {
    Evidence {
        check: check_id(&SPECS[0]),
        verdict: Verdict::Down,
        failures: 3,
        cause: "silence in stream header".into(),
        at: ago(1140),
    }
}

fn route_pool(spec: &Spec, priority: u16, place: usize) -> RoutePoolView {
    let publish: IpAddr = spec.publish.parse().unwrap();
    let address = AddressHealth {
        family: Family::Ipv4,
        verdict: verdict(spec),
        proven: true,
    };
    RoutePoolView {
        pool: pool_name(spec.pool),
        priority,
        health: PoolHealth {
            verdict: verdict(spec),
            partial: false,
            since: Mono::START,
            since_wall: if spec.up { ago(273_840) } else { ago(1140) },
            observed: true,
            targets: vec![TargetHealth {
                name: domain(spec.target),
                verdict: verdict(spec),
                services: BTreeMap::from([(ServiceKind::XmppServer, verdict(spec))]),
                addresses: BTreeMap::from([(publish, address)]),
            }],
            optional: BTreeMap::new(),
            evidence: if spec.up { vec![] } else { vec![evidence()] },
        },
        drained: false,
        recovery: None,
        old_answers_until: None,
        old_answers_from: None,
        place: Some(place),
        checks: vec![CheckUse {
            service: ServiceKind::XmppServer,
            target: 0,
            publish,
            check: check_id(spec),
        }],
    }
}

/// A decision that puts `active` first.
pub(crate) fn decision(route: &str, generation: u64, active: &str, reason: Reason) -> Decision {
    let mut specs: Vec<&Spec> = SPECS.iter().collect();
    specs.sort_by_key(|spec| spec.pool != active);
    let records = specs
        .iter()
        .zip([10, 20])
        .map(|(spec, priority)| SrvRecord {
            priority,
            weight: 0,
            port: 5269,
            target: domain(spec.target),
        });
    Decision {
        route: route_name(route),
        generation: Generation(generation),
        at: ago(1130),
        active: pool_name(active),
        order: specs.iter().map(|spec| pool_name(spec.pool)).collect(),
        services: BTreeMap::from([(ServiceKind::XmppServer, records.collect())]),
        addresses: BTreeMap::from([(Family::Ipv4, vec![specs[0].publish.parse().unwrap()])]),
        ttl: 30,
        reason,
    }
}

/// Nothing happens by itself; the other pool can take over when it is up, and the way back is a command.
fn outlook(decision: &Decision) -> Outlook {
    let other = SPECS
        .iter()
        .find(|spec| spec.pool != decision.active.as_str());
    let other = other.unwrap();
    let pool = pool_name(other.pool);
    let obstacle = (!other.up).then(|| Obstacle::Down {
        cause: Some(format!("silence in stream header ({})", check_id(other))),
    });
    Outlook {
        loss: match other.up {
            true => Loss::Switches {
                to: pool.clone(),
                not_before: None,
            },
            false => Loss::Stays,
        },
        next: None,
        back: (decision.active.as_str() != "edgepool1").then(|| Back::ByCommand {
            refused: obstacle.is_some().then(|| CommandFault::Down(pool.clone())),
        }),
        standbys: vec![Standby { pool, obstacle }],
    }
}

fn route(name: &str, domains: &[&str], decision: Decision) -> RouteView {
    let place = |pool: &str| {
        decision
            .order
            .iter()
            .position(|p| p.as_str() == pool)
            .unwrap()
    };
    let names = domains.iter().flat_map(|d| {
        [
            (
                format!("_xmpp-server._tcp.{d}"),
                Some(ServiceKind::XmppServer),
            ),
            (format!("xmpp.{d}"), None),
        ]
    });
    RouteView {
        name: route_name(name),
        domains: domains.iter().map(|d| domain(d)).collect(),
        pools: vec![
            route_pool(&SPECS[0], 10, place("edgepool1")),
            route_pool(&SPECS[1], 20, place("edgepool2")),
        ],
        wanted: pool_name("edgepool1"),
        home: None,
        failover: FailoverPolicy::Auto,
        failback: FailbackPolicy::Manual,
        hold_down: Duration::from_secs(600),
        warm: true,
        latched: None,
        switches: 1,
        max_switches: 6,
        held_by: vec![],
        outlook: outlook(&decision),
        detection: Duration::from_secs(26),
        owners: names
            .map(|(owner, service)| OwnerView {
                owner: domain(&owner),
                service,
                zone: domain(&owner),
            })
            .collect(),
        decision,
    }
}

/// `contoso` has failed over to edgepool2; `fabrikam` is pinned to edgepool1, which is down.
pub(crate) fn view() -> View {
    let failover = Reason::Failover {
        from: pool_name("edgepool1"),
        evidence: vec![evidence()],
    };
    let pinned = Reason::Override {
        change: "pin of route fabrikam to edgepool1 set".into(),
        author: Some("alice".into()),
        why: Some("SR-1234: firmware".into()),
        key: Some(pin().key),
    };
    let mut contoso = route(
        "contoso",
        &[
            "contoso.com",
            "contoso.example",
            "chat.contoso.com",
            "contoso.net",
        ],
        decision("contoso", 119, "edgepool2", failover),
    );
    contoso.held_by = vec!["would move to edgepool1: it is down".into()];
    let mut fabrikam = route(
        "fabrikam",
        &["fabrikam.example"],
        decision("fabrikam", 121, "edgepool1", pinned),
    );
    fabrikam.held_by = vec!["would move to edgepool2: the route is pinned to edgepool1".into()];
    fabrikam.outlook.loss = Loss::Pinned { until: pin().until };
    let pool = |spec: &Spec, active: &str| PoolView {
        name: pool_name(spec.pool),
        site: Some("site1".parse().unwrap()),
        verdict: verdict(spec),
        targets: vec![domain(spec.target)],
        routes: BTreeMap::from([
            (route_name("contoso"), active == "contoso"),
            (route_name("fabrikam"), active == "fabrikam"),
        ]),
        drained: false,
        old_answers_until: None,
        old_answers_from: None,
        drained_targets: BTreeMap::new(),
    };
    View {
        at: NOW,
        started: ago(273_900),
        version: "0.1.0".into(),
        generation: Generation(121),
        blind: None,
        canaries: vec![CanaryView {
            address: "203.0.113.7:5269".parse().unwrap(),
            answered: Some(true),
        }],
        zones: [&contoso, &fabrikam]
            .iter()
            .flat_map(|route| &route.owners)
            .map(|owner| ZoneView {
                apex: owner.zone.clone(),
                serial: Some(1_795_228_870),
                inbound: None,
                signing: None,
                being_signed: None,
                left_out: Vec::new(),
                rrsets: 3,
            })
            .collect(),
        routes: vec![contoso, fabrikam],
        pools: vec![pool(&SPECS[0], "fabrikam"), pool(&SPECS[1], "contoso")],
        checks: SPECS.iter().map(check_view).collect(),
        overrides: vec![pin()],
        challenges: Vec::new(),
        alarms: vec![
            Alarm {
                kind: AlarmKind::PinOnDownPool,
                subject: "fabrikam".into(),
                severity: Severity::Critical,
                since: ago(1140),
                text:
                    "route fabrikam is pinned to edgepool1, which is down: partners cannot federate"
                        .into(),
                remedy: Some("repoint unpin fabrikam".into()),
            },
            Alarm {
                kind: AlarmKind::NotPreferred,
                subject: "contoso".into(),
                severity: Severity::Warning,
                since: ago(1130),
                text: "active is edgepool2, preferred is edgepool1".into(),
                remedy: Some("repoint failback contoso".into()),
            },
        ],
        zone_keys: Vec::new(),
        store_fault: None,
    }
}

/// The pin of `fabrikam`.
pub(crate) fn pin() -> Override {
    Override {
        key: OverrideKey::Pin {
            route: route_name("fabrikam"),
        },
        pool: Some(pool_name("edgepool1")),
        never: false,
        author: "alice".into(),
        reason: Some("SR-1234: firmware".into()),
        since: ago(1100),
        until: Some(NOW + Duration::from_secs(6060)),
    }
}
