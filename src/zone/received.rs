//! A zone as its primary sends it: records of a transfer made static records, and edited by incremental ones.
//!
//! In: the records of an AXFR, or the changes of an IXFR to what came before. Out: a [`StaticZone`] without anything
//! that signing made, or why there is none. Never here: messages, steered names; `layout` puts the two together.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use hickory_proto::rr::RecordType;

use super::cancellation::Cancellation;
use super::change::OwnedRecord;
use super::master::{MasterRecord, SourceLine};
use super::name::Name;
use super::rdata::Rdata;
use super::serial::Serial;
use super::shape::{self, TypeFault};
use super::static_zone::StaticZone;
use super::type_names::type_text;
use crate::topology::DomainName;

/// Why what a primary sent is no zone of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceivedFault {
    /// Records of a type that has no place in a zone of ours.
    #[error("it has a record of type {} at {owner}: {fault}", type_text(*.rtype))]
    Type {
        /// Whose record.
        owner: Name,
        /// Its type.
        rtype: RecordType,
        /// Why there is no place for it.
        fault: TypeFault,
    },
    /// RDATA that its type cannot have.
    #[error("the {} record of {owner} is not whole", type_text(*.rtype))]
    Rdata {
        /// Whose record.
        owner: Name,
        /// Its type.
        rtype: RecordType,
    },
    /// The records are together no zone.
    #[error("{first}{}", more(*.others))]
    Zone {
        /// The first thing that is wrong.
        first: String,
        /// How many others are.
        others: usize,
    },
    /// A change begins at another version than ours.
    #[error("a change begins at serial {begins}, and ours is {ours}")]
    Gap {
        /// Where it begins.
        begins: Serial,
        /// What we have.
        ours: Serial,
    },
    /// A change removes what is not there.
    #[error("a change removes {0}, which is not there")]
    NotThere(String),
    /// The SOA that a change is to end with is not the one it ends with.
    #[error("the changes do not end with the SOA they were announced with")]
    OtherEnd,
    /// The work was given up.
    #[error("it was given up before it was read to its end")]
    Cancelled,
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    }
}

/// The timers of a zone's SOA (RFC 1035 §3.3.13), as the primary's owner set them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoaTimers {
    /// How long until the primary is asked again.
    pub refresh: Duration,
    /// The same after a failure.
    pub retry: Duration,
    /// How long the zone counts as good without the primary.
    pub expire: Duration,
}

/// One step of an incremental transfer (RFC 1995 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The serial it begins at.
    pub from: Serial,
    /// Records it removes, its SOA aside.
    pub removed: Vec<OwnedRecord>,
    /// Records it adds, the SOA of the next version first.
    pub added: Vec<OwnedRecord>,
}

impl StaticZone {
    /// Makes a zone of the records that a primary has sent, in any order. What signing makes is left out; records
    /// sent twice count once, and an RRset has the least TTL of its records (RFC 2181 §5.2). `source` is what
    /// messages call them.
    ///
    /// # Errors
    /// When they are no zone, or one that cannot be served right.
    pub fn received(
        apex: &DomainName,
        source: &str,
        records: impl IntoIterator<Item = OwnedRecord>,
        cancellation: &Cancellation,
    ) -> Result<StaticZone, ReceivedFault> {
        let mut sets = Sets::default();
        let steps = cancellation.steps();
        for record in records {
            if steps.is_over() {
                return Err(ReceivedFault::Cancelled);
            }
            if is_kept(&record)? {
                sets.add(record);
            }
        }
        sets.into_zone(&Name::from(apex), source, cancellation)
    }

