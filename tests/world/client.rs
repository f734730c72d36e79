//! Questions to one server by UDP, with recursion and DNSSEC asked for, and what it says.
//!
//! `domain` writes and reads the messages: it shares no code with repoint. Never here: a second try.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use domain::base::iana::Rtype;
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::Soa;

use super::tool::tool;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) type Reply = Message<Vec<u8>>;

/// Asks one nameserver or resolver.
#[derive(Debug)]
pub(crate) struct Client(UdpSocket);

impl Client {
    pub(crate) fn new(server: impl Into<SocketAddr>) -> Client {
        let server = server.into();
        let any = match server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(socket)
    }

    /// What is said to a question; none when nothing is.
    pub(crate) fn ask(&self, name: &str, rtype: Rtype) -> Option<Reply> {
        let name: Name<Vec<u8>> = name.parse().unwrap();
        let mut message = MessageBuilder::new_vec();
        let id = rand::random();
        message.header_mut().set_id(id);
        message.header_mut().set_rd(true);
        let mut message = message.question();
        message.push((name, rtype)).unwrap();
        let mut message = message.additional();
        message
            .opt(|opt| {
                opt.set_udp_payload_size(1232);
                opt.set_dnssec_ok(true);
                Ok(())
            })
            .unwrap();
        self.0.send(&message.finish()).ok()?;
        let mut octets = vec![0; 4096];
        loop {
            let length = self.0.recv(&mut octets).ok()?;
            let reply = Message::from_octets(octets[..length].to_vec()).unwrap();
            // A late answer to an earlier question that was given up.
            if reply.header().id() == id {
                return Some(reply);
            }
        }
    }

    /// The serial of a zone; none where it is not served.
    pub(crate) fn serial(&self, zone: &str) -> Option<u32> {
        let reply = self.ask(zone, Rtype::SOA)?;
        let soa = reply.answer().ok()?.limit_to::<Soa<_>>().next()?.ok()?;
        Some(soa.data().serial().into_int())
    }
}

/// What `dig +short` prints, a line a record; empty also when nobody answers.
pub(crate) fn dig(server: impl std::fmt::Display, name: &str, rtype: &str) -> String {
    let server = format!("@{server}");
    let out = tool("dig")
        .args(["+short", "+tries=2", "+time=2", &server, name, rtype])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with(';'));
    lines.map(|line| format!("{line}\n")).collect()
}
