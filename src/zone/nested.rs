//! Zones of ours inside zones of ours: the DS RRset that the outer one has of the inner one.
//!
//! In: the plans of a layout, the keys in force. Out: which outer zone vouches for which inner one, and with what: the DS
//! RRset is at every moment what the inner zone's CDS asks for (RFC 7344 §4), and both change in one publication.
//! Never here: when a DS may stand; `keys` says it by CDS. A DS that somebody has written himself.

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::layout::ZonePlan;
use super::name::{Name, parent_key};
use super::node::NodeKind;
use super::rdata::{Rdata, Rrset};
use super::zone_keys::{ChildRecords, ZoneKeys};
use super::zones::ZoneIndex;

/// A zone of ours whose DS another one of ours has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nested {
    /// The inner zone.
    pub(super) apex: Name,
    /// The place of the outer one in the layout.
    pub(super) outer: usize,
    /// The TTL of the delegation, in seconds; its DS has the same (RFC 4035 §2.4).
    pub(super) ttl: u32,
}

/// DS RRsets by the place of the outer zone, and by the apex of the inner one.
pub(super) type Vouched = BTreeMap<usize, BTreeMap<Name, Arc<Rrset>>>;

/// The inner zones that an outer one vouches for, in canonical order.
pub(super) fn nested(index: &ZoneIndex, plans: &[Arc<ZonePlan>]) -> Arc<[Nested]> {
    let each = plans.iter().filter_map(|plan| {
        let outer = index.longest(parent_key(plan.apex.key())?)?;
        let ttl = leads_to(&plans[outer], plan)?;
        Some(Nested {
            apex: plan.apex.clone(),
            outer,
            ttl,
        })
    });
    each.collect()
}

/// The TTL of the delegation of an inner zone, where the outer one sends every resolver to nameservers that the inner zone
/// names itself. Where it names others, somebody else may serve the zone, with other keys.
fn leads_to(outer: &ZonePlan, inner: &ZonePlan) -> Option<u32> {
    let cut = outer.nodes.get(inner.apex.key())?;
    if cut.kind != NodeKind::Cut || cut.set(RecordType::DS).is_some() {
        return None;
    }
    let delegation = cut.set(RecordType::NS)?;
    let own = inner.nodes.first()?.set(RecordType::NS)?;
    let is_own = |name: Name| own.targets().any(|other| other == name);
    delegation.targets().all(is_own).then_some(delegation.ttl)
}

/// The zone that vouches for this one.
pub(super) fn vouching<'a>(
    nested: &[Nested],
    plans: &'a [Arc<ZonePlan>],
    apex: &Name,
) -> Option<&'a Name> {
    let at = nested.binary_search_by(|nested| nested.apex.cmp(apex));
    let outer = plans.get(nested[at.ok()?].outer)?;
    Some(&outer.apex)
}

