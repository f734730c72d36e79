//! Whether a configuration can be used on this machine: what the files and programs that it names are good for here.
//!
//! In: a configuration that has no errors. Out: what would be used, and every fault. Never here: what is wrong with the
//! configuration itself.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::moment::now;
use crate::config::Configuration;
use crate::daemon;
use crate::probe::Prober;
use crate::shell::Clock;

/// What was found on this machine.
pub(super) struct Here {
    /// Which certificate authorities the checks trust, or why they cannot be read.
    pub(super) authorities: Result<Vec<String>, String>,
    /// The certificate that TLS, HTTPS and QUIC show, in words.
    pub(super) certificate: Option<String>,
    /// Every reason why the configuration cannot be used here.
    pub(super) faults: Vec<String>,
}

/// Looks at everything that a start or a reload would use.
pub(super) fn look(configuration: &Configuration) -> Here {
    let server = &configuration.server;
    let authorities = authorities(configuration);
    let mut faults: Vec<String> = authorities.as_ref().err().cloned().into_iter().collect();
    let certificate = match daemon::try_certificate(server, now()) {
        Some(Ok(certificate)) => Some(certificate.to_string()),
        Some(Err(why)) => {
            faults.push(why);
            None
        }
        None => None,
    };
    if let Some(program) = configuration.alarm.exec.first()
        && let Err(why) = runs(program)
    {
        faults.push(format!(
            "cannot run the alarm command {program}: {why}; nobody would be told of an alarm"
        ));
    }
    if server.state.exists() && !server.state.is_dir() {
        let state = server.state.display();
        faults.push(format!("the state directory {state} is not a directory"));
    }
    if let Some(group) = &server.control_group
        && let Ok(None) = nix::unistd::Group::from_name(group)
    {
        faults.push(format!(
            "control_group: there is no group {group} on this machine; make it with: addgroup --system {group}"
        ));
    }
    if let Some(user) = &server.user
        && let Err(why) = daemon::find_user(user)
    {
        faults.push(why.to_string());
    }
    Here {
        authorities,
        certificate,
        faults,
    }
}

/// Which certificate authorities the checks would trust on this machine, as the prober finds them.
fn authorities(configuration: &Configuration) -> Result<Vec<String>, String> {
    let checks = configuration.topology.checks.iter();
    let settings = checks.map(|(_, check)| &check.settings);
    let clock = Clock::new();
    let prober = Prober::new(settings, Arc::new(move || clock.now()));
    let prober = prober.map_err(|error| error.to_string())?;
    Ok(prober.trust_descriptions())
}

/// Whether a program can be run; its path is absolute.
fn runs(program: &str) -> Result<(), String> {
    match is_program(Path::new(program)) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it is not an executable file: chmod +x it".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err("there is no such program".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn is_program(path: &Path) -> std::io::Result<bool> {
    let found = std::fs::metadata(path)?;
    Ok(found.is_file() && found.permissions().mode() & 0o111 != 0)
}
