//! What a shell may put in place of a name: the routes, pools and targets that there are.
//!
//! In: nothing that was typed. Out: names from the running server, or else from the configuration file.
//! Never here: output on the terminal, whatever fails: the operator is typing a command there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use super::DEFAULT_SOCKET;
use super::client::Client;
use super::config::DEFAULT_FILE;
use crate::config;
use crate::engine::View;

/// The longest that completion keeps the operator waiting.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn routes() -> ArgValueCandidates {
    candidates(|names| names.routes)
}

pub(super) fn pools() -> ArgValueCandidates {
    candidates(|names| names.pools)
}

pub(super) fn targets() -> ArgValueCandidates {
    candidates(|names| names.targets)
}

fn candidates(choose: fn(Names) -> Vec<String>) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        let names = choose(Names::known());
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// The names of everything that a command may be about.
#[derive(Default)]
struct Names {
    routes: Vec<String>,
    pools: Vec<String>,
    targets: Vec<String>,
}

impl Names {
    fn known() -> Names {
        let socket = socket(std::env::args_os(), std::env::var_os("REPOINT_SOCKET"));
        served(&socket)
            .or_else(|| configured(Path::new(DEFAULT_FILE)))
            .unwrap_or_default()
    }
}

/// The socket that the typed command would ask.
fn socket(typed: impl Iterator<Item = OsString>, environment: Option<OsString>) -> PathBuf {
    let mut typed = typed.skip_while(|word| word != "--socket");
    typed
        .nth(1)
        .or(environment)
        .unwrap_or_else(|| DEFAULT_SOCKET.into())
        .into()
}

fn served(socket: &Path) -> Option<Names> {
    let client = Client::new(socket).ok()?.patient_for(PATIENCE);
    let view: View = client.read(&client.get("/v1/status").ok()?).ok()?;
    let mut targets: Vec<String> = view
        .pools
        .iter()
        .flat_map(|pool| pool.targets.iter().map(ToString::to_string))
        .collect();
    targets.sort();
    targets.dedup();
    Some(Names {
        routes: view.routes.iter().map(|it| it.name.to_string()).collect(),
        pools: view.pools.iter().map(|it| it.name.to_string()).collect(),
        targets,
    })
}

fn configured(file: &Path) -> Option<Names> {
    let topology = config::load(file).ok()?.topology;
    let targets = topology.pools.values().flat_map(|pool| &pool.targets);
    Some(Names {
        routes: topology.routes.keys().map(ToString::to_string).collect(),
        targets: targets.map(|target| target.name.to_string()).collect(),
        pools: topology.pools.keys().map(ToString::to_string).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_the_one_that_the_typed_command_would_ask() {
        let typed = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let of = |words: &[&str], environment: Option<&str>| {
            socket(typed(words).into_iter(), environment.map(OsString::from))
        };
        assert_eq!(of(&["repoint", "pin"], None), Path::new(DEFAULT_SOCKET));
        assert_eq!(of(&["repoint", "pin"], Some("/e")), Path::new("/e"));
        let given = ["repoint", "--socket", "/s", "pin"];
        assert_eq!(of(&given, Some("/e")), Path::new("/s"));
    }
}
