//! What the views look like: a fixed node, and the text each command makes of it, in `tests/golden/cli/`.
//! `UPDATE_EXPECT=1` rewrites the files.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use super::paint::{Paint, WIDTH};
use super::{change, explain, history, key, pool, progress, route, status, target, zone};
use crate::control::fixture::{NOW, ago, decision, pool_name, route_name, view};
use crate::control::{Explanation, target_views};
use crate::decide::{Back, Generation, Loss, Override, OverrideKey, Reason};
use crate::engine::{
    Done, DrainedTargetView, Entry, EntryKind, KeyView, ParentView, RouteChange, SigningKeyView,
    SigningView, View, ZoneKeysView,
};
use crate::health::{Recovery, Verdict};
use crate::keys::{Advice, Asking, DsAdvice, Outlook, Stage};
use crate::topology::{FailbackPolicy, FailoverPolicy};

const PLAIN: Paint = Paint {
    colour: false,
    whole: false,
};

/// Compares with the file of this name, or rewrites it.
pub(super) fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/cli")
        .join(format!("{name}.txt"));
    for line in text.lines() {
        let width = line.chars().count();
        assert!(width <= WIDTH, "{name}: {width} columns: {line}");
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs (UPDATE_EXPECT=1 rewrites it); now:\n{text}",
        path.display()
    );
}

fn explained(view: &View, route: &str) -> String {
    explain::screen(&Explanation::of(view, &route_name(route)).unwrap(), PLAIN)
}

#[test]
fn status_shows_alarms_first_with_what_mends_them() {
    golden("status", &status::screen(&view(), PLAIN));
}

#[test]
fn status_of_a_healthy_node_is_short() {
    let mut view = view();
    view.alarms.clear();
    view.overrides.clear();
    view.canaries.clear();
    view.routes.truncate(1);
    golden("status-quiet", &status::screen(&view, PLAIN));
}

#[test]
fn check_says_the_worst_in_one_line() {
    let mut view = view();
    let (code, line) = status::check_line(&view);
    assert_eq!(
        (code, line.as_str()),
        (
            2,
            "REPOINT CRITICAL: pin-on-down-pool fabrikam: route fabrikam is pinned to edgepool1, which is \
             down: partners cannot federate (+1 more) | routes=2 critical=1 warning=1 generation=121"
        )
    );
    view.alarms.remove(0);
    let (code, line) = status::check_line(&view);
    assert_eq!(
        (code, line.as_str()),
        (
            1,
            "REPOINT WARNING: not-preferred contoso: active is edgepool2, preferred is edgepool1 \
             | routes=2 critical=0 warning=1 generation=121"
        )
    );
    view.alarms.clear();
    let (code, line) = status::check_line(&view);
    assert_eq!(
        (code, line.as_str()),
        (
            0,
            "REPOINT OK: 2 routes, no alarm | routes=2 critical=0 warning=0 generation=121"
        )
    );
}

#[test]
fn explain_tells_a_failover_from_probe_to_answer() {
    golden("explain-failover", &explained(&view(), "contoso"));
}

#[test]
fn explain_tells_a_pin_over_a_down_pool() {
    golden("explain-pin", &explained(&view(), "fabrikam"));
}

