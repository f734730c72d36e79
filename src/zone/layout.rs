//! Where every steered name lives, and the part of each zone that no decision changes.
//!
//! In: a topology, the static zones of its master files. Out: a [`Layout`] that `compile` fills with decisions
//! as often as they change, or every problem at once. Never here: decisions, serials.

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::layout_problem::LayoutProblem;
use super::name::Name;
use super::nested::{Nested, nested, vouching};
use super::node::Node;
use super::nodes::Nodes;
use super::placement;
use super::rdata::Rrset;
use super::serial::Serial;
use super::static_zone::StaticZone;
use super::zones::ZoneIndex;
use crate::topology::{DomainName, Family, RouteName, ServiceKind, Topology};

/// Every zone with its steered names, ready to be filled with decisions.
#[derive(Debug)]
pub struct Layout {
    pub(super) index: Arc<ZoneIndex>,
    pub(super) plans: Vec<Arc<ZonePlan>>,
    pub(super) nested: Arc<[Nested]>,
    serial_floor: Option<Serial>,
    warnings: Vec<LayoutProblem>,
}

/// One zone without its SOA and its steered RRsets.
#[derive(Debug)]
pub(super) struct ZonePlan {
    pub(super) apex: Name,
    /// Its primary has not sent its static part yet: it is not served.
    pub(super) awaited: bool,
    /// In canonical order, the apex first, empty non-terminals and steered names included.
    pub(super) nodes: Nodes,
    /// The SOA; its serial is replaced.
    pub(super) soa: Arc<Rrset>,
    /// In order of node.
    pub(super) slots: Vec<Slot>,
    /// What its static part has and it has not, in words.
    pub(super) left_out: Vec<String>,
}

impl ZonePlan {
    /// Whether both lead to the same versions: a reload makes plans anew, also those of zones that did not change.
    pub(super) fn says_the_same(&self, other: &ZonePlan) -> bool {
        self.apex.wire() == other.apex.wire()
            && self.awaited == other.awaited
            && self.soa == other.soa
            && self.slots == other.slots
            && self.nodes.len() == other.nodes.len()
            && self
                .nodes
                .iter()
                .zip(other.nodes.iter())
                .all(|(one, two)| one.says_the_same(two))
    }

    /// Whether one can be served for another while everything else follows a new layout: it has the same names, with
    /// records of the same types at each of them.
    pub(super) fn has_shape_of(&self, other: &ZonePlan) -> bool {
        let place = |slot: &Slot| (slot.owner.clone(), slot.what);
        let same = |(one, two): (&Arc<Node>, &Arc<Node>)| {
            let types = |node: &Node| node.sets.iter().map(|set| set.rtype).collect::<Vec<_>>();
            one.name == two.name && one.kind == two.kind && types(one) == types(two)
        };
        self.apex == other.apex
            && self
                .slots
                .iter()
                .map(place)
                .eq(other.slots.iter().map(place))
            && self.nodes.len() == other.nodes.len()
            && self.nodes.iter().zip(other.nodes.iter()).all(same)
    }
}

/// An RRset that a decision gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) owner: Name,
    pub(super) route: RouteName,
    pub(super) what: Steered,
}

/// What of a decision goes into a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Steered {
    Service(ServiceKind),
    Address(Family),
}

impl Steered {
    pub(super) fn rtype(self) -> RecordType {
        match self {
            Steered::Service(_) => RecordType::SRV,
            Steered::Address(Family::Ipv4) => RecordType::A,
            Steered::Address(Family::Ipv6) => RecordType::AAAA,
        }
    }
}

impl Layout {
    /// Puts every steered name into its zone. `statics` are the zones that have a master file, by apex.
    pub fn new(
        topology: &Topology,
        statics: BTreeMap<DomainName, Arc<StaticZone>>,
    ) -> Result<Layout, Vec<LayoutProblem>> {
        let placed = placement::place(topology, &statics)?;
        let index = ZoneIndex::new(placed.plans.iter().map(|plan| &plan.apex));
        Ok(Layout {
            nested: nested(&index, &placed.plans),
            index: Arc::new(index),
            plans: placed.plans,
            serial_floor: placed.serial_floor,
            warnings: placed.warnings,
        })
    }

