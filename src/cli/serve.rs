//! `repoint serve`: the server, in the foreground.
//!
//! In: the configuration file's path. Out: answers to partners until a signal ends it; a log on stderr.
//! Never here: the parts; `daemon` joins them.

use std::path::PathBuf;
use std::process::ExitCode;

use super::moment::now;
use crate::config::LogSettings;
use crate::daemon::{self, Daemon, Paths, Signals};
use crate::serve::Listeners;

/// The end of the usage kind: nothing to serve with.
const NOTHING_TO_SERVE: u8 = 2;

/// Run the server in the foreground.
///
/// With a configuration file that cannot be used, the one accepted last is served and an alarm says so. SIGHUP reads the
/// file again, SIGTERM and SIGINT end the server after what it has been asked is answered.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint serve --config /etc/repoint/repoint.toml")]
pub(super) struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/repoint/repoint.toml")]
    config: PathBuf,
    /// Where the state is, should the configuration file be unusable and not say it
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(&self) -> ExitCode {
        // Before any thread is there: it takes the sockets' numbers out of the environment.
        let inherited = Listeners::from_inherited();
        let paths = Paths {
            configuration: self.config.clone(),
            state: self.state.clone(),
        };
        let chosen = match daemon::choose(paths, now()) {
            Ok(chosen) => chosen,
            Err(error) => {
                eprintln!("{error}");
                return NOTHING_TO_SERVE.into();
            }
        };
        let settings: LogSettings = chosen.configuration.log;
        daemon::begin_log(settings);
        let inherited = inherited.unwrap_or_else(|error| {
            tracing::error!("{error}; binding sockets of our own");
            Listeners::default()
        });
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        if let Some(workers) = chosen.configuration.server.workers {
            runtime.worker_threads(usize::try_from(workers).unwrap_or(1).max(1));
        }
        let served = runtime.enable_all().build().and_then(|runtime| {
            let result = runtime.block_on(async {
                let signals = Signals::listen()?;
                let daemon = Daemon::start(chosen, inherited)
                    .await
                    .map_err(std::io::Error::other)?;
                daemon::supervise(daemon, signals).await;
                Ok(())
            });
            // A disk that hangs must not keep the process from ending.
            runtime.shutdown_background();
            result
        });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}