#[test]
fn explain_tells_what_holds_a_route_back() {
    let mut view = view();
    view.blind = Some(ago(65));
    view.overrides = vec![
        Override {
            key: OverrideKey::FreezeAll,
            pool: None,
            never: false,
            author: "root for alice".into(),
            reason: None,
            since: ago(500),
            until: None,
        },
        Override {
            key: OverrideKey::DrainPool {
                pool: pool_name("edgepool1"),
            },
            pool: None,
            never: true,
            author: "bob".into(),
            reason: Some(
                "a reason that is so long that it must be broken into a second line below".into(),
            ),
            since: ago(500),
            until: Some(NOW + Duration::from_secs(90)),
        },
    ];
    let route = &mut view.routes[0];
    route.failback = FailbackPolicy::Auto;
    route.failover = FailoverPolicy::Ask;
    route.latched = Some(ago(700));
    route.switches = 6;
    route.outlook.next = None;
    route.outlook.loss = Loss::Waits {
        to: pool_name("edgepool1"),
        holds: vec![
            "frozen by the operator".into(),
            "our own network fails (blind)".into(),
        ],
    };
    route.outlook.back = None;
    route.home = Some(pool_name("edgepool2"));
    route.pools[0].health.verdict = Verdict::Degraded;
    route.pools[0].drained = true;
    route.pools[1].health.partial = true;
    route.held_by = vec![
        "would move to edgepool1: frozen".into(),
        "would move to edgepool1: hold-down".into(),
    ];
    view.checks[0].health.verdict = Verdict::Degraded;
    view.checks[0].health.cause = Some("TLSv1 is legacy TLS".into());
    view.checks[0].health.successes = 4;
    golden("explain-held", &explained(&view, "contoso"));
}

#[test]
fn explain_tells_how_the_route_comes_back() {
    let mut view = view();
    view.routes[0].pools[0].health.verdict = Verdict::Up;
    view.checks[0].health.verdict = Verdict::Up;
    view.routes[0].outlook.back = Some(Back::ByCommand { refused: None });
    let said = |view: &View| {
        let text = explained(view, "contoso");
        let next = text.split_once("NEXT\n").unwrap().1;
        next.split_once("\n\n").unwrap().0.to_owned()
    };
    assert!(said(&view).ends_with("  back        to edgepool1 only by: repoint failback contoso"));
    view.routes[0].outlook.back = Some(Back::ByItself {
        at: Some(NOW + Duration::from_secs(240)),
    });
    let by_itself = "to edgepool1 by itself, at 2026-11-21T03:04:00Z (in 4 min)";
    assert!(said(&view).ends_with(by_itself), "{}", said(&view));
    view.routes[0].outlook.back = Some(Back::Held {
        holds: vec!["latched: too many automatic switches within an hour".into()],
    });
    let held = "to edgepool1 not by itself: latched: too many automatic switches within an hour";
    assert!(said(&view).ends_with(held), "{}", said(&view));
}

#[test]
fn status_says_when_a_pool_comes_up_and_when_a_drained_one_may_be_stopped() {
    let mut view = view();
    view.routes[0].pools[0].recovery = Some(Recovery {
        good: 2,
        of: 6,
        up_at: NOW + Duration::from_secs(8),
    });
    let drain = OverrideKey::DrainPool {
        pool: pool_name("edgepool1"),
    };
    view.overrides = vec![Override {
        key: drain.clone(),
        pool: None,
        ..crate::control::fixture::pin()
    }];
    view.pools[0]
        .routes
        .values_mut()
        .for_each(|active| *active = false);
    view.pools[0].old_answers_until = Some(NOW + Duration::from_secs(20));
    view.routes[0].pools[0].old_answers_until = Some(NOW + Duration::from_secs(20));
    golden("status-drain", &status::screen(&view, PLAIN));
    golden("explain-drain", &explained(&view, "contoso"));
    let lags =
        "secondary ns2 (192.0.2.5) still serves serial 17 of contoso.com, where edgepool1 is first";
    view.pools[0].old_answers_until = None;
    view.pools[0].old_answers_from = Some(lags.into());
    let progress = |view: &View| progress::drain_progress(&view.overrides[0], view).unwrap();
    assert_eq!(
        progress(&view),
        format!("old answers are not gone yet: {lags}: do not stop it")
    );
    view.overrides[0].key = OverrideKey::DrainTarget {
        pool: pool_name("edgepool1"),
        target: "edge1.contoso.com".parse().unwrap(),
    };
    let target = DrainedTargetView {
        first_in: vec![route_name("contoso")],
        ..DrainedTargetView::default()
    };
    view.pools[0].drained_targets = [("edge1.contoso.com".parse().unwrap(), target)].into();
    assert_eq!(progress(&view), "still first in contoso: do not stop it");
    view.overrides[0].key = drain.clone();
    view.routes[0].decision.reason = Reason::Override {
        change: "drain of pool edgepool1 set".into(),
        author: Some("alice".into()),
        why: None,
        key: Some(drain),
    };
    let why = |view: &View| progress::decision_reason(&view.routes[0], &view.overrides);
    assert_eq!(why(&view), "drain of pool edgepool1 set by alice");
    view.overrides.clear();
    assert_eq!(
        why(&view),
        "ended since: drain of pool edgepool1 set by alice"
    );
}

