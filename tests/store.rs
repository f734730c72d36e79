//! The store against what happens to processes and disks: `kill -9`, faults in the file, a full disk, a second
//! process, a disk that hangs.

#![allow(clippy::unwrap_used)]

#[path = "world/tool.rs"]
mod tool;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use repoint::clock::Wall;
use repoint::decide::{Generation, Override, OverrideKey};
use repoint::engine::{Batch, Entry, EntryKind, Remembered, Reservation, StoreFault, StoredRoute};
use repoint::store::{self, HistoryFilter, Store, StoreError};
use repoint::topology::RouteName;
use tool::{myself_through, tool};

const AT: Wall = Wall::from_millis(1_795_000_000_000);

/// What `config::Sources` writes.
const SOURCES: &str = r#"{"name":"/etc/repoint.toml","text":"version = 1","files":{}}"#;

fn route(n: usize) -> RouteName {
    format!("route{n}").parse().unwrap()
}

fn pin(n: usize) -> Batch {
    let key = OverrideKey::Pin { route: route(n) };
    let value = Override {
        key: key.clone(),
        pool: Some("edgepool2".parse().unwrap()),
        never: false,
        author: "alice".into(),
        reason: Some("maintenance".into()),
        since: AT,
        until: None,
    };
    Batch {
        overrides: vec![(key, Some(value))],
        ..Batch::default()
    }
}

fn entry(kind: EntryKind, n: usize) -> Entry {
    Entry {
        generation: Generation(n as u64),
        at: AT,
        route: Some(route(n % 2)),
        kind,
        text: format!("entry {n}"),
        author: None,
        why: None,
        decision: None,
    }
}

fn reservation(generation: u64) -> Batch {
    Batch {
        reservation: Some(Reservation {
            goal: None,
            generation: Generation(generation),
            serial: 7,
            at: None,
        }),
        ..Batch::default()
    }
}

fn pinned(remembered: &Remembered) -> Vec<String> {
    let mut routes: Vec<String> = remembered
        .overrides
        .iter()
        .map(|value| value.key.to_string())
        .collect();
    routes.sort();
    routes
}

/// All of it, to be compared.
fn shown(remembered: &Remembered) -> String {
    format!("{remembered:?}")
}

async fn commit(store: &Store, batch: Batch) -> Result<(), StoreFault> {
    store.commit(batch).first(None).await
}

fn open(dir: &Path) -> (Store, Remembered) {
    Store::open(dir, AT).unwrap()
}

/// Runs one of the `#[ignore]`d tests below in a process of its own.
fn child(name: &str, dir: &Path, launcher: &[&str]) -> Child {
    myself_through(launcher)
        .args([
            "--exact",
            name,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("REPOINT_TEST_DIR", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn child_dir() -> std::path::PathBuf {
    std::env::var_os("REPOINT_TEST_DIR").unwrap().into()
}

#[tokio::test]
async fn what_was_committed_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first) = open(dir.path());
    assert_eq!(
        shown(&first),
        shown(&Remembered::default()),
        "a first start is nothing to doubt"
    );
    let mut batch = pin(1);
    batch.overrides.extend(pin(2).overrides);
    batch.routes.push(StoredRoute {
        left: Default::default(),
        departures: Default::default(),
        route: route(1),
        decision: None,
        home: Some("edgepool2".parse().unwrap()),
        switches: vec![AT],
        latched: Some(AT),
        proven: ["192.0.2.10".parse().unwrap()].into(),
    });
    batch.reservation = reservation(100).reservation;
    batch.accepted = Some(SOURCES.into());
    commit(&store, batch.clone()).await.unwrap();
    let ended = Batch {
        overrides: vec![(OverrideKey::Pin { route: route(2) }, None)],
        ..Batch::default()
    };
    commit(&store, ended).await.unwrap();
    let recalled = store.recall().await.unwrap();
    drop(store);

    let (store, again) = open(dir.path());
    assert_eq!(pinned(&again), ["pin of route route1"]);
    assert_eq!(again.routes, batch.routes);
    assert_eq!(again.reservation, batch.reservation);
    assert_eq!(
        (again.doubt.clone(), again.unavailable.clone()),
        (None, None)
    );
    assert_eq!(store.accepted(), Some(SOURCES));
    assert_eq!(
        shown(&recalled),
        shown(&again),
        "a restarted core finds the same as a restarted process"
    );
}

#[tokio::test]
async fn state_is_for_its_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (store, _) = open(&state);
    let mut batch = pin(1);
    batch.accepted = Some(SOURCES.into());
    batch.reservation = reservation(5).reservation;
    commit(&store, batch).await.unwrap();
    store::backup(&state, &state.join("copy")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut files = 0;
    let mut wait = vec![state];
    while let Some(dir) = wait.pop() {
        assert_eq!(mode(&dir), 0o700, "{}", dir.display());
        for file in fs::read_dir(&dir).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                wait.push(path);
                continue;
            }
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            files += 1;
        }
    }
    assert!(
        files >= 7,
        "database, log, index, copy, plain copies: {files}"
    );
}

