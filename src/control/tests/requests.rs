//! What is asked reaches the node, and what the node says comes back.

use super::*;

#[tokio::test]
async fn every_view_is_served_under_its_noun() {
    let site = Site::start(Fake::default());
    for (path, pointer, expected) in [
        ("/v1/health", "/generation", json!(121)),
        ("/v1/status", "/generation", json!(121)),
        ("/v1/counters", "/udp_queries", json!(7)),
        ("/v1/alarms", "/0/kind", json!("pin-on-down-pool")),
        ("/v1/overrides", "/0/author", json!("alice")),
        ("/v1/routes", "/1/name", json!("fabrikam")),
        ("/v1/routes/contoso", "/decision/active", json!("edgepool2")),
        (
            "/v1/routes/contoso/explanation",
            "/recovery_seconds",
            json!(116),
        ),
        ("/v1/pools", "/0/verdict", json!("down")),
        ("/v1/pools/edgepool1", "/routes/fabrikam", json!(true)),
        ("/v1/targets", "/1/name", json!("edge2.contoso.com")),
        (
            "/v1/pools/edgepool2/targets/edge2.contoso.com",
            "/verdict",
            json!("up"),
        ),
        ("/v1/zones", "/0/serial", json!(1_795_228_870_u32)),
        (
            "/v1/zones/xmpp.contoso.com",
            "/apex",
            json!("xmpp.contoso.com"),
        ),
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.json().pointer(pointer), Some(&expected), "{path}");
    }
    let text = site.get("/v1/zones/xmpp.contoso.com./text").await;
    assert_eq!(text.body, "xmpp.contoso.com. 30 IN A 192.0.2.10\n");
    assert_eq!(
        site.get("/v1/zones/xmpp.contoso.com/diff").await.body,
        "- old\n+ new\n"
    );
    assert_eq!(site.get("/v1/state/backup").await.body, "SQLite");
    assert!(site.nothing_was_asked());
}

