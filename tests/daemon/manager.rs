//! What the service manager sees and does: notifications, reloads, sockets handed over.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;

use crate::dns::{Response, query};
use crate::server::{PATIENCE, Place, Pools, active, configuration, names};
use crate::tool::tool;

#[test]
fn a_hangup_puts_a_good_file_in_force_and_a_bad_one_changes_nothing() {
    let pools = Pools::new();
    let good = configuration(&pools, &names(1), 30);
    let place = Place::new(&good);
    let mut server = place.start();
    let ttl = |server: &crate::server::Server| {
        let response = server.ask("_xmpp-server._tcp.route1.contoso.com", "SRV");
        response.records[0].ttl
    };
    assert_eq!(ttl(&server), 30);
    place.configure(&configuration(&pools, &names(1), 77));
    server.signal(Signal::SIGHUP);
    server.until("the new TTL", |server| ttl(server) == 77);

    place.configure(&good.replace("pool2\"]", "pol2\"]"));
    server.signal(Signal::SIGHUP);
    server.until("the alarm", |server| {
        server.alarms().contains(&"config-rejected".to_owned())
    });
    assert_eq!(ttl(&server), 77);
    let (code, refusal) =
        server.control("POST", "/v1/configuration/reload", &serde_json::json!({}));
    assert_eq!(
        (code, &refusal["code"]),
        (400, &"config-rejected".into()),
        "{refusal}"
    );
    assert!(
        refusal["why"].as_str().unwrap().contains("pol2"),
        "{refusal}"
    );

    place.configure(&good);
    server.signal(Signal::SIGHUP);
    server.until("the old TTL", |server| ttl(server) == 30);
    server.until("the end of the alarm", |server| {
        !server.alarms().contains(&"config-rejected".to_owned())
    });
    place.configure("[server]\nstate = 'state'\nwhat is this");
    server.kill_9();
    let server = place.start();
    assert_eq!(
        ttl(&server),
        30,
        "what was reloaded last is what was accepted last"
    );
}

#[test]
fn the_service_manager_hears_of_every_stage() {
    let place = Place::new(&configuration(&Pools::new(), &names(1), 30));
    let notify = UnixDatagram::bind(place.file("notify")).unwrap();
    notify.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = |wanted: &str| loop {
        let mut buffer = [0; 1024];
        let size = notify
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("{wanted}: {error}"));
        let message = String::from_utf8_lossy(&buffer[..size]).into_owned();
        if message.lines().any(|line| line == wanted) {
            return message;
        }
    };
    let mut command = place.command();
    command
        .env("NOTIFY_SOCKET", place.file("notify"))
        .env("WATCHDOG_USEC", "200000");
    let mut server = place.begin(command);
    let ready = heard("READY=1");
    assert!(
        ready.contains("STATUS=serving 1 zones for 1 routes"),
        "{ready}"
    );
    server.address = server.answering();
    assert_eq!(
        server.active("route1"),
        "pool1",
        "it answers when it says so"
    );
    heard("WATCHDOG=1");
    heard("WATCHDOG=1");
    server.signal(Signal::SIGHUP);
    let reloading = heard("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    heard("READY=1");
    server.signal(Signal::SIGTERM);
    heard("STOPPING=1");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn queries_wait_across_a_restart_when_the_service_manager_holds_the_sockets() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    for fd in [udp.as_fd(), tcp.as_fd()] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    }
    let text = configuration(&Pools::new(), &names(1), 30)
        .replace("\"127.0.0.1:0\"", &format!("\"{address}\""));
    let place = Place::new(&text);
    // As systemd does it: sockets from descriptor 3 on, and the process's own number.
    let script = format!(
        "exec 3<&{} 4<&{}; export LISTEN_FDS=2 LISTEN_PID=$$; exec {} serve --config repoint.toml",
        udp.as_raw_fd(),
        tcp.as_raw_fd(),
        env!("CARGO_BIN_EXE_repoint")
    );
    let start = || {
        let mut command = tool("bash");
        command.args(["-c", &script]).current_dir(place.dir.path());
        place.begin(command)
    };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(address).unwrap();
    let octets = query("_xmpp-server._tcp.route1.contoso.com", "SRV").octets();
    let answer = || {
        let mut buffer = [0; 4096];
        let size = client
            .recv(&mut buffer)
            .expect("the query waits and is answered");
        active(&Response::read(&buffer[..size]))
    };

    // The first query is there before the first server.
    client.send(&octets).unwrap();
    let mut server = start();
    assert_eq!(answer(), "pool1");
    server.logged("taking commands on");
    assert_eq!(server.pin("route1", "pool2", "").0, 200);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended().code(), Some(0));
    client.send(&octets).unwrap();
    let _server = start();
    assert_eq!(answer(), "pool2");
}
