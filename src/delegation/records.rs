//! The records that the zones above need, for each way of handing names to repoint.
//!
//! In: what is served; perhaps another arrangement than the one configured. Out: records, each with the step in which to
//! enter it. Never here: whether they are there already.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::{Serialize, Serializer};

use super::served::{Host, Served, ServedDomain, ServedName, ServedZone};
use crate::topology::{DomainName, ServiceKind};

/// TTL of NS, glue and DS: how long a way back takes. Days are for later (RFC 6781 §4.4.2 has the other side).
const DELEGATION_TTL: u32 = 3600;
/// TTL of what may be replaced soon: aliases and static SRV records.
const ALIAS_TTL: u32 = 300;
/// The child zone of an arrangement that is only thought of.
const CHILD_LABEL: &str = "fed";

/// How the names of a domain are handed to repoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Arrangement {
    /// Each steered name delegated by itself
    #[value(name = "A", alias = "a")]
    Owners,
    /// _tcp of the domain delegated whole
    #[value(name = "B", alias = "b")]
    ServiceTree,
    /// A child zone delegated, with an alias from each public name into it
    #[value(name = "C", alias = "c")]
    Child,
    /// Static SRV records above, only the federation address delegated
    #[value(name = "D", alias = "d")]
    StaticSrv,
    /// The domain, or a zone above it, is served here whole
    #[value(skip)]
    Whole,
}

impl Arrangement {
    /// The letter, and what it means.
    pub fn describe(self) -> &'static str {
        match self {
            Arrangement::Owners => "option A: each steered name is delegated by itself",
            Arrangement::ServiceTree => "option B: _tcp is delegated whole",
            Arrangement::Child => {
                "option C: a child zone is delegated, aliases lead from the public names into it"
            }
            Arrangement::StaticSrv => {
                "option D: SRV records stay in the zone above, the federation address is delegated"
            }
            Arrangement::Whole => "the whole domain is served here",
        }
    }

    /// What has to be in the configuration for it; nothing where the federation works as soon as the parent has it.
    pub fn needs(self) -> Option<&'static str> {
        match self {
            Arrangement::Owners => Some("zones = \"owners\" in the route"),
            Arrangement::ServiceTree => Some(
                "a [[zone]] with apex \"_tcp.<domain>\" whose file has everything else that is below _tcp now \
                 (_xmpp-client, _imaps, _ldap, TLSA …: what is left out is gone), and one with the federation \
                 address name as apex",
            ),
            Arrangement::Child => Some(
                "a [[zone]] with apex \"fed.<domain>\", in each [[route.service]] owner = \
                 \"_xmpp-server._tcp.fed.{domain}\" (or its kind), and [route.address] name = \"xmpp.fed.{domain}\"",
            ),
            Arrangement::StaticSrv => {
                Some("zones = \"owners\" in the route, of which only the address name is delegated")
            }
            Arrangement::Whole => None,
        }
    }
}

/// What has to be done with a record, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Addresses of nameservers at or below a delegated name.
    Glue,
    /// The delegation.
    Delegate,
    /// An alias in the place of SRV records.
    Alias,
    /// SRV records that stay in the zone above.
    Static,
    /// Where certificate authorities look.
    Challenge,
    /// The link of the chain of trust.
    Sign,
}

impl Step {
    /// What to do, and why.
    pub fn explain(self) -> &'static str {
        match self {
            Step::Glue => {
                "Enter the addresses of the nameservers whose names lie inside a delegated zone (glue): without them the \
                 delegation leads in a circle."
            }
            Step::Delegate => {
                "Enter the NS records, and take away every other record at the same names and below them. Until \
                 everything has proved itself keep their TTL between 300 and 3600 s: that is how long a way back takes."
            }
            Step::Alias => {
                "Put the CNAME in the place of the SRV records at the public name, once the delegation answers. Taking \
                 it away again is the way back."
            }
            Step::Static => {
                "Enter the SRV records once. They lead to the federation address name, which repoint moves; the \
                 records themselves never change."
            }
            Step::Challenge => {
                "Enter the alias for certificates (RFC 8555 DNS-01): the pools' challenges are then answered from \
                 the delegated zone. certbot's dns-rfc2136 follows no alias: for it write [[zone]] apex = \
                 \"_acme-challenge.DOMAIN\" into the configuration, and enter the NS records that are printed then."
            }
            Step::Sign => {
                "Last, when `repoint delegation check` finds no error: enter the DS records. From then on an unsigned \
                 answer is no answer; before a zone is unsigned they must go first."
            }
        }
    }
}