#[tokio::test]
async fn the_tag_of_a_route_is_the_generation_of_its_last_decision() {
    let site = Site::start(Fake::default());
    for (path, tag) in [
        ("/v1/routes/contoso", "etag: \"119\""),
        ("/v1/routes/contoso/explanation", "etag: \"119\""),
        ("/v1/routes/fabrikam", "etag: \"121\""),
        ("/v1/status", "etag: \"121\""),
    ] {
        let answer = site.get(path).await;
        assert!(answer.head.contains(tag), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_pin_reaches_the_engine_with_author_and_reason() {
    let site = Site::start(Fake::default());
    let path = "/v1/routes/contoso/pin?reason=SR-1234%3A%20firmware&volatile=true";
    let body = r#"{"pool":"edgepool1","for":"2h","force":true}"#;
    let answer = site.ask("PUT", path, "", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["generation"], json!(122));
    let ask = site.last_asked();
    assert_eq!(ask.author, me());
    assert_eq!(ask.why.as_deref(), Some("SR-1234: firmware"));
    assert!(ask.volatile && !ask.dry_run);
    let Command::SetOverride {
        key,
        pool,
        lifetime,
        force,
        ..
    } = ask.command
    else {
        panic!("{ask:?}")
    };
    let route = route_name("contoso");
    assert_eq!(key, OverrideKey::Pin { route });
    assert_eq!(pool, Some(pool_name("edgepool1")));
    assert_eq!(lifetime, Lifetime::For(Duration::from_secs(7200)));
    assert!(force);
}

#[tokio::test]
async fn who_speaks_for_somebody_is_kept_as_well() {
    let site = Site::start(Fake::default());
    let path = "/v1/routes/contoso/failback?author=alice";
    assert_eq!(site.ask("POST", path, "", "").await.status, 200);
    assert_eq!(site.last_asked().author, format!("{} for alice", me()));
}

#[tokio::test]
async fn every_verb_becomes_its_command() {
    let site = Site::start(Fake::default());
    let forever = r#"{"for":"forever"}"#;
    for (method, path, body, expected) in [
        (
            "DELETE",
            "/v1/routes/contoso/pin",
            "",
            "EndOverride { key: Pin",
        ),
        (
            "PUT",
            "/v1/routes/contoso/freeze",
            forever,
            "SetOverride { key: FreezeRoute",
        ),
        (
            "DELETE",
            "/v1/routes/contoso/freeze",
            "",
            "EndOverride { key: FreezeRoute",
        ),
        ("PUT", "/v1/freeze", forever, "SetOverride { key: FreezeAll"),
        ("DELETE", "/v1/freeze", "", "EndOverride { key: FreezeAll"),
        (
            "PUT",
            "/v1/pools/edgepool1/drain",
            forever,
            "SetOverride { key: DrainPool",
        ),
        (
            "DELETE",
            "/v1/pools/edgepool1/drain",
            "",
            "EndOverride { key: DrainPool",
        ),
        (
            "PUT",
            "/v1/pools/edgepool1/targets/edge1.contoso.com/drain",
            forever,
            "SetOverride { key: DrainTarget",
        ),
        (
            "DELETE",
            "/v1/pools/edgepool1/targets/EDGE1.contoso.com./drain",
            "",
            "EndOverride { key: DrainTarget",
        ),
        (
            "POST",
            "/v1/routes/contoso/failover",
            "",
            "Failover { route: RouteName(\"contoso\"), to: None",
        ),
        (
            "POST",
            "/v1/routes/contoso/failover",
            r#"{"to":"edgepool1"}"#,
            "Failover { route: RouteName(\"contoso\"), to: Some(PoolName(\"edgepool1\"))",
        ),
        (
            "POST",
            "/v1/routes/contoso/failback",
            "{}",
            "Failback { route: RouteName(\"contoso\")",
        ),
        ("POST", "/v1/state/accept", "", "AcceptState"),
    ] {
        let answer = site.ask(method, path, "", body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        let command = format!("{:?}", site.last_asked().command);
        assert!(command.starts_with(expected), "{method} {path}: {command}");
    }
}

#[tokio::test]
async fn a_reload_says_whether_it_is_dry_and_may_remove() {
    let site = Site::start(Fake::default());
    let path = "/v1/configuration/reload?dry_run=true&reason=look";
    let answer = site
        .ask("POST", path, "", r#"{"allow_removal":true}"#)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let reloads = site.node.reloads.lock().unwrap();
    assert_eq!(
        *reloads,
        [Reload {
            author: me(),
            why: Some("look".into()),
            dry_run: true,
            allow_removal: true,
            expected: None,
        }]
    );
}

#[tokio::test]
async fn history_is_filtered_and_bounded() {
    let site = Site::start(Fake::default());
    site.get("/v1/history").await;
    site.get("/v1/history?route=contoso&since=1795230000000&limit=999999")
        .await;
    let filters = site.node.filters.lock().unwrap();
    assert_eq!((filters[0].limit, &filters[0].route), (100, &None));
    assert_eq!(filters[1].limit, 10_000);
    assert_eq!(filters[1].route, Some(route_name("contoso")));
    assert_eq!(filters[1].since, Some(fixture::NOW));
}

#[tokio::test]
async fn what_is_served_can_be_asked_for_as_a_whole_by_route_and_by_zone() {
    let site = Site::start(Fake::default());
    let all = site.get("/v1/delegation").await;
    assert_eq!(all.status, 200);
    assert_eq!(all.json()["live"], true);
    let route = site.get("/v1/delegation?of=contoso").await;
    assert_eq!(route.status, 200);
    let unknown = site.get("/v1/delegation?of=contso").await;
    assert_eq!(unknown.status, 404);
    assert!(
        unknown.json()["why"]
            .as_str()
            .unwrap()
            .contains("near are contoso")
    );
    let selections = site.node.selections.lock().unwrap().clone();
    assert_eq!(
        selections,
        [Selection::All, Selection::Route(route_name("contoso"))]
    );
}
