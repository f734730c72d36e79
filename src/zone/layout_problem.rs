//! What can be wrong between routes, zones and static records.
//!
//! In: facts found by `layout`. Out: messages an operator can act on; configuration adds the place in its own
//! file and says what stays in force.

use hickory_proto::rr::RecordType;

use super::master::{Severity, SourceLine};
use super::name::Name;
use super::type_names::type_text;
use crate::topology::{DomainName, PoolName, RouteName};

/// One problem of a layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutProblem {
    /// A steered name that lies in no zone.
    #[error("route {route} steers {owner}, which lies in no configured zone")]
    NoZone {
        /// The route.
        route: RouteName,
        /// The steered name.
        owner: Name,
    },
    /// An owner template that becomes too long.
    #[error("route {route} cannot steer {template:?} for {domain}: the name becomes too long")]
    OwnerTooLong {
        /// The route.
        route: RouteName,
        /// The template.
        template: String,
        /// The domain put into it.
        domain: DomainName,
    },
    /// A static record where a decision puts its own.
    #[error(
        "{at} has a static {} record of {owner}, which route {route} steers",
        type_text(*.rtype)
    )]
    StaticAtSteered {
        /// The route.
        route: RouteName,
        /// The steered name.
        owner: Name,
        /// The type.
        rtype: RecordType,
        /// The static record.
        at: SourceLine,
    },
    /// A primary's record where a decision puts its own: the decision's is served.
    #[error(
        "{at} has a record of type {} at {owner}, which route {route} steers: the route's is served in its place",
        type_text(*.rtype)
    )]
    ReceivedAtSteered {
        /// The route.
        route: RouteName,
        /// The steered name.
        owner: Name,
        /// The type.
        rtype: RecordType,
        /// What was sent.
        at: SourceLine,
    },
    /// A steered name that is a static alias.
    #[error("route {route} steers {owner}, which is an alias (CNAME at {at})")]
    SteeredAtCname {
        /// The route.
        route: RouteName,
        /// The steered name.
        owner: Name,
        /// The alias.
        at: SourceLine,
    },
    /// A steered name that is delegated away.
    #[error("route {route} steers {owner}, which is delegated away at {cut}{}", found_at(.at))]
    SteeredBelowCut {
        /// The route.
        route: RouteName,
        /// The steered name.
        owner: Name,
        /// The delegation.
        cut: Name,
        /// Its static NS; none when another zone of ours begins there.
        at: Option<SourceLine>,
    },
    /// A steered name that a DNAME redirects (RFC 6672 §2.3).
    #[error("route {route} steers {owner}, which the DNAME of {dname} ({at}) redirects elsewhere")]
    SteeredBelowDname {
        /// The route.
        route: RouteName,
        /// The steered name.
        owner: Name,
        /// Where the DNAME is.
        dname: Name,
        /// The DNAME.
        at: SourceLine,
    },
    /// A zone of ours inside one that redirects its names.
    #[error(
        "the zone {apex} lies below the DNAME of {dname} ({at}), which redirects its names elsewhere"
    )]
    ZoneBelowDname {
        /// The inner zone.
        apex: Name,
        /// Where the DNAME is.
        dname: Name,
        /// The DNAME.
        at: SourceLine,
        /// A primary has sent the DNAME.
        received: bool,
    },
    /// Two routes, or two services of one, at one owner and type.
    #[error(
        "routes {first} and {second} both steer the {} records of {owner}",
        type_text(*.rtype)
    )]
    Collision {
        /// The name.
        owner: Name,
        /// The type.
        rtype: RecordType,
        /// The route that came first.
        first: RouteName,
        /// The other; it may be the same.
        second: RouteName,
    },
    /// A steered name with a zone of its own that is also configured as a zone.
    #[error(
        "route {route} makes {apex} a zone of its own, and a [[zone]] with this apex is configured"
    )]
    DuplicateApex {
        /// The route.
        route: RouteName,
        /// The apex.
        apex: Name,
    },
    /// An SRV target that is an alias (RFC 2782).
    #[error(
        "target {target} of pool {pool} is an alias (CNAME at {at}); SRV records lead to real names"
    )]
    TargetIsCname {
        /// The pool.
        pool: PoolName,
        /// The target's name.
        target: Name,
        /// The alias.
        at: SourceLine,
    },
    /// An SRV target that a DNAME redirects, which makes it an alias.
    #[error(
        "target {target} of pool {pool} lies below the DNAME of {dname} ({at}), which makes it an alias; SRV records lead to real names"
    )]
    TargetBelowDname {
        /// The pool.
        pool: PoolName,
        /// The target's name.
        target: Name,
        /// Where the DNAME is.
        dname: Name,
        /// The DNAME.
        at: SourceLine,
    },
    /// A target whose static addresses are not the ones its pool publishes and probes.
    #[error(
        "target {target} of pool {pool} has static addresses at {at} that differ from those the pool publishes"
    )]
    TargetAddressesDiffer {
        /// The pool.
        pool: PoolName,
        /// The target's name.
        target: Name,
        /// The static records.
        at: SourceLine,
    },
    /// A static SRV or MX to a name of ours without an address.
    #[error(
        "the {} record at {at} leads to {target}, which lies in a zone of ours and has no address",
        type_text(*.rtype)
    )]
    StaticTargetWithoutAddress {
        /// The type.
        rtype: RecordType,
        /// Where it leads.
        target: Name,
        /// The record.
        at: SourceLine,
    },
    /// A static record where another zone of ours begins.
    #[error(
        "{at} has {} data of {owner}, but {child} is a zone of its own here: the record is never seen",
        type_text(*.rtype)
    )]
    OccludedStatic {
        /// The record's owner.
        owner: Name,
        /// Its type.
        rtype: RecordType,
        /// The other zone.
        child: Name,
        /// The record.
        at: SourceLine,
    },
    /// A DS that somebody wrote where repoint would put the right one itself.
    #[error(
        "{at} has a DS record of {child}, a zone that is served here too: it is served as it is written, and does not follow the zone's keys"
    )]
    DsByHand {
        /// The inner zone.
        child: Name,
        /// The record.
        at: SourceLine,
    },
    /// No name servers for a generated zone.
    #[error("zone {apex} is generated, and [dns] names no name server for it")]
    NoNameservers {
        /// The zone.
        apex: Name,
    },
    /// A name server inside a generated zone, without an address.
    #[error("name server {nameserver} lies in the generated zone {apex} and has no address")]
    NameserverWithoutAddress {
        /// The name server.
        nameserver: DomainName,
        /// The zone.
        apex: Name,
    },
}