#[test]
fn acknowledged_commits_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=5 {
        let mut process = child("child_that_commits_until_it_is_killed", dir.path(), &[]);
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        for line in lines.map(Result::unwrap) {
            if let Some(n) = line.strip_prefix("acknowledged ") {
                acknowledged = n.parse::<usize>().unwrap();
                if acknowledged >= round * 40 {
                    break;
                }
            }
        }
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(acknowledged >= round * 40, "the child ended by itself");
        let (_store, remembered) = open(dir.path());
        let found = pinned(&remembered);
        for n in 1..=acknowledged {
            let wanted = format!("pin of route route{n}");
            assert!(
                found.contains(&wanted),
                "round {round}: {wanted} was acknowledged and is lost"
            );
        }
        assert_eq!(remembered.doubt, None);
    }
}

#[tokio::test]
#[ignore = "runs in a process of its own, for acknowledged_commits_survive_kill_9"]
async fn child_that_commits_until_it_is_killed() {
    let (store, remembered) = open(&child_dir());
    for n in remembered.overrides.len() + 1.. {
        commit(&store, pin(n)).await.unwrap();
        println!("acknowledged {n}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn a_second_process_is_refused_with_the_first_ones_number() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let error = Store::open(dir.path(), AT).unwrap_err();
    let StoreError::InUse { holder, .. } = &error else {
        panic!("{error}");
    };
    // Some kernels list locks of an overlay under another device; then no number is better than a wrong one.
    assert!(
        holder.is_none_or(|pid| pid == std::process::id()),
        "{error}"
    );
    assert!(error.to_string().contains("another repoint"), "{error}");
    let restored = store::restore(dir.path(), Path::new("/nonexistent"), AT).unwrap_err();
    assert!(
        restored.to_string().contains("another repoint"),
        "{restored}"
    );
    drop(store);
    open(dir.path());
}

#[tokio::test]
async fn a_database_that_is_garbage_is_moved_aside_and_doubted_until_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    commit(&store, pin(1)).await.unwrap();
    commit(&store, reservation(500)).await.unwrap();
    drop(store);
    fs::write(
        dir.path().join("repoint.db"),
        "not a database at all".repeat(500),
    )
    .unwrap();

    let (store, remembered) = open(dir.path());
    let doubt = remembered.doubt.clone().unwrap();
    assert!(doubt.contains("was moved to"), "{doubt}");
    assert_eq!(remembered.unavailable, None);
    assert_eq!(
        remembered.reservation,
        reservation(500).reservation,
        "numbers do not repeat even then"
    );
    let aside = fs::read_dir(dir.path())
        .unwrap()
        .filter_map(|file| file.unwrap().file_name().into_string().ok())
        .find(|name| name.starts_with("repoint.db.unreadable-2026"))
        .unwrap();
    let kept = fs::read_to_string(dir.path().join(aside)).unwrap();
    assert!(kept.starts_with("not a database"), "the evidence is kept");
    drop(store);

    let (store, again) = open(dir.path());
    assert_eq!(again.doubt, remembered.doubt, "a restart is no acceptance");
    let accept = Batch {
        state_accepted: true,
        ..Batch::default()
    };
    commit(&store, accept).await.unwrap();
    drop(store);
    assert_eq!(open(dir.path()).1.doubt, None);
}

#[tokio::test]
async fn what_can_be_reached_in_a_torn_database_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    commit(&store, pin(1)).await.unwrap();
    let history = Batch {
        entries: (0..2000).map(|n| entry(EntryKind::Switch, n)).collect(),
        ..Batch::default()
    };
    commit(&store, history).await.unwrap();
    drop(store);
    let path = dir.path().join("repoint.db");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let half = file.metadata().unwrap().len() / 2;
    file.set_len(half).unwrap();

    let (store, remembered) = open(dir.path());
    assert!(remembered.doubt.is_some());
    assert_eq!(
        pinned(&remembered),
        ["pin of route route1"],
        "the pin lay in the half that is left"
    );
    commit(&store, pin(2)).await.unwrap();
    drop(store);
    assert_eq!(pinned(&open(dir.path()).1).len(), 2);
}

