//! Asking with a TSIG signature: a reply counts only when it is signed too (RFC 8945 §5.4).
//!
//! In: a query, a server, the key both know. Out: one reply that the server has vouched for.
//! Never here: what is done without a key; `client` asks plainly.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::client::belongs;
use super::how::{AskError, How, from};
use super::query::Query;
use super::reply::Reply;
use super::stream::Stream;
use crate::clock::ReadNow;
use crate::tsig::{self, Key, VerifyFault};

/// Why there is no reply to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// None came.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// One came with an error, unsigned.
    #[error("{server} answered {rcode}, unsigned: it may not know the TSIG key")]
    UnsignedCode {
        /// Who was asked.
        server: SocketAddr,
        /// The code, which nobody vouches for.
        rcode: ResponseCode,
    },
    /// One came, and its signature is missing or wrong.
    #[error("{server} is not believed: {fault}")]
    Verify {
        /// Who was asked.
        server: SocketAddr,
        /// What is wrong.
        fault: VerifyFault,
    },
}

/// Asks one server with one datagram, signed.
///
/// # Errors
/// When no reply came that belongs to the query and is signed with the key.
pub async fn ask_signed(
    server: SocketAddr,
    query: &Query,
    how: &How,
    key: &Arc<Key>,
    now: &ReadNow,
) -> Result<Reply, SignedError> {
    let failed = |error: &std::io::Error| AskError::unreachable(server, error);
    let socket = UdpSocket::bind(from(server, how)).await;
    let socket = socket.map_err(|e| AskError::unbound(server, how, &e))?;
    socket.connect(server).await.map_err(|e| failed(&e))?;
    let id = rand::random();
    let mut request = query.write(id);
    let mut verifier = tsig::sign(&mut request, key, now().wall);
    socket.send(&request).await.map_err(|e| failed(&e))?;

    let deadline = Instant::now() + how.timeout;
    let mut buffer = vec![0; 65_535];
    let mut heard = SignedError::Ask(AskError::Timeout {
        server,
        after: how.timeout,
    });
    loop {
        let Ok(received) = timeout_at(deadline, socket.recv(&mut buffer)).await else {
            return Err(heard);
        };
        let octets = &buffer[..received.map_err(|e| failed(&e))?];
        // Whoever forges replies must not end the wait for the server's own (RFC 8945 §5.4).
        match belongs(server, query, id, octets) {
            Err(error) => heard = error.into(),
            Ok(reply) => match verifier.verify(octets, now().wall) {
                Ok(()) => return Ok(reply),
                Err(fault) => heard = unverified(server, &reply, fault),
            },
        }
    }
}

/// The same over TCP.
///
/// # Errors
/// As [`ask_signed`].
pub async fn ask_signed_tcp(
    server: SocketAddr,
    query: &Query,
    how: &How,
    key: &Arc<Key>,
    now: &ReadNow,
) -> Result<Reply, SignedError> {
    let id = rand::random();
    let mut request = query.write(id);
    let mut verifier = tsig::sign(&mut request, key, now().wall);
    let mut stream = Stream::open(server, &request, how).await?;
    let octets = stream.next().await?;
    let reply = belongs(server, query, id, &octets)?;
    verifier
        .verify(&octets, now().wall)
        .map_err(|fault| unverified(server, &reply, fault))?;
    Ok(reply)
}

/// Many servers refuse a key they do not know without a signature: the code says more than its absence.
fn unverified(server: SocketAddr, reply: &Reply, fault: VerifyFault) -> SignedError {
    match (fault, reply.rcode) {
        (VerifyFault::Unsigned, ResponseCode::NoError) => SignedError::Verify { server, fault },
        (VerifyFault::Unsigned, rcode) => SignedError::UnsignedCode { server, rcode },
        _ => SignedError::Verify { server, fault },
    }
}
