//! The control interface over a real Unix socket, with a node of its own behind it.

#![allow(clippy::unwrap_used)]

mod documented;
mod refused;
mod requests;
mod socket;

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
use crate::delegation::{Selection, Served};
use crate::engine::{
    Command, Done, Entry, Expected, Lifetime, Refusal, RefusalKind, RouteChange, View,
};
use crate::serve::Counts;
use crate::shell::Ask;
use crate::store::HistoryFilter;
use crate::topology::{DomainName, PoolName, RouteName};

/// A node that shows the fixture, keeps what it was asked, and answers as it is told.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<Ask>>,
    filters: Mutex<Vec<HistoryFilter>>,
    reloads: Mutex<Vec<Reload>>,
    selections: Mutex<Vec<Selection>>,
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

    fn counts(&self) -> Counts {
        Counts {
            udp_queries: 7,
            ..Counts::default()
        }
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

    fn served(&self, selection: &Selection) -> Served {
        self.selections.lock().unwrap().push(selection.clone());
        Served {
            live: true,
            resolvers: vec![],
            state: "/var/lib/repoint".into(),
            zones: vec![],
            domains: vec![],
            targets: vec![],
        }
    }

    fn zone_text(&self, apex: &DomainName) -> Option<String> {
        Some(format!("{apex}. 30 IN A 192.0.2.10\n"))
    }

    fn zone_diff(&self, _: &DomainName) -> Option<String> {
        Some("- old\n+ new\n".into())
    }

    fn begin_key(&self, new: crate::control::NewKey) -> Answer<'_, Done> {
        Box::pin(async move { Ok(done(new.dry_run)) })
    }

    fn refresh(&self, _: DomainName) -> Answer<'_, String> {
        Box::pin(async { Ok("serial 7 received from 192.0.2.1:53".into()) })
    }

    fn secondaries(&self, _: Option<&DomainName>) -> Vec<crate::secondaries::SecondaryView> {
        Vec::new()
    }

    fn configuration_file(&self) -> std::path::PathBuf {
        "/etc/repoint/repoint.toml".into()
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
        zones: 1,
        zone_diff: String::new(),
        planned: None,
        configuration: Vec::new(),
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
