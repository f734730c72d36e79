//! The listeners: datagrams, connections, their limits, and how they stop.

#![allow(clippy::unwrap_used)]

mod dns;
#[path = "world/tool.rs"]
mod tool;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use dns::{HEAD, Response, query, read_now, zones};
use repoint::serve::{Authority, ListenFault, Listeners, Serving, TcpLimits, start};
use repoint::zone::Zones;
use tokio::runtime::Runtime;
use tool::myself_through;

/// Long enough for a busy machine; no test waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    runtime: Runtime,
    serving: Option<Serving>,
    published: Arc<ArcSwap<Zones>>,
    address: SocketAddr,
}

fn example() -> Zones {
    let mut file = format!("{HEAD}host A 192.0.2.1\nother A 192.0.2.2\n");
    for n in 0..200 {
        file.push_str(&format!("big TXT \"{n} {}\"\n", "x".repeat(200)));
    }
    zones(&[("example", &file)])
}

fn serve(address: &str, limits: TcpLimits) -> Server {
    serve_on(
        Listeners::bind(&[address.parse().unwrap()]).unwrap(),
        limits,
    )
}

fn serve_on(listeners: Listeners, limits: TcpLimits) -> Server {
    let runtime = Runtime::new().unwrap();
    let address = *listeners.tcp_addresses().first().unwrap();
    let published = Arc::new(ArcSwap::from_pointee(example()));
    let serving = runtime
        .block_on(async {
            start(
                listeners,
                Authority::new(published.clone(), read_now()),
                limits,
            )
        })
        .unwrap();
    Server {
        runtime,
        serving: Some(serving),
        published,
        address,
    }
}

impl Server {
    fn serving(&self) -> &Serving {
        self.serving.as_ref().unwrap()
    }

    fn stop(&mut self) {
        let serving = self.serving.take().unwrap();
        self.runtime.block_on(serving.shutdown());
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// Asks over UDP from a socket that hears nobody but `to`.
fn ask_udp(to: SocketAddr, name: &str) -> Response {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => "127.0.0.1".parse().unwrap(),
        SocketAddr::V6(_) => "::1".parse().unwrap(),
    };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send(&query(name, "A").octets()).unwrap();
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).unwrap();
    Response::read(&buffer[..length])
}

fn framed(name: &str, rtype: &str, id: u16) -> Vec<u8> {
    let mut query = query(name, rtype);
    query.id = id;
    let octets = query.octets();
    let mut frame = u16::try_from(octets.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(octets);
    frame
}

fn read_frame(stream: &mut TcpStream) -> Response {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets).unwrap();
    Response::read(&octets)
}

/// Whether the server closes the connection without another word.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn both_transports_answer_on_the_same_port_over_both_families() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = serve(address, TcpLimits::default());
        let response = ask_udp(server.address, "host.example.");
        assert_eq!(response.answers(), ["host.example. 3600 A 192.0.2.1"]);
        let mut stream = server.connect();
        stream.write_all(&framed("host.example.", "A", 9)).unwrap();
        assert_eq!(
            read_frame(&mut stream).answers(),
            ["host.example. 3600 A 192.0.2.1"]
        );
        let counts = server.serving().counts();
        assert_eq!(
            (counts.udp_queries, counts.tcp_queries, counts.noerror),
            (1, 1, 2)
        );
    }
}

#[test]
fn a_wildcard_bind_answers_from_the_address_that_was_asked() {
    let server = serve("0.0.0.0:0", TcpLimits::default());
    for address in ["127.0.0.1", "127.0.0.5", "127.200.3.4"] {
        let to = SocketAddr::new(address.parse().unwrap(), server.address.port());
        assert_eq!(ask_udp(to, "host.example.").rcode, 0, "{address}");
    }
    let server = serve("[::]:0", TcpLimits::default());
    let to = SocketAddr::new("::1".parse().unwrap(), server.address.port());
    assert_eq!(ask_udp(to, "host.example.").rcode, 0);
}