/// The records for one domain, or for a zone that several domains share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParentRecords {
    /// The domain or zone.
    pub subject: DomainName,
    /// How its names are handed over; none for a zone that several domains share.
    pub arrangement: Option<Arrangement>,
    /// The records, in order of their steps.
    pub records: Vec<ParentRecord>,
    /// What cannot be said with a record.
    pub notes: Vec<String>,
}

/// A record that the zone above needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ParentRecord {
    /// When to enter it.
    pub step: Step,
    /// Its owner, with the last dot.
    pub owner: String,
    /// Its TTL in seconds.
    pub ttl: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub rtype: &'static str,
    /// Its data.
    pub data: String,
}

impl fmt::Display for ParentRecord {
    /// A line of a master file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParentRecord {
            owner,
            ttl,
            rtype,
            data,
            ..
        } = self;
        write!(f, "{owner}\t{ttl}\tIN\t{rtype}\t{data}")
    }
}

impl Serialize for Arrangement {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match self {
            Arrangement::Owners => "A",
            Arrangement::ServiceTree => "B",
            Arrangement::Child => "C",
            Arrangement::StaticSrv => "D",
            Arrangement::Whole => "whole",
        })
    }
}

/// The records that the zones above need: as configured, or as another arrangement would need them.
pub fn parent_records(served: &Served, other: Option<Arrangement>) -> Vec<ParentRecords> {
    let zones = served.zones.iter();
    let zones: HashMap<&DomainName, &ServedZone> = zones.map(|zone| (&zone.apex, zone)).collect();
    let mut blocks = Vec::new();
    let mut told: BTreeSet<&DomainName> = BTreeSet::new();
    for domain in &served.domains {
        let configured = arrangement(domain);
        match other.filter(|other| *other != configured) {
            Some(other) => blocks.push(thought_of(domain, other, &zones, served.live)),
            None => {
                let block = as_configured(domain, configured, &zones, served.live, &mut told);
                blocks.push(block);
            }
        }
    }
    if other.is_none() {
        // Zones in which no route has a name, or that several domains share.
        for zone in served
            .zones
            .iter()
            .filter(|zone| !told.contains(&zone.apex))
        {
            let mut block = block(&zone.apex, None);
            delegate(zone, served.live, &mut block);
            blocks.push(block);
        }
    }
    for block in &mut blocks {
        block.records.sort_by_key(|record| record.step);
    }
    blocks.retain(|block| !block.records.is_empty() || !block.notes.is_empty());
    blocks
}

/// How a domain's names are handed over, by what the configuration makes of them.
pub(super) fn arrangement(domain: &ServedDomain) -> Arrangement {
    let mut names = domain.names.iter();
    if names.clone().all(|name| name.service.is_none()) {
        return Arrangement::StaticSrv;
    }
    let services = || domain.names.iter().filter(|name| name.service.is_some());
    if services().any(needs_alias) {
        return Arrangement::Child;
    }
    if names.all(|name| name.zone == name.owner) {
        return Arrangement::Owners;
    }
    let whole = |name: &ServedName| domain.domain.is_at_or_below(&name.zone);
    match services().all(whole) {
        true => Arrangement::Whole,
        false => Arrangement::ServiceTree,
    }
}

/// Whether partners ask for another name than the one that is steered, and the zone above has to lead them there.
pub(super) fn needs_alias(name: &ServedName) -> bool {
    name.owner != name.public && name.public_zone.is_none()
}

