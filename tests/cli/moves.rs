//! Failover and failback, by hand and by itself.

use crate::site::Site;

#[test]
fn failover_and_failback_are_served_when_they_return() {
    let site = Site::start();
    let said = site.say(&["failover", "contoso", "--reason", "try it"]);
    assert!(said.contains("1. edgepool2, 2. edgepool1"), "{said}");
    assert_eq!(site.answered_pool(), "edgepool2");
    assert_eq!(
        site.json(&["route", "show", "contoso"])["route"]["home"],
        "edgepool2"
    );
    let said = site.say(&["failback", "contoso"]);
    assert!(said.contains("1. edgepool1, 2. edgepool2"), "{said}");
    assert_eq!(site.answered_pool(), "edgepool1");
    let again = site.fails(1, &["failback", "contoso"]);
    assert!(again.contains("edgepool1 is active already"), "{again}");
}

#[test]
fn failover_to_a_pool_that_is_down_points_to_the_pin() {
    let mut site = Site::start();
    site.pool2.fail();
    site.until_verdict("edgepool2", "down");
    let refused = site.fails(1, &["failover", "contoso", "--to", "edgepool2"]);
    assert!(refused.contains("edgepool2 is down"), "{refused}");
    assert!(
        refused.contains("repoint pin contoso edgepool2 --force"),
        "{refused}"
    );
    assert_eq!(site.answered_pool(), "edgepool1");
}

#[test]
fn a_pool_that_fails_is_left_and_history_says_why() {
    let mut site = Site::start();
    site.pool1.fail();
    site.until_answered("edgepool2");
    let explained = site.say(&["route", "explain", "contoso"]);
    assert!(
        explained.contains("route contoso: edgepool2 is active"),
        "{explained}"
    );
    assert!(explained.contains("connection refused"), "{explained}");
    assert!(explained.contains("  evidence  "), "{explained}");
    assert!(
        explained.lines().all(|line| line.chars().count() <= 100),
        "{explained}"
    );
    let history = site.until("the switch is in history", |site| {
        let history = site.say(&["history", "contoso"]);
        history.contains("  switch  ").then_some(history)
    });
    assert!(history.contains("edgepool1"), "{history}");

    site.pool1.recover();
    site.until_verdict("edgepool1", "up");
    // The policy is manual: it waits for the operator, and says so with the command.
    let status = site.until("the route is not on its preferred pool", |site| {
        let status = site.say(&["status"]);
        status.contains("not-preferred").then_some(status)
    });
    assert!(status.contains("repoint failback contoso\n"), "{status}");
    assert_eq!(site.answered_pool(), "edgepool2");
    site.say(&["failback", "contoso"]);
    assert_eq!(site.answered_pool(), "edgepool1");
}

#[test]
fn a_route_that_asks_gives_the_command_to_type() {
    let mut site = Site::start_with("failover = \"ask\"");
    site.pool1.fail();
    let status = site.until("the switch is asked for", |site| {
        let status = site.say(&["status"]);
        status.contains("switch-wanted").then_some(status)
    });
    assert!(status.contains("repoint failover contoso"), "{status}");
    assert_eq!(site.answered_pool(), "edgepool1");
    site.say(&["failover", "contoso"]);
    assert_eq!(site.answered_pool(), "edgepool2");
}

#[test]
fn a_change_meant_for_another_generation_is_not_made() {
    let site = Site::start();
    let generation =
        site.json(&["route", "show", "contoso"])["route"]["decision"]["generation"].clone();
    let failover = |tag: &str| {
        let head = format!("if-match: \"{tag}\"\r\n");
        site.http("POST", "/v1/routes/contoso/failover", &head)
    };
    let stale = failover("4711");
    assert!(stale.starts_with("HTTP/1.1 412 "), "{stale}");
    assert!(stale.contains("changed-meanwhile"), "{stale}");
    assert_eq!(site.answered_pool(), "edgepool1");
    let done = failover(&generation.to_string());
    assert!(done.starts_with("HTTP/1.1 200 "), "{done}");
    assert_eq!(site.answered_pool(), "edgepool2");
    assert!(failover(&generation.to_string()).starts_with("HTTP/1.1 412 "));
}
