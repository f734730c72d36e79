//! The zones that are compared: master files that all four servers read themselves.
//!
//! In: `zones/*.zone`, each named for its apex. Out: the files, and repoint's publication of them.

use std::fs;
use std::path::Path;

use repoint::zone::{Name, Zones};

use crate::dns;

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
    let given: Vec<(&str, &str)> = files
        .iter()
        .map(|(apex, text)| (apex.as_str(), text.as_str()))
        .collect();
    let zones = dns::zones_with(Vec::new(), &given);
    Corpus { files, zones }
}
