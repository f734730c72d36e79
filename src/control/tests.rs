//! The control interface over a real Unix socket, with a node of its own behind it.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::fixture::{self, pool_name, route_name};
use super::listener::Patience;
use super::*;
use crate::decide::{Generation, OverrideKey, Reason};
use crate::engine::{
    Ask, Command, Done, Entry, Expected, Lifetime, Refusal, RefusalKind, RouteChange, View,
};
use crate::store::HistoryFilter;
use crate::topology::{DomainName, PoolName, RouteName};

/// A node that shows the fixture, keeps what it was asked, and answers as it is told.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<Ask>>,
    filters: Mutex<Vec<HistoryFilter>>,
    reloads: Mutex<Vec<Reload>>,
    refuse: Mutex<Option<Refusal>>,
    stuck: bool,
}

impl Node for Fake {
    fn view(&self) -> Answer<'_, View> {
        Box::pin(async {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            Ok(fixture::view())
        })
    }

    fn request(&self, ask: Ask) -> Answer<'_, Done> {
        self.asked.lock().unwrap().push(ask.clone());
        let refused = self.refuse.lock().unwrap().clone();
        Box::pin(async move {
            match refused {
                Some(refusal) => Err(refusal),
                None => Ok(done(ask.dry_run)),
            }
        })
    }

    fn history(&self, filter: HistoryFilter) -> Answer<'_, Vec<Entry>> {
        self.filters.lock().unwrap().push(filter);
        Box::pin(async { Ok(vec![]) })
    }

    fn probe(&self, _: RouteName, _: Option<PoolName>) -> Answer<'_, Vec<Probed>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn zone_text(&self, apex: &DomainName) -> Option<String> {
        Some(format!("{apex}. 30 IN A 192.0.2.10\n"))
    }

    fn zone_diff(&self, _: &DomainName) -> Option<String> {
        Some("- old\n+ new\n".into())
    }

    fn check_configuration(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async { Ok(vec!["no canaries".into()]) })
    }

    fn reload(&self, reload: Reload) -> Answer<'_, Done> {
        self.reloads.lock().unwrap().push(reload);
        Box::pin(async { Ok(done(false)) })
    }

    fn backup(&self) -> Answer<'_, Vec<u8>> {
        Box::pin(async { Ok(b"SQLite".to_vec()) })
    }
}

fn done(dry_run: bool) -> Done {
    Done {
        generation: Generation(122),
        changes: vec![RouteChange {
            route: route_name("contoso"),
            before: None,
            after: Some(fixture::decision(
                "contoso",
                122,
                "edgepool1",
                Reason::Configuration,
            )),
        }],
        zone_diff: String::new(),
        warnings: vec![],
        dry_run,
        volatile: false,
    }
}

/// The interface of a fake node on a socket in a directory of its own.
struct Site {
    node: Arc<Fake>,
    socket: PathBuf,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Site {
    fn start(node: Fake) -> Site {
        Site::start_with(node, Patience::default())
    }

    fn start_with(node: Fake, patience: Patience) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        let mut listener = Listener::bind(&socket, 0o660, None).unwrap();
        listener.patience = patience;
        let node = Arc::new(node);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listener.serve(router(node.clone()), stopped));
        Site {
            node,
            socket,
            stop,
            task,
            _directory: directory,
        }
    }

    async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, "", "").await
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Response::read(&mut stream).await
    }

    fn last_asked(&self) -> Ask {
        self.node.asked.lock().unwrap().last().unwrap().clone()
    }

    fn nothing_was_asked(&self) -> bool {
        self.node.asked.lock().unwrap().is_empty()
    }
}

#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Response {
    async fn read(stream: &mut UnixStream) -> Response {
        let mut bytes = Vec::new();
        // A server that closes hard after its answer has answered all the same.
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).unwrap_or("0").parse().unwrap();
        Response {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The code of a refusal whose four parts are all there.
    fn code(&self) -> String {
        let refusal: Refusal = serde_json::from_str(&self.body).unwrap();
        for part in [&refusal.what, &refusal.why, &refusal.in_force] {
            assert!(!part.is_empty(), "{refusal:?}");
        }
        refusal.code
    }
}

