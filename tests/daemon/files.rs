//! Files that a configuration names and that cannot be read: the server answers on, reloads nothing, and ends when it is
//! told to.

use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::server::{Place, Pools, Server, configuration, names};

/// A FIFO in place of a file: whoever opens it as a file waits for its other end.
fn fifo(path: &Path) {
    // It may not be there yet.
    let _ = std::fs::remove_file(path);
    nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap();
}

fn good() -> String {
    let secret =
        "[[tsig]]\nname = \"k.example\"\nalgorithm = \"hmac-sha256\"\nsecret_file = \"k.secret\"\n";
    format!("{}{secret}", configuration(&Pools::new(), &names(1), 30))
}

fn place() -> Place {
    let place = Place::new(&good());
    let secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=\n";
    std::fs::write(place.file("k.secret"), secret).unwrap();
    place
}

fn refuses_and_ends(mut server: Server, what: &str) {
    server.signal(Signal::SIGHUP);
    server.until("the alarm", |server| {
        server.alarms().contains(&"config-rejected".to_owned())
    });
    assert_eq!(server.active("route1"), "pool1", "{what}: it answers on");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended().code(), Some(0), "{what}:\n{}", server.log());
}

#[test]
fn a_fifo_or_a_device_in_place_of_a_file_is_refused_and_the_server_ends_when_told() {
    let domains = good().replace(
        "domains = [\"route1.contoso.com\"]",
        "domains_file = \"bad\"",
    );
    let zone = format!(
        "{}[[zone]]\napex = \"fabrikam.com\"\nfile = \"bad\"\n",
        good()
    );
    let authorities = good().replace("depth = \"tcp\"", "depth = \"tcp\"\nca = \"bad\"");
    let secret = good().replace("k.secret", "bad");
    let cookie = good().replace("[dns]", "[dns]\ncookie_secret = \"bad\"");
    for (what, text) in [
        ("domains", domains),
        ("zone", zone),
        ("authorities", authorities),
        ("secret", secret),
        ("cookie", cookie),
    ] {
        let place = place();
        let server = place.start();
        fifo(&place.file("bad"));
        place.configure(&text);
        refuses_and_ends(server, what);
    }
    let place = place();
    let server = place.start();
    fifo(&place.file("repoint.toml"));
    refuses_and_ends(server, "the configuration itself");
    for device in ["/dev/zero", "/dev/stdin", "/dev/null", "/proc/self/fd/0"] {
        let server = {
            std::fs::remove_file(place.file("repoint.toml")).unwrap();
            place.configure(&good());
            place.start()
        };
        place.configure(&good().replace("k.secret", device));
        refuses_and_ends(server, device);
    }
}

#[test]
fn a_start_with_a_fifo_serves_what_was_accepted_last() {
    let place = place();
    drop(place.start());
    fifo(&place.file("k.secret"));
    let server = place.start();
    assert_eq!(server.active("route1"), "pool1");
    assert!(server.alarms().contains(&"config-rejected".to_owned()));
    drop(server);
    fifo(&place.file("repoint.toml"));
    let mut command = place.command();
    command.args(["--state", "state"]);
    let mut server = place.begin(command);
    server.address = server.answering();
    assert_eq!(server.active("route1"), "pool1");
}

#[test]
fn a_hangup_during_the_start_does_not_end_the_process() {
    let place = Place::new(&configuration(&Pools::new(), &names(40), 30));
    for _ in 0..5 {
        let mut server = place.begin(place.command());
        // From the moment on that the process listens to it.
        while !server.catches(Signal::SIGHUP) {
            std::thread::yield_now();
        }
        for _ in 0..3 {
            server.signal(Signal::SIGHUP);
        }
        server.address = server.answering();
        assert_eq!(server.active("route1"), "pool1");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.ended().code(), Some(0));
    }
}