#[test]
fn many_alarms_do_not_push_the_routes_off_the_screen() {
    let mut view = view();
    let alarm = view.alarms[1].clone();
    view.alarms.extend(std::iter::repeat_n(alarm, 40));
    let screen = status::screen(&view, PLAIN);
    assert!(screen.contains("  and 34 more alarms; --json has all\n"));
    assert!(screen.contains("\nROUTES\n"));
}

#[test]
fn a_route_is_shown_with_its_pools_and_names() {
    let view = view();
    let it = Explanation::of(&view, &route_name("contoso")).unwrap();
    golden("route-show", &route::show(&it, PLAIN));
}

#[test]
fn pools_and_targets_are_listed_and_shown() {
    let view = view();
    golden("pool-list", &pool::list(&view.pools, PLAIN));
    golden("pool-show", &pool::show(&view.pools[0], &view, PLAIN));
    let targets = target_views(&view);
    golden("target-list", &target::list(&targets, PLAIN));
    golden("target-show", &target::show(&targets[1], NOW, PLAIN));
    golden("zone-list", &zone::list(&view.zones, PLAIN));
}

/// One zone rolls its key and waits for the parent, the other is not signed.
fn rolling() -> View {
    let mut view = view();
    view.zones.truncate(2);
    let key = |tag, algorithm: &str, stage| SigningKeyView {
        tag,
        algorithm: algorithm.into(),
        stage,
    };
    view.zones[1].signing = Some(SigningView {
        keys: vec![
            key(12345, "ecdsap256sha256", Stage::Leaving),
            key(123, "ed25519", Stage::Offered),
        ],
        valid_until: NOW + Duration::from_secs(13 * 86_400),
    });
    view.zone_keys = vec![ZoneKeysView {
        zone: view.zones[1].apex.clone(),
        wanted: true,
        signed: true,
        keys: vec![KeyView {
            tag: 123,
            algorithm: 15,
            algorithm_name: "ed25519".into(),
            stage: Stage::Offered,
            since: ago(7200),
            ds: vec![],
            dnskey: String::new(),
            private: true,
        }],
        outlook: Some(Outlook {
            next: Some("key 123 is active".into()),
            waits_for: Some(
                "the DS of key 123 at every server of the parent (seen there: 12345)".into(),
            ),
            at: None,
            trouble: None,
            asking: Asking::Often,
            look_at: None,
        }),
        ds: DsAdvice {
            tags: vec![123],
            advice: Advice::Now,
        },
        ds_kept_in: None,
        parent: None,
        fault: None,
    }];
    view
}

#[test]
fn a_signed_zone_says_by_which_keys_and_until_when() {
    let view = rolling();
    golden("zone-list-signed", &zone::list(&view.zones, PLAIN));
    golden("zone-show-signed", &zone::about(&view.zones[1]));
    assert_eq!(zone::about(&view.zones[0]), "");
}

#[test]
fn status_says_which_keys_wait_for_the_parent() {
    let mut view = rolling();
    golden("status-keys", &status::screen(&view, PLAIN));
    for advice in [Advice::Done, Advice::From(NOW)] {
        view.zone_keys[0].ds.advice = advice;
        assert!(!status::screen(&view, PLAIN).contains("KEYS"));
    }
}

