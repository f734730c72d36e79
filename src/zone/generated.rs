//! Records that no master file writes: SOA and NS of generated zones, addresses.
//!
//! In: the configured name servers, addresses. Out: RRsets. Never here: where they go; that is `placement`.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::name::Name;
use super::rdata::{Rdata, Rrset};
use crate::topology::Nameservers;

/// Refresh, retry and expire of generated SOAs, in seconds: secondaries that missed a NOTIFY follow within a
/// minute, and an outage of the primary for a week does not silence them.
const SOA_TIMERS: [u32; 3] = [60, 30, 7 * 86_400];

/// The NS RRset of generated zones; none when no name server is configured.
pub(super) fn ns_set(nameservers: &Nameservers) -> Option<Arc<Rrset>> {
    let rdatas: Vec<Rdata> = nameservers
        .servers
        .iter()
        .map(|server| Rdata::name(&Name::from(&server.name)))
        .collect();
    (!rdatas.is_empty()).then(|| {
        Arc::new(Rrset {
            rtype: RecordType::NS,
            ttl: nameservers.ttl,
            rdatas,
        })
    })
}

/// The SOA of every generated zone: MNAME the first name server, RNAME the hostmaster.
pub(super) fn generated_soa(nameservers: &Nameservers) -> Arc<Rrset> {
    let mname = nameservers.servers.first().map(|server| &server.name);
    let rname = nameservers.hostmaster.clone().or_else(|| {
        let domain = mname?.parent()?;
        format!("hostmaster.{domain}").parse().ok()
    });
    let mut wire = mname.map_or(Name::root(), Name::from).wire().to_vec();
    wire.extend(rname.as_ref().map_or(Name::root(), Name::from).wire());
    wire.extend(0_u32.to_be_bytes());
    for timer in SOA_TIMERS.into_iter().chain([nameservers.negative_ttl]) {
        wire.extend(timer.to_be_bytes());
    }
    let rdata = Rdata::new(RecordType::SOA, &wire).expect("two names and five numbers are an SOA");
    Arc::new(Rrset {
        rtype: RecordType::SOA,
        ttl: nameservers.ttl,
        rdatas: vec![rdata],
    })
}

/// The A and the AAAA RRset of some addresses; a family without any has none.
pub(super) fn address_sets(
    addresses: impl IntoIterator<Item = IpAddr>,
    ttl: u32,
) -> impl Iterator<Item = Arc<Rrset>> {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    [(RecordType::A, v4), (RecordType::AAAA, v6)]
        .into_iter()
        .filter(|(_, addresses)| !addresses.is_empty())
        .map(move |(rtype, addresses)| {
            Arc::new(Rrset {
                rtype,
                ttl,
                rdatas: addresses.into_iter().map(Rdata::address).collect(),
            })
        })
}