#[tokio::test]
async fn a_database_that_is_gone_is_lost_state_and_not_a_first_start() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut batch = reservation(500);
    batch.accepted = Some(SOURCES.into());
    commit(&store, batch).await.unwrap();
    drop(store);
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(dir.path().join(format!("repoint.db{suffix}")));
    }
    let (store, remembered) = open(dir.path());
    assert!(remembered.doubt.unwrap().contains("missing"));
    assert_eq!(remembered.reservation.unwrap().generation, Generation(500));
    assert_eq!(store.accepted(), Some(SOURCES), "the plain copy is used");
}

#[tokio::test]
async fn a_first_start_that_was_killed_is_still_a_first_start() {
    let dir = tempfile::tempdir().unwrap();
    for (file, bytes) in [
        ("lock", 0),
        ("repoint.db.new", 4096),
        ("repoint.db.new-journal", 512),
    ] {
        fs::write(dir.path().join(file), vec![0; bytes]).unwrap();
    }
    let (store, remembered) = open(dir.path());
    assert_eq!(shown(&remembered), shown(&Remembered::default()));
    commit(&store, pin(1)).await.unwrap();
    drop(store);
    assert_eq!(pinned(&open(dir.path()).1).len(), 1);
}

#[tokio::test]
async fn any_sign_of_an_earlier_life_is_doubted() {
    let signs: [(&str, &[u8]); 9] = [
        ("repoint.db", b""),
        ("repoint.db-wal", &[0; 32]),
        ("repoint.db-shm", &[0; 32]),
        ("reserved.json", b"{\"generation\":7,\"serial\":7}"),
        ("accepted.json", b"{}"),
        ("accepted/repoint.toml", b"version = 1"),
        ("keys/contoso.com.1.pem", b"key"),
        ("stopped.json", b"1"),
        ("repoint.db.before-restore-1", b""),
    ];
    for (sign, content) in signs {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(sign);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        let (store, remembered) = open(dir.path());
        let doubt = remembered.doubt.expect(sign);
        assert!(doubt.contains("earlier run"), "{sign}: {doubt}");
        assert_eq!(commit(&store, pin(1)).await, Ok(()), "{sign}");
        drop(store);
        let again = open(dir.path()).1;
        assert_eq!(again.doubt.unwrap(), doubt, "{sign}: until it is accepted");
    }
}

/// Commits in a process that is killed, so that the log is not folded into the database.
fn killed_after_commits(dir: &Path) {
    let mut process = child("child_that_commits_until_it_is_killed", dir, &[]);
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut acknowledged = lines
        .map(Result::unwrap)
        .filter(|line| line.contains("acknowledged"));
    acknowledged.nth(20).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
}

/// What is done to a file.
type Harm = fn(&Path);

#[test]
fn a_log_that_is_lost_or_damaged_is_doubted() {
    let harms: [(&str, Harm); 4] = [
        ("removed", |wal| fs::remove_file(wal).unwrap()),
        ("emptied", |wal| fs::write(wal, "").unwrap()),
        ("cut", |wal| {
            let file = fs::OpenOptions::new().write(true).open(wal).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length / 2).unwrap();
        }),
        ("damaged", |wal| {
            let mut octets = fs::read(wal).unwrap();
            let middle = octets.len() / 2;
            octets[middle..middle + 64].fill(0x55);
            fs::write(wal, octets).unwrap();
        }),
    ];
    for (name, harm) in harms {
        for first in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            if !first {
                drop(open(dir.path()));
            }
            killed_after_commits(dir.path());
            harm(&dir.path().join("repoint.db-wal"));
            let (store, remembered) = open(dir.path());
            let doubt = remembered.doubt.expect(name);
            assert!(doubt.contains("log was lost or damaged"), "{name}: {doubt}");
            drop(store);
            assert_eq!(open(dir.path()).1.doubt, Some(doubt), "{name}: told once");
        }
    }
}