#[test]
fn a_zone_without_a_key_is_not_told_to_empty_its_parent_unseen() {
    let mut view = rolling().zone_keys.remove(0);
    view.keys.clear();
    view.ds.tags.clear();
    let said = |view: &ZoneKeysView| key::for_parent(view, PLAIN);
    let unknown = said(&view);
    assert!(unknown.contains("leave it as it is"), "{unknown}");
    let mut parent = ParentView {
        at: ago(60),
        complete: false,
        has_ds: false,
        tags: "none".into(),
    };
    view.parent = Some(parent.clone());
    assert_eq!(said(&view), unknown);
    parent.complete = true;
    view.parent = Some(parent.clone());
    assert!(said(&view).contains("the parent has no DS, as it should be"));
    parent.has_ds = true;
    parent.tags = "12345".into();
    view.parent = Some(parent);
    golden("key-ds-keyless", &said(&view));
}

fn moved() -> Done {
    let before = decision("contoso", 119, "edgepool2", Reason::Configuration);
    let after = decision("contoso", 122, "edgepool1", Reason::Configuration);
    Done {
        generation: Generation(122),
        changes: vec![RouteChange {
            route: route_name("contoso"),
            before: Some(before),
            after: Some(after),
        }],
        zones: 1,
        zone_diff: String::new(),
        planned: None,
        configuration: Vec::new(),
        warnings: vec!["edgepool1 is degraded".into()],
        dry_run: false,
        volatile: false,
    }
}

#[test]
fn a_change_says_what_is_served_now() {
    golden("change", &change::screen(&moved(), PLAIN));
    let mut dry = moved();
    dry.dry_run = true;
    dry.zone_diff =
        "-xmpp.contoso.com. 30 IN A 198.51.100.20\n+xmpp.contoso.com. 30 IN A 192.0.2.10\n".into();
    golden("change-dry", &change::screen(&dry, PLAIN));
    let mut nothing = moved();
    nothing.changes.clear();
    // A key rolled, a challenge set: no route moves.
    nothing.zones = 2;
    golden("change-zones", &change::screen(&nothing, PLAIN));
    nothing.zones = 0;
    nothing.volatile = true;
    golden("change-none", &change::screen(&nothing, PLAIN));
}

#[test]
fn history_reads_like_a_log() {
    let entry = |seconds, generation, kind, text: &str| Entry {
        generation: Generation(generation),
        at: ago(seconds),
        route: Some(route_name("contoso")),
        kind,
        text: text.into(),
        author: None,
        why: None,
        decision: None,
    };
    let mut frozen = entry(60, 120, EntryKind::Override, "freeze of all routes set");
    frozen.route = None;
    frozen.author = Some("root for alice".into());
    frozen.why = Some("firewall change".into());
    let entries = [
        entry(
            1145,
            118,
            EntryKind::Verdict,
            "edgepool1 up -> down: silence in stream header",
        ),
        entry(
            1130,
            119,
            EntryKind::Switch,
            "edgepool1 -> edgepool2: edgepool1 down: silence in stream header (xmpp-server/192.0.2.10:5269/contoso.com)",
        ),
        frozen,
    ];
    golden("history", &history::list(&entries, PLAIN));
    golden("history-empty", &history::list(&[], PLAIN));
}

#[test]
fn colour_adds_nothing_but_colour() {
    let coloured = Paint {
        colour: true,
        whole: false,
    };
    let text = status::screen(&view(), coloured)
        + &explain::screen(
            &Explanation::of(&view(), &route_name("contoso")).unwrap(),
            coloured,
        );
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert!(plain.len() < text.len());
    assert_eq!(
        plain,
        status::screen(&view(), PLAIN) + &explained(&view(), "contoso")
    );
}

#[test]
fn the_reference_shows_what_is_printed() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let reference = std::fs::read_to_string(root.join("docs/commands.md")).unwrap();
    for name in ["status", "explain-failover", "history"] {
        let path = root.join(format!("tests/golden/cli/{name}.txt"));
        let printed = std::fs::read_to_string(path).unwrap();
        assert!(
            reference.contains(&printed),
            "docs/commands.md does not show {name}.txt"
        );
    }
    let (_, line) = status::check_line(&view());
    assert!(
        reference.contains(&line),
        "docs/commands.md does not show {line}"
    );
}