fn me() -> String {
    super::author::Peer::of_uid(nix::unistd::getuid().as_raw()).user
}

#[tokio::test]
async fn every_view_is_served_under_its_noun() {
    let site = Site::start(Fake::default());
    for (path, pointer, expected) in [
        ("/v1/health", "/generation", json!(121)),
        ("/v1/status", "/generation", json!(121)),
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
async fn a_body_beyond_the_bound_is_refused() {
    let site = Site::start(Fake::default());
    let reason = "x".repeat(70_000);
    let body = format!(r#"{{"pool":"{reason}","for":"2h"}}"#);
    let answer = site.ask("PUT", "/v1/routes/contoso/pin", "", &body).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(site.nothing_was_asked());
}

#[tokio::test]
async fn what_is_not_http_does_not_end_the_interface() {
    let site = Site::start(Fake::default());
    for bytes in [
        &b"\x16\x03\x01\x00"[..],
        b"GET",
        b"\r\n\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
    ] {
        let mut stream = UnixStream::connect(&site.socket).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        drop(stream);
    }
    assert_eq!(site.get("/v1/health").await.status, 200);
}

#[tokio::test]
async fn whoever_says_nothing_is_sent_away() {
    let patience = Patience {
        header: Duration::from_millis(10),
        ..Patience::default()
    };
    let site = Site::start_with(Fake::default(), patience);
    let mut silent = UnixStream::connect(&site.socket).await.unwrap();
    silent
        .write_all(b"GET /v1/health HTTP/1.1\r\n")
        .await
        .unwrap();
    // This ends only if the server closes.
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[tokio::test]
async fn a_node_that_is_stuck_is_answered_for() {
    let stuck = Fake {
        stuck: true,
        ..Fake::default()
    };
    let patience = Patience {
        answer: Duration::from_millis(10),
        ..Patience::default()
    };
    let site = Site::start_with(stuck, patience);
    let answer = site.get("/v1/status").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.code(), "too-slow");
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_group_only() {
    let site = Site::start(Fake::default());
    let mode = std::fs::metadata(&site.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn a_socket_left_by_a_dead_process_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let dead = std::fs::metadata(&path).unwrap().ino();
    let listener = Listener::bind(&path, 0o660, None).unwrap();
    assert_ne!(std::fs::metadata(&path).unwrap().ino(), dead);
    assert!(matches!(
        Listener::bind(&path, 0o660, None),
        Err(ListenError::InUse { .. })
    ));
    drop(listener);
    assert!(Listener::bind(&path, 0o660, None).is_ok());
    assert_eq!(leftovers(directory.path()), ["control.sock"]);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    assert!(matches!(
        Listener::bind(&path, 0o660, None),
        Err(ListenError::NotASocket { .. })
    ));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    let nowhere = directory.path().join("nowhere/control.sock");
    assert!(matches!(
        Listener::bind(&nowhere, 0o660, None),
        Err(ListenError::Io { .. })
    ));
    let group = Some("no such group");
    assert!(Listener::bind(&directory.path().join("s"), 0o660, group).is_err());
    assert_eq!(leftovers(directory.path()), ["precious"]);
}

fn leftovers(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn the_end_removes_the_socket_unless_it_is_another_s_by_now() {
    let site = Site::start(Fake::default());
    assert_eq!(site.get("/v1/health").await.status, 200);
    site.stop.send_replace(true);
    site.task.await.unwrap();
    assert!(!site.socket.exists());

    let site = Site::start(Fake::default());
    std::fs::remove_file(&site.socket).unwrap();
    let other = std::os::unix::net::UnixListener::bind(&site.socket).unwrap();
    site.stop.send_replace(true);
    site.task.await.unwrap();
    assert!(site.socket.exists());
    drop(other);
}
