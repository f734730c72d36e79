//! `repoint demo`: two pools, one failure, live.
//!
//! In: where to listen. Out: the board, or the story once. Never here: the story; `demo` tells it.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use crate::demo::{self, Options};
use crate::harmless;

/// Two built-in pools, one failure, live
///
/// Starts the real server with two XMPP pools made of this program, makes the first one hang, shows how the answers
/// move, and how they move back. Nothing outside the loopback addresses is touched, and nothing is left behind.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  repoint demo\n  repoint demo --scripted && echo seen")]
pub(super) struct Demo {
    /// Where the server answers
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5300")]
    listen: SocketAddr,
    /// The preferred pool's address; its port is 5269
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.1.1")]
    pool1: IpAddr,
    /// The other pool's address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.2.1")]
    pool2: IpAddr,
    /// Tell the story once; exit 0 only if every step was seen in DNS answers
    #[arg(long)]
    scripted: bool,
}

impl Demo {
    pub(super) fn run(&self) -> ExitCode {
        let options = Options {
            listen: self.listen,
            pool1: self.pool1,
            pool2: self.pool2,
            scripted: self.scripted,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let played = match runtime {
            Ok(runtime) => runtime.block_on(demo::run(options)),
            Err(error) => Err(error.into()),
        };
        match played {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}", harmless::lines(&error.to_string()));
                ExitCode::FAILURE
            }
        }
    }
}
