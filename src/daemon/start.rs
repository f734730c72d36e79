//! What the server starts with: a configuration that can be used, and the store it names.
//!
//! In: the paths of the command line. Out: [`Chosen`], from the file or, when that cannot be used, from what was
//! accepted last; or every reason why there is neither. Never here: sockets, tasks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Wall;
use crate::config::{self, Changes, ConfigProblems, Configuration, ServerSettings, Sources};
use crate::engine::{Rejection, RejectionKind, Remembered, misfit};
use crate::files;
use crate::store::{Store, StoreError, accepted_in, inbound_in};

/// Where the service manager keeps the state directory it made.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// The paths of the command line.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The configuration file.
    pub configuration: PathBuf,
    /// Serve the file although it takes away many domains.
    pub allow_removal: bool,
    /// The state directory, should the file not say where it is.
    pub state: Option<PathBuf>,
}

/// A configuration that can be served, with the memory that belongs to it.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// What to serve.
    pub configuration: Arc<Configuration>,
    /// Why the file could not be used, when `configuration` is the one accepted last.
    pub rejected: Option<Rejection>,
    /// What is different from the configuration accepted last, in sentences.
    pub changed: Vec<String>,
    /// The open store.
    pub store: Store,
    /// What it remembered.
    pub remembered: Remembered,
    /// Where all of this came from.
    pub paths: Paths,
}

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file cannot be used, and nothing was ever accepted.
    #[error(
        "{problems}\ncannot start with {}: it cannot be used, and {} has no configuration accepted before{}\nnothing is served",
        file.display(),
        state.display(),
        .kept.as_ref().map(|why| format!(" that can: {why}")).unwrap_or_default()
    )]
    NoConfiguration {
        /// The configuration file.
        file: PathBuf,
        /// The state directory looked into.
        state: PathBuf,
        /// Every problem of the file.
        problems: String,
        /// Every problem of the configuration that was kept, when there is one.
        kept: Option<String>,
    },
    /// The state directory is another process's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the configuration file, or else the configuration accepted last, and opens the store.
pub fn choose(paths: Paths, at: Wall) -> Result<Chosen, StartError> {
    match config::load(&paths.configuration) {
        Ok(configuration) => {
            let (store, remembered) = Store::open(&configuration.server.state, at)?;
            let accepted = accepted_and_fitting(&store, &remembered, &configuration);
            let changes = accepted
                .as_ref()
                .map(|accepted| config::compare(accepted, &configuration))
                .unwrap_or_default();
            let rejected = misfit(&configuration, &remembered.inbound)
                .map(|problems| Rejection {
                    problems,
                    kind: RejectionKind::Faulty,
                })
                .or_else(|| too_much_removed(&changes, &paths));
            if let Some(rejection) = rejected
                && let Some(accepted) = accepted
            {
                return Ok(Chosen {
                    configuration: Arc::new(accepted),
                    rejected: Some(rejection),
                    changed: Vec::new(),
                    store,
                    remembered,
                    paths,
                });
            }
            let at_restart = changes.at_restart.iter();
            let at_restart = at_restart.map(|change| change.now_in_force());
            Ok(Chosen {
                configuration: Arc::new(configuration),
                rejected: None,
                changed: changes.words.iter().cloned().chain(at_restart).collect(),
                store,
                remembered,
                paths,
            })
        }
        Err(problems) => accepted_before(paths, &problems, at),
    }
}

/// A restart takes no more customers away than a reload would: the file may have been cut off since.
fn too_much_removed(changes: &Changes, paths: &Paths) -> Option<Rejection> {
    let removals = changes.domain_removals();
    if removals.is_empty() || paths.allow_removal {
        return None;
    }
    let removals: Vec<String> = removals.iter().map(ToString::to_string).collect();
    Some(Rejection {
        problems: format!("it removes what is in use: {}", removals.join("; ")),
        kind: RejectionKind::Removal,
    })
}

/// The configuration accepted last, where it differs from the file's, if it goes together with what primaries have
/// sent: it did when it was accepted.
fn accepted_and_fitting(
    store: &Store,
    remembered: &Remembered,
    file: &Configuration,
) -> Option<Configuration> {
    let sources = Sources::from_json(store.accepted()?).ok()?;
    if sources == file.sources {
        return None;
    }
    let accepted = config::parse_sources(&sources).ok()?;
    misfit(&accepted, &remembered.inbound)
        .is_none()
        .then_some(accepted)
}

fn accepted_before(
    paths: Paths,
    problems: &ConfigProblems,
    at: Wall,
) -> Result<Chosen, StartError> {
    let problems = problems.render(false).trim_end().to_owned();
    let state = state_directory(&paths);
    let nothing = |problems, state, kept| StartError::NoConfiguration {
        file: paths.configuration.clone(),
        state,
        problems,
        kept,
    };
    // Opening a store makes its directory: not where there is nothing to find.
    if !state.is_dir() {
        return Err(nothing(problems, state, None));
    }
    let (store, remembered) = Store::open(&state, at)?;
    let Some(kept) = store.accepted() else {
        return Err(nothing(problems, state, None));
    };
    let configuration = Sources::from_json(kept)
        .map_err(|error| error.to_string())
        .and_then(|sources| {
            config::parse_sources(&sources).map_err(|problems| problems.render(false))
        });
    match configuration {
        Ok(configuration) => Ok(Chosen {
            configuration: Arc::new(configuration),
            rejected: Some(Rejection {
                problems,
                kind: RejectionKind::Faulty,
            }),
            changed: Vec::new(),
            store,
            remembered,
            paths,
        }),
        Err(kept) => Err(nothing(problems, state, Some(kept))),
    }
}

