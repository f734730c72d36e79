//! The zones that are compared: master files that all four servers read themselves.
//!
//! In: `zones/*.zone`, each named for its apex. Out: the files, and repoint's publication of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use repoint::zone::{ChildRecords, KeyAlgorithm, Name, SigningKey, ZoneKeys, Zones};

use crate::dns;

/// Signed by a key that is not offered to the zone above yet, which has no DS of it.
const NOT_OFFERED: &str = "nods.parent.example";

/// Zones as files, and as repoint serves them.
pub(crate) struct Corpus {
    /// Apex without its last dot, and the master file's text.
    pub(crate) files: Vec<(String, String)>,
    pub(crate) zones: Zones,
}

impl Corpus {
    /// Every owner name and every empty non-terminal, of every zone.
    pub(crate) fn names(&self) -> Vec<Name> {
        let nodes = self.zones.iter().flat_map(|zone| zone.nodes().iter());
        nodes.map(|node| node.name.clone()).collect()
    }
}

/// The zones as they are written.
pub(crate) fn unsigned() -> Corpus {
    let files = read();
    let zones = dns::zones_with(Vec::new(), &texts(&files));
    Corpus { files, zones }
}

/// The zones signed by repoint; the others are given what it made of them. Where the corpus has a child of a zone as well,
/// the DS records are those of its key.
pub(crate) fn signed() -> Corpus {
    let mut files = read();
    let keys: BTreeMap<Name, Arc<ZoneKeys>> = files
        .iter()
        .enumerate()
        .map(|(n, (apex, _))| {
            let algorithm = match n % 4 {
                0 => KeyAlgorithm::Ed25519,
                _ => KeyAlgorithm::EcdsaP256Sha256,
            };
            let key = SigningKey::generate(algorithm).unwrap();
            let mut keys = ZoneKeys::single(Arc::new(key), 3600);
            if apex == NOT_OFFERED {
                keys.child = ChildRecords::None;
            }
            (name(apex), Arc::new(keys))
        })
        .collect();
    for (apex, text) in &mut files {
        let origin = name(apex);
        let lines = text.lines().map(|line| {
            let mut words = line.split_whitespace();
            let (Some(owner), Some("DS")) = (words.next(), words.next()) else {
                return line.to_owned();
            };
            let child = Name::from_text(owner.as_bytes(), Some(&origin)).unwrap();
            match keys.get(&child) {
                Some(keys) => {
                    let ds = keys.published[0].ds(&child);
                    format!("{owner} DS {}", ds.to_text(RecordType::DS))
                }
                None => line.to_owned(),
            }
        });
        *text = lines.collect::<Vec<_>>().join("\n") + "\n";
    }
    let zones = dns::signed_zones(Vec::new(), &texts(&files), &keys);
    assert!(zones.iter().all(|zone| zone.is_signed()));
    let files = zones.iter().map(|zone| {
        let apex = zone.apex().to_string();
        (apex.trim_end_matches('.').to_owned(), zone.to_master_text())
    });
    let files = files.collect();
    Corpus { files, zones }
}

fn name(apex: &str) -> Name {
    Name::from_text(apex.as_bytes(), Some(&Name::root())).unwrap()
}

fn texts(files: &[(String, String)]) -> Vec<(&str, &str)> {
    let files = files.iter();
    files
        .map(|(apex, text)| (apex.as_str(), text.as_str()))
        .collect()
}

fn read() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/zones");
    let mut files: Vec<(String, String)> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let apex = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (apex, fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}
