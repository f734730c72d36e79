//! The program: hands the command line to the library and the exit code to the system.

use std::process::ExitCode;

fn main() -> ExitCode {
    repoint::cli::run()
}