#[test]
fn both_wildcards_can_share_a_port() {
    let first = Listeners::bind(&["0.0.0.0:0".parse().unwrap()]).unwrap();
    let port = first.tcp_addresses().first().unwrap().port();
    let both = first
        .with(&vec![SocketAddr::new("::".parse().unwrap(), port)].into())
        .unwrap();
    assert_eq!(both.tcp_addresses().len(), 2);
    assert_eq!(both.udp_addresses(), both.tcp_addresses());
}

#[test]
fn a_taken_port_is_reported_for_each_transport_even_when_its_owner_shares_it() {
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = *listeners.tcp_addresses().first().unwrap();
    let errors = Listeners::bind(&[address]).unwrap_err();
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            format!("cannot listen on udp {address}: the port is taken"),
            format!("cannot listen on tcp {address}: the port is taken")
        ]
    );
    assert!(
        errors[0]
            .mend()
            .contains(&format!("sport = :{}", address.port()))
    );
}

#[test]
fn an_address_of_another_machine_is_reported() {
    let errors = Listeners::bind(&["192.0.2.1:5300".parse().unwrap()]).unwrap_err();
    assert_eq!(errors.len(), 2);
    assert!(matches!(errors[0].reason, ListenFault::NotHere));
}

#[test]
fn a_publication_is_answered_from_at_once() {
    let server = serve("127.0.0.1:0", TcpLimits::default());
    assert_eq!(ask_udp(server.address, "new.example.").rcode, 3);
    let file = format!("{HEAD}new A 192.0.2.7\n");
    server
        .published
        .store(Arc::new(zones(&[("example", &file)])));
    assert_eq!(ask_udp(server.address, "new.example.").answers().len(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = serve("127.0.0.1:0", TcpLimits::default());
    let mut stream = server.connect();
    let mut requests = Vec::new();
    for id in 0..300 {
        let (name, rtype) = if id % 3 == 0 {
            ("big.example.", "TXT")
        } else {
            ("host.example.", "A")
        };
        requests.extend(framed(name, rtype, id));
    }
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&requests).unwrap());
    for id in 0..300 {
        let response = read_frame(&mut stream);
        assert_eq!(response.id, id);
        assert!(!response.tc && response.rcode == 0);
        assert_eq!(response.answers().len(), if id % 3 == 0 { 200 } else { 1 });
    }
    writing.join().unwrap();
}

#[test]
fn a_client_that_closes_its_side_still_gets_its_answers() {
    let server = serve("127.0.0.1:0", TcpLimits::default());
    let mut stream = server.connect();
    let mut requests = framed("host.example.", "A", 1);
    requests.extend(framed("other.example.", "A", 2));
    stream.write_all(&requests).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_frame(&mut stream).id, 1);
    assert_eq!(read_frame(&mut stream).id, 2);
    assert!(is_closed(&mut stream));
}

#[test]
fn a_request_may_arrive_octet_by_octet() {
    let server = serve("127.0.0.1:0", TcpLimits::default());
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for octet in framed("host.example.", "A", 5) {
        stream.write_all(&[octet]).unwrap();
    }
    assert_eq!(read_frame(&mut stream).id, 5);
}

#[test]
fn an_idle_connection_is_closed() {
    let limits = TcpLimits {
        idle: Duration::from_millis(100),
        ..TcpLimits::default()
    };
    let server = serve("127.0.0.1:0", limits);
    let mut stream = server.connect();
    assert!(is_closed(&mut stream));
    assert_eq!(server.serving().counts().tcp_too_slow, 0);
}

