//! The pure stages stay pure: their source never names what waits, listens, or reads a clock.
//!
//! In: the source files. Out: each forbidden word with its place. Never here: how the words would be used.

use std::path::{Path, PathBuf};

/// Files that may mention one of the words, for it changes nothing of what comes out.
const ALLOWED: [(&str, &str); 1] = [("zone/workers.rs", "std::thread")];

/// What a pure stage never mentions.
const FORBIDDEN: [&str; 18] = [
    "tokio",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "ToSocketAddrs",
    "std::fs",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "std::thread",
    "rand::rng(",
    "from_os_rng",
    "arc_swap",
    "rusqlite",
    "sleep(",
];

#[test]
fn pure_stages_name_neither_sockets_nor_files_nor_clocks() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = [
        "clock.rs",
        "ask/query.rs",
        "ask/reply.rs",
        "secondaries/ledger.rs",
        "secondaries/others.rs",
        "secondaries/step.rs",
        "delegation/extract.rs",
        "delegation/facts.rs",
        "delegation/finding.rs",
        "delegation/first.rs",
        "delegation/leave.rs",
        "delegation/records.rs",
        "delegation/served.rs",
        "inbound/timer.rs",
        "inbound/transfer.rs",
        "serve/expand.rs",
        "serve/names.rs",
    ]
    .map(|file| source.join(file))
    .to_vec();
    for stage in [
        "topology",
        "health",
        "decide",
        "zone",
        "tsig",
        "probe/xml",
        "engine",
        "delegation/judge",
    ] {
        rust_files(&source.join(stage), &mut files);
    }
    assert!(files.len() > 30, "only {} files found", files.len());
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(&source).unwrap().display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            // What a test of the stage measures is not the stage.
            if line.starts_with("#[cfg(test)]") {
                break;
            }
            let code = line.split("//").next().unwrap_or_default();
            let here = |word: &&&str| !ALLOWED.contains(&(name.as_str(), **word));
            for word in FORBIDDEN
                .iter()
                .filter(|word| code.contains(*word))
                .filter(here)
            {
                found.push(format!("src/{name}:{}: {word}", number + 1));
            }
        }
    }
    assert!(
        found.is_empty(),
        "pure stages name what is not pure:\n{}",
        found.join("\n")
    );
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
