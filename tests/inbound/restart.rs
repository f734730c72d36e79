//! Secondaries across a restart of repoint: who holds a version gets what changed since, or all of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::dns::query;
use crate::server::{PATIENCE, Place, Pools, Server, configuration, names};

/// How many records an IXFR from a serial has, and the serials of their SOAs.
fn ixfr(server: SocketAddr, since: u32) -> Vec<u32> {
    let mut octets = query("contoso.com", "IXFR").octets();
    // Without OPT, with one record in the authority section (RFC 1995 §3).
    let end = 12 + "contoso.com".len() + 2 + 4;
    octets.truncate(end);
    octets[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    octets.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
    octets.extend(since.to_be_bytes());
    octets.extend([0; 16]);
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &octets].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    let said = repoint::ask::Reply::read(&message).unwrap();
    assert_eq!(
        said.rcode,
        hickory_proto::op::ResponseCode::NoError,
        "{said:?}"
    );
    said.answers
        .iter()
        .filter(|record| record.rtype == hickory_proto::rr::RecordType::SOA)
        .filter_map(|record| repoint::zone::soa_serial(&record.rdata))
        .map(|serial| serial.0)
        .collect()
}

fn serial(server: &Server) -> u32 {
    let soa = server.ask("contoso.com", "SOA");
    let line = soa.answers()[0].clone();
    line.split_whitespace().nth(5).unwrap().parse().unwrap()
}

fn place(pools: &Pools) -> Place {
    // Large enough that what changed is shorter than all of it.
    let mut records =
        "$TTL 300\n@ SOA ns1.example.net. hostmaster 1 60 30 7d 30\n@ NS ns1.example.net.\n"
            .to_owned();
    records.extend((0..100).map(|n| format!("host{n} A 192.0.2.{n}\n")));
    let text = configuration(pools, &names(1), 30).replace(
        "apex = \"contoso.com\"\n",
        "apex = \"contoso.com\"\nfile = \"contoso.zone\"\n",
    );
    let place = Place::new("");
    std::fs::write(place.file("contoso.zone"), records).unwrap();
    place.configure(&format!(
        "{text}[[secondary]]\nname = \"ns2\"\naddress = \"127.0.0.1:1\"\nallow = [\"127.0.0.1\"]\ntsig = \"none\"\n"
    ));
    place
}

/// Two versions, the second of which is on the disk.
fn two_versions(server: &Server) -> (u32, u32) {
    server.pools_up();
    let first = serial(server);
    assert_eq!(server.pin("route1", "pool2", "").0, 200);
    let second = serial(server);
    assert_ne!(first, second);
    (first, second)
}

#[test]
fn an_orderly_restart_keeps_serials_and_serves_what_changed_before_it() {
    let pools = Pools::new();
    let place = place(&pools);
    let mut server = place.start();
    let (first, second) = two_versions(&server);
    assert_eq!(ixfr(server.address, first), [second, first, second, second]);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.ended();
    drop(server);

    let server = place.start();
    assert_eq!(serial(&server), second, "nothing has changed");
    assert_eq!(ixfr(server.address, first), [second, first, second, second]);
    assert_eq!(ixfr(server.address, second), [second]);
    server.pools_up();
    assert_eq!(server.pin("route1", "pool1", "").0, 200);
    let third = serial(&server);
    // Not shorter than all that is served now, but from a version before the restart.
    let soas = ixfr(server.address, second);
    assert_eq!(soas, [third, second, third, third]);
}

#[test]
fn after_a_kill_every_serial_is_new_and_what_was_kept_leads_to_it() {
    let pools = Pools::new();
    let place = place(&pools);
    let mut server = place.start();
    let (_, second) = two_versions(&server);
    // Kept behind the publication: a moment later it is there.
    server.until("the version is kept", |_| {
        let database = rusqlite::Connection::open(place.file("state/repoint.db")).unwrap();
        let kept: i64 = database
            .query_row(
                "SELECT coalesce(max(to_serial), 0) FROM zone_changes",
                [],
                |row| row.get(0),
            )
            .unwrap_or(0);
        kept == i64::from(second)
    });
    server.kill_9();
    drop(server);
    let server = place.start();
    let third = serial(&server);
    assert!(third.wrapping_sub(second) < 1 << 31 && third != second);
    assert_eq!(ixfr(server.address, second), [third, second, third, third]);
    // A serial that was never kept, or never published, gets the whole zone: it begins and ends with its SOA.
    assert_eq!(ixfr(server.address, second + 1), [third, third]);
}
