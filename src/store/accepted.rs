//! The accepted configuration as plain files, so that an operator can read what is in force when the files in
//! `/etc` are broken.
//!
//! In: the JSON of `config::Sources`. Out: `accepted/` with the files under the paths they had.
//! Never here: reading them back; a start reads the JSON, which cannot be half edited.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use crate::config::Sources;

/// Replaces `accepted/` in the state directory.
pub(super) fn lay_out(state: &Path, sources: &Sources) -> io::Result<()> {
    let fresh = state.join("accepted.new");
    let current = state.join("accepted");
    let old = state.join("accepted.old");
    remove(&fresh)?;
    remove(&old)?;
    private_dir(&fresh)?;
    let main = (Path::new(sources.name()), sources.text());
    for (path, text) in std::iter::once(main).chain(sources.files()) {
        let place = fresh.join(below(path));
        private_dir(place.parent().unwrap_or(&fresh))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&place)?;
        file.write_all(text.as_bytes())?;
    }
    match fs::rename(&current, &old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(&fresh, &current)?;
    remove(&old)
}

/// The path as it is found below `accepted/`: nothing leads out of it.
fn below(path: &Path) -> PathBuf {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("up".into()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
        })
        .collect()
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_files_lie_under_their_paths_and_nothing_leads_out() {
        let state = tempfile::tempdir().unwrap();
        let json = r#"{"name":"/etc/repoint/repoint.toml","text":"version = 1",
            "files":{"/etc/repoint/../zones/a.zone":"a","../../b.zone":"b"}}"#;
        let sources = Sources::from_json(json).unwrap();
        lay_out(state.path(), &sources).unwrap();
        lay_out(state.path(), &sources).unwrap();
        let read =
            |path: &str| fs::read_to_string(state.path().join("accepted").join(path)).unwrap();
        assert_eq!(read("etc/repoint/repoint.toml"), "version = 1");
        assert_eq!(read("etc/repoint/up/zones/a.zone"), "a");
        assert_eq!(read("up/up/b.zone"), "b");
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1);
    }
}