#[tokio::test]
async fn a_database_that_is_older_than_the_numbers_beside_it_is_doubted() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    commit(&store, reservation(500)).await.unwrap();
    drop(store);
    fs::remove_file(dir.path().join("commits")).unwrap();
    let later = r#"{"generation":900,"serial":9}"#;
    fs::write(dir.path().join("reserved.json"), later).unwrap();
    let remembered = open(dir.path()).1;
    assert!(remembered.doubt.unwrap().contains("reserved.json"));
    assert_eq!(remembered.reservation.unwrap().generation, Generation(900));
}

#[tokio::test]
async fn numbers_that_cannot_be_true_are_left_out_with_words() {
    for text in [
        r#"{"generation":18446744073709551615,"serial":9}"#,
        r#"{"generation":18446744073709551000,"serial":9}"#,
        r#"{"generation":-1,"serial":9}"#,
        r#"{"generation":"many","serial":9}"#,
        r#"{"serial":9}"#,
        "[]",
        "garbage",
        "",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        commit(&store, reservation(500)).await.unwrap();
        drop(store);
        let file = dir.path().join("reserved.json");
        fs::write(&file, text).unwrap();
        let remembered = open(dir.path()).1;
        let known = remembered.reservation.unwrap();
        assert_eq!(
            (known.generation, remembered.doubt),
            (Generation(500), None),
            "{text}"
        );
        // And where the database is gone too, numbers begin later than any that were given out.
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(dir.path().join(format!("repoint.db{suffix}")));
        }
        fs::write(&file, text).unwrap();
        let remembered = open(dir.path()).1;
        assert!(remembered.doubt.is_some(), "{text}");
        let known = remembered.reservation.unwrap();
        assert!(
            (1_000_000..1 << 62).contains(&known.generation.0),
            "{text}: {known:?}"
        );
    }
}

#[test]
fn a_state_directory_that_was_open_to_others_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o775)).unwrap();
    drop(open(&state));
    assert_eq!(
        fs::metadata(&state).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn somebody_elses_lock_does_not_prevent_a_start() {
    use nix::fcntl::{Flock, FlockArg};
    let dir = tempfile::tempdir().unwrap();
    let other = fs::File::open(dir.path()).unwrap();
    let held = Flock::lock(other, FlockArg::LockSharedNonblock).unwrap();
    let (store, remembered) = open(dir.path());
    assert_eq!((remembered.doubt, remembered.unavailable), (None, None));
    let second = Store::open(dir.path(), AT).unwrap_err();
    assert!(second.to_string().contains("another repoint"), "{second}");
    drop(held);
    drop(store);
}

#[tokio::test]
async fn rows_that_cannot_be_understood_are_left_out_and_doubted() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    commit(&store, pin(1)).await.unwrap();
    commit(&store, pin(2)).await.unwrap();
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("repoint.db")).unwrap();
    raw.execute(
        "UPDATE overrides SET value = '{}' WHERE key LIKE '%route2%'",
        [],
    )
    .unwrap();
    drop(raw);
    let (_store, remembered) = open(dir.path());
    assert_eq!(pinned(&remembered), ["pin of route route1"]);
    assert!(remembered.doubt.unwrap().contains("1 rows"));
}

#[tokio::test]
async fn a_later_versions_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let path = dir.path().join("repoint.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 1000).unwrap();
    drop(raw);
    let before = fs::read(&path).unwrap();
    let beside = r#"{"generation":900,"serial":9}"#;
    fs::write(dir.path().join("reserved.json"), beside).unwrap();
    let (store, remembered) = open(dir.path());
    let why = remembered.unavailable.unwrap();
    assert!(
        why.contains("later version") && why.contains("schema 1000"),
        "{why}"
    );
    let fix = remembered.unavailable_fix.unwrap();
    assert!(
        fix.starts_with("install the later version of repoint again"),
        "{fix}"
    );
    assert_eq!(
        remembered.reservation.unwrap().generation,
        Generation(900),
        "no number comes again"
    );
    assert!(remembered.forgotten && remembered.doubt.is_none());
    let fault = commit(&store, pin(1)).await.unwrap_err();
    assert!(fault.to_string().contains("later version"), "{fault}");
    drop(store);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_start_removes_copies_that_an_interrupted_backup_has_left() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let left = [
        "backup-00000000000000ab.tmp",
        "backup-00000000000000ab.tmp.new",
        "backup-00000000000000ab.tmp.new-journal",
    ];
    let kept = ["backup-monday.tmp", "backup-00ab.db", "my-backup-00ab.tmp"];
    for name in left.iter().chain(&kept) {
        fs::write(dir.path().join(name), "secret").unwrap();
    }
    drop(open(dir.path()));
    assert!(left.iter().all(|name| !dir.path().join(name).exists()));
    assert!(kept.iter().all(|name| dir.path().join(name).exists()));
}

