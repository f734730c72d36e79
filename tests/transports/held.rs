//! Answers that a client asks for and does not take: few of them are made, and all of them once it takes them.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use quinn::{ReadError, ReadToEndError, VarInt};
use serde_json::Value;

use crate::client::{Offer, connect, framed};
use crate::dns::query;
use crate::place::{encrypted, over};
use crate::quic;
use crate::server::{PATIENCE, Pools, Server};

/// Exchanges at once on one connection.
const EXCHANGES: usize = 32;
/// An answer has 33 KB: so many are the most that a connection holds.
const HELD: u64 = 4;

/// How long the server waits for an answer to be taken (docs/transports.md).
const GIVEN_UP_AFTER: Duration = Duration::from_secs(5);
/// RFC 9250 §4.3
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// How many requests have been answered over a transport.
fn answered(server: &Server, counter: &str) -> u64 {
    let (code, counts) = server.control("GET", "/v1/counters", &Value::Null);
    assert_eq!(code, 200);
    counts[counter].as_u64().unwrap()
}

/// Waits until some answers were made, and a while longer for the others.
fn held(server: &Server, counter: &str) -> u64 {
    let began = Instant::now();
    while answered(server, counter) == 0 {
        assert!(began.elapsed() < PATIENCE, "nothing is answered");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    answered(server, counter)
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
    let place = encrypted(&Pools::new());
    let server = place.start();
    let offer = Offer {
        protocols: b"\x02h2",
        newest: None,
    };
    let mut stream = connect(over(&server, "https"), offer).unwrap();
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
    let held = held(&server, "https_queries");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_quic_client_that_takes_nothing_has_few_answers_made() {
    let place = encrypted(&Pools::new());
    let server = place.start();
    let connection = quic::connect(over(&server, "quic"), b"doq").await.unwrap();
    let mut taken = Vec::new();
    let began = Instant::now();
    for _ in 0..EXCHANGES {
        let (mut send, receive) = connection.open_bi().await.unwrap();
        let octets = framed("big.other.example", "TXT", 0);
        send.write_all(&octets).await.unwrap();
        send.finish().unwrap();
        taken.push(receive);
    }
    let held = held(&server, "quic_queries");
    assert!(held <= HELD, "{held} answers are held");
    for mut receive in taken {
        match receive.read_to_end(1 << 17).await {
            Ok(answer) => assert!(answer.len() > 30_000),
            // On a machine that was busy for so long, they are not taken in time.
            Err(ReadToEndError::Read(ReadError::Reset(EXCESSIVE_LOAD))) => {
                assert!(began.elapsed() >= GIVEN_UP_AFTER);
            }
            Err(error) => panic!("{error}"),
        }
    }
}
