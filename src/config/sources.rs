//! The texts a configuration was made of, kept so that it can be made again without its files.
//!
//! In: every file as it is read. Out: JSON for the store, and the texts again. Never here: the files themselves.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::secrets;

/// The text of the configuration file and of every file it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    name: String,
    text: String,
    files: BTreeMap<PathBuf, String>,
}

/// What was kept is not what [`Sources::to_json`] writes.
#[derive(Debug, thiserror::Error)]
#[error("the accepted configuration that was kept cannot be read: {0}")]
pub struct SourcesError(#[source] serde_json::Error);

impl Sources {
    /// Begins with the configuration file itself.
    pub(super) fn new(name: &str, text: &str) -> Sources {
        Sources {
            name: name.to_owned(),
            text: text.to_owned(),
            files: BTreeMap::new(),
        }
    }

    pub(super) fn keep(&mut self, path: &Path, text: &str) {
        self.files.insert(path.to_owned(), text.to_owned());
    }

    /// The configuration file's name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The configuration file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The files that the configuration names: zone files, lists of domains, certificate authorities.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// The text of a file that was kept.
    pub(super) fn read(&self, path: &Path) -> io::Result<String> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "it was not kept");
        self.files.get(path).cloned().ok_or_else(missing)
    }

    /// The same without TSIG secrets.
    pub fn redacted(&self) -> Sources {
        Sources {
            text: secrets::redacted(&self.text),
            ..self.clone()
        }
    }

    /// One text for the store.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Takes what [`Sources::to_json`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_json(text: &str) -> Result<Sources, SourcesError> {
        serde_json::from_str(text).map_err(SourcesError)
    }
}