/// What the outer zones say of the inner ones while these keys are in force.
pub(super) fn vouched(nested: &[Nested], keys: &BTreeMap<Name, Arc<ZoneKeys>>) -> Vouched {
    let mut vouched = Vouched::new();
    for inner in nested {
        let Some(ChildRecords::Keys(wanted)) = keys.get(&inner.apex).map(|keys| &keys.child) else {
            continue;
        };
        let mut rdatas: Vec<Rdata> = wanted.iter().map(|key| key.ds(&inner.apex)).collect();
        rdatas.sort();
        rdatas.dedup();
        let set = Rrset {
            rtype: RecordType::DS,
            ttl: inner.ttl,
            rdatas,
        };
        let of_outer = vouched.entry(inner.outer).or_default();
        of_outer.insert(inner.apex.clone(), Arc::new(set));
    }
    vouched
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fixture::{layout, topology};
    use super::super::key::{KeyAlgorithm, SigningKey};
    use super::super::zone_keys::{Role, Signer};
    use super::super::{Challenges, Inputs, Layout, LayoutProblem, Serial, Zones, compile};
    use super::*;
    use crate::clock::Wall;
    use crate::decide::Generation;
    use crate::topology::DomainName;

    const OUTER: &str = "contoso.com";
    const INNER: &str = "fed.contoso.com";
    const HEAD: &str = "$TTL 600\n@ SOA ns1.example.net. hostmaster 7 60 30 7d 30\n@ NS ns1.example.net.\n@ NS ns2.example.net.\n";
    const DS: &str =
        "fed DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000\n";

    fn zones_with(records: &str) -> Result<Layout, Vec<LayoutProblem>> {
        let file = format!("{HEAD}{records}");
        layout(&topology(Vec::new(), &[OUTER, INNER]), &[(OUTER, &file)])
    }

    fn key() -> Arc<SigningKey> {
        Arc::new(SigningKey::generate(KeyAlgorithm::EcdsaP256Sha256).unwrap())
    }

    fn name(text: &str) -> Name {
        Name::from(&text.parse::<DomainName>().unwrap())
    }

    /// Both keys are published and sign; the parent is to have this.
    fn both(one: &Arc<SigningKey>, other: &Arc<SigningKey>, child: ChildRecords) -> ZoneKeys {
        let signer = |key: &Arc<SigningKey>| Signer {
            key: key.clone(),
            role: Role::Everything,
        };
        ZoneKeys {
            ttl: 600,
            published: [one, other].map(|key| key.dnskey().clone()).to_vec(),
            signers: [one, other].map(signer).to_vec(),
            child,
        }
    }

    fn publish(
        layout: &Layout,
        keys: &[(&str, &Arc<ZoneKeys>)],
        previous: Option<&Zones>,
        serial: u32,
    ) -> Zones {
        let keys = keys.iter();
        compile(&Inputs {
            layout,
            decisions: &BTreeMap::new(),
            keys: &keys
                .map(|(apex, keys)| (name(apex), (*keys).clone()))
                .collect(),
            unsignable: &Arc::default(),
            challenges: &Challenges::default(),
            previous,
            generation: Generation(u64::from(serial)),
            serial: Serial(serial),
            now: Wall::from_millis(1_795_230_000_000),
            beside: None,
        })
    }

    fn at<'a>(zones: &'a Zones, apex: &str, owner: &str, rtype: RecordType) -> Option<&'a Rrset> {
        let version = zones.version_at(&name(apex))?;
        version.set(name(owner).key(), rtype).map(Arc::as_ref)
    }

    fn ds(zones: &Zones) -> Option<&Rrset> {
        at(zones, OUTER, INNER, RecordType::DS)
    }

    #[test]
    fn the_outer_zone_has_at_every_moment_the_ds_that_cds_asks_for() {
        let layout = zones_with("").unwrap();
        let (old, new) = (key(), key());
        let outer = Arc::new(ZoneKeys::single(key(), 600));
        let keys = |of: &Arc<SigningKey>| ChildRecords::Keys(vec![of.dnskey().clone()]);
        // First signed, offered, rolled, taken back, unsigned.
        let stages = [
            None,
            Some(both(&old, &old, ChildRecords::None)),
            Some(both(&old, &old, keys(&old))),
            Some(both(&old, &new, keys(&old))),
            Some(both(&old, &new, keys(&new))),
            Some(both(&old, &new, ChildRecords::Delete)),
            None,
        ];
        let mut zones = publish(&layout, &[(OUTER, &outer)], None, 1);
        let mut changed = Vec::new();
        for (serial, stage) in (2..).zip(&stages) {
            let stage = stage.clone().map(Arc::new);
            let mut all = vec![(OUTER, &outer)];
            all.extend(stage.iter().map(|keys| (INNER, keys)));
            let next = publish(&layout, &all, Some(&zones), serial);
            assert!(next.faults().is_empty());

            let cds = at(&next, INNER, INNER, RecordType::CDS);
            let deletes = matches!(&stage, Some(keys) if keys.child == ChildRecords::Delete);
            let asked = cds.filter(|_| !deletes).map(|cds| &cds.rdatas);
            assert_eq!(ds(&next).map(|ds| &ds.rdatas), asked, "{serial}");
            // RFC 4035 §2.4: as long as the delegation.
            assert!(ds(&next).is_none_or(|ds| ds.ttl == 3600));

            let cut = next.version_at(&name(OUTER)).unwrap();
            let cut = cut.node(name(INNER).key()).unwrap();
            assert_eq!(cut.signature(RecordType::DS).is_some(), ds(&next).is_some());
            let nsec = cut.set(RecordType::NSEC).unwrap().rdatas[0].to_text(RecordType::NSEC);
            assert_eq!(nsec.contains(" DS "), ds(&next).is_some(), "{nsec}");
            let scratch = publish(&layout, &all, None, serial);
            for (apex, now) in [(OUTER, &next), (INNER, &next)] {
                let text = |zones: &Zones| {
                    let version = zones.version_at(&name(apex)).unwrap();
                    let nodes = version.nodes().iter().flat_map(|node| {
                        let sets = node.sets.iter();
                        sets.filter(|set| set.rtype != RecordType::SOA)
                            .map(|set| format!("{} {set:?}", node.name))
                    });
                    nodes.collect::<Vec<_>>()
                };
                assert_eq!(text(now), text(&scratch));
            }
            if next.version_at(&name(OUTER)).unwrap().serial() == Serial(serial) {
                changed.push(serial);
            }
            zones = next;
        }
        // Nothing else makes a version of the outer zone.
        assert_eq!(changed, [4, 6, 7]);
    }

    #[test]
    fn an_outer_zone_that_is_not_signed_has_the_ds_as_well() {
        let layout = zones_with("").unwrap();
        let inner = Arc::new(ZoneKeys::single(key(), 600));
        let zones = publish(&layout, &[(INNER, &inner)], None, 1);
        assert!(ds(&zones).is_some());
        assert_eq!(layout.vouches_for(&name(INNER)), Some(&name(OUTER)));
        assert_eq!(zones.vouches_for(&name(INNER)), Some(&name(OUTER)));
        assert_eq!(zones.vouches_for(&name(OUTER)), None);
    }

    #[test]
    fn what_somebody_wrote_stays_as_it_is_and_is_warned_of() {
        let written = zones_with(&format!("fed NS ns2.Example.net.\n{DS}")).unwrap();
        let warnings: Vec<String> = written.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "test.zone:6 has a DS record of fed.contoso.com., a zone that is served here too: it is served as it is \
                 written, and does not follow the zone's keys"
            ]
        );
        let inner = Arc::new(ZoneKeys::single(key(), 600));
        let zones = publish(&written, &[(INNER, &inner)], None, 1);
        let text = ds(&zones).unwrap().rdatas[0].to_text(RecordType::DS);
        assert!(text.starts_with("1 13 2 0000"), "{text}");
        assert_eq!(written.vouches_for(&name(INNER)), None);

        // Removed, it is ours to say; the file's own TTL counts.
        let removed = zones_with("fed 300 NS ns2.Example.net.\n").unwrap();
        assert_eq!(removed.warnings(), []);
        let zones = publish(&removed, &[(INNER, &inner)], Some(&zones), 2);
        assert_eq!(ds(&zones).unwrap().ttl, 300);
        let cds = at(&zones, INNER, INNER, RecordType::CDS).unwrap();
        assert_eq!(ds(&zones).unwrap().rdatas, cds.rdatas);
    }

    #[test]
    fn a_zone_that_somebody_else_serves_gets_no_ds_of_ours() {
        let inner = Arc::new(ZoneKeys::single(key(), 600));
        for records in [
            "fed NS ns1.example.net.\nfed NS ns.elsewhere.example.\n".to_owned(),
            format!("fed NS ns.elsewhere.example.\n{DS}"),
        ] {
            let layout = zones_with(&records).unwrap();
            assert_eq!(layout.warnings(), []);
            let zones = publish(&layout, &[(INNER, &inner)], None, 1);
            assert_eq!(ds(&zones).is_some(), records.contains(" DS "));
            assert_eq!(layout.vouches_for(&name(INNER)), None);
        }
    }
}