    /// The zone after the changes of an incremental transfer, in their order, which must lead to the serial `to`.
    ///
    /// # Errors
    /// When the changes do not fit the zone, or what comes out is none.
    pub fn edited(
        &self,
        source: &str,
        edits: Vec<Edit>,
        to: Serial,
        cancellation: &Cancellation,
    ) -> Result<StaticZone, ReceivedFault> {
        let mut sets = Sets::default();
        let steps = cancellation.steps();
        let or_cancelled = |is_over| match is_over {
            true => Err(ReceivedFault::Cancelled),
            false => Ok(()),
        };
        for record in self.owned_records() {
            or_cancelled(steps.is_over())?;
            sets.add(record);
        }
        let mut serial = self.serial();
        for edit in edits {
            if edit.from != serial {
                let (begins, ours) = (edit.from, serial);
                return Err(ReceivedFault::Gap { begins, ours });
            }
            sets.0
                .remove(&(self.apex().clone(), RecordType::SOA.into()));
            for record in edit.removed {
                or_cancelled(steps.is_over())?;
                if record.rtype != RecordType::SOA && is_kept(&record)? && !sets.remove(&record) {
                    let record = record.borrowed().to_string().replace('\t', " ");
                    return Err(ReceivedFault::NotThere(record));
                }
            }
            for record in edit.added {
                or_cancelled(steps.is_over())?;
                if record.rtype == RecordType::SOA {
                    serial = soa_serial(&record.rdata).ok_or(ReceivedFault::OtherEnd)?;
                }
                if is_kept(&record)? {
                    sets.add(record);
                }
            }
        }
        if serial != to {
            return Err(ReceivedFault::OtherEnd);
        }
        sets.into_zone(self.apex(), source, cancellation)
    }

    /// Every record, owned.
    pub fn owned_records(&self) -> impl Iterator<Item = OwnedRecord> {
        self.names.iter().flat_map(|(owner, sets)| {
            sets.values().flat_map(move |set| {
                set.rrset.rdatas.iter().map(move |rdata| OwnedRecord {
                    owner: owner.clone(),
                    rtype: set.rrset.rtype,
                    ttl: set.rrset.ttl,
                    rdata: rdata.clone(),
                })
            })
        })
    }

    /// Its SOA record.
    pub fn soa(&self) -> Option<OwnedRecord> {
        let set = self.set(self.apex(), RecordType::SOA)?;
        Some(OwnedRecord {
            owner: self.apex().clone(),
            rtype: RecordType::SOA,
            ttl: set.rrset.ttl,
            rdata: set.rrset.rdatas.first()?.clone(),
        })
    }

    /// The line of its SOA record.
    pub fn soa_line(&self) -> Option<&SourceLine> {
        Some(self.set(self.apex(), RecordType::SOA)?.at())
    }

    /// The timers of its SOA.
    pub fn timers(&self) -> SoaTimers {
        let soa = self.soa();
        let second = |from_end: usize| {
            let octets = soa.as_ref().and_then(|soa| {
                let wire = soa.rdata.wire();
                let at = wire.len().checked_sub(from_end)?;
                wire.get(at..at + 4)?.try_into().ok()
            });
            Duration::from_secs(u32::from_be_bytes(octets.unwrap_or_default()).into())
        };
        SoaTimers {
            refresh: second(16),
            retry: second(12),
            expire: second(8),
        }
    }
}

/// The serial of an SOA's RDATA.
pub fn soa_serial(rdata: &Rdata) -> Option<Serial> {
    let wire = rdata.wire();
    let at = wire.len().checked_sub(20)?;
    let octets = wire.get(at..at + 4)?.try_into().ok()?;
    Some(Serial(u32::from_be_bytes(octets)))
}

/// Whether a record becomes part of our zone: signatures, chains and keys are not, ours are made when it is signed.
fn is_kept(record: &OwnedRecord) -> Result<bool, ReceivedFault> {
    let OwnedRecord { owner, rtype, .. } = record;
    match shape::storable(*rtype) {
        Ok(()) => {}
        Err(TypeFault::Signing) => return Ok(false),
        Err(fault) => {
            let (owner, rtype) = (owner.clone(), *rtype);
            return Err(ReceivedFault::Type {
                owner,
                rtype,
                fault,
            });
        }
    }
    // Whoever decompressed it knows its names, not whether its fields are whole.
    if Rdata::new(*rtype, record.rdata.wire()).is_none() {
        let (owner, rtype) = (owner.clone(), *rtype);
        return Err(ReceivedFault::Rdata { owner, rtype });
    }
    Ok(true)
}

