#![allow(clippy::unwrap_used)]
//! What a client must survive: replies of every kind, and servers that are slow, silent, confused or hostile.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::zone::{Name, Rdata};

fn name(text: &str) -> Name {
    Name::from_text(text.as_bytes(), None).unwrap()
}

fn quick(transport: Transport) -> How {
    How {
        transport,
        timeout: Duration::from_millis(300),
        tries: 2,
        source: None,
    }
}

fn soa() -> Record {
    let mut wire = name("ns1.contoso.com.").wire().to_vec();
    wire.extend(name("hostmaster.contoso.com.").wire());
    wire.extend([0, 0, 0, 7].repeat(5));
    Record {
        owner: name("contoso.com."),
        rtype: RecordType::SOA,
        class: 1,
        ttl: 60,
        rdata: Rdata::new(RecordType::SOA, &wire).unwrap(),
    }
}

/// The request turned into a reply: QR set, everything else repeated.
fn echoed(request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[2] |= 0x80;
    reply
}

#[test]
fn what_is_written_is_read_back() {
    let query = Query {
        recursion_desired: true,
        dnssec_ok: true,
        ..Query::new(name("Contoso.COM."), RecordType::DS)
    };
    let reply = Reply::read(&echoed(&query.write(0x1234))).unwrap();
    let question = reply.question.unwrap();
    assert_eq!((reply.id, question.name), (0x1234, query.name));
    assert_eq!(question.rtype, RecordType::DS);
    let edns = reply.edns.unwrap();
    assert!(edns.dnssec_ok && edns.udp_size == 1232 && edns.options.is_empty());

    let ixfr = Reply::read(&echoed(&Query::ixfr(soa()).write(1))).unwrap();
    assert_eq!(ixfr.authorities, [soa()]);
    let notify = Reply::read(&echoed(&Query::notify(soa()).write(1))).unwrap();
    assert_eq!((notify.opcode, notify.authoritative), (4, true));
    assert_eq!(notify.answers, [soa()]);
}

#[test]
fn compressed_names_are_whole_also_in_types_that_must_not_have_them() {
    let mut octets = vec![0, 1, 0x84, 0, 0, 1, 0, 2, 0, 0, 0, 0];
    octets.extend(name("contoso.com.").wire());
    octets.extend([0, 2, 0, 1]);
    // NS ns1.<pointer to the question>, then SRV with a compressed target.
    octets.extend([0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 9, 0, 6]);
    octets.extend(b"\x03ns1\xc0\x0c");
    octets.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 9, 0, 8]);
    octets.extend([0, 1, 0, 2, 0x14, 0x95, 0xc0, 41]);
    let reply = Reply::read(&octets).unwrap();
    let ns = name("ns1.contoso.com.");
    assert_eq!(reply.answers[0].rdata, Rdata::name(&ns));
    assert_eq!(reply.answers[1].rdata, Rdata::srv(1, 2, 5269, &ns));
}

#[test]
fn names_that_never_end_are_refused() {
    let with_owner = |owner: &[u8]| {
        let mut octets = vec![0, 1, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        octets.extend(owner);
        octets.extend([0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]);
        Reply::read(&octets).map(|_| ())
    };
    assert_eq!(with_owner(&[0]), Ok(()));
    // At itself, forwards, in a circle with a label, a reserved label kind, and out of the message.
    for bad in [
        &[0xc0, 12][..],
        &[0xc0, 14, 0],
        &[1, b'a', 0xc0, 12],
        &[0x80, 0],
        &[0xff, 0xff],
    ] {
        assert_eq!(with_owner(bad), Err(Malformed::Name), "{bad:?}");
    }
    let long = [[63; 64]; 4].concat();
    assert_eq!(with_owner(&long), Err(Malformed::Name));
}

#[test]
fn a_reply_is_exactly_one_message() {
    let whole = echoed(&Query::ixfr(soa()).write(1));
    for end in 0..whole.len() {
        assert!(Reply::read(&whole[..end]).is_err(), "{end} octets");
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(Reply::read(&longer).unwrap_err(), Malformed::Trailing);
    let request = Query::new(Name::root(), RecordType::NS).write(1);
    assert_eq!(Reply::read(&request).unwrap_err(), Malformed::Request);
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..300), flip in any::<(u16, u8)>()) {
        let _ = Reply::read(&octets);
        let mut near = echoed(&Query::notify(soa()).write(1));
        let at = usize::from(flip.0) % near.len();
        near[at] = flip.1;
        let _ = Reply::read(&near);
    }
}

