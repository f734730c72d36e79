//! `repoint serve`: the server, in the foreground.
//!
//! In: the configuration file's path. Out: answers to partners until a signal ends it; a log on stderr.
//! Never here: the parts; `daemon` joins them.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

use super::config::DEFAULT_FILE;
use super::moment::now;
use crate::daemon::{self, Daemon, Identity, Paths, Signals, StartError};
use crate::harmless;
use crate::serve::Listeners;
use crate::shell::adopt_orphans;

/// The end of the usage kind: nothing to serve with.
const NOTHING_TO_SERVE: u8 = 2;

/// Run the server in the foreground.
///
/// With a configuration file that cannot be used, or that removes many of the domains served before, the configuration
/// accepted last is served and an alarm says so. SIGHUP reads the
/// file again, SIGTERM and SIGINT end the server after what it has been asked is answered.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint serve --config /etc/repoint/repoint.toml")]
pub(super) struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Where the state is, should the configuration file be unusable and not say it
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Serve the file although it removes more than 10 domains, or more than a tenth of them
    #[arg(long)]
    allow_removal: bool,
}

/// The signal that must not end a server, however early it comes.
fn hangups() -> SigSet {
    SigSet::from(Signal::SIGHUP)
}

/// A hangup waits from here on: until the server listens for it, or another command lets it end the process as usual.
/// Threads inherit this.
pub(super) fn hold_hangups() {
    // The system refuses it for a wrong signal only.
    let _ = hangups().thread_block();
}

/// A hangup ends the process again.
pub(super) fn let_hangups_through() {
    let _ = hangups().thread_unblock();
}

impl Serve {
    pub(super) fn run(&self) -> ExitCode {
        // Before any thread is there: it takes the sockets' numbers out of the environment.
        let inherited = Listeners::from_inherited();
        let paths = Paths {
            configuration: self.config.clone(),
            allow_removal: self.allow_removal,
            state: self.state.clone(),
        };
        let identity = match daemon::give_up_root(&paths) {
            Ok(identity) => identity,
            Err(error) => {
                eprintln!("{error}\nnothing is served");
                return NOTHING_TO_SERVE.into();
            }
        };
        match serve((paths, identity), inherited, &hangups()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Ended::Nothing(error)) => {
                eprintln!("{}", harmless::lines(&error.to_string()));
                NOTHING_TO_SERVE.into()
            }
            Err(Ended::Failed(error)) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Why the server does not serve.
enum Ended {
    /// There is no configuration to serve.
    Nothing(StartError),
    /// The system does not give what the server needs.
    Failed(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended::Failed(error)
    }
}

/// Three runtimes: one for plain answers alone, one for the encrypted transports, one for everything else.
fn serve(paths: (Paths, Identity), inherited: Listeners, early: &SigSet) -> Result<(), Ended> {
    let rest = Builder::new_multi_thread()
        .thread_name("repoint")
        .enable_all()
        .build()?;
    let mut answering = Vec::new();
    let result = rest.block_on(async {
        // Before anything else: a hangup that comes while files are read must not end the process.
        let mut signals = Signals::listen()?;
        early.thread_unblock().map_err(io::Error::from)?;
        let daemon = tokio::select! {
            daemon = start(paths, inherited, &mut answering) => daemon?,
            () = signals.end() => {
                tracing::info!("stopped before it served");
                return Ok(());
            }
        };
        daemon::supervise(daemon, signals).await;
        Ok(())
    });
    // A disk that hangs must not keep the process from ending.
    rest.shutdown_background();
    answering.into_iter().for_each(Runtime::shutdown_background);
    result
}

/// Reads what there is to serve, beside the signals, and begins to serve it.
async fn start(
    (paths, identity): (Paths, Identity),
    inherited: Listeners,
    answering: &mut Vec<Runtime>,
) -> Result<Daemon, Ended> {
    let chosen = spawn_blocking(move || daemon::choose(paths, now())).await;
    let chosen = chosen.map_err(io::Error::from)?.map_err(Ended::Nothing)?;
    daemon::begin_log(chosen.configuration.log);
    match identity {
        Identity::AsStarted => {}
        Identity::User(name) => tracing::info!("running as the user {name}"),
        Identity::Root => tracing::warn!(
            "running as root: an attacker who breaks into this process controls the whole machine; write user = \"repoint\" into \
             [server], or start it with the systemd unit"
        ),
    }
    adopt_orphans();
    let mut handles = Vec::new();
    for name in ["answers", "encrypted"] {
        let mut threads = Builder::new_multi_thread();
        if let Some(workers) = chosen.configuration.server.workers {
            threads.worker_threads(usize::try_from(workers).unwrap_or(1).max(1));
        }
        let runtime = threads.thread_name(name).enable_all().build()?;
        handles.push(runtime.handle().clone());
        answering.push(runtime);
    }
    let started = Daemon::start(chosen, inherited, &handles[0], &handles[1]).await;
    started.map_err(|error| Ended::Failed(io::Error::other(error)))
}
