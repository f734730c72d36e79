//! What the command line finds out by itself: names for a shell to complete, the file of the server.

use std::path::Path;

use crate::site::{Site, text};

/// What a shell offers for the last of these words.
pub(crate) fn offered(socket: &Path, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_repoint"))
        .arg("--")
        .args(words)
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", index)
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "false")
        .env("_CLAP_IFS", "\n")
        .env("REPOINT_SOCKET", socket)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    said.lines().map(str::to_owned).collect()
}

#[test]
fn completions_offer_what_the_running_server_has() {
    let site = Site::start();
    let socket = site.path("control.sock");
    let offered = |words: &[&str]| offered(&socket, words);
    assert_eq!(offered(&["repoint", "pin", "con"]), ["contoso"]);
    assert_eq!(
        offered(&["repoint", "pin", "contoso", "edge"]),
        ["edgepool1", "edgepool2"]
    );
    assert_eq!(
        offered(&["repoint", "pool", "drain", "edgepool2"]),
        ["edgepool2"]
    );
    assert_eq!(
        offered(&["repoint", "failover", "contoso", "--to", "edgepool1"]),
        ["edgepool1"]
    );
    assert_eq!(offered(&["repoint", "unp"]), ["unpin"]);
}

#[test]
fn config_check_without_a_file_checks_that_of_the_running_server() {
    let site = Site::start();
    let output = site.run(&["config", "check"]);
    let talk = text(&output.stderr);
    assert_eq!(
        talk,
        format!("checking {}\n", site.configuration().display())
    );
    assert!(text(&output.stdout).contains("can be used"), "{output:?}");
}
