//! The TCP connection under a probe, metered.
//!
//! In: a connected socket. Out: the same bytes, counted and bounded, and one fact that the TLS library does
//! not tell: whether the server asked for a client certificate. Never here: what the bytes mean otherwise.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes taken from one connection. A TLS handshake with a long chain has 20 KiB, features less than 4 KiB.
const MAX_RECEIVED: u64 = 512 * 1024;

/// The error in place of bytes past the bound.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the peer sends more than a probe takes")]
pub(super) struct TooMuchData;

/// A connection that counts what it receives.
pub(super) struct Wire {
    tcp: TcpStream,
    received: u64,
    flight: Option<ClientFlight>,
}

impl Wire {
    /// Meters a fresh connection.
    pub(super) fn new(tcp: TcpStream) -> Wire {
        Wire {
            tcp,
            received: 0,
            flight: None,
        }
    }

    /// Bytes received so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// From here on what is written is TLS.
    pub(super) fn begin_tls(&mut self) {
        self.flight = Some(ClientFlight::default());
    }

    /// The handshake has ended: what is written from here on is not part of it.
    pub(super) fn end_handshake(&mut self) {
        if let Some(flight) = &mut self.flight {
            flight.over = true;
        }
    }

    /// Whether our part of the handshake had a Certificate message. We have none to show, so there is one
    /// (an empty one) only where the server asked (RFC 5246 §7.4.6, RFC 8446 §4.4.2).
    pub(super) fn client_certificate_wanted(&self) -> bool {
        self.flight
            .as_ref()
            .is_some_and(ClientFlight::has_certificate)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received >= MAX_RECEIVED {
            return Poll::Ready(Err(io::Error::other(TooMuchData)));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buf);
        self.received += u64::try_from(buf.filled().len() - before).unwrap_or(u64::MAX);
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write(cx, buf);
        if let (Poll::Ready(Ok(written)), Some(flight)) = (&polled, &mut self.flight) {
            flight.observe(buf.get(..*written).unwrap_or_default());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// The TLS records we send during a handshake, read along for the Certificate message.
///
/// Up to TLS 1.2 the message is in clear. In TLS 1.3 it is encrypted, but our TLS library puts each message
/// into its own record, so Certificate and Finished are two records where Finished alone is one.
#[derive(Default)]
struct ClientFlight {
    header: [u8; 5],
    header_len: usize,
    body_left: usize,
    body_begun: bool,
    cipher_changed: bool,
    certificate: bool,
    encrypted: u32,
    over: bool,
}

impl ClientFlight {
    const CHANGE_CIPHER_SPEC: u8 = 20;
    const HANDSHAKE: u8 = 22;
    const APPLICATION_DATA: u8 = 23;
    /// The handshake message type of Certificate.
    const CERTIFICATE: u8 = 11;

    fn observe(&mut self, mut bytes: &[u8]) {
        if self.over {
            return;
        }
        while let Some((first, rest)) = bytes.split_first() {
            if self.header_len < self.header.len() {
                self.header[self.header_len] = *first;
                self.header_len += 1;
                bytes = rest;
                if self.header_len == self.header.len() {
                    self.record_begins();
                }
                continue;
            }
            if !self.body_begun {
                self.body_begun = true;
                let clear_handshake = self.header[0] == Self::HANDSHAKE && !self.cipher_changed;
                self.certificate |= clear_handshake && *first == Self::CERTIFICATE;
            }
            let taken = self.body_left.min(bytes.len());
            self.body_left -= taken;
            bytes = bytes.get(taken..).unwrap_or_default();
            if self.body_left == 0 {
                self.header_len = 0;
            }
        }
    }

    fn record_begins(&mut self) {
        let [kind, _, _, high, low] = self.header;
        self.body_left = usize::from(u16::from_be_bytes([high, low]));
        self.body_begun = false;
        self.cipher_changed |= kind == Self::CHANGE_CIPHER_SPEC;
        self.encrypted += u32::from(kind == Self::APPLICATION_DATA);
        if self.body_left == 0 {
            self.header_len = 0;
        }
    }

    fn has_certificate(&self) -> bool {
        self.certificate || self.encrypted >= 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
        [&[kind, 3, 3, len[0], len[1]], body].concat()
    }

    fn wanted(records: &[Vec<u8>]) -> bool {
        let bytes = records.concat();
        let mut answers = Vec::new();
        for size in [1, 3, 7, bytes.len()] {
            let mut flight = ClientFlight::default();
            for piece in bytes.chunks(size) {
                flight.observe(piece);
            }
            answers.push(flight.has_certificate());
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{answers:?}"
        );
        answers[0]
    }

    #[test]
    fn a_certificate_message_is_found_up_to_tls_1_2() {
        let hello = record(22, &[1, 0, 0, 2, 9, 9]);
        let key_exchange = record(22, &[16, 0, 0, 1, 11]);
        let finished = vec![record(20, &[1]), record(22, &[11, 11, 11])];
        let certificate = record(22, &[11, 0, 0, 3, 0, 0, 0]);
        let without = [vec![hello.clone(), key_exchange.clone()], finished.clone()].concat();
        let with = [vec![hello, certificate, key_exchange], finished].concat();
        assert!(!wanted(&without));
        assert!(wanted(&with));
    }

    #[test]
    fn a_certificate_message_is_found_in_tls_1_3() {
        let start = vec![record(22, &[1, 0, 0, 0]), record(20, &[1])];
        let finished = record(23, &[0; 53]);
        assert!(!wanted(&[start.clone(), vec![finished.clone()]].concat()));
        assert!(wanted(
            &[start, vec![record(23, &[0; 25]), finished]].concat()
        ));
    }
}