#[test]
fn octets_that_drip_in_do_not_keep_a_connection() {
    let limits = TcpLimits {
        read: Duration::from_millis(200),
        ..TcpLimits::default()
    };
    let server = serve("127.0.0.1:0", limits);
    let mut stream = server.connect();
    stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    stream.write_all(&[0xff]).unwrap();
    let start = Instant::now();
    loop {
        // The peer may be gone between two writes.
        if stream.write_all(&[0]).is_err() {
            break;
        }
        match stream.read(&mut [0; 64]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
        assert!(start.elapsed() < PATIENCE, "the connection is never closed");
    }
    wait_until("the slow client is counted", || {
        server.serving().counts().tcp_too_slow == 1
    });
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let limits = TcpLimits {
        write: Duration::from_millis(200),
        ..TcpLimits::default()
    };
    let server = serve("127.0.0.1:0", limits);
    let mut stream = server.connect();
    stream
        .set_write_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let request = framed("big.example.", "TXT", 1);
    wait_until("the connection is closed", || {
        let _ = stream.write(&request);
        server.serving().counts().tcp_too_slow == 1
    });
}

#[test]
fn one_address_gets_no_more_than_its_share_of_connections() {
    let limits = TcpLimits {
        per_address: 3,
        ..TcpLimits::default()
    };
    let server = serve("0.0.0.0:0", limits);
    let to = |address: &str| SocketAddr::new(address.parse().unwrap(), server.address.port());
    let mut streams: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = TcpStream::connect(to("127.0.0.1")).unwrap();
            stream.write_all(&framed("host.example.", "A", 1)).unwrap();
            assert_eq!(read_frame(&mut stream).rcode, 0);
            stream
        })
        .collect();
    let mut fourth = TcpStream::connect(to("127.0.0.1")).unwrap();
    assert!(is_closed(&mut fourth));
    assert_eq!(server.serving().counts().tcp_over_share, 1);
    // Another address has its own share.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other
        .bind(&"127.0.0.9:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    other.connect(&to("127.0.0.1").into()).unwrap();
    let mut other: TcpStream = other.into();
    other.write_all(&framed("host.example.", "A", 1)).unwrap();
    assert_eq!(read_frame(&mut other).rcode, 0);
    // A place given back can be taken again.
    drop(streams.pop());
    wait_until("a place is free again", || {
        let mut stream = TcpStream::connect(to("127.0.0.1")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&framed("host.example.", "A", 1)).is_ok()
            && stream.read(&mut [0; 1]).is_ok_and(|n| n == 1)
    });
}

#[test]
fn beyond_the_limit_of_all_connections_clients_wait_their_turn() {
    let limits = TcpLimits {
        connections: 2,
        idle_when_short: PATIENCE,
        ..TcpLimits::default()
    };
    let server = serve("127.0.0.1:0", limits);
    let mut first = server.connect();
    let mut second = server.connect();
    for stream in [&mut first, &mut second] {
        stream.write_all(&framed("host.example.", "A", 1)).unwrap();
        assert_eq!(read_frame(stream).rcode, 0);
    }
    let mut third = server.connect();
    third.write_all(&framed("host.example.", "A", 3)).unwrap();
    wait_until("the third is there", || {
        server.serving().counts().tcp_connections == 3
    });
    assert_eq!(server.serving().counts().tcp_queries, 2);
    drop(first);
    assert_eq!(read_frame(&mut third).id, 3);
}

#[test]
fn a_listener_that_waits_takes_no_place_from_another() {
    let limits = TcpLimits {
        connections: 1,
        ..TcpLimits::default()
    };
    let both = ["127.0.0.1:0", "127.0.0.2:0"].map(|address| address.parse().unwrap());
    let listeners = Listeners::bind(&both).unwrap();
    let addresses = listeners.tcp_addresses();
    let _server = serve_on(listeners, limits);
    for address in addresses {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&framed("host.example.", "A", 3)).unwrap();
        assert_eq!(read_frame(&mut stream).id, 3);
    }
}

#[test]
fn clients_that_never_cease_to_ask_do_not_keep_others_out() {
    let limits = TcpLimits {
        connections: 1,
        idle: PATIENCE * 2,
        idle_when_short: PATIENCE * 2,
        ..TcpLimits::default()
    };
    let server = serve("127.0.0.1:0", limits);
    let mut first = server.connect();
    first.write_all(&framed("host.example.", "A", 1)).unwrap();
    assert_eq!(read_frame(&mut first).id, 1);
    let mut second = server.connect();
    second.write_all(&framed("host.example.", "A", 2)).unwrap();
    // The first asks on and on, always with the beginning of one more request, until it is closed.
    let request = framed("host.example.", "A", 3);
    let rest_and_begin = [&request[1..], &request[..1]].concat();
    let _ = first.write_all(&request[..1]);
    let asking = std::thread::spawn(move || {
        let mut octets = [0; 512];
        while first.write_all(&rest_and_begin).is_ok() && matches!(first.read(&mut octets), Ok(1..))
        {
        }
    });
    assert_eq!(read_frame(&mut second).id, 2);
    drop(second);
    asking.join().unwrap();
}

