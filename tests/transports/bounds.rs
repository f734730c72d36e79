//! Every wait of the encrypted transports has an end, and every connection counts: the server in this process, with
//! limits that are soon met.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use openssl::ssl::{ErrorCode, SslStream};
use repoint::serve::{
    Addresses, Authority, Certificate, Counts, Encryption, Identity, Listeners, Serving, TcpLimits,
    Transport, start_with,
};
use tokio::runtime::Runtime;

use crate::client::{DOT, Offer, connect, framed, read_frame};
use crate::dns::{HEAD, read_now, zones};
use crate::hostile::{HALF, from, is_ended};
use crate::made::made;
use crate::quic;
use crate::server::PATIENCE;

const H1: Offer = Offer {
    protocols: b"\x08http/1.1",
    newest: None,
};
const H2: Offer = Offer {
    protocols: b"\x02h2",
    newest: None,
};
/// The preface of HTTP/2 with empty settings (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Soon, and longer than a busy machine needs for one exchange.
const SOON: Duration = Duration::from_millis(700);

/// Limits that nothing meets.
pub(crate) fn patient() -> TcpLimits {
    TcpLimits {
        connections: 100,
        per_address: 100,
        idle: PATIENCE * 10,
        idle_when_short: PATIENCE * 10,
        read: PATIENCE * 10,
        write: PATIENCE * 10,
        transfer: PATIENCE * 10,
        drain: Duration::ZERO,
    }
}

pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    serving: Serving,
    pub(crate) plain: SocketAddr,
    tls: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) quic: SocketAddr,
}

pub(crate) fn serve(limits: TcpLimits) -> Server {
    let mut zone = format!("{HEAD}host A 192.0.2.1\n");
    for n in 0..150 {
        zone.push_str(&format!("big TXT \"{n} {}\"\n", "x".repeat(200)));
    }
    for n in 0..270 {
        zone.push_str(&format!("huge TXT \"{n} {}\"\n", "x".repeat(200)));
    }
    let published = Arc::new(ArcSwap::from_pointee(zones(&[("other.example", &zone)])));
    let any = || vec!["127.0.0.1:0".parse().unwrap()];
    let addresses = Addresses {
        plain: any(),
        tls: any(),
        https: any(),
        quic: any(),
        workers: None,
    };
    let listeners = Listeners::default().with(&addresses).unwrap();
    let at = |transport| *listeners.addresses(transport).first().unwrap();
    let [plain, tls, https, quic] = [
        Transport::Tcp,
        Transport::Tls,
        Transport::Https,
        Transport::Quic,
    ]
    .map(at);
    let identity = Arc::new(Identity::default());
    let pair = made(1, -1, 89);
    identity.show(&Certificate::from_pem(&pair.chain, &pair.key).unwrap());
    let runtime = Runtime::new().unwrap();
    let encryption = Encryption {
        identity,
        runtime: runtime.handle().clone(),
    };
    let authority = Authority::new(published, read_now());
    let serving = runtime
        .block_on(async { start_with(listeners, authority, limits, encryption) })
        .unwrap();
    Server {
        runtime,
        serving,
        plain,
        tls,
        https,
        quic,
    }
}

impl Server {
    pub(crate) fn counts(&self) -> Counts {
        self.serving.counts()
    }