/// Records by RRset, those of an RRset by what makes them equal (RFC 2181 §5).
#[derive(Default)]
struct Sets(BTreeMap<(Name, u16), Set>);

struct Set {
    rtype: RecordType,
    ttl: u32,
    /// Each with its place: they came in this order, which is kept, as some owners mean something by it.
    rdatas: BTreeMap<Vec<u8>, (usize, Rdata)>,
    /// The place of the next one.
    next: usize,
}

impl Sets {
    fn add(&mut self, record: OwnedRecord) {
        let key = (record.owner, u16::from(record.rtype));
        let set = self.0.entry(key).or_insert_with(|| Set {
            rtype: record.rtype,
            ttl: record.ttl,
            rdatas: BTreeMap::new(),
            next: 0,
        });
        set.ttl = set.ttl.min(record.ttl);
        let canonical = record.rdata.canonical(record.rtype);
        if let Entry::Vacant(place) = set.rdatas.entry(canonical) {
            place.insert((set.next, record.rdata));
            set.next += 1;
        }
    }

    /// Whether it was there.
    fn remove(&mut self, record: &OwnedRecord) -> bool {
        let key = (record.owner.clone(), u16::from(record.rtype));
        let Some(set) = self.0.get_mut(&key) else {
            return false;
        };
        let canonical = record.rdata.canonical(record.rtype);
        let was_there = set.rdatas.remove(&canonical).is_some();
        if set.rdatas.is_empty() {
            self.0.remove(&key);
        }
        was_there
    }

