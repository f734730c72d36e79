//! The demonstration, as a new user runs it.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_repoint"))
        .arg("demo")
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn every_step_of_the_story_is_seen_in_dns_answers() {
    let output = demo(&[
        "--scripted",
        "--listen=127.0.93.1:5300",
        "--pool1=127.0.91.1",
        "--pool2=127.0.92.1",
    ]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(told.matches("seen after").count(), 3, "{told}");
}

#[test]
fn a_port_that_is_taken_is_named_with_a_way_out() {
    let taken = TcpListener::bind("127.0.94.1:5269").unwrap();
    let output = demo(&[
        "--scripted",
        "--listen=127.0.93.2:5300",
        "--pool1=127.0.94.1",
    ]);
    drop(taken);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "cannot start pool1",
        "127.0.94.1:5269",
        "in use",
        "--pool1",
        "nothing was started",
    ] {
        assert!(
            said.to_lowercase().contains(part),
            "{part:?} is missing in: {said}"
        );
    }
}

#[test]
fn a_taken_dns_port_is_named_and_nothing_stays_behind() {
    let taken = std::net::UdpSocket::bind("127.0.93.3:5300").unwrap();
    let output = demo(&[
        "--scripted",
        "--listen=127.0.93.3:5300",
        "--pool1=127.0.95.1",
        "--pool2=127.0.96.1",
    ]);
    drop(taken);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("127.0.93.3:5300") && said.contains("--listen"),
        "{said}"
    );
}