#[test]
fn idle_connections_go_sooner_when_room_is_short() {
    let limits = TcpLimits {
        connections: 1,
        idle: PATIENCE * 10,
        idle_when_short: Duration::from_millis(50),
        ..TcpLimits::default()
    };
    let server = serve("127.0.0.1:0", limits);
    let mut hog = server.connect();
    let mut next = server.connect();
    next.write_all(&framed("host.example.", "A", 3)).unwrap();
    assert!(is_closed(&mut hog));
    assert_eq!(read_frame(&mut next).id, 3);
}

#[test]
fn requests_that_do_not_arrive_go_sooner_when_room_is_short() {
    let limits = TcpLimits {
        connections: 1,
        idle: PATIENCE * 10,
        read: PATIENCE * 10,
        idle_when_short: Duration::from_secs(1),
        ..TcpLimits::default()
    };
    let server = serve("127.0.0.1:0", limits);
    let mut hog = server.connect();
    hog.write_all(&[0]).unwrap();
    let mut next = server.connect();
    next.write_all(&framed("host.example.", "A", 3)).unwrap();
    assert!(is_closed(&mut hog));
    assert_eq!(read_frame(&mut next).id, 3);
    assert_eq!(server.serving().counts().tcp_too_slow, 1);
}

#[test]
fn garbage_over_tcp_ends_the_connection() {
    let server = serve("127.0.0.1:0", TcpLimits::default());
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(is_closed(&mut stream));
    let mut short = server.connect();
    short.write_all(&[0, 3, 1, 2, 3]).unwrap();
    assert!(is_closed(&mut short));
}

#[test]
fn a_request_that_has_begun_is_answered_before_the_server_stops() {
    let mut server = serve("127.0.0.1:0", TcpLimits::default());
    let mut idle = server.connect();
    let mut midway = server.connect();
    let request = framed("host.example.", "A", 8);
    midway.write_all(&request[..10]).unwrap();
    // Ordered after the first octets of the other connection, so both are known to the server.
    idle.write_all(&framed("host.example.", "A", 1)).unwrap();
    assert_eq!(read_frame(&mut idle).id, 1);
    wait_until("both are accepted", || {
        server.serving().counts().tcp_connections == 2
    });
    let rest = request[10..].to_vec();
    let client = std::thread::spawn(move || {
        assert!(is_closed(&mut idle));
        midway.write_all(&rest).unwrap();
        assert_eq!(read_frame(&mut midway).id, 8);
        assert!(is_closed(&mut midway));
    });
    server.stop();
    client.join().unwrap();
    let again = TcpStream::connect(server.address);
    assert!(again.is_err(), "nobody listens any more");
}

#[test]
fn datagrams_that_arrived_are_answered_before_the_server_stops() {
    for _ in 0..20 {
        let mut server = serve("127.0.0.1:0", TcpLimits::default());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        for _ in 0..50 {
            socket
                .send_to(&query("host.example.", "A").octets(), server.address)
                .unwrap();
        }
        server.stop();
        for _ in 0..50 {
            socket.recv(&mut [0; 512]).unwrap();
        }
    }
}

/// What a service manager does: bound sockets from descriptor 3 on, and their number in the environment.
const HAND_OVER: &str = "import os, socket, sys
family, host = (socket.AF_INET, '127.0.0.1') if sys.argv[1] == 'ipv4' else (socket.AF_INET6, '::')
sockets = []
for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
    s = socket.socket(family, kind)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind((host, 0))
    if kind == socket.SOCK_STREAM:
        s.listen()
    elif sys.argv[1] == 'talkative':
        s.setsockopt(socket.IPPROTO_IP, 8, 1)
        s.setsockopt(socket.SOL_SOCKET, 29, 1)
        s.setsockopt(socket.SOL_SOCKET, 40, 1)
        s.setsockopt(socket.IPPROTO_IP, 12, 1)
    sockets.append(s)
for n, s in enumerate(sockets):
    os.dup2(s.fileno(), 103 + n)
for n in range(2):
    os.dup2(103 + n, 3 + n)