    /// The layout with another static part of one zone, the one `apex` that a primary has sent. All other zones
    /// are the same value as before. Its own problems come with it.
    ///
    /// # Errors
    /// Every problem, when what is steered does not fit into what the primary sent.
    pub fn with_received(
        &self,
        topology: &Topology,
        apex: &DomainName,
        zone: Arc<StaticZone>,
    ) -> Result<(Layout, Vec<LayoutProblem>), Vec<LayoutProblem>> {
        let name = Name::from(apex);
        let statics = BTreeMap::from([(apex.clone(), zone)]);
        let placed = placement::place_within(topology, &statics, &name)?;
        let mut plans = self.plans.clone();
        let at = self.index.exact(name.key());
        let fresh = placed.plans.into_iter().find(|plan| plan.apex == name);
        if let Some((place, fresh)) = at.and_then(|at| plans.get_mut(at)).zip(fresh) {
            *place = fresh;
        }
        let layout = Layout {
            index: Arc::clone(&self.index),
            nested: nested(&self.index, &plans),
            plans,
            serial_floor: self.serial_floor,
            warnings: self.warnings.clone(),
        };
        Ok((layout, placed.warnings))
    }

    /// What is hardly meant, though the layout can be used.
    pub fn warnings(&self) -> &[LayoutProblem] {
        &self.warnings
    }

    /// The apexes of all zones, in canonical order.
    pub fn apexes(&self) -> impl Iterator<Item = &Name> {
        self.plans.iter().map(|plan| &plan.apex)
    }

    /// The routes that steer names of a zone.
    pub fn routes_of(&self, apex: &Name) -> impl Iterator<Item = &RouteName> {
        let plan = self.index.exact(apex.key()).map(|at| &self.plans[at]);
        plan.into_iter()
            .flat_map(|plan| &plan.slots)
            .map(|slot| &slot.route)
    }

    /// The zone of ours that has the DS of this one by itself, as its keys ask for it; none where somebody else sees to that:
    /// the owner of the zone above, also when it is served here with a DS or other nameservers in its file.
    pub fn vouches_for(&self, apex: &Name) -> Option<&Name> {
        vouching(&self.nested, &self.plans, apex)
    }

    /// What a zone's master file or primary has and the zone has not, in words.
    pub fn left_out(&self, apex: &Name) -> &[String] {
        let plan = self.index.exact(apex.key()).map(|at| &self.plans[at]);
        plan.map_or(&[], |plan| &plan.left_out)
    }

    /// The TTL of a zone's SOA, in seconds.
    pub fn soa_ttl(&self, apex: &Name) -> Option<u32> {
        Some(self.plans[self.index.exact(apex.key())?].soa.ttl)
    }

    /// The longest TTL that a version of a zone has without what is steered, in seconds.
    pub fn longest_static_ttl(&self, apex: &Name) -> Option<u32> {
        let plan = &self.plans[self.index.exact(apex.key())?];
        Some(plan.nodes.tally().longest_ttl.max(plan.soa.ttl))
    }

