//! Listeners that fail: the others go on, and an alarm names the one that does not.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use nix::sys::signal::Signal;

use crate::dns::query;
use crate::server::{Place, Pools, Server, configuration, names};
use crate::tool::tool;

fn alarm(server: &Server) -> String {
    let status = server.status();
    let alarms = status["alarms"].as_array().unwrap();
    let alarm = alarms
        .iter()
        .find(|alarm| alarm["kind"] == "listener-failed");
    alarm.unwrap_or_else(|| panic!("{status}")).to_string()
}

#[test]
fn an_address_that_cannot_be_had_does_not_take_the_others_down() {
    let pools = Pools::new();
    let taken = TcpListener::bind("127.0.0.31:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = configuration(&pools, &names(1), 30);
    let listen = format!("192.0.2.1:5353\", \"127.0.0.31:{port}\", \"127.0.0.1:0");
    let place = Place::new(&text.replace("127.0.0.1:0", &listen));
    let server = place.begin(place.command());
    server.logged("taking commands on");
    for failed in [
        "cannot listen on udp 192.0.2.1:5353: the address is not one of this machine's; the other listeners go on",
        &format!(
            "cannot listen on tcp 127.0.0.31:{port}: the port is taken; the other listeners go on"
        ),
    ] {
        server.logged(failed);
        assert!(server.status()["alarms"].to_string().contains(failed));
    }
    assert!(alarm(&server).contains("it is tried again every 30 s and at SIGHUP"));
    // UDP of the second address is served all the same.
    let line = server.logged("answering on 127.0.0.1:");
    let own = line.split_whitespace().last().unwrap().parse().unwrap();
    let half = format!("127.0.0.31:{port}").parse().unwrap();
    for address in [own, half] {
        let answer = crate::server::ask(address, "route1.contoso.com", "SOA").unwrap();
        assert_eq!(answer.rcode, 0);
    }
}

#[test]
fn an_address_that_can_be_had_later_is_listened_on_and_its_alarm_ends() {
    let pools = Pools::new();
    let taken = TcpListener::bind("127.0.0.32:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = configuration(&pools, &names(1), 30);
    let listen = format!("{address}\", \"192.0.2.1:5353\", \"127.0.0.1:0");
    let place = Place::new(&text.replace("127.0.0.1:0", &listen));
    let server = place.begin(place.command());
    server.logged("taking commands on");
    let failed = || server.status()["alarms"].to_string();
    let of_tcp = format!("cannot listen on tcp {address}");
    assert!(failed().contains(&of_tcp));
    // Nobody answers while the port is another's; afterwards a hangup is enough.
    drop(taken);
    server.signal(Signal::SIGHUP);
    server.logged(&format!("listening on tcp {address}"));
    server.until("the end of the alarm", |_| !failed().contains(&of_tcp));
    assert!(failed().contains("cannot listen on udp 192.0.2.1:5353"));
    let length = |octets: &[u8]| u16::try_from(octets.len()).unwrap().to_be_bytes();
    let query = query("route1.contoso.com", "SOA").octets();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(&[&length(&query)[..], &query].concat())
        .unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert!(u16::from_be_bytes(head) > 12);
}

#[test]
fn without_any_listener_for_queries_it_does_not_start() {
    let pools = Pools::new();
    let text = configuration(&pools, &names(1), 30);
    let place = Place::new(&text.replace("127.0.0.1:0", "192.0.2.1:5353"));
    let mut server = place.begin(place.command());
    assert!(!server.ended().success());
    let line = server.logged("cannot serve: cannot listen on udp 192.0.2.1:5353");
    assert!(line.contains("write an address of this machine"), "{line}");
    server.logged("nothing is served by this process");
}

/// Hands four sockets over as a service manager does: two odd ones, and UDP and TCP on one port.
const HAND_OVER: &str = r#"
import os, socket, sys
odd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
pair = socket.create_server(("127.0.0.1", 0))
connected = socket.create_connection(pair.getsockname())
tcp = socket.create_server(("127.0.0.1", 0))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(tcp.getsockname())
for n, s in enumerate((odd, connected, udp, tcp)):
    os.dup2(s.fileno(), 40 + n)
for n in range(4):
    os.dup2(40 + n, 3 + n, inheritable=True)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "4"
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn an_odd_socket_of_the_service_manager_does_not_take_the_others_down() {
    let pools = Pools::new();
    let text = configuration(&pools, &names(1), 30);
    let place = Place::new(&text);
    let inner = place.command();
    let mut command = tool("/usr/bin/python3");
    command
        .args(["-c", HAND_OVER])
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(place.dir.path());
    let server = place.begin(command);
    server.logged("taking commands on");
    for number in [0, 1] {
        let failed = format!(
            "cannot listen on socket number {number} of those handed over by the service manager"
        );
        server.logged(&failed);
        assert!(server.status()["alarms"].to_string().contains(&failed));
    }
    let line = server.logged("answering on 127.0.0.1:");
    let address = line.split_whitespace().last().unwrap().parse().unwrap();
    let answer = crate::server::ask(address, "route1.contoso.com", "SOA").unwrap();
    assert_eq!(answer.rcode, 0);
}
