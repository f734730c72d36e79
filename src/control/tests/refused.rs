//! What is refused: wrong names, requests without sense, other generations; each with its status and four parts.

use super::*;

#[tokio::test]
async fn a_wrong_name_is_answered_with_those_near_to_it() {
    let site = Site::start(Fake::default());
    let pin = r#"{"pool":"edgepool3","for":"2h"}"#;
    for (method, path, body, code, near) in [
        ("GET", "/v1/routes/contosso", "", "unknown-route", "contoso"),
        (
            "PUT",
            "/v1/routes/contoso/pin",
            pin,
            "unknown-pool",
            "edgepool1, edgepool2",
        ),
        (
            "DELETE",
            "/v1/pools/edgepol1/drain",
            "",
            "unknown-pool",
            "edgepool1",
        ),
        (
            "GET",
            "/v1/pools/edgepool1/targets/edge.contoso.com",
            "",
            "unknown-target",
            "edge1.contoso.com",
        ),
        (
            "GET",
            "/v1/zones/xmp.contoso.com",
            "",
            "unknown-zone",
            "xmpp.contoso.com",
        ),
        ("GET", "/v1/routes/..%2Fx", "", "unknown-route", "contoso"),
        (
            "POST",
            "/v1/routes/fabricam/probes",
            "",
            "unknown-route",
            "fabrikam",
        ),
        (
            "GET",
            "/v1/history?route=fabricam",
            "",
            "unknown-route",
            "fabrikam",
        ),
    ] {
        let answer = site.ask(method, path, "", body).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert_eq!(answer.code(), code, "{path}");
        assert!(answer.body.contains(near), "{path}: {answer:?}");
    }
    assert!(site.nothing_was_asked());
}

#[tokio::test]
async fn a_request_that_makes_no_sense_changes_nothing_and_says_why() {
    let site = Site::start(Fake::default());
    let long = format!("/v1/routes/contoso/failback?reason={}", "x".repeat(1001));
    let pin = "/v1/routes/contoso/pin";
    let body = r#"{"pool":"edgepool1","for":"2h"}"#;
    for (method, path, body, status, code) in [
        ("PUT", pin, "", 400, "invalid-body"),
        ("PUT", pin, "pool=edgepool1", 400, "invalid-body"),
        ("PUT", pin, r#"{"pool":"edgepool1"}"#, 400, "invalid-body"),
        (
            "PUT",
            pin,
            r#"{"pool":"edgepool1","for":"soon"}"#,
            400,
            "invalid-body",
        ),
        (
            "PUT",
            pin,
            r#"{"pool":"edgepool1","for":"2h","dry_run":true}"#,
            400,
            "invalid-body",
        ),
        (
            "PUT",
            "/v1/routes/contoso/pin?dry-run=true",
            body,
            400,
            "invalid-query",
        ),
        (
            "PUT",
            "/v1/routes/contoso/pin?dry_run=yes",
            body,
            400,
            "invalid-query",
        ),
        (
            "PUT",
            "/v1/routes/contoso/pin?reason=%1b%5b2J",
            body,
            400,
            "invalid-text",
        ),
        (
            "PUT",
            "/v1/routes/contoso/pin?author=%20",
            body,
            400,
            "invalid-text",
        ),
        ("POST", long.as_str(), "", 400, "invalid-text"),
        (
            "POST",
            "/v1/routes/contoso/failback",
            r#"{"to":"edgepool1"}"#,
            400,
            "invalid-body",
        ),
        (
            "PUT",
            "/v1/pools/edgepool1/targets/edge1.contoso.com/drain",
            r#"{"for":"1h","never":true}"#,
            400,
            "invalid-body",
        ),
        ("GET", "/v1/history?limit=many", "", 400, "invalid-query"),
        ("GET", "/v2/status", "", 404, "unknown-path"),
        ("GET", "/", "", 404, "unknown-path"),
        ("POST", "/v1/status", "", 405, "unknown-method"),
        ("GET", "/v1/routes/contoso/pin", "", 405, "unknown-method"),
    ] {
        let answer = site.ask(method, path, "", body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(answer.code(), code, "{method} {path}");
    }
    assert!(site.nothing_was_asked());
}

#[tokio::test]
async fn the_engine_s_refusals_keep_their_words_and_get_their_status() {
    let site = Site::start(Fake::default());
    for (kind, status) in [
        (RefusalKind::NotFound, 404),
        (RefusalKind::Invalid, 400),
        (RefusalKind::Conflict, 409),
        (RefusalKind::Unavailable, 503),
    ] {
        let refusal = Refusal {
            code: "pool-down".into(),
            kind,
            what: "cannot pin route contoso to edgepool1".into(),
            why: "edgepool1 is down".into(),
            in_force: "edgepool2 stays active (generation 119)".into(),
            hint: Some("repoint pin contoso edgepool1 --for 2h --force".into()),
        };
        *site.node.refuse.lock().unwrap() = Some(refusal.clone());
        let body = r#"{"pool":"edgepool1","for":"2h"}"#;
        let answer = site.ask("PUT", "/v1/routes/contoso/pin", "", body).await;
        assert_eq!(answer.status, status);
        let read: Refusal = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(read, refusal);
    }
}

#[tokio::test]
async fn if_match_holds_a_change_to_what_was_looked_at() {
    let site = Site::start(Fake::default());
    let path = "/v1/routes/contoso/failback";
    for stale in [
        "if-match: \"118\"\r\n",
        "if-match: W/\"119\"\r\n",
        "if-match: 119\r\n",
    ] {
        let answer = site.ask("POST", path, stale, "").await;
        assert_eq!(answer.status, 412, "{stale}: {answer:?}");
        assert_eq!(answer.code(), "changed-meanwhile");
    }
    assert!(site.nothing_was_asked());
    for current in [
        "if-match: \"119\"\r\n",
        "if-match: \"7\", \"119\"\r\n",
        "if-match: *\r\n",
    ] {
        let answer = site.ask("POST", path, current, "").await;
        assert_eq!(answer.status, 200, "{current}: {answer:?}");
    }
    // Between this look and the engine's turn something may happen: the engine looks again.
    site.ask("POST", path, "if-match: \"119\"\r\n", "").await;
    let route = route_name("contoso");
    assert_eq!(
        site.last_asked().expected,
        Some(Expected::Route(route, Generation(119)))
    );
    // What concerns more than one route is held to the generation served.
    let drain = r#"{"for":"1h"}"#;
    let path = "/v1/pools/edgepool1/drain";
    assert_eq!(
        site.ask("PUT", path, "if-match: \"119\"\r\n", drain)
            .await
            .status,
        412
    );
    assert_eq!(
        site.ask("PUT", path, "if-match: \"121\"\r\n", drain)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let site = Site::start(Fake::default());
    let reason = "x".repeat(70_000);
    let body = format!(r#"{{"pool":"{reason}","for":"2h"}}"#);
    let answer = site.ask("PUT", "/v1/routes/contoso/pin", "", &body).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(site.nothing_was_asked());
}
