//! Telling and asking: the datagrams.
//!
//! In: an [`Errand`], the TSIG keys. Out: what the secondary said. Each from a port and with an identifier of its own.
//! Never here: when, or how often.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::ledger::{Errand, Reply, What};
use super::view::WITHOUT;
use crate::ask::{
    self, AskError, How, Query, Record, SignedError, SourceAddresses, Transport, ask, ask_signed,
    ask_signed_tcp,
};
use crate::clock::ReadNow;
use crate::tsig::{Key, Keys};
use crate::zone::{Name, Serial, ZoneVersion};

/// How long a secondary is given to answer one datagram.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server, and the address that it is asked from; the system chooses when absent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) server: SocketAddr,
    pub(super) source: Option<IpAddr>,
}

/// What came of an errand.
#[derive(Debug)]
pub(super) enum Done {
    /// Of a NOTIFY.
    Told(Result<(), String>),
    /// Of a question.
    Said(Reply),
}

/// Carries an errand out, from an address that the secondary knows.
pub(super) async fn carry_out(
    errand: &Errand,
    keys: &Keys,
    sources: &SourceAddresses,
    now: &ReadNow,
) -> Done {
    let server = errand.secondary.address;
    let way = Way {
        server,
        source: sources.toward(server.ip(), errand.secondary.source),
    };
    let key = match &errand.secondary.tsig {
        None => None,
        Some(name) => match keys.get(name) {
            Some(key) => Some(key.clone()),
            // Its secret could not be read: nothing unsigned is said in its place.
            None => {
                let why = format!("its TSIG key {name} cannot be used");
                return match errand.what {
                    What::Notify => Done::Told(Err(why)),
                    What::Ask => Done::Said(Reply::Nothing(why)),
                };
            }
        },
    };
    match errand.what {
        What::Notify => Done::Told(notify(errand, way, key.as_ref(), now).await),
        What::Ask => Done::Said(serial(way, &errand.version, key.as_ref(), now).await),
    }
}

/// RFC 1996 §3.7: the SOA goes with it, so that a secondary that has it already knows at once.
async fn notify(
    errand: &Errand,
    way: Way,
    key: Option<&Arc<Key>>,
    now: &ReadNow,
) -> Result<(), String> {
    let version = &errand.version;
    let soa = version.soa();
    let Some(rdata) = soa.rdatas.first() else {
        return Err("the zone has no SOA".to_owned());
    };
    let query = Query::notify(Record {
        owner: version.apex().clone(),
        rtype: RecordType::SOA,
        class: 1,
        ttl: soa.ttl,
        rdata: rdata.clone(),
    });
    match exchange(way, &query, false, key, now).await {
        Ok(reply) if reply.rcode == ResponseCode::NoError => Ok(()),
        Ok(reply) => Err(format!("it answers NOTIFY with {}", reply.rcode)),
        Err(why) => Err(why),
    }
}

/// Which serial a server has of a zone. One that is ahead of ours is no small matter: it counts only when it is said over
/// TCP too, where nobody else can have said it.
pub(super) async fn serial(
    way: Way,
    ours: &ZoneVersion,
    key: Option<&Arc<Key>>,
    now: &ReadNow,
) -> Reply {
    let apex = ours.apex();
    let query = Query::new(apex.clone(), RecordType::SOA);
    let said = exchange(way, &query, false, key, now).await;
    match read(apex, said) {
        Reply::Serial(serial) if serial.is_after(ours.serial()) => {
            read(apex, exchange(way, &query, true, key, now).await)
        }
        reply => reply,
    }
}

fn read(apex: &Name, said: Result<ask::Reply, String>) -> Reply {
    let reply = match said {
        Ok(reply) => reply,
        Err(why) => return Reply::Nothing(why),
    };
    if reply.rcode != ResponseCode::NoError || !reply.authoritative {
        let how = match reply.rcode {
            ResponseCode::NoError => "it answers without authority".to_owned(),
            rcode => format!("it answers {rcode}"),
        };
        return Reply::Other(format!("{WITHOUT}: {how}"));
    }
    let mut answers = reply.answers.iter();
    let soa = answers.find(|record| record.rtype == RecordType::SOA && record.owner == *apex);
    // The serial is the first of the five numbers at the end (RFC 1035 §3.3.13).
    let serial = soa.and_then(|soa| {
        let octets = soa.rdata.wire();
        let numbers = octets.get(octets.len().checked_sub(20)?..)?;
        Some(Serial(u32::from_be_bytes(*numbers.first_chunk()?)))
    });
    match serial {
        Some(serial) => Reply::Serial(serial),
        None => Reply::Other(format!("{WITHOUT}: its answer has no SOA")),
    }
}

async fn exchange(
    Way { server, source }: Way,
    query: &Query,
    tcp: bool,
    key: Option<&Arc<Key>>,
    now: &ReadNow,
) -> Result<ask::Reply, String> {
    let how = How {
        transport: if tcp { Transport::Tcp } else { Transport::Udp },
        timeout: PATIENCE,
        tries: 1,
        source,
    };
    let said = match key {
        None => ask(server, query, &how).await.map_err(SignedError::Ask),
        Some(key) if tcp => ask_signed_tcp(server, query, &how, key, now).await,
        Some(key) => ask_signed(server, query, &how, key, now).await,
    };
    said.map_err(|error| match error {
        SignedError::Ask(AskError::Timeout { after, .. }) => {
            format!("no answer within {} s", after.as_secs())
        }
        SignedError::Ask(AskError::Unreachable { reason, .. }) => reason,
        other => other.to_string(),
    })
}
