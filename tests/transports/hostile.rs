//! Slow and hostile clients of the encrypted transports: what they hold, others still get.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::client::{DOT, Offer, ask, connect, framed, read_frame};
use crate::place::{encrypted, over};
use crate::server::{PATIENCE, Pools, Server};

/// A connection from another address of this machine.
pub(crate) fn from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn is_ended(stream: &mut TcpStream) -> bool {
    let mut rest = [0; 512];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return true,
            // An alert.
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

fn all_is_well(server: &Server) {
    let (response, _) = ask(over(server, "tls"), "host.other.example", "A").unwrap();
    assert_eq!(response.answers().len(), 1);
    assert_eq!(server.ask("host.other.example", "A").answers().len(), 1);
}

/// A ClientHello's beginning: a record that never ends.
pub(crate) const HALF: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn handshakes_that_do_not_go_on_are_ended_and_cost_one_address_its_share_only() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    for transport in ["tls", "https"] {
        let address = over(&server, transport);
        let mut held: Vec<TcpStream> = (0..50).map(|_| from("127.0.0.9", address)).collect();
        for (n, stream) in held.iter_mut().enumerate() {
            if n % 2 == 0 {
                stream.write_all(HALF).unwrap();
            }
        }
        // The share of this address is used up, also for the plain transport.
        assert!(is_ended(&mut from("127.0.0.9", address)));
        assert!(is_ended(&mut from("127.0.0.9", server.address)));
        all_is_well(&server);
        for stream in &mut held {
            assert!(is_ended(stream));
        }
        let mut again = from("127.0.0.9", server.address);
        again
            .write_all(&framed("host.other.example", "A", 3))
            .unwrap();
        assert_eq!(read_frame(&mut again).unwrap().id, 3);
    }
}

#[test]
fn what_is_not_tls_is_ended_at_once() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    for transport in ["tls", "https"] {
        for garbage in [
            framed("host.other.example", "A", 1),
            b"GET /dns-query HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            vec![0xff; 20_000],
        ] {
            let mut stream = TcpStream::connect(over(&server, transport)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // It may be ended before all of it is written.
            let _ = stream.write_all(&garbage);
            assert!(is_ended(&mut stream));
        }
    }
    all_is_well(&server);
}

#[test]
fn what_is_not_dns_inside_of_tls_ends_the_connection() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    let mut stream = connect(over(&server, "tls"), DOT).unwrap();
    stream.write_all(b"\0\x05hello").unwrap();
    assert!(read_frame(&mut stream).is_err());
    all_is_well(&server);
}

#[test]
fn http_that_does_not_go_on_is_ended() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    let address = over(&server, "https");
    let offers = |protocols| {
        let newest = None;
        connect(address, Offer { protocols, newest }).unwrap()
    };
    let mut held = Vec::new();
    // Nothing; half of a head; half of a body; half of HTTP/2's preface; HTTP/2 that only says that it is there.
    for (protocols, begun) in [
        (&b"\x08http/1.1"[..], &b""[..]),
        (b"\x08http/1.1", b"GET /dns-query?dns=AAAA HTTP/1.1\r\nhost: "),
        (
            b"\x08http/1.1",
            b"POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-type: application/dns-message\r\ncontent-length: 40\r\n\r\nhalf",
        ),
        (b"\x02h2", b"PRI * HTTP/2.0\r\n"),
        (b"\x02h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ] {
        let mut stream = offers(protocols);
        stream.write_all(begun).unwrap();
        held.push(stream);
    }
    all_is_well(&server);
    for mut stream in held {
        let mut rest = Vec::new();
        // An end in whatever form: what counts is that it comes.
        let end = stream.read_to_end(&mut rest);
        let waited = end.as_ref().err().map(std::io::Error::kind);
        assert_ne!(waited, Some(std::io::ErrorKind::WouldBlock), "{rest:?}");
    }
    all_is_well(&server);
}