os.environ['LISTEN_FDS'] = '2'
os.environ['LISTEN_PID'] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn sockets_handed_over_are_served() {
    let mut child = Child::start(&["/usr/bin/python3", "-c", HAND_OVER, "ipv4"]);
    let (udp, tcp) = (child.line("udp"), child.line("tcp"));
    assert_ne!(udp, tcp);
    assert_eq!(ask_udp(udp, "host.example.").rcode, 0);
    let mut stream = TcpStream::connect(tcp).unwrap();
    stream.write_all(&framed("host.example.", "A", 4)).unwrap();
    assert_eq!(read_frame(&mut stream).id, 4);
}

#[test]
fn a_socket_for_both_families_answers_from_the_address_that_was_asked() {
    let mut child = Child::start(&["/usr/bin/python3", "-c", HAND_OVER, "both"]);
    let port = child.line("udp").port();
    for address in ["127.0.0.1", "127.0.0.5", "::1"] {
        let to = SocketAddr::new(address.parse().unwrap(), port);
        assert_eq!(ask_udp(to, "host.example.").rcode, 0, "{address}");
    }
}

/// Socket units can switch such information on (PassPacketInfo=, Timestamping=); it comes ahead of ours.
#[test]
fn information_that_the_service_manager_asked_for_does_not_hide_ours() {
    let mut child = Child::start(&["/usr/bin/python3", "-c", HAND_OVER, "talkative"]);
    let port = child.line("udp").port();
    for address in ["127.0.0.1", "127.0.0.5", "::1"] {
        let to = SocketAddr::new(address.parse().unwrap(), port);
        assert_eq!(ask_udp(to, "host.example.").rcode, 0, "{address}");
    }
}

#[test]
fn running_out_of_file_descriptors_stops_neither_udp_nor_tcp_for_good() {
    let mut child = Child::start(&["prlimit", "--nofile=24:24"]);
    let (udp, tcp) = (child.line("udp"), child.line("tcp"));
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(TcpStream::connect(tcp).unwrap());
    }
    // Some of them are answered, some wait for a descriptor; datagrams do not care.
    for _ in 0..10 {
        assert_eq!(ask_udp(udp, "host.example.").rcode, 0);
    }
    drop(held);
    let mut stream = TcpStream::connect(tcp).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&framed("host.example.", "A", 6)).unwrap();
    assert_eq!(read_frame(&mut stream).id, 6);
}

/// This test program again, as a server in a process of its own.
struct Child {
    process: std::process::Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Child {
    fn start(through: &[&str]) -> Child {
        let mut process = myself_through(through)
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "the_server_of_other_tests",
            ])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
        Child { process, lines }
    }

    fn line(&mut self, word: &str) -> SocketAddr {
        loop {
            let line = self
                .lines
                .next()
                .expect("the server says where it listens")
                .unwrap();
            if let Some((_, address)) = line.split_once(&format!("{word}=")) {
                return address.trim().parse().unwrap();
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "serves for other tests, in a process of its own"]
fn the_server_of_other_tests() {
    let inherited = Listeners::from_inherited();
    let listeners = if inherited.is_empty() {
        inherited
            .with(&vec!["127.0.0.1:0".parse().unwrap()].into())
            .unwrap()
    } else {
        let (udp, tcp) = (inherited.udp_addresses(), inherited.tcp_addresses());
        assert_eq!((udp.len(), tcp.len()), (1, 1));
        inherited
    };
    println!("\nudp={}", listeners.udp_addresses().first().unwrap());
    println!("tcp={}", listeners.tcp_addresses().first().unwrap());
    let limits = TcpLimits {
        idle: Duration::from_secs(2),
        ..TcpLimits::default()
    };
    let _server = serve_on(listeners, limits);
    // Until the test that started us is done.
    let _ = std::io::stdin().read(&mut [0; 1]);
}

#[test]
fn a_port_that_only_tcp_uses_is_no_obstacle_to_port_zero() {
    // Port 0 looks for one that is free for both transports; some are taken for UDP only.
    let taken: Vec<UdpSocket> = (0..64)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let port = listeners.tcp_addresses().first().unwrap().port();
    assert!(
        taken
            .iter()
            .all(|socket| socket.local_addr().unwrap().port() != port)
    );
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err());
}