    /// Waits until the server has counted what it is asked about.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut(&Counts) -> bool) {
        let began = Instant::now();
        while !holds(&self.counts()) {
            assert!(began.elapsed() < PATIENCE, "{what}: {:?}", self.counts());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether one question on a connection of its own is answered.
    pub(crate) fn answers(&self, stream: &mut TcpStream) -> bool {
        let asked = stream.write_all(&framed("host.other.example", "A", 3));
        asked.is_ok() && read_frame(stream).is_ok_and(|response| response.id == 3)
    }

    fn answers_over_quic(&self) -> bool {
        self.runtime.block_on(async {
            let Ok(connection) = quic::connect(self.quic, b"doq").await else {
                return false;
            };
            let octets = framed("host.other.example", "A", 0);
            quic::exchange(&connection, &octets).await.is_ok()
        })
    }
}

/// Whether a connection ends in whatever form, and nothing is said on it.
fn ends_in_silence(stream: &mut SslStream<TcpStream>) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest.is_empty(),
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Somebody on the way who passes on the first datagram of a connection to the server, and none back: so do
/// connections look whose sender is forged.
fn first_datagram_only(source: &str, server: SocketAddr) -> (SocketAddr, Receiver<()>) {
    let way = UdpSocket::bind((source, 0)).unwrap();
    let address = way.local_addr().unwrap();
    let (tell, passed_on) = channel();
    std::thread::spawn(move || {
        let mut octets = [0; 2048];
        let (length, _) = way.recv_from(&mut octets).unwrap();
        way.send_to(&octets[..length], server).unwrap();
        let _ = tell.send(());
        // Its port stays taken as long as something may still come.
        way.set_read_timeout(Some(PATIENCE)).unwrap();
        while way.recv_from(&mut octets).is_ok() {}
    });
    (address, passed_on)
}

#[test]
fn a_handshake_that_does_not_end_gives_its_place_back() {
    let server = serve(TcpLimits {
        per_address: 1,
        read: SOON,
        ..patient()
    });
    for (n, source, address) in [(1, "127.0.0.7", server.tls), (2, "127.0.0.8", server.https)] {
        let mut held = from(source, address);
        held.write_all(HALF).unwrap();
        // One octet after the other makes it no younger.
        let began = Instant::now();
        held.set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        while held.write_all(&[0]).is_ok() {
            match held.read(&mut [0; 64]) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                _ => break,
            }
            assert!(began.elapsed() < PATIENCE, "it is never ended");
        }
        server.until("it is counted", |counts| counts.tcp_too_slow == n);
        server.until("its place is free", |_| {
            server.answers(&mut from(source, server.plain))
        });
    }
    let (way, _) = first_datagram_only("127.0.0.9", server.quic);
    let _inside = server.runtime.enter();
    let held = quic::begin(way, b"doq");
    server.until("the handshake is given up", |counts| {
        counts.tcp_too_slow == 3
    });
    server.until("its place is free", |_| {
        server.answers(&mut from("127.0.0.9", server.plain))
    });
    drop(held);
}

#[test]
fn connections_on_which_nothing_is_asked_are_ended() {
    let server = serve(TcpLimits {
        idle: SOON,
        write: SOON,
        ..patient()
    });
    // From their beginning.
    let mut silent = connect(server.tls, DOT).unwrap();
    let end = silent.ssl_read(&mut [0; 1]).unwrap_err();
    assert_eq!(end.code(), ErrorCode::ZERO_RETURN, "close_notify: {end}");
    assert!(ends_in_silence(&mut connect(server.https, H1).unwrap()));
    let mut http2 = connect(server.https, H2).unwrap();
    http2.write_all(PREFACE).unwrap();
    let mut rest = Vec::new();
    let _ = http2.read_to_end(&mut rest);
    assert!(
        rest.windows(2).any(|frame| frame == [0, 7]) || rest.contains(&7),
        "GOAWAY"
    );
    server.runtime.block_on(async {
        let connection = quic::connect(server.quic, b"doq").await.unwrap();
        let closed = tokio::time::timeout(PATIENCE, connection.closed()).await;
        closed.expect("it is ended");
    });
    // And after an answer.
    let mut stream = connect(server.tls, DOT).unwrap();
    stream
        .write_all(&framed("host.other.example", "A", 4))
        .unwrap();
    assert_eq!(read_frame(&mut stream).unwrap().id, 4);
    let end = stream.ssl_read(&mut [0; 1]).unwrap_err();
    assert_eq!(end.code(), ErrorCode::ZERO_RETURN, "close_notify: {end}");
    // To be idle is nobody's fault; not to go when told (GOAWAY) is.
    assert_eq!(server.counts().tcp_too_slow, 1);
}