#[tokio::test]
async fn a_batch_that_still_waits_at_its_deadline_is_withdrawn() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    // A disk that hangs: somebody else holds the database's write lock.
    let lock = rusqlite::Connection::open(dir.path().join("repoint.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut begun = store.commit(pin(1));
    let mut waits = store.commit(pin(2));

    let within = Some(Duration::from_millis(100));
    let slow = begun.first(within).await;
    assert_eq!(slow, Err(StoreFault::TooSlow(Duration::from_millis(100))));
    let StoreFault::Failed(why) = waits.first(within).await.unwrap_err() else {
        panic!("the disk had not begun it");
    };
    assert!(why.contains("withdrawn"), "{why}");

    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(begun.last().await, Ok(()), "the late result is told");
    assert!(store.flush().await);
    drop(store);
    assert_eq!(pinned(&open(dir.path()).1), ["pin of route route1"]);
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_instead_of_growing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let lock = rusqlite::Connection::open(dir.path().join("repoint.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut commits: Vec<_> = (0..1100).map(|n| store.commit(pin(n))).collect();
    let mut last = commits.pop().unwrap();
    let fault = last.first(None).await.unwrap_err();
    assert!(fault.to_string().contains("wait for the disk"), "{fault}");
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(commits[0].first(None).await, Ok(()));
}

#[tokio::test]
async fn history_is_filtered_and_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut batch = Batch::default();
    for n in 0..6 {
        let kind = if n < 4 {
            EntryKind::Switch
        } else {
            EntryKind::Verdict
        };
        batch.entries.push(entry(kind, n));
    }
    batch.entries[0].at = Wall::from_millis(AT.as_millis() - 1);
    batch.entries[1].route = None;
    commit(&store, batch.clone()).await.unwrap();
    let ask = |filter: HistoryFilter| -> Vec<u64> {
        let entries = store.history(&filter).unwrap();
        entries.iter().map(|entry| entry.generation.0).collect()
    };
    assert_eq!(ask(HistoryFilter::default()), [0, 1, 2, 3, 4, 5]);
    assert_eq!(
        ask(HistoryFilter {
            route: Some(route(0)),
            ..HistoryFilter::default()
        }),
        [0, 1, 2, 4],
        "what is about all routes is about this one"
    );
    assert_eq!(
        ask(HistoryFilter {
            since: Some(AT),
            kinds: vec![EntryKind::Switch],
            ..HistoryFilter::default()
        }),
        [1, 2, 3]
    );
    assert_eq!(
        ask(HistoryFilter {
            limit: 2,
            ..HistoryFilter::default()
        }),
        [4, 5]
    );
    assert_eq!(
        store.history(&HistoryFilter::default()).unwrap(),
        batch.entries
    );
}

#[tokio::test]
async fn a_flood_of_verdicts_is_bounded_and_pushes_no_switch_out() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut batch = Batch::default();
    batch.entries.push(entry(EntryKind::Switch, 0));
    batch
        .entries
        .extend((1..42_000).map(|n| entry(EntryKind::Verdict, n)));
    commit(&store, batch).await.unwrap();
    let switches = HistoryFilter {
        kinds: vec![EntryKind::Switch],
        ..HistoryFilter::default()
    };
    assert_eq!(store.history(&switches).unwrap().len(), 1);
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("repoint.db")).unwrap();
    let rows: i64 = raw
        .query_row("SELECT count(*) FROM entries", [], |row| row.get(0))
        .unwrap();
    assert!((40_000..=40_300).contains(&rows), "{rows}");
}

