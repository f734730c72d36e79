//! Tables of the file: which keys they may have, and which they have.
//!
//! In: parsed TOML with the place of every key. Out: the value of each key asked for; keys nobody asks for and
//! keys that are missing become problems, and reading goes on. Never here: what the keys mean; that is `v1`.

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::problem::{ConfigProblems, Place, Rule};
use super::suggest::nearest;
use super::value::Value;

/// Whether a changed key takes effect at the next reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// At the next reload.
    Live,
    /// At the next start.
    Restart,
}

/// A key that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) apply: Apply,
}

/// A key that takes effect at the next reload.
pub(super) const fn live(name: &'static str) -> Key {
    let apply = Apply::Live;
    Key { name, apply }
}

/// A key that takes effect at the next start.
pub(super) const fn restart(name: &'static str) -> Key {
    let apply = Apply::Restart;
    Key { name, apply }
}

/// A table's place in the file and the keys it may have.
#[derive(Debug)]
pub(super) struct Section {
    /// As an operator writes it: `[[route.service]]`.
    pub(super) header: &'static str,
    /// Dotted, for the list of keys: `route.service`; empty for the top.
    pub(super) path: &'static str,
    /// Its keys.
    pub(super) keys: &'static [Key],
}

/// A table being read.
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    section: &'static Section,
    place: Place,
    asked: BTreeSet<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        entries: &'a DeTable<'a>,
        section: &'static Section,
        place: Place,
    ) -> Table<'a> {
        Table {
            entries,
            section,
            place,
            asked: BTreeSet::new(),
        }
    }

    /// Where the table begins: its header or its opening brace.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The value of a key, if the file has it.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        debug_assert!(
            self.section.keys.iter().any(|known| known.name == key),
            "{key} is not among the keys of {}",
            self.section.header
        );
        self.asked.insert(key);
        let (name, value) = self.entries.get_key_value(key)?;
        Some(Value::new(key, value, self.place.file).keyed(name.span()))
    }

    /// The value of a key that must be there.
    pub(super) fn require(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut ConfigProblems,
    ) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            let header = self.section.header;
            problems
                .error(
                    Rule::MissingKey,
                    &self.place,
                    format!("{header} needs the key {key:?}"),
                )
                .help(format!("add a line like {example}"));
        }
        value
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, problems: &mut ConfigProblems) {
        let known: Vec<&str> = self.section.keys.iter().map(|key| key.name).collect();
        debug_assert_eq!(
            self.asked,
            known.iter().copied().collect(),
            "keys asked for and keys listed for {}",
            self.section.header
        );
        for name in self.entries.keys() {
            let key: &str = name.get_ref();
            if known.contains(&key) {
                continue;
            }
            let place = Place {
                file: self.place.file,
                span: name.span(),
            };
            let header = self.section.header;
            let problem = problems.error(
                Rule::UnknownKey,
                &place,
                format!("unknown key {key:?} in {header}"),
            );
            match nearest(key, known.iter().copied()) {
                Some(near) => problem.help(format!("did you mean {near:?}?")),
                None => problem.help(format!("the keys here are {}", known.join(", "))),
            };
        }
    }
}
