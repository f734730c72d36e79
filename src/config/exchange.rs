//! With whom zones are exchanged, in lines: who gets them by transfer, and where they come from.
//!
//! In: an accepted configuration. Out: [`Exchange`], a part of the summary. Never here: who may do what; the tables say so.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::Configuration;
use super::secondary::Secondary;
use super::secrets::plain;
use crate::topology::{DomainName, Primary};

/// As many zones or domains are named before the rest is counted.
const NAMED: usize = 4;

/// With whom zones are exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// Who has zones from us.
    pub secondaries: Vec<SecondarySummary>,
    /// Where zones come from.
    pub primaries: Vec<PrimarySummary>,
}

/// A secondary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecondarySummary {
    /// What the operator calls it.
    pub name: String,
    /// Where it is notified and asked.
    pub address: SocketAddr,
    /// Where its transfers may come from.
    pub allow: Vec<IpAddr>,
    /// The TSIG key it must sign with.
    pub tsig: Option<String>,
    /// Its zones; all when absent.
    pub zones: Option<Vec<DomainName>>,
    /// The address that it is notified and asked from.
    pub source: Option<IpAddr>,
}

/// A zone with its primaries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrimarySummary {
    /// The zone.
    pub zone: DomainName,
    /// They are asked in this order.
    pub addresses: Vec<SocketAddr>,
    /// The TSIG key both sides sign with.
    pub tsig: Option<DomainName>,
    /// The address that they are asked from.
    pub source: Option<IpAddr>,
}

impl Exchange {
    pub(super) fn of(configuration: &Configuration) -> Exchange {
        let secondaries = configuration.secondaries.iter();
        let primaries = configuration.topology.inbound();
        Exchange {
            secondaries: secondaries.map(|one| secondary(one)).collect(),
            primaries: primaries.map(|(zone, from)| primary(zone, from)).collect(),
        }
    }
}

fn secondary(secondary: &Secondary) -> SecondarySummary {
    let zones = secondary.zones.as_ref();
    SecondarySummary {
        name: secondary.name.clone(),
        address: secondary.address,
        allow: secondary.allow.iter().copied().collect(),
        tsig: secondary.tsig.as_ref().map(plain),
        zones: zones.map(|zones| zones.iter().cloned().collect()),
        source: secondary.source,
    }
}

fn primary(zone: &DomainName, primary: &Primary) -> PrimarySummary {
    PrimarySummary {
        zone: zone.clone(),
        addresses: primary.addresses.clone(),
        tsig: primary.tsig.clone(),
        source: primary.source,
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for secondary in &self.secondaries {
            secondary.fmt(f)?;
        }
        if self.secondaries.is_empty() {
            writeln!(f, "no secondaries: nobody may transfer a zone")?;
        }
        self.primaries.iter().try_for_each(|primary| primary.fmt(f))
    }
}

impl fmt::Display for SecondarySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SecondarySummary { name, address, .. } = self;
        write!(f, "secondary {name} at {address}")?;
        if self.allow != [address.ip().to_canonical()] {
            let allow: Vec<String> = self.allow.iter().map(ToString::to_string).collect();
            write!(f, ", transfers from {}", allow.join(", "))?;
        }
        if let Some(source) = &self.source {
            write!(f, ", notified from {source}")?;
        }
        match &self.tsig {
            Some(key) => write!(f, ", signed with {key}")?,
            None => write!(f, ", not signed: the address is enough")?,
        }
        match &self.zones {
            Some(zones) => writeln!(f, ": {}", listed(zones)),
            None => writeln!(f, ": all zones"),
        }
    }
}

impl fmt::Display for PrimarySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let signed = match &self.tsig {
            Some(key) => format!("signed with {key}"),
            None => "not signed: who forges the address writes the zone".to_owned(),
        };
        let (zone, from) = (&self.zone, addresses.join(", then "));
        write!(f, "zone {zone} comes from {from}")?;
        if let Some(source) = &self.source {
            write!(f, ", asked from {source}")?;
        }
        writeln!(f, ", {signed}")
    }
}

/// Some names; the rest is counted.
pub(super) fn listed(names: &[DomainName]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(DomainName::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    if more == 0 {
        shown.join(", ")
    } else {
        format!("{} and {more} more", shown.join(", "))
    }
}