fn as_configured<'a>(
    domain: &'a ServedDomain,
    arrangement: Arrangement,
    zones: &HashMap<&DomainName, &'a ServedZone>,
    live: bool,
    told: &mut BTreeSet<&'a DomainName>,
) -> ParentRecords {
    let mut ours = block(&domain.domain, Some(arrangement));
    let of_names: BTreeSet<&DomainName> = domain.names.iter().map(|name| &name.zone).collect();
    for apex in of_names {
        let Some(zone) = zones.get(apex) else {
            continue;
        };
        if zone.apex.is_at_or_below(&domain.domain) && told.insert(&zone.apex) {
            delegate(zone, live, &mut ours);
        }
    }
    for name in domain.names.iter().filter(|name| needs_alias(name)) {
        push(
            &mut ours,
            Step::Alias,
            &name.public,
            "CNAME",
            dotted(&name.owner),
        );
    }
    let own = challenges_of(&domain.domain).parse().ok();
    if !own.is_some_and(|own: DomainName| zones.contains_key(&own)) {
        challenge(domain, &mut ours);
    }
    ours
}

/// Where a certificate authority looks.
fn challenges_of(domain: &DomainName) -> String {
    format!("_acme-challenge.{domain}")
}

/// The alias for certificates, unless the domain's own zone is served here, or one of its challenges alone.
fn challenge(domain: &ServedDomain, block: &mut ParentRecords) {
    let address = domain.names.iter().find(|name| name.service.is_none());
    let whole = |name: &ServedName| domain.domain.is_at_or_below(&name.zone);
    if let Some(address) = address.filter(|_| !domain.names.iter().any(whole)) {
        alias_for_challenges(&domain.domain, &address.owner, block);
    }
}

fn alias_for_challenges(domain: &DomainName, address: &DomainName, block: &mut ParentRecords) {
    block.records.push(ParentRecord {
        step: Step::Challenge,
        owner: format!("{}.", challenges_of(domain)),
        ttl: DELEGATION_TTL,
        rtype: "CNAME",
        data: format!("{}.", challenges_of(address)),
    });
}

/// NS, glue and DS of one zone.
fn delegate(zone: &ServedZone, live: bool, block: &mut ParentRecords) {
    if let Some(above) = &zone.within {
        let apex = &zone.apex;
        let mut note = format!("{apex} is delegated by {above}, which is served here as well");
        if zone.vouched {
            note.push_str("; its DS is kept there by itself");
        } else if live && zone.signed {
            note.push_str(
                ", with a DS or with nameservers that somebody wrote: the DS has to be written there too",
            );
            for ds in &zone.ds {
                push(block, Step::Sign, apex, "DS", ds.clone());
            }
        }
        block.notes.push(note);
        return;
    }
    name_servers(&zone.apex, &zone.nameservers, block);
    for ds in &zone.ds {
        push(block, Step::Sign, &zone.apex, "DS", ds.clone());
    }
    match (zone.signed, zone.ds.is_empty()) {
        // The file alone has no keys.
        _ if !live => {}
        (false, _) => block.notes.push(format!(
            "{} is not signed: the zone above must have no DS for it",
            zone.apex
        )),
        (true, true) => block.notes.push(format!(
            "{} is signed and asks for no DS now: the zone above must have none",
            zone.apex
        )),
        (true, false) => {}
    }
}

fn name_servers(apex: &DomainName, hosts: &[Host], block: &mut ParentRecords) {
    for host in hosts {
        push(block, Step::Delegate, apex, "NS", dotted(&host.name));
        if !host.name.is_at_or_below(apex) {
            continue;
        }
        for address in &host.addresses {
            let rtype = if address.is_ipv4() { "A" } else { "AAAA" };
            push(block, Step::Glue, &host.name, rtype, address.to_string());
        }
        if host.addresses.is_empty() {
            let note = format!(
                "{} needs glue, and its address is not known here",
                host.name
            );
            block.notes.push(note);
        }
    }
}

