//! The command line: `repoint <noun> <verb>`, one file per noun.
//!
//! In: argv. Out: the answer on stdout, talk on stderr, an exit code. Never here: a decision; commands ask the
//! running server through its control socket, and `docs/commands.md` is the reference of what they print.

mod acme;
mod change;
mod client;
mod complete;
mod config;
mod delegation;
mod demo;
mod domain;
mod drain;
mod explain;
mod failover;
mod failure;
mod freeze;
mod generate;
mod here;
mod history;
mod key;
mod manual;
mod moment;
mod paint;
mod pin;
mod pool;
mod probe;
mod progress;
mod route;
mod secondaries;
mod serve;
mod session;
mod shortcut;
mod state;
mod status;
mod table;
mod target;
mod zone;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod key_golden;
#[cfg(test)]
mod remedies;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::CompleteEnv;

use failure::Failure;
use session::Session;

/// Keep XMPP and SIP federation pointed at a pool that works.
///
/// repoint is an authoritative DNS server. It probes every Edge pool the way partners reach it, and moves the SRV and
/// address records of a federation identity together when a pool fails, recovers, is drained or is pinned.
#[derive(Debug, Parser)]
#[command(
    name = "repoint",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Begin with:\n  repoint status                  how everything is\n  repoint route explain ROUTE     why a route points where it does\n\n\
                  Exit codes: 0 done and served, 1 refused or failed, 2 wrong usage, 3 no answer from the server."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Where the server takes commands unless something else is said.
const DEFAULT_SOCKET: &str = "/run/repoint/control.sock";

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// Print the answer as JSON
    #[arg(long, global = true)]
    json: bool,
    /// The control socket of the server
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "REPOINT_SOCKET",
        default_value = DEFAULT_SOCKET,
        hide_env_values = true
    )]
    socket: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Status(status::Status),
    #[command(subcommand)]
    Route(route::Route),
    #[command(subcommand)]
    Domain(domain::Domain),
    #[command(subcommand)]
    Pool(pool::Pool),
    #[command(subcommand)]
    Target(target::Target),
    Pin(pin::Pin),
    Unpin(pin::Unpin),
    Freeze(freeze::Freeze),
    Unfreeze(freeze::Unfreeze),
    Failover(failover::Failover),
    Failback(failover::Failback),
    Probe(probe::Probe),
    History(history::History),
    #[command(subcommand)]
    Zone(zone::Zone),
    #[command(subcommand)]
    Acme(acme::Acme),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Delegation(delegation::Delegation),
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand)]
    State(state::State),
    Explain(shortcut::Explain),
    Drain(shortcut::Drain),
    Undrain(shortcut::Undrain),
    Unlatch(shortcut::Unlatch),
    Completions(generate::Completions),
    Man(generate::Man),
}

/// Does what the command line says. The caller hands the code to the system.
pub fn run() -> ExitCode {
    // First of all: a service manager may send a hangup before the command line is read.
    serve::hold_hangups();
    // A shell that completes a command line runs this program with COMPLETE set; it ends here.
    CompleteEnv::with_factory(Cli::command).complete();
    let cli = Cli::parse();
    if !matches!(cli.command, Command::Serve(_)) {
        serve::let_hangups_through();
    }
    match dispatch(&cli) {
        Ok(code) => code,
        Err(failure) => {
            session::report(&failure, cli.common.json);
            failure.exit()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<ExitCode, Failure> {
    let session = Session::new(&cli.common.socket, cli.common.json)?;
    let session = &session;
    match &cli.command {
        Command::Serve(it) => Ok(it.run()),
        Command::Demo(it) => Ok(it.run()),
        Command::Status(it) => it.run(session),
        Command::Route(it) => it.run(session),
        Command::Pool(it) => it.run(session),
        Command::Target(it) => it.run(session),
        Command::Pin(it) => it.run(session),
        Command::Unpin(it) => it.run(session),
        Command::Freeze(it) => it.run(session),
        Command::Unfreeze(it) => it.run(session),
        Command::Failover(it) => it.run(session),
        Command::Failback(it) => it.run(session),
        Command::Probe(it) => it.run(session),
        Command::History(it) => it.run(session),
        Command::Zone(it) => it.run(session),
        Command::Acme(it) => it.run(session),
        Command::Key(it) => it.run(session),
        Command::Delegation(it) => it.run(session),
        Command::Config(it) => it.run(session),
        Command::State(it) => it.run(session),
        Command::Domain(it) => it.run(session),
        Command::Explain(it) => it.run(session),
        Command::Drain(it) => it.run(session),
        Command::Undrain(it) => it.run(session),
        Command::Unlatch(it) => it.run(session),
        Command::Completions(it) => it.run(session),
        Command::Man(it) => it.run(Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_says_what_it_does() {
        let command = Cli::command();
        command.clone().debug_assert();
        let mut left = vec![command];
        while let Some(command) = left.pop() {
            let name = command.get_name().to_owned();
            assert!(command.get_about().is_some(), "{name} says nothing");
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some() || argument.is_hide_set(),
                    "{name}: {} says nothing",
                    argument.get_id()
                );
            }
            left.extend(command.get_subcommands().cloned());
        }
    }
}
