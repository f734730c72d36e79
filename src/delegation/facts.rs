//! What was seen of the delegations, as plain data.
//!
//! In: nothing. Out: values that `gather` fills and `judge` reads. Never here: what any of it means.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::ResponseCode;

use super::served::Served;
use crate::topology::{DomainName, PoolName, ServiceKind};
use crate::zone::{Name, Rdata};

/// All that was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Why nothing could be asked: no resolver says anything.
    pub silent: Option<String>,
    /// What is served, with which all is compared.
    pub served: Served,
    /// Each zone that others delegate, in the order of `served`.
    pub zones: Vec<ZoneFacts>,
    /// Each domain, in the order of `served`.
    pub domains: Vec<DomainFacts>,
    /// Each name that an SRV record leads to.
    pub targets: Vec<TargetFacts>,
    /// What the pools' certificates are good for.
    pub certificates: Vec<CertificateSeen>,
}

/// A zone as the world sees it.
#[derive(Clone, Debug)]
pub struct ZoneFacts {
    /// Its apex.
    pub apex: DomainName,
    /// The zone above, or why it is not known.
    pub parent: Result<ParentFacts, String>,
    /// Each address of each nameserver that the zone above or the zone itself names.
    pub servers: Vec<ServerFacts>,
    /// What of them was not looked at.
    pub left_out: LeftOut,
}

/// What of a zone's nameservers was not looked at: others say how many there are, and how long they take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Nameservers beyond the most that are looked at.
    pub names: BTreeSet<Name>,
    /// Nameservers with more addresses than are asked, and how many were not.
    pub addresses: BTreeMap<Name, usize>,
    /// Nameservers that were not done with in time.
    pub late: BTreeSet<Name>,
}

impl LeftOut {
    /// Whether everything was looked at.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.addresses.is_empty() && self.late.is_empty()
    }
}

/// The zone above.
#[derive(Clone, Debug)]
pub struct ParentFacts {
    /// Its apex.
    pub apex: Name,
    /// What each address of each of its servers says.
    pub views: Vec<ParentView>,
    /// Its servers whose addresses could not be found out, and why: what they say is not known.
    pub unknown: Vec<(Name, String)>,
    /// Its servers whose names have no address at all: nobody hears them, resolvers neither.
    pub without_address: Vec<Name>,
}

/// What one address of a server of the zone above says.
#[derive(Clone, Debug)]
pub struct ParentView {
    /// The server.
    pub server: Name,
    /// The address asked.
    pub address: SocketAddr,
    /// Of the delegation.
    pub delegation: Result<Delegated, String>,
    /// Of its DS: the data and the TTL, both empty without one; or why that is not known.
    pub ds: Result<(Vec<Rdata>, u32), String>,
    /// Names above the apex and below the zone above that are said not to exist (NXDOMAIN).
    pub missing: Vec<Name>,
}

/// What a server of the zone above says when it is asked for the NS records of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delegated {
    /// It refers to the zone's own servers, or serves the zone itself.
    To {
        /// The NS names, in canonical order.
        ns: Vec<Name>,
        /// Their TTL in seconds.
        ttl: u32,
        /// Addresses that came along.
        glue: Vec<(Name, IpAddr)>,
        /// It serves the zone itself: what it says is not the delegation, and has no glue.
        itself: bool,
    },
    /// It has an alias in this place.
    Alias {
        /// Where the alias leads.
        to: Option<Name>,
        /// Its TTL in seconds.
        ttl: u32,
    },
    /// It delegates nothing.
    Not {
        /// Whether the name does not exist at all.
        nxdomain: bool,
    },
}

/// One address of one nameserver of a zone.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// The server's name.
    pub server: Name,
    /// Its address; none when it has none.
    pub address: Option<SocketAddr>,
    /// Named by the zone above.
    pub by_parent: bool,
    /// Named by the zone itself.
    pub by_zone: bool,
    /// What it says over UDP, or why it says nothing.
    pub udp: Result<ZoneAnswer, String>,
    /// Whether it answers over TCP; none when that was not asked.
    pub tcp: Option<Result<(), String>>,
}

/// What a nameserver says of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneAnswer {
    /// The code of the SOA answer.
    pub rcode: ResponseCode,
    /// Whether it has authority.
    pub authoritative: bool,
    /// Whether it offers recursion.
    pub recursion: bool,
    /// The serial.
    pub serial: Option<u32>,
    /// The zone's NS names, in canonical order.
    pub ns: Vec<Name>,
    /// Their TTL in seconds.
    pub ns_ttl: u32,
    /// The addresses it has for nameservers in the zone.
    pub addresses: Vec<(Name, IpAddr)>,
    /// The zone's DNSKEY records.
    pub dnskeys: Vec<Rdata>,
    /// Names without records, in the zone, that it says do not exist.
    pub missing: Vec<Name>,
}

/// A domain as partners see it.
#[derive(Clone, Debug)]
pub struct DomainFacts {
    /// The domain.
    pub domain: DomainName,
    /// The SRV records of each service, by the resolver; or why they are not known.
    pub services: Vec<ServiceSeen>,
    /// The domain's own addresses on which something listens on port 5269.
    pub apex_listens: Vec<IpAddr>,
    /// Those on which it cannot be known: connections are dropped.
    pub apex_drops: Vec<IpAddr>,
}

/// A service of a domain as partners see it.
#[derive(Clone, Debug)]
pub struct ServiceSeen {
    /// Which.
    pub kind: ServiceKind,
    /// The name that partners ask for.
    pub public: DomainName,
    /// Where aliases lead from it, if there are any.
    pub alias: Option<Name>,
    /// Port and target of each record, with the TTL.
    pub records: Result<Vec<SrvSeen>, String>,
}

/// An SRV record as partners see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvSeen {
    /// The port.
    pub port: u16,
    /// The target.
    pub target: Name,
}

/// A name that an SRV record leads to, as partners see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFacts {
    /// The name.
    pub name: Name,
    /// Where an alias leads from it.
    pub alias: Option<Name>,
    /// Its addresses, or why they are not known.
    pub addresses: Result<Vec<IpAddr>, String>,
}

/// What the certificate of one address of a pool is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSeen {
    /// The pool.
    pub pool: PoolName,
    /// The target.
    pub target: DomainName,
    /// The address probed.
    pub peer: SocketAddr,
    /// The domain asked for.
    pub check: String,
    /// The names it has.
    pub names: Vec<String>,
    /// Why partners would refuse it; none when they would not.
    pub fault: Option<String>,
}

/// A response code as DNS people write it.
pub(super) fn code(rcode: ResponseCode) -> String {
    match rcode {
        ResponseCode::NoError => "NOERROR".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        other => format!("code {}", u16::from(other)),
    }
}
