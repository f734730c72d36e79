//! How long an outage partners feel: stock servers and repoint's defaults, beside two static SRV records.
//!
//! In: nothing; `scripts/bench-partners` runs it. Out: a Markdown table, which is kept in `docs/partners.md`.
//! Never here: an assertion on a time. A machine's load and a partner's random back-off decide these numbers.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::fake::HalfDead;
use crate::private_network::{report_of, tell};
use crate::resolver::Source;
use crate::rig::{Fault, Rig, Software};
use crate::{BackOff, PATIENCE, Pace};

/// When the partner has something to send to pool 1, which decides what the fault does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    /// Before the fault: it has a connection.
    Before,
    /// From the moment of the fault on: it tries before anything can have been detected.
    AtOnce,
    /// A minute after the fault.
    AMinuteLater,
}

/// The rows of the table: what happens to pool 1, and when the partner sends.
const ROWS: [(&str, Fault, Sends); 12] = [
    ("killed", Fault::Killed, Sends::Before),
    ("black-holed", Fault::BlackHoled, Sends::AtOnce),
    ("hung", Fault::Hung, Sends::AtOnce),
    (
        "accepts and closes",
        Fault::HalfDead(HalfDead::ClosesAtOnce),
        Sends::AtOnce,
    ),
    (
        "says host-unknown",
        Fault::HalfDead(HalfDead::HostUnknown),
        Sends::AtOnce,
    ),
    (
        "speaks TLS garbage",
        Fault::HalfDead(HalfDead::TlsGarbage),
        Sends::AtOnce,
    ),
    ("black-holed", Fault::BlackHoled, Sends::AMinuteLater),
    ("hung", Fault::Hung, Sends::AMinuteLater),
    (
        "accepts and closes",
        Fault::HalfDead(HalfDead::ClosesAtOnce),
        Sends::AMinuteLater,
    ),
    (
        "says host-unknown",
        Fault::HalfDead(HalfDead::HostUnknown),
        Sends::AMinuteLater,
    ),
    (
        "speaks TLS garbage",
        Fault::HalfDead(HalfDead::TlsGarbage),
        Sends::AMinuteLater,
    ),
    ("hung", Fault::Hung, Sends::Before),
];

/// A column of the table.
const COLUMNS: [(Software, Source); 4] = [
    (Software::Prosody, Source::StaticRecords),
    (Software::Prosody, Source::Repoint),
    (Software::Ejabberd, Source::StaticRecords),
    (Software::Ejabberd, Source::Repoint),
];

/// Measures every cell, several at once: what they do most is wait.
#[test]
#[ignore = "measures for most of an hour; scripts/bench-partners runs it and prints its table"]
fn outage_table() {
    let bound = Duration::from_secs(setting("REPOINT_BENCH_BOUND", 400));
    let rounds = usize::try_from(setting("REPOINT_BENCH_ROUNDS", 3)).expect("few rounds");
    let at_once = setting("REPOINT_BENCH_AT_ONCE", 10);
    if tell(|dir, cell| measure(dir, cell, bound)) {
        return;
    }

    let cells = ROWS.len() * COLUMNS.len();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(vec![Vec::new(); cells]));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::SeqCst);
                    if job >= cells * rounds {
                        return;
                    }
                    let cell = job % cells;
                    let outage = report_of("outage::outage_table", cell, bound + PATIENCE * 4);
                    let (row, column) = (ROWS[cell / COLUMNS.len()], COLUMNS[cell % COLUMNS.len()]);
                    eprintln!(
                        "{:?}, {:?}, {}, sends {:?}: {outage} s",
                        column.0, column.1, row.0, row.2
                    );
                    results.lock().expect("no thread panicked with it")[cell].push(outage);
                }
            });
        }
    });

    let mut table = String::from(
        "| pool 1 | the partner sends | Prosody, static SRV | Prosody, repoint | ejabberd, static SRV | ejabberd, repoint |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let results = results.into_inner().expect("no thread panicked with it");
    for (row, cells) in ROWS.iter().zip(results.chunks(COLUMNS.len())) {
        let cells: Vec<String> = cells
            .iter()
            .map(|outages| sorted(outages).join(" / "))
            .collect();
        writeln!(
            table,
            "| {} | {} | {} |",
            row.0,
            sends(row.2),
            cells.join(" | ")
        )
        .expect("a string takes it");
    }
    match std::env::var_os("REPOINT_BENCH_TABLE") {
        Some(path) => std::fs::write(path, table).expect("the table's file is writable"),
        None => println!("{table}"),
    }
}

fn sends(when: Sends) -> &'static str {
    match when {
        Sends::Before => "since before, connected",
        Sends::AtOnce => "from then on",
        Sends::AMinuteLater => "a minute later",
    }
}

/// One cell: seconds of the longest time without an answer since the fault, or since the first
/// message when that came later; `> bound` when it never ended.
fn measure(dir: &Path, cell: usize, bound: Duration) -> String {
    let (_, fault, sends) = ROWS[cell / COLUMNS.len()];
    let (software, source) = COLUMNS[cell % COLUMNS.len()];
    let mut rig = Rig::start(software, BackOff::Stock, source, Pace::Default, dir);
    rig.start_partner();
    let connected = (sends == Sends::Before).then(|| {
        let client = Client::start();
        client.wait_for_answers_of("pool1", PATIENCE);
        client
    });
    rig.break_pool(fault);
    if sends == Sends::AMinuteLater {
        std::thread::sleep(Duration::from_secs(60));
    }
    let since = Instant::now();
    let client = connected.unwrap_or_else(Client::start);
    if client.is_answered_steadily_within(bound) {
        format!("{:.1}", client.longest_gap(since).as_secs_f64())
    } else {
        format!("> {}", bound.as_secs())
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {value}"))
    })
}

/// Shortest first; what never ended last.
fn sorted(outages: &[String]) -> Vec<String> {
    let mut outages = outages.to_vec();
    outages.sort_by(|a, b| {
        let seconds = |s: &str| {
            s.trim_start_matches("> ")
                .parse::<f64>()
                .unwrap_or(f64::MAX)
        };
        seconds(a).total_cmp(&seconds(b))
    });
    outages
}