#[tokio::test]
async fn a_forged_reply_is_not_taken_for_the_servers_own() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, client) = server.recv_from(&mut buffer).await.unwrap();
        let reply = echoed(&buffer[..length]);
        let mut forged = reply.clone();
        forged[0] ^= 1;
        let mut other = reply.clone();
        other[13] = b'x';
        for octets in [forged, other, b"noise".to_vec(), reply] {
            server.send_to(&octets, client).await.unwrap();
        }
    });
    let query = Query::new(name("contoso.com."), RecordType::NS);
    let reply = ask(address, &query, &quick(Transport::Udp)).await.unwrap();
    assert_eq!(reply.question.unwrap().name, query.name);
}

#[tokio::test]
async fn silence_noise_and_refusal_are_told_apart() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let query = Query::new(name("contoso.com."), RecordType::NS);
    let how = quick(Transport::Udp);
    let silent = ask(address, &query, &how).await.unwrap_err();
    assert!(matches!(silent, AskError::Timeout { .. }), "{silent}");

    let noisy = tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (_, client) = server.recv_from(&mut buffer).await.unwrap();
            server.send_to(b"noise", client).await.unwrap();
        }
    });
    let noise = ask(address, &query, &how).await.unwrap_err();
    assert_eq!(noise, AskError::Mismatched { server: address });
    noisy.abort();
    let _ = noisy.await;
    let closed = ask(address, &query, &how).await.unwrap_err();
    assert!(matches!(closed, AskError::Unreachable { .. }), "{closed}");
}

/// A server that truncates over UDP and answers over TCP in several messages.
async fn two_transports() -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
            let mut reply = echoed(&buffer[..length]);
            reply[2] |= 0x02;
            udp.send_to(&reply, client).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).await.unwrap();
            let mut request = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut request).await.unwrap();
            let reply = echoed(&request);
            for _ in 0..2 {
                stream.write_all(&length).await.unwrap();
                stream.write_all(&reply).await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn a_truncated_reply_is_asked_for_again_over_tcp() {
    let address = two_transports().await;
    let query = Query::new(name("contoso.com."), RecordType::NS);
    let whole = ask(address, &query, &quick(Transport::UdpThenTcp)).await;
    assert!(!whole.unwrap().truncated);
    let cut = ask(address, &query, &quick(Transport::Udp)).await.unwrap();
    assert!(cut.truncated);
}

#[tokio::test]
async fn a_stream_gives_message_after_message_and_says_how_it_ended() {
    let address = two_transports().await;
    let request = Query::axfr(name("contoso.com.")).write(9);
    let how = quick(Transport::Tcp);
    let mut stream = Stream::open(address, &request, &how).await.unwrap();
    for _ in 0..2 {
        let reply = Reply::read(&stream.next().await.unwrap()).unwrap();
        assert_eq!(reply.id, 9);
    }
    let ended = stream.next().await.unwrap_err();
    assert!(ended.to_string().contains("closed"), "{ended}");
}

#[test]
fn a_code_that_is_no_answer_is_an_error_of_its_own() {
    let server = "192.0.2.1:53".parse().unwrap();
    let mut octets = echoed(&Query::new(Name::root(), RecordType::NS).write(1));
    octets[3] = 5;
    let refused = Reply::read(&octets).unwrap().answered(server).unwrap_err();
    let rcode = ResponseCode::Refused;
    assert_eq!(refused, AskError::Rcode { server, rcode });
}