    /// The serial for the next change: [`Serial::next`], and beyond the serial of every master file, so that
    /// secondaries that hold the zone from elsewhere follow.
    ///
    /// A file's serial that is the lower number is behind, even where RFC 1982 calls it later: many files have serial 1,
    /// and nobody means by it that a zone at 2800000000 is to go on at 2.
    pub fn next_serial(&self, previous: Option<Serial>, unix_seconds: u32) -> Serial {
        let next = Serial::next(previous, unix_seconds);
        let is_ahead = |floor: &Serial| !next.is_after(*floor) && floor.0 >= next.0;
        let Some(floor) = self.serial_floor.filter(is_ahead) else {
            return next;
        };
        let above = Serial::next(Some(floor), floor.0);
        previous.map_or(above, |previous| previous.towards(above))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fixture::{decision, layout, publish, route, topology};
    use super::*;
    use crate::topology::ZonePlacement;

    const HEAD: &str =
        "$TTL 3600\n@ SOA ns1.example.net. hostmaster 7 60 30 7d 30\n@ NS ns1.example.net.\n";

    fn with_serials(serials: &[u32]) -> Layout {
        let route = route("contoso", &["contoso.com"], ZonePlacement::Configured);
        let mut files = vec![("contoso.com".to_owned(), 7)];
        files.extend(
            (0..)
                .map(|n| format!("zone{n}.example"))
                .zip(serials.iter().copied()),
        );
        let apexes: Vec<&str> = files.iter().map(|(apex, _)| apex.as_str()).collect();
        let texts: Vec<String> = files
            .iter()
            .map(|(_, serial)| HEAD.replace(" 7 ", &format!(" {serial} ")))
            .collect();
        let zones: Vec<_> = apexes
            .iter()
            .zip(&texts)
            .map(|(apex, text)| (*apex, text.as_str()))
            .collect();
        layout(&topology(vec![route], &apexes), &zones).unwrap()
    }

    #[test]
    fn serials_go_past_those_of_master_files_and_never_back_to_a_small_one() {
        let clock = 1_795_219_200;
        let next = |serials: &[u32], previous: Option<u32>, clock| {
            let layout = with_serials(serials);
            layout.next_serial(previous.map(Serial), clock).0
        };
        assert_eq!(next(&[1], None, clock), clock);
        assert_eq!(next(&[2_026_112_101], None, clock), 2_026_112_102);
        let high = 2_800_000_000;
        assert_eq!(next(&[1], Some(high), clock), high + 1);
        assert_eq!(next(&[high, 1], None, clock), high + 1);
        assert_eq!(next(&[1, high], None, clock), high + 1);
        // After 2038 as well.
        assert_eq!(next(&[1], None, 2_200_000_000), 2_200_000_000);
        assert_eq!(
            next(&[1], Some(2_200_000_000), 2_200_000_000),
            2_200_000_001
        );
        // A file that is far ahead is reached in steps that secondaries follow.
        let far = 3_900_000_000;
        assert_eq!(next(&[far], Some(clock), clock), clock + (1 << 30) - 1);
    }

    fn configured(text: &str) -> Result<Layout, Vec<LayoutProblem>> {
        let route = route("contoso", &["contoso.com"], ZonePlacement::Configured);
        let file = format!("{HEAD}{text}");
        layout(
            &topology(vec![route], &["contoso.com"]),
            &[("contoso.com", &file)],
        )
    }

    fn messages(result: Result<Layout, Vec<LayoutProblem>>) -> Vec<String> {
        result
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn owners_mode_makes_a_zone_of_each_steered_name() {
        let route = route(
            "contoso",
            &["contoso.com", "contoso.example"],
            ZonePlacement::Owners,
        );
        let layout = layout(&topology(vec![route], &[]), &[]).unwrap();
        let apexes: Vec<String> = layout.apexes().map(ToString::to_string).collect();
        assert_eq!(
            apexes,
            [
                "_xmpp-server._tcp.contoso.com.",
                "_xmpps-server._tcp.contoso.com.",
                "xmpp.contoso.com.",
                "_xmpp-server._tcp.contoso.example.",
                "_xmpps-server._tcp.contoso.example.",
                "xmpp.contoso.example.",
            ]
        );
        let zones = publish(&layout, &[decision("contoso", 1)], None, 5);
        let apex = "_xmpp-server._tcp.contoso.com".parse().unwrap();
        assert_eq!(
            zones.zone(&apex).unwrap().to_master_text(),
            "_xmpp-server._tcp.contoso.com.\t3600\tIN\tSOA\tns1.example.net. hostmaster.example.net. 5 60 30 604800 30\n\
             _xmpp-server._tcp.contoso.com.\t3600\tIN\tNS\tns1.example.net.\n\
             _xmpp-server._tcp.contoso.com.\t3600\tIN\tNS\tns2.example.net.\n\
             _xmpp-server._tcp.contoso.com.\t30\tIN\tSRV\t10 0 5269 edge1.contoso.com.\n\
             _xmpp-server._tcp.contoso.com.\t30\tIN\tSRV\t20 0 5269 edge2.contoso.com.\n"
        );
    }

    #[test]
    fn a_steered_name_lies_in_the_configured_zone_with_the_longest_apex() {
        let route = route("contoso", &["fed.contoso.com"], ZonePlacement::Configured);
        let layout = layout(
            &topology(vec![route], &["contoso.com", "fed.contoso.com"]),
            &[],
        )
        .unwrap();
        let zones = publish(&layout, &[decision("contoso", 1)], None, 5);
        let inner = zones.zone(&"fed.contoso.com".parse().unwrap()).unwrap();
        assert!(
            inner
                .to_master_text()
                .contains("_xmpp-server._tcp.fed.contoso.com.\t30\tIN\tSRV")
        );
        let outer = zones
            .zone(&"contoso.com".parse().unwrap())
            .unwrap()
            .to_master_text();
        assert!(!outer.contains("SRV"));
        // The outer zone delegates the inner one, and has the targets' addresses.
        assert!(outer.contains("fed.contoso.com.\t3600\tIN\tNS\tns1.example.net.\n"));
        assert!(outer.contains("edge1.contoso.com.\t30\tIN\tA\t192.0.2.10\n"));
        assert!(outer.contains("edge1.contoso.com.\t30\tIN\tAAAA\t2001:db8::10\n"));
    }

    #[test]
    fn a_steered_name_in_no_zone_is_a_problem() {
        let route = route("contoso", &["contoso.com"], ZonePlacement::Configured);
        let problems = messages(layout(&topology(vec![route], &["fed.contoso.com"]), &[]));
        assert_eq!(
            problems,
            [
                "route contoso steers _xmpp-server._tcp.contoso.com., which lies in no configured zone",
                "route contoso steers _xmpps-server._tcp.contoso.com., which lies in no configured zone",
                "route contoso steers xmpp.contoso.com., which lies in no configured zone",
            ]
        );
    }

    #[test]
    fn a_static_record_at_a_steered_name_is_a_problem_with_its_line() {
        let problems = messages(configured(
            "_xmpp-server._tcp SRV 1 0 5269 a.example.net.\n",
        ));
        assert_eq!(
            problems,
            [
                "test.zone:4 has a static SRV record of _xmpp-server._tcp.contoso.com., which route contoso steers"
            ]
        );
    }

    #[test]
    fn a_steered_alias_is_a_problem() {
        let problems = messages(configured("xmpp CNAME a.example.net.\n"));
        assert_eq!(
            problems,
            ["route contoso steers xmpp.contoso.com., which is an alias (CNAME at test.zone:4)"]
        );
    }

    #[test]
    fn a_steered_name_below_a_delegation_is_a_problem() {
        let problems = messages(configured("_tcp NS ns.example.net.\n"));
        assert_eq!(
            problems[0],
            "route contoso steers _xmpp-server._tcp.contoso.com., which is delegated away at \
             _tcp.contoso.com. (test.zone:4)"
        );
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn two_routes_cannot_steer_one_name() {
        let routes = vec![
            route("a", &["contoso.com"], ZonePlacement::Owners),
            route("b", &["contoso.com"], ZonePlacement::Owners),
        ];
        let problems = messages(layout(&topology(routes, &[]), &[]));
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert_eq!(
            problems[0],
            "routes a and b both steer the SRV records of _xmpp-server._tcp.contoso.com."
        );
    }

    #[test]
    fn a_steered_zone_that_is_also_configured_is_a_problem() {
        let route = route("contoso", &["contoso.com"], ZonePlacement::Owners);
        let problems = messages(layout(&topology(vec![route], &["xmpp.contoso.com"]), &[]));
        assert_eq!(
            problems,
            [
                "route contoso makes xmpp.contoso.com. a zone of its own, and a [[zone]] with this apex is configured"
            ]
        );
    }

    #[test]
    fn a_target_that_is_an_alias_is_a_problem_even_by_a_wildcard() {
        for record in ["edge1", "*"] {
            let problems = messages(configured(&format!("{record} CNAME a.example.net.\n")));
            assert_eq!(
                problems[0],
                "target edge1.contoso.com. of pool pool1 is an alias (CNAME at test.zone:4); \
                 SRV records lead to real names"
            );
        }
    }

    #[test]
    fn static_addresses_of_a_target_are_kept_and_compared_with_those_published() {
        let good = configured("edge1 A 192.0.2.10\nedge1 AAAA 2001:db8::10\n").unwrap();
        assert_eq!(good.warnings(), []);
        let differ = configured("edge1 60 A 203.0.113.1\n").unwrap();
        assert_eq!(
            differ.warnings()[0].to_string(),
            "target edge1.contoso.com. of pool pool1 has static addresses at test.zone:4 that \
             differ from those the pool publishes"
        );
        let zones = publish(&differ, &[decision("contoso", 1)], None, 9);
        let text = zones.iter().next().unwrap().to_master_text();
        assert!(text.contains("edge1.contoso.com.\t60\tIN\tA\t203.0.113.1\n"));
        assert!(!text.contains("edge1.contoso.com.\t30"));
    }

    #[test]
    fn a_wildcard_address_does_not_stand_in_for_a_target() {
        let layout = configured("* 60 A 203.0.113.1\n").unwrap();
        assert_eq!(layout.warnings(), []);
        let zones = publish(&layout, &[decision("contoso", 1)], None, 9);
        let text = zones.iter().next().unwrap().to_master_text();
        assert!(
            text.contains("edge1.contoso.com.\t30\tIN\tA\t192.0.2.10\n"),
            "{text}"
        );
        assert!(text.contains("*.contoso.com.\t60\tIN\tA\t203.0.113.1\n"));
    }

    #[test]
    fn a_static_srv_to_a_pool_target_needs_no_static_address() {
        let fine = configured("_jabber._tcp SRV 0 0 5269 edge1\n").unwrap();
        assert_eq!(fine.warnings(), []);
        let warned = configured("_jabber._tcp SRV 0 0 5269 edge3\n").unwrap();
        assert_eq!(
            warned.warnings()[0].to_string(),
            "the SRV record at test.zone:4 leads to edge3.contoso.com., which lies in a zone of \
             ours and has no address"
        );
    }

    #[test]
    fn a_static_record_where_another_zone_begins_is_a_problem() {
        let mut topology = topology(
            vec![route("contoso", &["contoso.com"], ZonePlacement::Owners)],
            &["contoso.com"],
        );
        topology.nameservers.ttl = 60;
        let file = format!("{HEAD}xmpp A 192.0.2.1\n");
        let problems = messages(layout(&topology, &[("contoso.com", &file)]));
        assert_eq!(
            problems,
            [
                "test.zone:4 has A data of xmpp.contoso.com., but xmpp.contoso.com. is a zone of its own here: the record is never seen"
            ]
        );
    }

    #[test]
    fn a_name_server_inside_a_generated_zone_needs_an_address_and_becomes_glue() {
        let mut topology = topology(Vec::new(), &["example.net"]);
        let problems = messages(layout(&topology, &[]));
        assert_eq!(
            problems[0],
            "name server ns1.example.net lies in the generated zone example.net. and has no address"
        );
        for server in &mut topology.nameservers.servers {
            server.addresses = vec!["192.0.2.53".parse().unwrap()];
        }
        let layout = layout(&topology, &[]).unwrap();
        let zones = publish(&layout, &[], None, 3);
        let text = zones.iter().next().unwrap().to_master_text();
        assert!(
            text.contains("ns1.example.net.\t3600\tIN\tA\t192.0.2.53\n"),
            "{text}"
        );
    }

    #[test]
    fn serials_go_beyond_that_of_every_master_file() {
        let text = HEAD.replace(" 7 60", " 2026112101 60");
        let topology = topology(Vec::new(), &["contoso.com"]);
        let layout = layout(&topology, &[("contoso.com", &text)]).unwrap();
        let first = layout.next_serial(None, 1_795_000_000);
        assert_eq!(first, Serial(2_026_112_102));
        assert_eq!(
            layout.next_serial(Some(first), 1_795_000_030),
            Serial(2_026_112_103)
        );
        let earlier = Some(Serial(1_795_000_000));
        assert_eq!(
            layout.next_serial(earlier, 1_795_000_030),
            Serial(2_026_112_102)
        );
        assert_eq!(
            layout.next_serial(earlier, 2_100_000_000),
            Serial(2_100_000_000)
        );
    }
}
