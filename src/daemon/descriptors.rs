//! The limit of open files: raised at the start as far as the operating system allows.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The limit of open files that this process has now, and the one that it may have.
pub fn open_files() -> io::Result<(u64, u64)> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?)
}

/// Raises the limit of open files to the most that is allowed; gives the limit then in force.
pub(super) fn raise_open_files() -> u64 {
    let (soft, hard) = match open_files() {
        Ok(limits) => limits,
        Err(error) => {
            tracing::warn!("cannot read the limit of open files: {error}; 1024 are assumed");
            return 1024;
        }
    };
    if soft >= hard {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => {
            tracing::info!("the limit of open files is raised from {soft} to {hard}");
            hard
        }
        Err(error) => {
            tracing::warn!(
                "cannot raise the limit of open files from {soft} to {hard}: {error}; {soft} stays in force"
            );
            soft
        }
    }
}
