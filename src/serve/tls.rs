//! TLS as the encrypted transports speak it.
//!
//! In: the identity to show, accepted connections. Out: encrypted streams whose handshake ended in time. TLS 1.2 and
//! later (RFC 8310 §9; RFC 7858 §3.2), no early data: a query that is answered twice is one that was not asked twice.
//! Never here: what is said on the streams.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::hall::Hall;
use super::identity::Identity;

/// DNS over TLS (RFC 7858, registered with RFC 9250's "doq").
pub(super) const DOT: &[&[u8]] = &[b"dot"];
/// DNS over HTTPS: HTTP/2 as recommended (RFC 8484 §5.2), HTTP/1.1 for simple clients.
pub(super) const DOH: &[&[u8]] = &[b"h2", b"http/1.1"];
/// DNS over QUIC (RFC 9250 §4.1.1).
pub(super) const DOQ: &[&[u8]] = &[b"doq"];

/// Octets that are encrypted ahead of their sending.
const SEND_BUFFER: usize = 16 << 10;

/// Settings of TLS for one transport. A client that names other protocols only is turned away (RFC 7301 §3.2).
pub(super) fn settings(
    identity: Arc<Identity>,
    protocols: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ServerConfig, rustls::Error> {
    let mut settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(identity);
    settings.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    // Sessions are resumed from tickets: nothing is kept here for clients that do not come back.
    if let Ok(tickets) = ring::Ticketer::new() {
        settings.ticketer = tickets;
    }
    Ok(settings)
}

/// The handshake of a connection, within the time that a request may take; none when it fails.
pub(super) async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    hall: &Hall,
) -> Option<TlsStream<TcpStream>> {
    match timeout(hall.patience(true), acceptor.accept(stream)).await {
        Ok(Ok(mut stream)) => {
            stream.get_mut().1.set_buffer_limit(Some(SEND_BUFFER));
            Some(stream)
        }
        Ok(Err(error)) => {
            hall.counters.handshake_failures();
            tracing::debug!(%error, "a tls handshake failed");
            None
        }
        Err(_) => {
            hall.counters.tcp_too_slow();
            None
        }
    }
}
