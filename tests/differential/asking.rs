//! Asking: octets to a server and back, many at a time.
//!
//! In: messages. Out: for each what came back, or nothing. Over UDP a window of messages is under way, told apart by
//! their identifiers; over TCP one connection takes one after another.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use repoint::clock::Now;
use repoint::serve::{Manners, Outcome, Peer, Transport, respond};
use repoint::zone::Zones;

/// How many datagrams are under way.
const WINDOW: usize = 48;
/// When a datagram counts as lost, and is sent again.
const LOST: Duration = Duration::from_secs(2);
/// After how many losses a server counts as silent to a question.
const TRIES: u32 = 3;

/// Asks over UDP. Identifiers are replaced by ours and put back in what is returned.
pub(crate) fn udp(address: Ipv4Addr, messages: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect((address, 53)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut replies: Vec<Option<Vec<u8>>> = vec![None; messages.len()];
    let mut under_way: Vec<(usize, Instant, u32)> = Vec::new();
    let mut next = 0;
    let mut buffer = vec![0; 65536];
    while next < messages.len() || !under_way.is_empty() {
        while next < messages.len() && under_way.len() < WINDOW {
            send(&socket, next, messages[next]);
            under_way.push((next, Instant::now(), 1));
            next += 1;
        }
        if let Ok(length) = socket.recv(&mut buffer)
            && length >= 12
        {
            let id = u16::from_be_bytes([buffer[0], buffer[1]]);
            if let Some(at) = under_way.iter().position(|(n, _, _)| *n as u16 == id) {
                let (n, _, _) = under_way.swap_remove(at);
                buffer[..2].copy_from_slice(&messages[n][..2]);
                replies[n] = Some(buffer[..length].to_vec());
            }
            continue;
        }
        under_way.retain_mut(|(n, sent, tries)| {
            if sent.elapsed() < LOST {
                return true;
            }
            if *tries == TRIES {
                return false;
            }
            send(&socket, *n, messages[*n]);
            (*sent, *tries) = (Instant::now(), *tries + 1);
            true
        });
    }
    replies
}

fn send(socket: &UdpSocket, n: usize, message: &[u8]) {
    let mut message = message.to_vec();
    message[..2].copy_from_slice(&(n as u16).to_be_bytes());
    socket.send(&message).unwrap();
}

/// Asks over TCP; a connection that the server closes is made anew for the next message.
pub(crate) fn tcp(address: Ipv4Addr, messages: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
    let mut stream: Option<TcpStream> = None;
    let mut replies = Vec::new();
    for message in messages {
        let mut reply = None;
        for _ in 0..2 {
            let open = stream.get_or_insert_with(|| {
                let stream = TcpStream::connect((address, 53)).unwrap();
                stream.set_nodelay(true).unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
                stream
            });
            match exchange(open, message) {
                Ok(octets) => {
                    reply = Some(octets);
                    break;
                }
                Err(_) => stream = None,
            }
        }
        replies.push(reply);
    }
    replies
}

fn exchange(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

/// Asks repoint: the octets that its sockets would send.
pub(crate) fn repoint(zones: &Zones, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let peer = Peer {
        address: ([127, 0, 0, 1], 53530).into(),
        transport,
        idle: None,
    };
    let now = Now::default();
    match respond(zones, &Manners::default(), message, peer, now, &mut out) {
        Outcome::Silent => None,
        Outcome::Response { .. } | Outcome::Limited { .. } => Some(out),
    }
}
