//! Asking the running server over UDP, as a partner's resolver would.
//!
//! In: the server's address. Out: what it answers about the demo's federation names. Never here: a look at
//! the server's inside; the story counts only what a partner can see.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// A server on this machine that has not answered by then will not.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a partner sees of a federation identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// SRV records as `priority target`, preferred first.
    pub(super) srv: Vec<(u16, String)>,
    /// The federation addresses.
    pub(super) addresses: Vec<IpAddr>,
}

impl Seen {
    /// The SRV target that partners try first.
    pub(super) fn first(&self) -> Option<&str> {
        self.srv.first().map(|(_, target)| target.as_str())
    }
}

/// Asks for the SRV records of `owner` and the addresses of `federation`.
pub(super) async fn ask(server: SocketAddr, owner: &str, federation: &str) -> io::Result<Seen> {
    let mut seen = Seen::default();
    for data in answers(server, owner, RecordType::SRV).await? {
        if let RData::SRV(srv) = data {
            seen.srv.push((srv.priority, srv.target.to_utf8()));
        }
    }
    seen.srv.sort();
    for data in answers(server, federation, RecordType::A).await? {
        if let RData::A(address) = data {
            seen.addresses.push(IpAddr::V4(address.0));
        }
    }
    Ok(seen)
}

async fn answers(server: SocketAddr, name: &str, rtype: RecordType) -> io::Result<Vec<RData>> {
    let name = Name::from_ascii(name).map_err(io::Error::other)?;
    let mut question = Message::query();
    question.metadata.id = rand::random();
    question.add_query(Query::query(name, rtype));
    let bytes = question.to_vec().map_err(io::Error::other)?;

    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    socket.send(&bytes).await?;
    let mut buffer = [0; 4096];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await??;
    let answer = Message::from_vec(&buffer[..length]).map_err(io::Error::other)?;
    if answer.metadata.id != question.metadata.id {
        return Err(io::Error::other("an answer to another question"));
    }
    Ok(answer
        .answers
        .into_iter()
        .map(|record| record.data)
        .collect())
}
