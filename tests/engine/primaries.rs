//! Primaries of zones: what a transfer of each of their versions brings, and which of them a published zone shows.
//!
//! In: a serial. Out: the zone of that serial; from a published zone, the serial of the version that is in it, whole.
//! Never here: transfers, when they come.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use repoint::topology::DomainName;
use repoint::zone::{Cancellation, Include, Name, OwnedRecord, StaticZone, ZoneVersion};

/// Who sends them.
pub(crate) fn address() -> SocketAddr {
    "192.0.2.1:53".parse().unwrap()
}

/// What the primary has at this serial. What it says of `xmpp` is overruled where that name is steered.
pub(crate) fn version(apex: &DomainName, serial: u32) -> Arc<StaticZone> {
    let mut text = format!(
        "$TTL {}\nversion.p TXT \"{serial}\"\nwww.p A 192.0.2.{}\nsub.p NS ns.sub.p\nns.sub.p A 192.0.2.81\n",
        [30, 60, 90][serial as usize % 3],
        serial % 200,
    );
    for n in 0..serial % 4 {
        text.push_str(&format!("h{}.p A 192.0.2.{n}\n", (serial / 4 + n) % 7));
    }
    if serial % 5 < 2 {
        text.push_str("*.w.p TXT \"wild\"\nsub.p DS 1 15 2 0123456789012345678901234567890123456789012345678901234567890123\n");
    }
    if serial.is_multiple_of(3) {
        text.push_str("xmpp A 192.0.2.99\n");
    }
    received(apex, serial, &text)
}

/// A version that does not fit: what targets are called is an alias in it.
pub(crate) fn misfit<'a>(
    apex: &DomainName,
    serial: u32,
    targets: impl Iterator<Item = &'a DomainName>,
) -> Arc<StaticZone> {
    let aliases: String = targets
        .map(|name| format!("{name}. 60 CNAME www\n"))
        .collect();
    received(apex, serial, &format!("www 60 A 192.0.2.80\n{aliases}"))
}

fn received(apex: &DomainName, serial: u32, records: &str) -> Arc<StaticZone> {
    let text = format!(
        "@ 60 SOA ns1.example.net. hostmaster {serial} 60 30 600 30\n@ 60 NS ns1.example.net.\n{records}"
    );
    let mut none = |_: Include<'_>| Err("there is no such file".to_owned());
    let file = StaticZone::parse(apex, "primary", text.as_bytes(), &mut none).unwrap();
    let zone = StaticZone::received(
        apex,
        "the zone from 192.0.2.1:53",
        file.owned_records(),
        &Cancellation::default(),
    );
    Arc::new(zone.unwrap())
}

type Record = (Vec<u8>, u16, u32, Vec<u8>);

/// The serial of the primary's version that is in a published zone.
///
/// # Errors
/// When there is none, or not all of it, or more than it.
pub(crate) fn shown(apex: &DomainName, zone: &ZoneVersion) -> Result<u32, String> {
    let top = Name::from_text(format!("p.{apex}.").as_bytes(), None).unwrap();
    let of_primary = |record: &OwnedRecord| {
        let signing = [RecordType::NSEC, RecordType::RRSIG].contains(&record.rtype);
        record.owner.is_at_or_below(&top) && !signing
    };
    let published: BTreeSet<Record> = zone
        .records()
        .map(OwnedRecord::from)
        .filter(of_primary)
        .map(plain)
        .collect();
    let marker = Name::from_text(format!("version.p.{apex}.").as_bytes(), None).unwrap();
    let marker = zone.set(marker.key(), RecordType::TXT);
    let marker = marker.ok_or_else(|| format!("zone {apex} shows no version of its primary"))?;
    let serial = std::str::from_utf8(&marker.rdatas[0].wire()[1..]).unwrap();
    let serial = serial.parse().unwrap();
    let sent = version(apex, serial);
    let sent: BTreeSet<Record> = sent.owned_records().filter(of_primary).map(plain).collect();
    if published != sent {
        return Err(format!(
            "zone {apex} shows a part of its primary's serial {serial}"
        ));
    }
    Ok(serial)
}

fn plain(record: OwnedRecord) -> Record {
    let rdata = record.rdata.wire().to_vec();
    let owner = record.owner.wire().to_vec();
    (owner, record.rtype.into(), record.ttl, rdata)
}