fn found_at(at: &Option<SourceLine>) -> String {
    match at {
        Some(at) => format!(" ({at})"),
        None => " (it is a zone of its own here)".into(),
    }
}

impl LayoutProblem {
    /// Whether the layout can be used all the same.
    pub fn severity(&self) -> Severity {
        match self {
            LayoutProblem::ReceivedAtSteered { .. }
            | LayoutProblem::TargetAddressesDiffer { .. }
            | LayoutProblem::StaticTargetWithoutAddress { .. }
            | LayoutProblem::ZoneBelowDname { received: true, .. }
            | LayoutProblem::DsByHand { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// The route it is about, for its place in the configuration.
    pub fn route(&self) -> Option<&RouteName> {
        match self {
            LayoutProblem::NoZone { route, .. }
            | LayoutProblem::OwnerTooLong { route, .. }
            | LayoutProblem::StaticAtSteered { route, .. }
            | LayoutProblem::ReceivedAtSteered { route, .. }
            | LayoutProblem::SteeredAtCname { route, .. }
            | LayoutProblem::SteeredBelowCut { route, .. }
            | LayoutProblem::SteeredBelowDname { route, .. }
            | LayoutProblem::DuplicateApex { route, .. }
            | LayoutProblem::Collision { second: route, .. } => Some(route),
            _ => None,
        }
    }

    /// The pool it is about, for its place in the configuration.
    pub fn pool(&self) -> Option<&PoolName> {
        match self {
            LayoutProblem::TargetIsCname { pool, .. }
            | LayoutProblem::TargetBelowDname { pool, .. }
            | LayoutProblem::TargetAddressesDiffer { pool, .. } => Some(pool),
            _ => None,
        }
    }

    /// The line of a master file it is about.
    pub fn source(&self) -> Option<&SourceLine> {
        match self {
            LayoutProblem::StaticAtSteered { at, .. }
            | LayoutProblem::ReceivedAtSteered { at, .. }
            | LayoutProblem::SteeredAtCname { at, .. }
            | LayoutProblem::TargetIsCname { at, .. }
            | LayoutProblem::TargetBelowDname { at, .. }
            | LayoutProblem::SteeredBelowDname { at, .. }
            | LayoutProblem::ZoneBelowDname { at, .. }
            | LayoutProblem::TargetAddressesDiffer { at, .. }
            | LayoutProblem::StaticTargetWithoutAddress { at, .. }
            | LayoutProblem::DsByHand { at, .. }
            | LayoutProblem::OccludedStatic { at, .. } => Some(at),
            LayoutProblem::SteeredBelowCut { at, .. } => at.as_ref(),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn mend(&self) -> String {
        use LayoutProblem as P;
        match self {
            P::NoZone { owner, .. } => format!(
                "add a [[zone]] whose apex is {owner} or above it, or write zones = \"owners\" in the route"
            ),
            P::OwnerTooLong { .. } => "shorten the template".into(),
            P::StaticAtSteered { .. } => {
                "remove the static record; the route puts its own there".into()
            }
            P::ReceivedAtSteered { .. } => "remove it at the primary".into(),
            P::SteeredAtCname { .. } => "remove the CNAME".into(),
            P::SteeredBelowCut { at: Some(_), .. } => {
                "remove the delegation, or write zones = \"owners\" in the route".into()
            }
            P::SteeredBelowCut { .. } => "let both names lie in the same zone".into(),
            P::SteeredBelowDname { .. } => {
                "remove the DNAME, or write CNAME records for the other names below it".into()
            }
            P::ZoneBelowDname { dname, .. } => {
                format!("remove the DNAME of {dname}, or give the zone another apex")
            }
            P::TargetBelowDname { .. } => {
                "name the host that the DNAME leads to, or remove the DNAME".into()
            }
            P::Collision { .. } => "let one route steer the name".into(),
            P::DuplicateApex { .. } => {
                "remove the [[zone]], or leave out zones = \"owners\" in the route".into()
            }
            P::TargetIsCname { .. } => {
                "name the host the alias leads to, or replace the CNAME by addresses".into()
            }
            P::TargetAddressesDiffer { .. } => {
                "make them the same, or remove the static ones: then the published ones are served"
                    .into()
            }
            P::StaticTargetWithoutAddress { target, .. } => format!(
                "add A or AAAA records for {target}; end the name with a dot if one outside the zone is meant"
            ),
            P::DsByHand { .. } => {
                "remove it: while the zone is signed, the DS that its keys need is put there, and changed when a key is rolled"
                    .into()
            }
            P::OccludedStatic { .. } => "move the record to that zone, or remove it".into(),
            P::NoNameservers { .. } => {
                "write [dns] nameservers = [{ name = \"ns1.example.net\" }]".into()
            }
            P::NameserverWithoutAddress { .. } => {
                "give it addresses = [\"192.0.2.53\"] in [dns], or use a name outside the zone"
                    .into()
            }
        }
    }
}
