//! DNS over QUIC: streams at once, and the codes that end what breaks the rules.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connecting, Connection, ConnectionError, Endpoint, TokioRuntime, TransportConfig,
    VarInt,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use crate::client::framed;
use crate::dns::{Response, query};
use crate::place::{encrypted, over};
use crate::server::{PATIENCE, Pools};

/// Takes any certificate: which one is shown is tested over TLS.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

pub(crate) async fn connect(
    to: SocketAddr,
    protocol: &[u8],
) -> Result<Connection, ConnectionError> {
    let (_, connecting) = begin(to, protocol);
    tokio::time::timeout(PATIENCE, connecting).await.unwrap()
}

/// TLS of a client that takes any certificate.
pub(crate) fn anyone() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth()
}

/// Begins a connection; whoever never waits for it has sent the beginning only.
pub(crate) fn begin(to: SocketAddr, protocol: &[u8]) -> (Endpoint, Connecting) {
    let mut tls = anyone();
    tls.alpn_protocols = vec![protocol.to_vec()];
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    // No client takes more of an answer than this before it is read.
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(16 << 10));
    config.transport_config(Arc::new(transport));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(Default::default(), None, socket, runtime).unwrap();
    let connecting = endpoint
        .connect_with(config, to, "ns1.example.net")
        .unwrap();
    (endpoint, connecting)
}

pub(crate) async fn exchange(connection: &Connection, octets: &[u8]) -> Result<Vec<u8>, String> {
    let (mut send, mut receive) = connection.open_bi().await.map_err(|e| e.to_string())?;
    send.write_all(octets).await.map_err(|e| e.to_string())?;
    send.finish().unwrap();
    receive
        .read_to_end(1 << 17)
        .await
        .map_err(|e| e.to_string())
}

/// The code that the server ends the connection with.
pub(crate) async fn ended(connection: &Connection) -> VarInt {
    match tokio::time::timeout(PATIENCE, connection.closed())
        .await
        .unwrap()
    {
        ConnectionError::ApplicationClosed(close) => close.error_code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn streams_are_answered_at_once_each_with_its_own() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    let connection = connect(over(&server, "quic"), b"doq").await.unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..300 {
        let connection = connection.clone();
        asked.spawn(async move {
            let (name, rtype) = if n % 50 == 0 {
                ("big", "TXT")
            } else {
                ("host", "A")
            };
            let octets = framed(&format!("{name}.other.example"), rtype, 0);
            let answer = exchange(&connection, &octets).await.unwrap();
            let (length, message) = answer.split_at(2);
            assert_eq!(
                usize::from(u16::from_be_bytes([length[0], length[1]])),
                message.len()
            );
            let response = Response::read(message);
            assert_eq!((response.id, response.tc), (0, false));
            assert_eq!(response.answers().len(), if n % 50 == 0 { 150 } else { 1 });
        });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(
        ended(&connection).await,
        VarInt::from_u32(0),
        "DOQ_NO_ERROR"
    );
}

#[tokio::test]
async fn what_breaks_the_rules_ends_the_connection_with_a_protocol_error() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    let address = over(&server, "quic");
    assert!(connect(address, b"h3").await.is_err(), "another protocol");
    let good = framed("host.other.example", "A", 0);
    let mut response = good.clone();
    response[4] |= 0x80;
    let mut keepalive = query("host.other.example", "A").opt(1232, 0, &[0, 11, 0, 0]);
    keepalive.id = 0;
    let mut keepalive = keepalive.octets();
    let length = u16::try_from(keepalive.len()).unwrap().to_be_bytes();
    keepalive.splice(..0, length);
    for (what, octets) in [
        ("edns-tcp-keepalive (RFC 9250 §5.5.2)", keepalive),
        (
            "an identifier (RFC 9250 §4.2.1)",
            framed("host.other.example", "A", 1),
        ),
        (
            "two messages on one stream",
            [good.as_slice(), &good].concat(),
        ),
        ("less than its length says", good[..good.len() - 1].to_vec()),
        ("nothing at all", Vec::new()),
        ("a response", response),
    ] {
        let connection = connect(address, b"doq").await.unwrap();
        assert!(exchange(&connection, &octets).await.is_err(), "{what}");
        assert_eq!(ended(&connection).await, VarInt::from_u32(2), "{what}");
    }
    let connection = connect(address, b"doq").await.unwrap();
    let half = connection.open_uni();
    // No stream in one direction is ever granted.
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(50), half)
            .await
            .is_err()
    );
    assert!(exchange(&connection, &good).await.is_ok());
}

#[tokio::test]
async fn a_stream_that_stops_half_way_is_given_up_and_the_others_are_answered() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    let connection = connect(over(&server, "quic"), b"doq").await.unwrap();
    let good = framed("host.other.example", "A", 0);
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&good[..10]).await.unwrap();
    let slow = tokio::time::timeout(PATIENCE, receive.read_to_end(1 << 17));
    let others = async {
        loop {
            assert!(exchange(&connection, &good).await.is_ok());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        given_up = slow => assert!(given_up.unwrap().is_err()),
        () = others => {}
    }
    assert!(exchange(&connection, &good).await.is_ok());
}
