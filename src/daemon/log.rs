//! The log: lines for people, or JSON for collectors, on standard error.
//!
//! In: the log's settings. Out: the process's one subscriber. Never here: what is logged.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings};
use crate::harmless::Seen;

/// Set by systemd when standard error goes to the journal, which has times of its own.
const JOURNAL: &str = "JOURNAL_STREAM";

/// Begins the log. A process that has one already keeps it.
pub fn begin_log(settings: LogSettings) {
    let filter = EnvFilter::new(settings.level.as_str());
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Seen(std::io::stderr()))
        .with_target(false);
    let begun = match settings.format {
        LogFormat::Json => base.json().flatten_event(true).finish().try_init(),
        LogFormat::Text if std::env::var_os(JOURNAL).is_some() => {
            base.with_ansi(false).without_time().finish().try_init()
        }
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            base.with_ansi(colour).finish().try_init()
        }
    };
    // With an error there is one already: a test's, or that of a program this is part of.
    if begun.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            // In the log's own form; what had panicked is begun again by its supervisor.
            tracing::error!("critical: a part of the program failed, please report this: {panic}");
        }));
    }
}
