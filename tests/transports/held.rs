//! Answers that a client asks for and does not take: few of them are made, and all of them once it takes them.
//!
//! The server is in this process and gives no answer up, so that nothing here depends on how fast the machine is.

use std::io::{Read, Write};
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2::Builder;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use repoint::serve::{Counts, TcpLimits};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::bounds::{Server, patient, serve};
use crate::client::{Offer, connect, framed};
use crate::dns::query;
use crate::hostile::from;
use crate::quic;

/// Exchanges at once on one connection.
const EXCHANGES: usize = 32;
/// An answer has 33 KB: so many are the most that a connection holds.
const HELD: u64 = 4;
/// Questions on other connections, which give the server every occasion to make more answers than it should.
const OTHERS: usize = 100;

/// How many answers were made for a client that takes none. None of them is taken meanwhile, and other clients are
/// answered.
fn held(server: &Server, made: impl Fn(&Counts) -> u64) -> u64 {
    server.until("answers are made", |counts| made(counts) > 0);
    for _ in 0..OTHERS {
        assert!(server.answers(&mut from("127.0.0.9", server.plain)));
    }
    made(&server.counts())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
/// END_STREAM.
const END: u8 = 1;

#[test]
fn an_http2_client_that_takes_nothing_has_few_answers_made() {
    let server = serve(patient());
    let offer = Offer {
        protocols: b"\x02h2",
        newest: None,
    };
    let mut stream = connect(server.https, offer).unwrap();
    let asked = BASE64URL_NOPAD.encode(&query("big.other.example", "TXT").octets());
    let path = format!("/dns-query?dns={asked}");
    // GET and https from the static table, then path and authority as literals (RFC 7541 §6.1, §6.2.2).
    let mut head = vec![0x82, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
    head.extend(path.as_bytes());
    head.extend([0x01, 1, b'x']);
    let mut octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // Streams have no room at all (SETTINGS_INITIAL_WINDOW_SIZE).
    octets.extend(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for n in 0..EXCHANGES {
        let id = u32::try_from(2 * n + 1).unwrap();
        octets.extend(frame(HEADERS, 0x05, id, &head));
    }
    stream.write_all(&octets).unwrap();
    let held = held(&server, |counts| counts.https_queries);
    assert!(held <= HELD, "{held} answers are held");

    // All are answered once they are taken.
    let mut more = frame(SETTINGS, 0, 0, &[0, 4, 0, 0x7f, 0xff, 0xff]);
    more.extend(frame(8, 0, 0, &0x7f00_0000_u32.to_be_bytes()));
    stream.write_all(&more).unwrap();
    let (mut whole, mut ours) = (0, None);
    while whole < EXCHANGES {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == SETTINGS && head[4] == 0 {
            let mut each = payload.chunks(6);
            // SETTINGS_MAX_CONCURRENT_STREAMS
            ours = each
                .find(|one| one[..2] == [0, 3])
                .map(|one| u32::from_be_bytes([one[2], one[3], one[4], one[5]]));
        }
        whole += usize::from(head[3] == DATA && head[4] & END != 0);
    }
    assert_eq!(ours, Some(32), "what the server lets a client do");
}

#[test]
fn a_quic_client_that_takes_nothing_has_few_answers_made() {
    let server = serve(patient());
    let (connection, taken) = server.runtime.block_on(async {
        let connection = quic::connect(server.quic, b"doq").await.unwrap();
        let mut taken = Vec::new();
        for _ in 0..EXCHANGES {
            let (mut send, receive) = connection.open_bi().await.unwrap();
            let octets = framed("big.other.example", "TXT", 0);
            send.write_all(&octets).await.unwrap();
            send.finish().unwrap();
            taken.push(receive);
        }
        (connection, taken)
    });
    let held = held(&server, |counts| counts.quic_queries);
    assert!(held <= HELD, "{held} answers are held");
    server.runtime.block_on(async {
        // Side by side: the server answers streams in an order of its own. A client that waits for one answer and leaves
        // those made before it untaken waits until they are given up.
        let mut reading = JoinSet::new();
        for mut receive in taken {
            reading.spawn(async move { receive.read_to_end(1 << 17).await });
        }
        while let Some(answer) = reading.join_next().await {
            assert!(answer.unwrap().unwrap().len() > 30_000);
        }
    });
    drop(connection);
}

/// What all connections hold together (docs/transports.md), in octets.
const ALL: usize = 32 << 20;
/// An answer has more octets than this.
const HUGE: usize = 57_000;

#[test]
fn clients_that_take_nothing_hold_no_more_together_than_is_documented() {
    let server = serve(TcpLimits {
        connections: 1000,
        per_address: 1000,
        ..patient()
    });
    let asked = BASE64URL_NOPAD.encode(&query("huge.other.example", "TXT").octets());
    let url = format!("https://ns1.example.net/dns-query?dns={asked}");
    let (mut held, mut refused) = (Vec::new(), 0);
    server.runtime.block_on(async {
        let mut tls = quic::anyone();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(tls));
        // Two answers on each connection; more than enough connections.
        for _ in 0..ALL / HUGE / 2 + 20 {
            let stream = TcpStream::connect(server.https).await.unwrap();
            let name = ServerName::try_from("ns1.example.net").unwrap();
            let stream = connector.connect(name, stream).await.unwrap();
            // Nothing of an answer but its head is taken.
            let (mut sender, connection) = Builder::new(TokioExecutor::new())
                .initial_stream_window_size(0)
                .handshake(TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            for _ in 0..2 {
                sender.ready().await.unwrap();
                let request = Request::get(&url).body(Empty::<Bytes>::new()).unwrap();
                let response = sender.send_request(request).await.unwrap();
                match response.status() {
                    StatusCode::OK => held.push((response, sender.clone())),
                    status => {
                        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                        refused += 1;
                    }
                }
            }
        }
    });
    assert!(refused > 0);
    assert!(held.len() * HUGE <= ALL, "{} answers are held", held.len());
    assert_eq!(server.counts().over_budget, refused);
    // Ordinary answers need nothing of it.
    assert!(server.answers(&mut from("127.0.0.9", server.plain)));
}