    fn into_zone(
        self,
        apex: &Name,
        source: &str,
        cancellation: &Cancellation,
    ) -> Result<StaticZone, ReceivedFault> {
        let at = SourceLine::whole(source);
        let mut records = Vec::new();
        for ((owner, _), set) in self.0 {
            let mut rdatas: Vec<(usize, Rdata)> = set.rdatas.into_values().collect();
            rdatas.sort_unstable_by_key(|(place, _)| *place);
            records.extend(rdatas.into_iter().map(|(_, rdata)| MasterRecord {
                owner: owner.clone(),
                rtype: set.rtype,
                ttl: set.ttl,
                rdata,
                at: at.clone(),
                meant: None,
                relative: 0,
            }));
        }
        let zone = StaticZone::of_records(apex, source, records, cancellation);
        if cancellation.is_cancelled() {
            return Err(ReceivedFault::Cancelled);
        }
        zone.map_err(|problems| {
            let first = problems.first().map(|problem| problem.fault.to_string());
            ReceivedFault::Zone {
                first: first.unwrap_or_default(),
                others: problems.len().saturating_sub(1),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fixture::{decision, domain, publish, route, static_zone, topology};
    use super::super::{Layout, LayoutProblem};
    use super::*;
    use crate::topology::{Primary, Topology, ZonePlacement};
    use std::sync::Arc;

    const HEAD: &str =
        "$TTL 300\n@ SOA ns1.example.net. hostmaster 7 60 30 600 30\n@ NS ns1.example.net.\n";

    fn records(text: &str) -> Vec<OwnedRecord> {
        let file = static_zone("contoso.com", &format!("{HEAD}{text}"));
        file.owned_records().collect()
    }

    fn received(records: Vec<OwnedRecord>) -> Result<StaticZone, ReceivedFault> {
        StaticZone::received(
            &domain("contoso.com"),
            "the zone from 192.0.2.1:53",
            records,
            &Cancellation::default(),
        )
    }

    fn edited(
        zone: &StaticZone,
        edits: Vec<Edit>,
        to: Serial,
    ) -> Result<StaticZone, ReceivedFault> {
        zone.edited("the zone", edits, to, &Cancellation::default())
    }

    /// As many addresses of one name.
    fn addresses(count: u32) -> Vec<OwnedRecord> {
        let address = |n: u32| opaque("many.contoso.com.", 1, &n.to_be_bytes());
        (0..count).map(address).collect()
    }

    fn opaque(owner: &str, rtype: u16, rdata: &[u8]) -> OwnedRecord {
        let rtype = RecordType::from(rtype);
        OwnedRecord {
            owner: Name::from_text(owner.as_bytes(), None).unwrap(),
            rtype,
            ttl: 300,
            rdata: Rdata::new(rtype, rdata).unwrap(),
        }
    }

    fn ours() -> Topology {
        let route = route("a", &["contoso.com"], ZonePlacement::Configured);
        let mut topology = topology(vec![route], &["contoso.com"]);
        for zone in topology.zones.values_mut() {
            zone.primary = Some(Primary {
                addresses: vec!["192.0.2.1:53".parse().unwrap()],
                tsig: None,
                source: None,
            });
        }
        topology
    }

    fn merged(text: &str) -> Result<(Layout, Vec<LayoutProblem>), Vec<LayoutProblem>> {
        let waiting = Layout::new(&ours(), Default::default()).unwrap();
        let zone = Arc::new(received(records(text)).unwrap());
        waiting.with_received(&ours(), &domain("contoso.com"), zone)
    }

    #[test]
    fn what_signing_made_is_left_out_and_a_ds_at_a_cut_stays() {
        let mut all = records(&format!(
            "www A 192.0.2.1\nsub NS ns.sub\nns.sub A 192.0.2.2\nsub DS 1 13 2 {:064}\n",
            0
        ));
        for made in [46, 47, 48, 50, 51, 59, 60] {
            let mut record = opaque("contoso.com.", 65280, &[0; 24]);
            record.rtype = RecordType::from(made);
            all.push(record);
        }
        let zone = received(all).unwrap();
        let text = zone.to_master_text();
        assert_eq!(zone.record_count(), 6, "{text}");
        assert!(text.contains("sub.contoso.com.\t300\tIN\tDS\t"), "{text}");
    }

    #[test]
    fn records_sent_twice_count_once_and_the_least_ttl_is_the_sets() {
        let mut all = records("www A 192.0.2.1\nwww A 192.0.2.2\n");
        let mut again = all[2].clone();
        again.ttl = 60;
        all.push(again);
        let text = received(all).unwrap().to_master_text();
        assert_eq!(
            text.matches("www.contoso.com.\t60\tIN\tA").count(),
            2,
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_served_right_is_no_zone() {
        let cases = [
            (
                opaque("elsewhere.example.", 1, &[192, 0, 2, 1]),
                "elsewhere.example.",
            ),
            (opaque("contoso.com.", 5, b"\x01a\0"), "CNAME"),
        ];
        for (record, word) in cases {
            let mut all = records("");
            all.push(record);
            let said = received(all).unwrap_err().to_string();
            assert!(said.contains(word), "{said}");
        }
        let said = received(Vec::new()).unwrap_err().to_string();
        assert!(said.contains("SOA"), "{said}");
    }

    #[test]
    fn names_below_a_dname_and_the_digest_of_the_zone_are_left_out_and_not_refused() {
        let mut all = records("old DNAME new\n");
        all.push(opaque("www.old.contoso.com.", 1, &[192, 0, 2, 9]));
        let mut digest = vec![0, 0, 0, 7, 1, 1];
        digest.extend([9; 48]);
        all.push(opaque("contoso.com.", 63, &digest));
        let zone = Arc::new(received(all).unwrap());
        let left_out = zone.left_out();
        assert_eq!(left_out.len(), 2, "{left_out:?}");
        assert!(left_out[0].starts_with("the zone from 192.0.2.1:53: www.old.contoso.com."));
        let waiting = Layout::new(&ours(), Default::default()).unwrap();
        let contoso = domain("contoso.com");
        let (layout, _) = waiting.with_received(&ours(), &contoso, zone).unwrap();
        assert_eq!(layout.left_out(&Name::from(&contoso)), left_out);
        let zones = publish(&layout, &[decision("a", 1)], None, 10);
        let text = zones.zone(&contoso).unwrap().to_master_text();
        assert!(text.contains("old.contoso.com.\t300\tIN\tDNAME\tnew.contoso.com.\n"));
        assert!(
            !text.contains("www.old") && !text.contains("ZONEMD"),
            "{text}"
        );
    }

    #[test]
    fn obsolete_and_computed_types_of_a_primary_do_not_keep_the_zone_out() {
        let mut all = records("www A 192.0.2.80\n");
        all.push(opaque(
            "alias.contoso.com.",
            65305,
            b"\x03www\x07contoso\x03com\0",
        ));
        all.push(opaque("contoso.com.", 65534, &[13, 0, 1, 0, 0]));
        all.push(opaque(
            "old.contoso.com.",
            7,
            b"\x03www\x07contoso\x03com\0",
        ));
        all.push(opaque("old.contoso.com.", 10, &[1, 2, 3]));
        // Of DNSSEC before RFC 4034: as what signing makes today.
        all.push(opaque("old.contoso.com.", 30, &[0, 64]));
        let zone = received(all).unwrap();
        let said: Vec<String> = zone
            .private_records()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "1 record of type TYPE65305 (ANAME) at alias.contoso.com.",
                "1 record of type TYPE65534 (BIND's notes about signing) at contoso.com."
            ]
        );
        let text = zone.to_master_text();
        for line in [
            "alias.contoso.com.\t300\tIN\tTYPE65305\t\\# 17 ",
            "old.contoso.com.\t300\tIN\tMB\twww.contoso.com.\n",
            "old.contoso.com.\t300\tIN\tNULL\t\\# 3 010203\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("NXT"), "{text}");
    }

    #[test]
    fn two_dnames_or_a_dname_beside_an_alias_are_no_zone() {
        let target = |label: u8| [1, label, 0];
        for pair in [[39, 39], [39, 5]] {
            let mut all = records("");
            let both = pair.into_iter().zip([b'a', b'b']);
            all.extend(
                both.map(|(rtype, label)| opaque("old.contoso.com.", rtype, &target(label))),
            );
            let said = received(all).unwrap_err().to_string();
            assert!(said.contains("old.contoso.com."), "{said}");
        }
    }

    #[test]
    fn edits_lead_from_version_to_version_or_to_nothing() {
        let zone = received(records("www A 192.0.2.1\nold A 192.0.2.2\n")).unwrap();
        let soa = |serial: u32| {
            let mut soa = zone.soa().unwrap();
            soa.rdata = soa.rdata.with_soa_serial(serial);
            soa
        };
        let edit = |from: u32, to: u32, removed: &[OwnedRecord], added: &[OwnedRecord]| Edit {
            from: Serial(from),
            removed: removed.to_vec(),
            added: [&[soa(to)], added].concat(),
        };
        let old = opaque("OLD.contoso.com.", 1, &[192, 0, 2, 2]);
        let new = opaque("new.contoso.com.", 1, &[192, 0, 2, 3]);
        let mut signature = opaque("old.contoso.com.", 65280, &[0; 24]);
        signature.rtype = RecordType::RRSIG;
        let steps = vec![
            edit(7, 8, &[old.clone(), signature], std::slice::from_ref(&new)),
            edit(8, 9, std::slice::from_ref(&new), &[]),
        ];
        let after = edited(&zone, steps.clone(), Serial(9)).unwrap();
        assert_eq!(after.serial(), Serial(9));
        let expected = received(records("www A 192.0.2.1\n")).unwrap();
        let text = expected.to_master_text().replace(" 7 60", " 9 60");
        assert_eq!(after.to_master_text(), text);

        let fault = |steps, to| edited(&zone, steps, Serial(to)).unwrap_err();
        assert!(matches!(fault(steps.clone(), 10), ReceivedFault::OtherEnd));
        assert!(matches!(
            fault(steps[1..].to_vec(), 9),
            ReceivedFault::Gap { .. }
        ));
        let missing = vec![edit(7, 8, &[new], &[])];
        assert!(matches!(fault(missing, 8), ReceivedFault::NotThere(_)));
        assert_eq!(zone.timers().expire, Duration::from_secs(600));
    }

    #[test]
    fn a_change_of_very_many_records_of_one_name_costs_no_more_for_each() {
        let zone = received(records("www A 192.0.2.1\n")).unwrap();
        let soa = |serial: u32| {
            let mut soa = zone.soa().unwrap();
            soa.rdata = soa.rdata.with_soa_serial(serial);
            soa
        };
        // Compared with each other, so many records take hours.
        let many = addresses(400_000);
        let added = [vec![soa(8)], many.clone()].concat();
        let edit = |from, removed, added| Edit {
            from: Serial(from),
            removed,
            added,
        };
        let steps = vec![edit(7, Vec::new(), added), edit(8, many, vec![soa(9)])];
        let after = edited(&zone, steps, Serial(9)).unwrap();
        assert_eq!(after.record_count(), zone.record_count());
    }

    #[test]
    fn very_many_records_of_one_name_are_refused_in_one_line() {
        let all = [records(""), addresses(400_000)].concat();
        let fault = received(all).unwrap_err();
        assert!(
            matches!(fault, ReceivedFault::Zone { others: 0, .. }),
            "{fault}"
        );
    }

    #[test]
    fn work_that_is_given_up_ends() {
        let cancellation = Cancellation::default();
        cancellation.cancel();
        let apex = domain("contoso.com");
        let endless = addresses(5000).into_iter().cycle();
        let fault = StaticZone::received(&apex, "the zone", endless, &cancellation);
        assert_eq!(fault.unwrap_err(), ReceivedFault::Cancelled);
        let zone = received(records("www A 192.0.2.1\n")).unwrap();
        let edit = Edit {
            from: Serial(7),
            removed: Vec::new(),
            added: addresses(5000),
        };
        let fault = zone.edited("the zone", vec![edit], Serial(8), &cancellation);
        assert_eq!(fault.unwrap_err(), ReceivedFault::Cancelled);
    }

    #[test]
    fn a_zone_that_is_awaited_is_not_served_and_then_has_both_parts() {
        let waiting = Layout::new(&ours(), Default::default()).unwrap();
        let before = publish(&waiting, &[decision("a", 1)], None, 10);
        let key = Name::from(&domain("www.contoso.com"));
        assert!(before.zone_of(key.key()).is_none() && before.is_waiting(&key));

        let (layout, warnings) = merged(
            "www A 192.0.2.80\nxmpp A 203.0.113.9\n_xmpp-server._tcp SRV 0 0 5269 a.example.net.\n",
        )
        .unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let after = publish(&layout, &[decision("a", 1)], Some(&before), 11);
        let text = after.zone(&domain("contoso.com")).unwrap().to_master_text();
        assert!(
            text.contains("www.contoso.com.\t300\tIN\tA\t192.0.2.80\n"),
            "{text}"
        );
        assert!(
            !text.contains("203.0.113.9") && !text.contains("a.example.net"),
            "{text}"
        );
        assert!(text.contains("_xmpp-server._tcp.contoso.com.\t30\tIN\tSRV\t10 0 5269 edge1"));
        assert!(
            text.contains(" hostmaster.contoso.com. 11 60 30 600 30\n"),
            "{text}"
        );
    }

    #[test]
    fn an_alias_or_a_delegation_in_the_place_of_a_steered_name_does_not_fit() {
        for (record, word) in [
            ("xmpp CNAME www.example.net.\n", "alias"),
            ("_tcp NS ns.example.net.\n", "delegated away"),
            ("_tcp DNAME example.net.\n", "redirects elsewhere"),
            ("@ DNAME example.net.\n", "redirects elsewhere"),
            ("edge1 CNAME www.example.net.\n", "alias"),
        ] {
            let said = merged(record).unwrap_err()[0].to_string();
            assert!(said.contains(word), "{said}");
            assert!(said.contains("the zone from 192.0.2.1:53"), "{said}");
        }
    }
}
