//! Nameservers that NS records name and that are no secondaries of the configuration.
//!
//! In: a configuration, the zones served. Out: each such nameserver with the zones it is named for, and its addresses as
//! far as they are known here. Never here: asking; a zone that comes from a primary, whose own servers may still be
//! named in it and have its serials.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use crate::config::Configuration;
use crate::zone::{Name, ZoneVersion, Zones};

/// A nameserver.
#[derive(Clone, Debug)]
pub(super) struct Nameserver {
    pub(super) name: Name,
    /// Its addresses, of `[dns] nameservers` or of a zone of ours; none where resolvers have to say.
    pub(super) addresses: Vec<IpAddr>,
    /// The zones whose NS records name it.
    pub(super) zones: Vec<Arc<ZoneVersion>>,
}

/// All nameservers of the zones served.
pub(super) fn nameservers(configuration: &Configuration, zones: &Zones) -> Vec<Nameserver> {
    let mut named: BTreeMap<Name, Vec<Arc<ZoneVersion>>> = BTreeMap::new();
    for version in zones.iter() {
        let apex = version.apex();
        let domain = apex.to_domain_name();
        if domain.is_some_and(|apex| configuration.topology.primary(&apex).is_some()) {
            continue;
        }
        let ns = version.set(apex.key(), RecordType::NS);
        for rdata in ns.into_iter().flat_map(|set| &set.rdatas) {
            if let Some(name) = rdata.target(RecordType::NS) {
                named.entry(name).or_default().push(version.clone());
            }
        }
    }
    let each = named.into_iter().map(|(name, served)| Nameserver {
        addresses: addresses(&name, configuration, zones),
        name,
        zones: served,
    });
    each.collect()
}

fn addresses(name: &Name, configuration: &Configuration, zones: &Zones) -> Vec<IpAddr> {
    let mut servers = configuration.topology.nameservers.servers.iter();
    let configured = servers.find(|server| Name::from(&server.name) == *name);
    match configured.map(|server| &server.addresses) {
        Some(addresses) if !addresses.is_empty() => addresses.clone(),
        _ => zones.addresses_of(name),
    }
}

/// Whether a zone is looked after at this address in another way: it is ours, or that of a secondary which has the zone.
pub(super) fn is_known(configuration: &Configuration, address: IpAddr, apex: &Name) -> bool {
    let mut ours = configuration.server.listen.iter();
    let mut secondaries = configuration.secondaries.iter();
    ours.any(|own| own.ip().to_canonical() == address)
        || secondaries.any(|secondary| {
            secondary.address.ip().to_canonical() == address && secondary.has(apex)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::clock::Wall;
    use crate::config;
    use crate::decide::Generation;
    use crate::zone::{self, Challenges, Serial};

    fn read(more: &str) -> Configuration {
        let text = format!(
            r#"
version = 1
[server]
listen = ["192.0.2.1:53"]
[dns]
nameservers = [
  {{ name = "ns1.example.net", addresses = ["192.0.2.1"] }},
  {{ name = "ns2.example.net" }},
]
[[pool]]
name = "edgepool1"
[[pool.target]]
name = "edge1.contoso.com"
publish = ["192.0.2.10"]
[[route]]
name = "contoso"
domains = ["contoso.com"]
pools = ["edgepool1"]
zones = "owners"
[[route.service]]
kind = "xmpp-server"
{more}"#
        );
        let file =
            "@ 60 SOA ns.example. host.example. 1 60 30 600 30\n@ 60 NS ns3\nns3 60 A 192.0.2.3\n";
        let mut read = |_: &Path| Ok(file.to_owned());
        config::parse(&text, "repoint.toml", &mut read).unwrap()
    }

    /// What is asked of whom. What is steered waits for its first decision; the other zones are served.
    fn said(configuration: &Configuration) -> Vec<String> {
        let zones = zone::compile(&zone::Inputs {
            layout: &configuration.layout,
            decisions: &BTreeMap::new(),
            keys: &BTreeMap::new(),
            unsignable: &Arc::default(),
            challenges: &Challenges::default(),
            previous: None,
            beside: None,
            generation: Generation(1),
            serial: Serial(1),
            now: Wall::default(),
        });
        let found = nameservers(configuration, &zones);
        let each = found.iter().map(|server| {
            let zones: Vec<String> = server.zones.iter().map(|z| z.apex().to_string()).collect();
            format!("{} {:?} {}", server.name, server.addresses, zones.join(" "))
        });
        each.collect()
    }

    #[test]
    fn every_name_in_ns_records_is_looked_at_unless_a_primary_wrote_it() {
        let configuration = read(
            "[[zone]]\napex = \"fabrikam.com\"\nfile = \"zone\"\n\
             [[zone]]\napex = \"fed.tailspin.com\"\n\
             [[zone]]\napex = \"tailspin.com\"\nprimary = [\"192.0.2.9:53\"]\ntsig = \"none\"\n",
        );
        assert_eq!(
            said(&configuration),
            [
                "ns3.fabrikam.com. [192.0.2.3] fabrikam.com.",
                "ns1.example.net. [192.0.2.1] fed.tailspin.com.",
                "ns2.example.net. [] fed.tailspin.com.",
            ]
        );
    }

    #[test]
    fn we_and_secondaries_are_not_asked_twice() {
        let configuration = read(
            "[[secondary]]\nname = \"ns2\"\naddress = \"192.0.2.2:5353\"\ntsig = \"none\"\n\
             zones = [\"_xmpp-server._tcp.contoso.com\"]\n\
             [[zone]]\napex = \"fabrikam.com\"\nfile = \"zone\"\n",
        );
        let known = |address: &str, apex: &str| {
            let apex = Name::from_text(apex.as_bytes(), None).unwrap();
            is_known(&configuration, address.parse().unwrap(), &apex)
        };
        assert!(known("192.0.2.1", "fabrikam.com."));
        assert!(known("192.0.2.2", "_xmpp-server._tcp.contoso.com."));
        assert!(!known("192.0.2.2", "fabrikam.com."));
        assert!(!known("192.0.2.3", "fabrikam.com."));
    }
}