/// An arrangement that is not configured: the same domain, with the names that it would have.
fn thought_of(
    domain: &ServedDomain,
    arrangement: Arrangement,
    zones: &HashMap<&DomainName, &ServedZone>,
    live: bool,
) -> ParentRecords {
    let mut ours = block(&domain.domain, Some(arrangement));
    let apex = &domain.domain;
    let hosts = domain.names.iter().find_map(|name| zones.get(&name.zone));
    let hosts = hosts.map_or(&[][..], |zone| &zone.nameservers);
    let below = |label: &str| format!("{label}.{apex}").parse::<DomainName>().ok();
    let address = domain.names.iter().find(|name| name.service.is_none());
    let label = address.map_or("xmpp", |name| first_label(&name.owner));
    let services: BTreeMap<ServiceKind, &ServedName> = domain
        .names
        .iter()
        .filter_map(|name| Some((name.service?, name)))
        .collect();
    let mut cuts: Vec<DomainName> = Vec::new();
    let mut address_name = below(label);
    match arrangement {
        Arrangement::Owners => {
            cuts.extend(services.values().map(|name| name.public.clone()));
            cuts.extend(address_name.clone());
        }
        Arrangement::ServiceTree => {
            cuts.extend(below("_tcp").into_iter().chain(address_name.clone()));
        }
        Arrangement::Child => {
            cuts.extend(below(CHILD_LABEL));
            address_name = below(&format!("{label}.{CHILD_LABEL}"));
            for name in services.values() {
                let service = name.public.as_str().strip_suffix(&format!(".{apex}"));
                let inside = service.and_then(|service| below(&format!("{service}.{CHILD_LABEL}")));
                if let Some(inside) = inside {
                    push(
                        &mut ours,
                        Step::Alias,
                        &name.public,
                        "CNAME",
                        dotted(&inside),
                    );
                }
            }
        }
        Arrangement::StaticSrv => {
            cuts.extend(address_name.clone());
            for name in services.values() {
                let target = address_name.as_ref().map_or(String::new(), dotted);
                let data = format!("10 0 {} {target}", name.port);
                push(&mut ours, Step::Static, &name.public, "SRV", data);
            }
        }
        Arrangement::Whole => {}
    }
    for cut in &cuts {
        match zones.get(cut) {
            Some(zone) => delegate(zone, live, &mut ours),
            None => {
                name_servers(cut, hosts, &mut ours);
                ours.notes.push(format!("{cut} is not served yet"));
            }
        }
    }
    if let Some(address) = &address_name {
        alias_for_challenges(apex, address, &mut ours);
    }
    if arrangement == Arrangement::Child && services.contains_key(&ServiceKind::SipFederationTls) {
        ours.notes.push(format!(
            "the target of _sipfederationtls has to lie directly in {apex} (Lync and Skype for Business compare the \
             names): in {CHILD_LABEL}.{apex} it does not"
        ));
    }
    if let Some(needs) = arrangement.needs() {
        ours.notes.push(format!("the configuration needs {needs}"));
    }
    ours
}

fn block(subject: &DomainName, arrangement: Option<Arrangement>) -> ParentRecords {
    ParentRecords {
        subject: subject.clone(),
        arrangement,
        records: Vec::new(),
        notes: Vec::new(),
    }
}

fn push(
    block: &mut ParentRecords,
    step: Step,
    owner: &DomainName,
    rtype: &'static str,
    data: String,
) {
    let ttl = match step {
        Step::Alias | Step::Static => ALIAS_TTL,
        _ => DELEGATION_TTL,
    };
    let record = ParentRecord {
        step,
        owner: dotted(owner),
        ttl,
        rtype,
        data,
    };
    if !block.records.contains(&record) {
        block.records.push(record);
    }
}

fn first_label(name: &DomainName) -> &str {
    name.as_str().split('.').next().unwrap_or_default()
}

fn dotted(name: &DomainName) -> String {
    format!("{name}.")
}
