//! DNS over TLS: versions, protocols, pipelining, and how a connection ends.

use std::io::Write;

use openssl::ssl::{ErrorCode, SslVersion};

use crate::client::{DOT, Offer, connect, framed, read_frame};
use crate::place::{encrypted, over};
use crate::server::Pools;

#[test]
fn what_tls_is_spoken() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    let address = over(&server, "tls");
    let offers = |protocols, newest| connect(address, Offer { protocols, newest });
    let good = offers(b"\x03dot", None).unwrap();
    assert_eq!(good.ssl().version_str(), "TLSv1.3");
    assert_eq!(good.ssl().selected_alpn_protocol(), Some(&b"dot"[..]));
    let older = offers(b"\x03dot", Some(SslVersion::TLS1_2)).unwrap();
    assert_eq!(older.ssl().version_str(), "TLSv1.2");
    // Clients of the first RFC name no protocol.
    let silent = offers(b"", None).unwrap();
    assert_eq!(silent.ssl().selected_alpn_protocol(), None);
    assert!(offers(b"\x03dot", Some(SslVersion::TLS1_1)).is_err());
    let said = offers(b"\x02h2", None).unwrap_err();
    assert!(said.contains("no application protocol"), "{said}");
}

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    let mut stream = connect(over(&server, "tls"), DOT).unwrap();
    let mut all = Vec::new();
    for id in 0..200 {
        let name = if id % 3 == 0 { "big" } else { "host" };
        let rtype = if id % 3 == 0 { "TXT" } else { "A" };
        all.extend(framed(&format!("{name}.other.example"), rtype, id));
    }
    // In two halves: what nobody reads may not grow for ever on the way.
    let (front, back) = all.split_at(all.len() / 2);
    stream.write_all(front).unwrap();
    let mut read = Vec::new();
    for _ in 0..100 {
        read.push(read_frame(&mut stream).unwrap());
    }
    stream.write_all(back).unwrap();
    for _ in 100..200 {
        read.push(read_frame(&mut stream).unwrap());
    }
    for (id, response) in (0..).zip(&read) {
        assert_eq!((response.id, response.tc, response.rcode), (id, false, 0));
    }
    // One more, and the server is told to stop: the answer, then the end of the connection, said in TLS.
    stream
        .write_all(&framed("host.other.example", "A", 999))
        .unwrap();
    assert_eq!(read_frame(&mut stream).unwrap().id, 999);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let end = stream.ssl_read(&mut [0; 1]).unwrap_err();
    assert_eq!(end.code(), ErrorCode::ZERO_RETURN, "close_notify: {end}");
}