#[tokio::test]
async fn alarms_and_challenges_push_out_no_switch_and_no_override() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut batch = Batch::default();
    batch.entries.push(entry(EntryKind::Switch, 0));
    batch.entries.push(entry(EntryKind::Override, 1));
    for (kind, count) in [(EntryKind::Alarm, 22_000), (EntryKind::Challenge, 7_000)] {
        batch.entries.extend((0..count).map(|n| Entry {
            text: format!("number {n}"),
            ..entry(kind, 2)
        }));
    }
    commit(&store, batch).await.unwrap();
    let kept = |kinds: &[EntryKind]| {
        let filter = HistoryFilter {
            kinds: kinds.to_vec(),
            limit: 10_000,
            ..HistoryFilter::default()
        };
        store.history(&filter).unwrap().len()
    };
    assert_eq!(kept(&[EntryKind::Switch, EntryKind::Override]), 2);
    let challenges = kept(&[EntryKind::Challenge]);
    assert!((5_000..5_300).contains(&challenges), "{challenges}");
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("repoint.db")).unwrap();
    let alarms: i64 = raw
        .query_row("SELECT count(*) FROM entries WHERE budget = 2", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert!((20_000..=20_300).contains(&alarms), "{alarms}");
}

#[tokio::test]
async fn an_alarm_that_comes_and_goes_is_counted_and_not_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let of = |text: &str, n: u64| Entry {
        text: text.into(),
        at: AT + Duration::from_secs(n),
        ..entry(EntryKind::Alarm, 0)
    };
    let both = |n: u64| [of("alarm begins", 2 * n), of("alarm ends", 2 * n + 1)];
    let batch = Batch {
        entries: (0..1000).flat_map(both).collect(),
        ..Batch::default()
    };
    commit(&store, batch).await.unwrap();
    let history = store.history(&HistoryFilter::default()).unwrap();
    let texts: Vec<&str> = history.iter().map(|entry| entry.text.as_str()).collect();
    let [begins, ends] = texts[..] else {
        panic!("{texts:?}");
    };
    assert!(
        begins.starts_with("alarm begins (1000 times since 2026-"),
        "{begins}"
    );
    assert!(
        ends.starts_with("alarm ends (1000 times since 2026-"),
        "{ends}"
    );
    assert_eq!(
        history[1].at,
        AT + Duration::from_secs(1999),
        "at the last time"
    );
}

#[tokio::test]
async fn old_entries_go_but_a_clock_set_wrong_does_not_empty_history() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut old = Batch::default();
    old.entries
        .extend((0..3_000).map(|n| entry(EntryKind::Verdict, n)));
    commit(&store, old).await.unwrap();
    let mut later = Batch::default();
    let years = Duration::from_secs(3 * 365 * 86_400);
    for n in 3_000..3_300 {
        let mut one = entry(EntryKind::Verdict, n);
        one.at = AT + years;
        later.entries.push(one);
    }
    commit(&store, later).await.unwrap();
    let filter = HistoryFilter {
        limit: 10_000,
        ..HistoryFilter::default()
    };
    let left = store.history(&filter).unwrap().len();
    assert!((1_000..1_300).contains(&left), "{left}");
}

#[tokio::test]
async fn a_backup_is_consistent_while_commits_go_on_and_comes_back_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let copy = dir.path().join("backup.db");
    let (store, _) = open(&state);
    commit(&store, reservation(10)).await.unwrap();
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 1..=200 {
                let mut batch = pin(2 * n);
                batch.overrides.extend(pin(2 * n + 1).overrides);
                commit(&store, batch).await.unwrap();
            }
        })
    };
    for _ in 0..10 {
        store::backup(&state, &copy).unwrap();
        let raw = rusqlite::Connection::open(&copy).unwrap();
        let pins: i64 = raw
            .query_row("SELECT count(*) FROM overrides", [], |row| row.get(0))
            .unwrap();
        assert_eq!(pins % 2, 0, "a batch is whole or not there");
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    store::backup(&state, &copy).unwrap();
    commit(&store, pin(9999)).await.unwrap();
    assert!(
        store::restore(&state, &copy, AT).is_err(),
        "not under a running server"
    );
    drop(store);

    store::restore(&state, &copy, AT).unwrap();
    let (_store, remembered) = open(&state);
    assert_eq!(
        remembered.overrides.len(),
        400,
        "the pin after the backup is not in it"
    );
    assert!(remembered.doubt.unwrap().contains("restored"));
    assert!(remembered.reservation.unwrap().generation > Generation(10));
    let before = fs::read_dir(&state)
        .unwrap()
        .filter_map(|file| file.unwrap().file_name().into_string().ok())
        .any(|name| name.starts_with("repoint.db.before-restore-"));
    assert!(before, "the state before is kept");
}

