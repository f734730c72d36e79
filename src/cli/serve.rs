//! `repoint serve`: the server, in the foreground.
//!
//! In: the configuration file's path. Out: answers to partners until a signal ends it; a log on stderr.
//! Never here: the parts; `daemon` joins them.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime::Builder;

use super::moment::now;
use crate::config::LogSettings;
use crate::daemon::{self, Chosen, Daemon, Paths, Signals};
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
        match serve(chosen, inherited) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Three runtimes: one for plain answers alone, one for the encrypted transports, one for everything else.
fn serve(chosen: Chosen, inherited: Listeners) -> io::Result<()> {
    let workers = chosen.configuration.server.workers;
    let answering = |name| {
        let mut threads = Builder::new_multi_thread();
        if let Some(workers) = workers {
            threads.worker_threads(usize::try_from(workers).unwrap_or(1).max(1));
        }
        threads.thread_name(name).enable_all().build()
    };
    let (answers, encrypted) = (answering("answers")?, answering("encrypted")?);
    let rest = Builder::new_multi_thread()
        .thread_name("repoint")
        .enable_all()
        .build()?;
    let result = rest.block_on(async {
        let signals = Signals::listen()?;
        let daemon = Daemon::start(chosen, inherited, answers.handle(), encrypted.handle())
            .await
            .map_err(io::Error::other)?;
        daemon::supervise(daemon, signals).await;
        Ok(())
    });
    // A disk that hangs must not keep the process from ending.
    rest.shutdown_background();
    answers.shutdown_background();
    encrypted.shutdown_background();
    result
}
