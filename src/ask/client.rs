//! Sending a query, and waiting for the reply that belongs to it.
//!
//! In: a query, a server, how. Out: one reply to it. A reply is ours when it comes from the address asked, carries the
//! random identifier, and repeats the question. Never here: choosing servers, caching.

use std::net::SocketAddr;

use hickory_proto::op::ResponseCode;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::how::{AskError, How, Transport, from};
use super::query::Query;
use super::reply::Reply;
use super::stream::Stream;

impl Reply {
    /// The reply, if it is no error.
    ///
    /// # Errors
    /// [`AskError::Rcode`] for anything but NOERROR and NXDOMAIN, both of which say something about the name.
    pub fn answered(self, server: SocketAddr) -> Result<Reply, AskError> {
        match self.rcode {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(self),
            rcode => Err(AskError::Rcode { server, rcode }),
        }
    }
}

/// Asks one server, and gives its reply whatever its code.
///
/// # Errors
/// When no reply to this query came in time; see [`AskError`].
pub async fn ask(server: SocketAddr, query: &Query, how: &How) -> Result<Reply, AskError> {
    match how.transport {
        Transport::Tcp => over_tcp(server, query, how).await,
        Transport::Udp => over_udp(server, query, how).await,
        Transport::UdpThenTcp => {
            let reply = over_udp(server, query, how).await?;
            if reply.truncated {
                over_tcp(server, query, how).await
            } else {
                Ok(reply)
            }
        }
    }
}

async fn over_udp(server: SocketAddr, query: &Query, how: &How) -> Result<Reply, AskError> {
    let mut said = AskError::Timeout {
        server,
        after: how.timeout * how.tries,
    };
    for _ in 0..how.tries.max(1) {
        match one_datagram(server, query, how).await {
            Err(AskError::Timeout { .. }) => {}
            // What was heard instead of a reply says more than the silence of the tries after it.
            Err(error @ AskError::Mismatched { .. }) => said = error,
            done => return done,
        }
    }
    Err(said)
}

/// One try, from a port and with an identifier of its own (RFC 5452 §9.2).
async fn one_datagram(server: SocketAddr, query: &Query, how: &How) -> Result<Reply, AskError> {
    let failed = |error: &std::io::Error| AskError::unreachable(server, error);
    let socket = UdpSocket::bind(from(server, how)).await;
    let socket = socket.map_err(|e| AskError::unbound(server, how, &e))?;
    socket.connect(server).await.map_err(|e| failed(&e))?;
    let id = rand::random();
    let request = query.write(id);
    socket.send(&request).await.map_err(|e| failed(&e))?;

    let deadline = Instant::now() + how.timeout;
    let mut buffer = vec![0; 65_535];
    let mut heard_other = false;
    loop {
        match timeout_at(deadline, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) => match belongs(server, query, id, &buffer[..length]) {
                // Whoever cannot see our query has not guessed its identifier: wait on for the server's own words.
                Err(AskError::Mismatched { .. }) => heard_other = true,
                done => return done,
            },
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) if heard_other => return Err(AskError::Mismatched { server }),
            Err(_) => {
                return Err(AskError::Timeout {
                    server,
                    after: how.timeout,
                });
            }
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &Query, how: &How) -> Result<Reply, AskError> {
    let id = rand::random();
    let mut stream = Stream::open(server, &query.write(id), how).await?;
    let octets = stream.next().await?;
    belongs(server, query, id, &octets)
}

/// Reads a message, and tells whether it is the reply to this query.
pub(super) fn belongs(
    server: SocketAddr,
    query: &Query,
    id: u16,
    octets: &[u8],
) -> Result<Reply, AskError> {
    let mismatched = AskError::Mismatched { server };
    if octets.get(..2) != Some(&id.to_be_bytes()) {
        return Err(mismatched);
    }
    let reply = Reply::read(octets).map_err(|fault| AskError::Malformed { server, fault })?;
    let ours = match &reply.question {
        Some(question) => {
            question.name == query.name
                && question.rtype == query.rtype
                && question.class == query.class
        }
        // A server that could not or would not read the question need not repeat it.
        None => !matches!(reply.rcode, ResponseCode::NoError | ResponseCode::NXDomain),
    };
    if ours && reply.opcode == query.opcode() {
        Ok(reply)
    } else {
        Err(mismatched)
    }
}