#[tokio::test]
async fn a_file_that_is_no_backup_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (store, _) = open(&state);
    commit(&store, pin(1)).await.unwrap();
    drop(store);
    let wrong = dir.path().join("wrong");
    fs::write(&wrong, "what is this").unwrap();
    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    for file in [&wrong, &other, &dir.path().join("absent")] {
        let error = store::restore(&state, file, AT).unwrap_err().to_string();
        assert!(error.contains("is as it was"), "{error}");
    }
    let (_store, remembered) = open(&state);
    assert_eq!(pinned(&remembered), ["pin of route route1"]);
    assert_eq!(remembered.doubt, None);
}

#[test]
fn a_full_disk_refuses_commits_and_takes_them_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    // A small disk of its own, for this child alone; as root or where users may make namespaces.
    let mut launcher = vec!["unshare", "--mount"];
    if !nix::unistd::geteuid().is_root() {
        launcher.extend(["--user", "--map-root-user"]);
    }
    let mut process = child("child_on_a_small_disk", dir.path(), &launcher);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut process.stdout.take().unwrap(), &mut said).unwrap();
    assert!(process.wait().unwrap().success(), "{said}");
    assert!(
        said.contains("the small disk was full and had room again"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "runs in a mount namespace of its own, for a_full_disk_refuses_commits_and_takes_them_again_when_there_is_room"]
async fn child_on_a_small_disk() {
    let dir = child_dir();
    let mounted = tool("mount")
        .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
        .arg(&dir)
        .status()
        .unwrap();
    assert!(mounted.success());
    let (store, _) = open(&dir);
    commit(&store, pin(1)).await.unwrap();
    let filler = dir.join("filler");
    let fill = || {
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    };
    fill();
    let mut refused = None;
    // The log may still have room within its last page.
    for n in 2..100 {
        if let Err(fault) = commit(&store, pin(n)).await {
            refused = Some((n, fault));
            break;
        }
    }
    let (refused, fault) = refused.expect("a full disk takes no hundred pins");
    assert!(matches!(fault, StoreFault::Failed(_)), "{fault}");
    drop(store);
    fill();

    let (store, remembered) = open(&dir);
    assert!(
        remembered.unavailable.is_some(),
        "told at the start, not at the first command"
    );
    assert_eq!(remembered.doubt, None, "everything could be read");
    assert_eq!(
        remembered.overrides.len(),
        refused - 1,
        "acknowledged is there, refused is not"
    );
    assert!(commit(&store, pin(200)).await.is_err());
    fs::remove_file(&filler).unwrap();
    commit(&store, pin(200)).await.unwrap();
    drop(store);
    let (_store, remembered) = open(&dir);
    assert_eq!(remembered.unavailable, None);
    assert_eq!(remembered.overrides.len(), refused);
    println!("the small disk was full and had room again");
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_had_leaves_a_store_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (store, remembered) = open(&file.join("state"));
    assert!(remembered.unavailable.is_some());
    assert!(remembered.forgotten, "nobody knows which pins there were");
    assert_eq!(remembered.doubt, None, "there is no state to accept");
    assert!(commit(&store, pin(1)).await.is_err());
    assert!(store.history(&HistoryFilter::default()).is_err());
    let recalled = store.recall().await.unwrap();
    assert!(recalled.forgotten && recalled.unavailable.is_some());
}

#[tokio::test]
async fn a_restarted_core_finds_what_was_committed_also_when_the_disk_has_died_since() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    commit(&store, pin(1)).await.unwrap();
    commit(&store, pin(2)).await.unwrap();
    let mut ended = pin(1);
    ended.overrides[0].1 = None;
    commit(&store, ended).await.unwrap();
    let lock = rusqlite::Connection::open(dir.path().join("repoint.db")).unwrap();
    lock.execute_batch("DROP TABLE overrides").unwrap();
    assert!(commit(&store, pin(3)).await.is_err());
    let recalled = store.recall().await.unwrap();
    assert_eq!(pinned(&recalled), ["pin of route route2"]);
    assert!(recalled.unavailable.is_some());
}
