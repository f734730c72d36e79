//! Requests that are long, refused, or sent in part only: what all of them together take of the server's memory.
//! The real program is flooded, and its own peak is read from the system.

use std::io::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::client::{Offer, connect};
use crate::dns::query;
use crate::hostile::from;
use crate::place::{encrypted, over};
use crate::quic;
use crate::server::{Pools, Server};

/// Exchanges at one time on one connection.
const EXCHANGES: usize = 32;
/// Connections of one address.
const CONNECTIONS: usize = 50;
const MESSAGE: &str = "application/dns-message";
/// What the peak may grow by, in KiB. Collected, each of these floods takes more than 100 MiB.
const MOST: u64 = 80 << 10;

/// The most memory that the server ever had, in KiB.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

fn counted(server: &Server, counter: &str) -> u64 {
    let (code, counts) = server.control("GET", "/v1/counters", &Value::Null);
    assert_eq!(code, 200);
    counts[counter].as_u64().unwrap()
}

/// A body in pieces, which ends or goes on for ever without a further octet.
struct Sent {
    left: usize,
    ends: bool,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static PIECE: [u8; 8192] = [7; 8192];
        match (self.left, self.ends) {
            (0, true) => Poll::Ready(None),
            (0, false) => Poll::Pending,
            (left, _) => {
                let length = left.min(PIECE.len());
                self.left -= length;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..length])))))
            }
        }
    }
}

/// A connection over HTTP/2 from an address.
async fn http2(source: &str, to: SocketAddr) -> SendRequest<Sent> {
    let stream = from(source, to);
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let mut tls = quic::anyone();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("ns1.example.net").unwrap();
    let connector = TlsConnector::from(Arc::new(tls));
    let stream = connector.connect(name, stream).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: Method, path: &str, media: &str, body: Sent) -> Request<Sent> {
    Request::builder()
        .method(method)
        .uri(format!("https://ns1.example.net{path}"))
        .header("content-type", media)
        .body(body)
        .unwrap()
}

/// Sends as many requests as connections and exchanges allow, all at one time; gives their statuses, or none for
/// each request whose connection the server ended.
async fn flood(
    to: SocketAddr,
    source: &str,
    make: impl Fn() -> Request<Sent>,
) -> Vec<Option<StatusCode>> {
    let mut asked = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut sender = http2(source, to).await;
        for _ in 0..EXCHANGES {
            if sender.ready().await.is_err() {
                break;
            }
            let response = sender.send_request(make());
            asked.spawn(async move { Some(response.await.ok()?.status()) });
        }
    }
    asked.join_all().await
}

fn is_answered(server: &Server, runtime: &tokio::runtime::Runtime) {
    assert_eq!(server.ask("host.other.example", "A").answers().len(), 1);
    let status = runtime.block_on(async {
        let mut sender = http2("127.0.0.99", over(server, "https")).await;
        let asked = query("host.other.example", "A").octets();
        let path = data_encoding::BASE64URL_NOPAD.encode(&asked);
        let path = format!("/dns-query?dns={path}");
        let none = Sent {
            left: 0,
            ends: true,
        };
        let response = sender.send_request(request(Method::GET, &path, MESSAGE, none));
        response.await.unwrap().status()
    });
    assert_eq!(status, StatusCode::OK);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

#[test]
fn bodies_of_refused_requests_are_not_kept() {
    let place = encrypted(&Pools::new());
    let server = place.start();
    let (https, runtime) = (over(&server, "https"), runtime());
    let before = peak(&server);
    for (n, method, path, media, status) in [
        (1, Method::POST, "/wrong", MESSAGE, StatusCode::NOT_FOUND),
        (
            2,
            Method::POST,
            "/dns-query",
            "text/plain",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            3,
            Method::PUT,
            "/dns-query",
            MESSAGE,
            StatusCode::METHOD_NOT_ALLOWED,
        ),
    ] {
        let make = || {
            let body = Sent {
                left: 100_000,
                ends: true,
            };
            request(method.clone(), path, media, body)
        };
        let source = format!("127.0.0.{n}");
        let statuses = runtime.block_on(flood(https, &source, make));
        assert!(
            statuses.iter().all(|one| *one == Some(status)),
            "{statuses:?}"
        );
        let grown = peak(&server) - before;
        assert!(grown < MOST, "{method} {path} {media}: {grown} KiB");
    }
    is_answered(&server, &runtime);
}

#[test]
fn requests_that_are_too_long_or_sent_in_part_have_one_limit_together() {
    let place = encrypted(&Pools::new());
    let server = place.start();
    let (https, runtime) = (over(&server, "https"), runtime());
    let before = peak(&server);
    let long = || {
        let body = Sent {
            left: 100_000,
            ends: true,
        };
        request(Method::POST, "/dns-query", MESSAGE, body)
    };
    let statuses = runtime.block_on(flood(https, "127.0.0.1", long));
    // A busy machine may take too long over some.
    let refused = [
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    assert!(
        statuses.iter().flatten().all(|one| refused.contains(one)),
        "{statuses:?}"
    );
    assert!(peak(&server) - before < MOST, "too long");

    let half = || {
        let body = Sent {
            left: 65_000,
            ends: false,
        };
        request(Method::POST, "/dns-query", MESSAGE, body)
    };
    let over_budget = counted(&server, "over_budget");
    let flooding =
        ["127.0.0.2", "127.0.0.3"].map(|source| runtime.spawn(flood(https, source, half)));
    server.until("the limit is reached", |server| {
        counted(server, "over_budget") > over_budget
    });
    is_answered(&server, &runtime);
    for flood in flooding {
        let statuses = runtime.block_on(flood).unwrap();
        assert!(!statuses.contains(&Some(StatusCode::OK)));
    }
    assert!(peak(&server) - before < MOST, "sent in part");

    // Streams over QUIC.
    let over_budget = counted(&server, "over_budget");
    let octets = vec![0xff; 65_000];
    let held = runtime.block_on(async {
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let connection = quic::connect(over(&server, "quic"), b"doq").await.unwrap();
            for _ in 0..EXCHANGES {
                let (mut send, receive) = connection.open_bi().await.unwrap();
                // It may have been given up.
                let _ = send.write_all(&octets).await;
                held.push((send, receive));
            }
            held.truncate(CONNECTIONS * EXCHANGES);
        }
        held
    });
    server.until("the limit is reached", |server| {
        counted(server, "over_budget") > over_budget
    });
    is_answered(&server, &runtime);
    assert!(peak(&server) - before < MOST, "over QUIC");
    drop(held);

    // Messages over TCP, and a body over HTTP/1.1.
    let over_budget = counted(&server, "over_budget");
    let mut held = Vec::new();
    for n in 0..4 * CONNECTIONS {
        let mut stream = from(&format!("127.0.0.{}", 10 + n / CONNECTIONS), server.address);
        // It may have been ended.
        let _ = stream.write_all(&octets);
        held.push(stream);
    }
    server.until("the limit is reached", |server| {
        counted(server, "over_budget") > over_budget
    });
    is_answered(&server, &runtime);
    drop(held);
    let offer = Offer {
        protocols: b"\x08http/1.1",
        newest: None,
    };
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS / 2 {
        let mut stream = connect(https, offer).unwrap();
        let head = "POST /wrong HTTP/1.1\r\nhost: x\r\ncontent-length: 1048576\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(&vec![0; (1 << 20) - 1]);
        held.push(stream);
    }
    let grown = peak(&server) - before;
    assert!(grown < MOST, "{grown} KiB");
    is_answered(&server, &runtime);
}