/// Where the state is when the file that says so cannot be used.
fn state_directory(paths: &Paths) -> PathBuf {
    if let Some(state) = &paths.state {
        return state.clone();
    }
    if let Some(said) = said_in_file(paths, "state") {
        let base = paths.configuration.parent().unwrap_or(Path::new(""));
        return base.join(said);
    }
    match std::env::var_os(STATE_DIRECTORY) {
        // The service manager may name several, separated by colons.
        Some(made) => Path::new(made.to_string_lossy().split(':').next().unwrap_or("")).to_owned(),
        None => ServerSettings::default().state,
    }
}

/// What the configuration file says of the server before anything else is read: whose it is to be, and where it writes.
pub(super) struct Said {
    /// Of the file, or of the configuration accepted last where the file cannot be used or is refused.
    pub(super) user: Option<String>,
    /// Nobody is named, and the file that could say so is not used.
    pub(super) is_user_lost: bool,
    pub(super) state: PathBuf,
    pub(super) control: PathBuf,
}

/// Reads the file, which may be unusable.
pub(super) fn said_of_server(paths: &Paths) -> Said {
    let base = paths.configuration.parent().unwrap_or(Path::new(""));
    let control = said_in_file(paths, "control").map(|control| base.join(control));
    let state = state_directory(paths);
    let mut user = said_in_file(paths, "user");
    let is_unused = user.is_none() && !is_served(paths);
    if is_unused {
        let accepted = accepted_in(&state).and_then(|kept| Sources::from_json(&kept).ok());
        user = accepted.and_then(|sources| said_in_text(sources.text(), "user"));
    }
    Said {
        is_user_lost: is_unused && user.is_none(),
        user,
        state,
        control: control.unwrap_or_else(|| ServerSettings::default().control),
    }
}

/// Whether the file is what a start serves, and not the configuration accepted last. What is in the state is read as it lies
/// there: this process may be root's.
fn is_served(paths: &Paths) -> bool {
    let Ok(configuration) = config::load(&paths.configuration) else {
        return false;
    };
    let state = &configuration.server.state;
    let accepted = accepted_in(state).and_then(|kept| Sources::from_json(&kept).ok());
    let accepted = accepted.filter(|sources| *sources != configuration.sources);
    let Some(accepted) = accepted.and_then(|sources| config::parse_sources(&sources).ok()) else {
        return true;
    };
    let receives = configuration.layout.apexes().any(|apex| {
        let apex = apex.to_domain_name();
        apex.is_some_and(|apex| configuration.topology.primary(&apex).is_some())
    });
    let inbound = match receives {
        true => inbound_in(state),
        false => Vec::new(),
    };
    let changes = config::compare(&accepted, &configuration);
    let is_refused =
        misfit(&configuration, &inbound).is_some() || too_much_removed(&changes, paths).is_some();
    !is_refused || misfit(&accepted, &inbound).is_some()
}

fn said_in_file(paths: &Paths, key: &str) -> Option<String> {
    let text = files::read_text(&paths.configuration, files::LARGEST).ok()?;
    said_in_text(&text, key)
}

fn said_in_text(text: &str, key: &str) -> Option<String> {
    match text.parse::<toml::Table>() {
        Ok(table) => Some(table.get("server")?.get(key)?.as_str()?.to_owned()),
        Err(_) => said_in(text, key),
    }
}

/// What a file that is not even TOML seems to say about a key of `[server]`.
fn said_in(text: &str, key: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line.split('#').next().unwrap_or("").trim() == "[server]";
        }
        let value = line
            .strip_prefix(key)
            .and_then(|rest| rest.trim_start().strip_prefix('='))
            .map(str::trim_start);
        if let Some(value) = value.filter(|_| inside) {
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let inner = &value[1..];
            return Some(inner[..inner.find(quote)?].to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_found_in_a_file_that_is_not_toml() {
        let text =
            "version = 1\n[server]\nlisten = [\nstate  = \"/srv/repoint\" # here\n[[pool]]\n";
        let state_in = |text| said_in(text, "state");
        assert_eq!(state_in(text).as_deref(), Some("/srv/repoint"));
        assert_eq!(state_in("[server]\nstate = 'state'"), Some("state".into()));
        assert_eq!(state_in("[dns]\nstate = \"/other\"\n"), None);
        assert_eq!(state_in("[server]\nstate = \"/unfinished\nx"), None);
        assert_eq!(state_in("[server]\nstated = \"x\"\nstate ="), None);
        let user = said_in("[server]\nuser = \"repoint\"\nlisten = [", "user");
        assert_eq!(user.as_deref(), Some("repoint"));
    }
}