#[test]
fn requests_that_drip_in_are_not_waited_for() {
    let server = serve(TcpLimits {
        read: SOON,
        idle: SOON,
        ..patient()
    });
    for (offer, address, begun) in [
        (DOT, server.tls, &b"\xff"[..]),
        (H1, server.https, b"GET /dns-query?dns="),
        (
            H1,
            server.https,
            b"POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-type: application/dns-message\r\ncontent-length: 60000\r\n\r\n",
        ),
    ] {
        let mut stream = connect(address, offer).unwrap();
        stream.write_all(begun).unwrap();
        let socket = stream.get_ref();
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let began = Instant::now();
        while stream.write_all(b"A").is_ok() {
            match stream.ssl_read(&mut [0; 64]) {
                Err(error) if error.code() == ErrorCode::WANT_READ => {}
                _ => break,
            }
            assert!(began.elapsed() < PATIENCE, "it is never ended");
        }
    }
}

#[test]
fn clients_that_take_no_answers_are_given_up() {
    let server = serve(TcpLimits {
        write: SOON,
        ..patient()
    });
    let mut stream = connect(server.tls, DOT).unwrap();
    let socket = stream.get_ref();
    socket
        .set_write_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let request = framed("big.other.example", "TXT", 1);
    server.until("the connection is given up", |counts| {
        let _ = stream.write(&request);
        counts.tcp_too_slow == 1
    });
    server.runtime.block_on(async {
        let connection = quic::connect(server.quic, b"doq").await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let octets = framed("big.other.example", "TXT", 0);
        send.write_all(&octets).await.unwrap();
        send.finish().unwrap();
        // Its answer is larger than what this client takes before it reads.
        let reset = tokio::time::timeout(PATIENCE, receive.received_reset());
        let code = reset.await.unwrap().unwrap();
        assert_eq!(code.map(u64::from), Some(4), "DOQ_EXCESSIVE_LOAD");
    });
    assert_eq!(server.counts().tcp_too_slow, 2);
}

#[test]
fn one_address_has_one_share_of_all_transports() {
    let server = serve(TcpLimits {
        per_address: 3,
        ..patient()
    });
    let tls = connect(server.tls, DOT).unwrap();
    let _https = connect(server.https, H1).unwrap();
    let held = server
        .runtime
        .block_on(quic::connect(server.quic, b"doq"))
        .unwrap();
    for address in [server.plain, server.tls, server.https] {
        assert!(is_ended(&mut from("127.0.0.1", address)));
    }
    assert!(!server.answers_over_quic(), "refused at once");
    server.until("all are counted", |counts| counts.tcp_over_share >= 4);
    assert!(server.answers(&mut from("127.0.0.9", server.plain)));
    drop(tls);
    server.until("a place is given back", |_| {
        server.answers(&mut from("127.0.0.1", server.plain))
    });
    drop(held);
}

#[test]
fn all_connections_together_have_a_limit() {
    let server = serve(TcpLimits {
        connections: 2,
        ..patient()
    });
    let tls = connect(server.tls, DOT).unwrap();
    let _https = connect(server.https, H1).unwrap();
    assert!(!server.answers_over_quic(), "refused at once");
    let mut waiting = from("127.0.0.9", server.plain);
    waiting
        .write_all(&framed("host.other.example", "A", 3))
        .unwrap();
    let queries = server.counts().tcp_queries;
    server.until("it has come", |counts| counts.tcp_connections >= 3);
    assert_eq!(server.counts().tcp_queries, queries, "it waits its turn");
    drop(tls);
    assert_eq!(read_frame(&mut waiting).unwrap().id, 3);
}

#[test]
fn forged_quic_connections_leave_their_victim_its_share() {
    let server = serve(TcpLimits {
        per_address: 4,
        ..patient()
    });
    let mut held = Vec::new();
    for _ in 0..12 {
        let (way, passed_on) = first_datagram_only("127.0.0.9", server.quic);
        let _inside = server.runtime.enter();
        held.push(quic::begin(way, b"doq"));
        passed_on.recv_timeout(PATIENCE).unwrap();
    }
    // Who comes behind them has been let in behind them. Of theirs three were, without having shown that they hear us.
    assert!(server.answers_over_quic());
    let mut stream = from("127.0.0.9", server.plain);
    assert!(server.answers(&mut stream));
    assert_eq!(server.counts().tcp_over_share, 0);
    drop(held);
}
