//! A network of its own for each story, so that ports 5269 and 53 are free and nothing can leave the machine.
//!
//! The test runs itself again inside new network, process and mount namespaces (`unshare`). There it is process 1: when
//! it ends, however it ends, the kernel ends everything it started, and the network is gone. Needs root.
//!
//! Never here: named namespaces, changes to the machine's own network or files.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use super::tool::{find, path_with_sbin, tool};
use crate::PROGRAMS;

/// Where a story may start a resolver; programs that read the system's settings ask it.
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// Set for the inner run: the scratch directory, which the outer run removes.
const INSIDE: &str = "REPOINT_WORLD_SCRATCH";

/// Tells the inner run which of several stories of one test it is.
const WHICH: &str = "REPOINT_WORLD_WHICH";

/// What a story reports to the outer run begins with this on a line of its own.
const REPORT: &str = "report: ";

/// Runs `story` in a private network, with a scratch directory of its own. `test` is the name of the calling test;
/// `limit` bounds the whole story, so that a hung server cannot hang the test run.
///
/// # Panics
/// When the story fails, with everything it printed; and when the namespaces cannot be made.
pub(crate) fn enter(test: &str, limit: Duration, story: impl FnOnce(&Path)) {
    let told = tell(|scratch, _| {
        story(scratch);
        "told".to_owned()
    });
    if !told {
        report_of(test, 0, limit);
    }
}

/// Runs one of many stories of one test, which may run at the same time, and gives the line that it reported. The test
/// itself must begin with [`tell`], which is where the inner run ends.
///
/// # Panics
/// As [`enter`] does.
pub(crate) fn report_of(test: &str, which: usize, limit: Duration) -> String {
    let said = outside(test, which, limit);
    said.lines()
        .find_map(|line| line.strip_prefix(REPORT))
        .expect("each story reports")
        .to_owned()
}

/// In the inner run of [`report_of`]: tells the story asked for, and gives true. Outside, does nothing.
pub(crate) fn tell(story: impl FnOnce(&Path, usize) -> String) -> bool {
    let Some(scratch) = std::env::var_os(INSIDE) else {
        return false;
    };
    let which = std::env::var(WHICH)
        .ok()
        .and_then(|w| w.parse().ok())
        .expect("set together with the scratch directory");
    set_up(Path::new(&scratch));
    println!("\n{REPORT}{}", story(Path::new(&scratch), which));
    true
}

/// Runs the test again inside, and gives what it printed.
fn outside(test: &str, which: usize, limit: Duration) -> String {
    require_root_and_programs();

    let scratch = tempfile::Builder::new()
        .prefix("repoint-world-")
        .tempdir()
        .expect("a scratch directory");
    let output = scratch.path().join("output");
    let file = File::create(&output).expect("the output file");
    // setpriv: should this test be killed, its namespaces go with it.
    let mut child = tool("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "--",
            "unshare",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
        ])
        .arg(std::env::current_exe().expect("the path of this test"))
        .args([
            test,
            "--exact",
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(INSIDE, scratch.path())
        .env(WHICH, which.to_string())
        .env("PATH", path_with_sbin())
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("the output file, twice"))
        .stderr(file)
        .spawn()
        .expect("setpriv and unshare of util-linux");

    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let (ended, end) = mpsc::channel();
    let waiter = std::thread::spawn(move || ended.send(child.wait()));
    let (status, late) = match end.recv_timeout(limit) {
        Ok(status) => (status, false),
        Err(_) => {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            (end.recv().expect("the waiting thread answers"), true)
        }
    };
    let _ = waiter.join();

    let said = fs::read_to_string(&output).unwrap_or_default();
    let passed = status.is_ok_and(|s| s.success()) && said.contains("test result: ok. 1 passed");
    if !passed && std::env::var_os("REPOINT_KEEP").is_some() {
        eprintln!("kept: {}", scratch.keep().display());
    }
    assert!(!late, "{test} took longer than {limit:?}:\n{said}");
    assert!(passed, "{test} failed in its private network:\n{said}");
    // Shown by --nocapture: what a story measured.
    println!("{said}");
    said
}

/// Brings loopback up and makes [`RESOLVER`] this network's resolver, for programs that read the system's settings.
fn set_up(scratch: &Path) {
    run("ip", &["link", "set", "lo", "up"]);
    // The mount namespace is ours alone: the machine keeps its files.
    for (target, text) in [
        ("/etc/resolv.conf", format!("nameserver {RESOLVER}\n")),
        ("/etc/nsswitch.conf", "hosts: files dns\n".to_owned()),
    ] {
        let source = scratch.join(Path::new(target).file_name().expect("a file name"));
        fs::write(&source, text).expect("the scratch directory is writable");
        run("mount", &["--bind", &source.to_string_lossy(), target]);
    }
}

/// Gives loopback an address that something here may listen on, and ask from; once more does no harm.
pub(crate) fn add_address(address: impl Into<IpAddr>) {
    let address = address.into();
    let with_prefix = format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 });
    let mut arguments = vec!["addr", "replace", &with_prefix, "dev", "lo"];
    if address.is_ipv6() {
        arguments.push("nodad");
    }
    run("ip", &arguments);
}

/// Runs a system tool to its end.
///
/// # Panics
/// When it fails, with what it said.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let out = tool(program).args(arguments).stdin(Stdio::null()).output();
    let out = out.unwrap_or_else(|e| panic!("cannot run {program}: {e}; scripts/test installs it"));
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {}{}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Fails, rather than skips, with everything that is missing in one message.
fn require_root_and_programs() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test needs root: it makes network namespaces and packet filters; run scripts/test as root"
    );
    let all = ["unshare", "setpriv", "mount", "ip"].iter().chain(PROGRAMS);
    let missing: Vec<String> = all.filter_map(|program| find(program).err()).collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
