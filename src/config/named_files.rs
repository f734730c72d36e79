//! The files that a configuration names: what reads them, and the certificate authorities.
//!
//! In: paths of a draft, and what reads them. Out: texts; what is wrong with a file becomes a problem. Never here: the file
//! system itself; the caller of `parse` brings it.

use std::io;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::problem::{At, ConfigProblems, Rule};
use super::sources::Sources;

/// What reads the files, and keeps their texts.
pub(super) struct Files<'f> {
    pub(super) read: &'f mut dyn FnMut(&Path) -> io::Result<String>,
    pub(super) sources: &'f mut Sources,
    /// The texts were accepted before.
    pub(super) again: bool,
}

impl Files<'_> {
    /// The text of a file, which is kept.
    pub(super) fn text(&mut self, path: &Path) -> io::Result<String> {
        let text = (self.read)(path)?;
        self.sources.keep(path, &text);
        Ok(text)
    }

    /// The text of a file that holds a secret: it is kept nowhere.
    pub(super) fn secret(&mut self, path: &Path) -> io::Result<String> {
        (self.read)(path)
    }
}

/// Certificate authorities are read here too: a missing file is found now, not when a pool is to be judged.
pub(super) fn check_authorities(
    draft: &Draft,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) {
    let of_routes = draft.routes.iter().flat_map(|route| {
        std::iter::once(&route.check).chain(route.services.iter().map(|service| &service.check))
    });
    let layers = std::iter::once(&draft.health.check).chain(of_routes);
    for ca in layers.filter_map(|layer| layer.ca.as_ref()) {
        let Some((_, text)) = read_file(ca, "the certificate authorities", files, problems) else {
            continue;
        };
        if !text.contains("-----BEGIN CERTIFICATE-----")
            && !text.contains("-----BEGIN TRUSTED CERTIFICATE-----")
        {
            problems
                .error(
                    Rule::BadValue,
                    &ca.place,
                    format!("{} has no certificate in it", ca.value.display()),
                )
                .help("name a PEM file: it has lines -----BEGIN CERTIFICATE-----");
        }
    }
}

pub(super) fn read_file(
    path: &At<PathBuf>,
    what: &str,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) -> Option<(usize, String)> {
    let name = path.value.display().to_string();
    match files.text(&path.value) {
        Ok(text) => Some((problems.add_file(&name, &text), text)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            problems
                .error(
                    Rule::Unreadable,
                    &path.place,
                    format!("cannot read {what} {name}: {error}"),
                )
                .help("save it as UTF-8; PowerShell's `>` writes UTF-16");
            None
        }
        Err(error) => {
            problems
                .error(
                    Rule::Unreadable,
                    &path.place,
                    format!("cannot read {what} {name}: {error}"),
                )
                .help("check the path (a relative one begins beside the configuration file) and its permissions");
            None
        }
    }
}
