//! A client of DNS over TLS that does what a test says, also what no client should.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode, SslVersion};

use crate::dns::{Response, query};
use crate::server::PATIENCE;

/// What a client offers.
#[derive(Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) protocols: &'static [u8],
    pub(crate) newest: Option<SslVersion>,
}

/// DNS over TLS, as its clients offer it.
pub(crate) const DOT: Offer = Offer {
    protocols: b"\x03dot",
    newest: None,
};

pub(crate) fn connect(to: SocketAddr, offer: Offer) -> Result<SslStream<TcpStream>, String> {
    let mut context = SslContext::builder(SslMethod::tls_client()).unwrap();
    context.set_verify(SslVerifyMode::NONE);
    // Old versions need old signatures: a failure is to be the server's doing.
    context.set_cipher_list("DEFAULT:@SECLEVEL=0").unwrap();
    context.set_min_proto_version(None).unwrap();
    context.set_max_proto_version(offer.newest).unwrap();
    if !offer.protocols.is_empty() {
        context.set_alpn_protos(offer.protocols).unwrap();
    }
    let stream = TcpStream::connect(to).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let ssl = Ssl::new(&context.build()).unwrap();
    let mut stream = SslStream::new(ssl, stream).unwrap();
    stream.connect().map_err(|error| error.to_string())?;
    Ok(stream)
}

/// The serial number of the certificate that the server shows.
pub(crate) fn shown(stream: &SslStream<TcpStream>) -> u32 {
    let certificate = stream.ssl().peer_certificate().unwrap();
    let number = certificate.serial_number().to_bn().unwrap();
    number.to_dec_str().unwrap().parse().unwrap()
}

pub(crate) fn framed(name: &str, rtype: &str, id: u16) -> Vec<u8> {
    let mut query = query(name, rtype);
    query.id = id;
    let octets = query.octets();
    let mut frame = u16::try_from(octets.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(octets);
    frame
}

pub(crate) fn read_frame(stream: &mut impl Read) -> std::io::Result<Response> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets)?;
    Ok(Response::read(&octets))
}

/// One question on a connection of its own, and which certificate was shown for it.
pub(crate) fn ask(to: SocketAddr, name: &str, rtype: &str) -> Result<(Response, u32), String> {
    let mut stream = connect(to, DOT)?;
    stream
        .write_all(&framed(name, rtype, 7))
        .map_err(|error| error.to_string())?;
    let response = read_frame(&mut stream).map_err(|error| error.to_string())?;
    Ok((response, shown(&stream)))
}
