//! Reading a transfer, record by record: which of its forms it has, and when it is over (RFC 5936 §2.2, RFC 1995 §4).
//! Pure.
//!
//! In: the records of its messages, in order. Out: the zone or the changes they carry, once they are whole. Every bound
//! is checked as records come. Never here: messages, signatures, what a zone makes of the records.

use hickory_proto::rr::RecordType;

use crate::zone::{Edit, Name, OwnedRecord, Serial, soa_serial};

/// More records or octets than a zone that is edited by people has.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Records, in all.
    pub records: usize,
    /// Octets of memory that the records take, in all.
    pub octets: usize,
}

/// Octets of memory that a record takes beside its name, which is kept twice, and its RDATA.
const RECORD: usize = 160;

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            records: 2_000_000,
            octets: 256 << 20,
        }
    }
}

/// What a primary sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// The version it has, and no more: it is ours, or changes cannot be had over this way.
    Soa(Serial),
    /// A whole zone.
    Whole(Vec<OwnedRecord>),
    /// Changes from the version asked from to the serial.
    Changes(Vec<Edit>, Serial),
}

/// Why records are no transfer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferFault {
    /// The first record is not the zone's SOA.
    #[error("it does not begin with the SOA of {0}")]
    Begin(Name),
    /// The serial of an SOA cannot be read.
    #[error("an SOA in it cannot be read")]
    Soa,
    /// A whole zone ends with another SOA than it began with: it changed on the way.
    #[error("it ends with another SOA than it began with")]
    End,
    /// Records after the end.
    #[error("it goes on after its last SOA")]
    Trailing,
    /// It ended early.
    #[error("it ended before its last SOA")]
    Early,
    /// More records than any zone of ours may have.
    #[error("it has more than {0} records")]
    Records(usize),
    /// More octets than any zone of ours may have.
    #[error("its records take more than {0} octets of memory")]
    Octets(usize),
}

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing yet.
    Begin,
    /// The first SOA; the next record tells the form.
    First,
    /// The records of a whole zone.
    Whole,
    /// Records that a change removes, adds.
    Removed,
    Added,
    /// The last SOA has come.
    End,
}

/// A transfer while it comes.
#[derive(Debug)]
pub struct Reader {
    apex: Name,
    /// The serial that changes were asked from; none when the whole zone was.
    since: Option<Serial>,
    bounds: Bounds,
    stage: Stage,
    first: Option<(OwnedRecord, Serial)>,
    whole: Vec<OwnedRecord>,
    edits: Vec<Edit>,
    records: usize,
    octets: usize,
}

impl Reader {
    /// Reads what is sent of the zone `apex`, of which changes since a serial were asked for, or all.
    pub fn new(apex: Name, since: Option<Serial>, bounds: Bounds) -> Reader {
        Reader {
            apex,
            since,
            bounds,
            stage: Stage::Begin,
            first: None,
            whole: Vec::new(),
            edits: Vec::new(),
            records: 0,
            octets: 0,
        }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// When it cannot follow those before it, or there are too many.
    pub fn take(&mut self, record: OwnedRecord) -> Result<(), TransferFault> {
        self.records += 1;
        self.octets += 2 * record.owner.wire().len() + record.rdata.wire().len() + RECORD;
        if self.records > self.bounds.records {
            return Err(TransferFault::Records(self.bounds.records));
        }
        if self.octets > self.bounds.octets {
            return Err(TransferFault::Octets(self.bounds.octets));
        }
        let soa = match record.rtype {
            RecordType::SOA if record.owner == self.apex => {
                Some(soa_serial(&record.rdata).ok_or(TransferFault::Soa)?)
            }
            _ => None,
        };
        let Some((first, latest)) = &self.first else {
            let serial = soa.ok_or_else(|| TransferFault::Begin(self.apex.clone()))?;
            self.first = Some((record, serial));
            self.stage = Stage::First;
            return Ok(());
        };
        let latest = *latest;
        // RFC 5936 §2.2: the SOA that a transfer ends with is the one that it began with, whole.
        let ends_as_begun = record.rdata == first.rdata;
        match (self.stage, soa) {
            (Stage::End, _) => return Err(TransferFault::Trailing),
            // An SOA of our version right behind the first: the changes begin (RFC 1995 §4). One of the latest version
            // is the end of a zone with nothing but its SOA; whether that is a zone is not seen here.
            (Stage::First, Some(serial)) if Some(serial) == self.since && serial != latest => {
                self.begin_edit(serial);
            }
            (Stage::First, _) => {
                self.whole.push(first.clone());
                self.stage = Stage::Whole;
                return self.whole(record, soa, ends_as_begun);
            }
            (Stage::Whole, _) => return self.whole(record, soa, ends_as_begun),
            (Stage::Removed, Some(_)) => {
                self.stage = Stage::Added;
                self.edit().added.push(record);
            }
            (Stage::Removed, None) => self.edit().removed.push(record),
            // The SOA that the transfer began with ends it; any other begins the next change.
            (Stage::Added, Some(serial)) if serial == latest => {
                self.stage = match ends_as_begun {
                    true => Stage::End,
                    false => return Err(TransferFault::End),
                };
            }
            (Stage::Added, Some(serial)) => self.begin_edit(serial),
            (Stage::Added, None) => self.edit().added.push(record),
            (Stage::Begin, _) => {}
        }
        Ok(())
    }

    fn whole(
        &mut self,
        record: OwnedRecord,
        soa: Option<Serial>,
        ends_as_begun: bool,
    ) -> Result<(), TransferFault> {
        match soa {
            None => self.whole.push(record),
            Some(_) if ends_as_begun => self.stage = Stage::End,
            Some(_) => return Err(TransferFault::End),
        }
        Ok(())
    }

    fn begin_edit(&mut self, from: Serial) {
        self.stage = Stage::Removed;
        self.edits.push(Edit {
            from,
            removed: Vec::new(),
            added: Vec::new(),
        });
    }

    fn edit(&mut self) -> &mut Edit {
        if self.edits.is_empty() {
            self.begin_edit(Serial(0));
        }
        let last = self.edits.len() - 1;
        &mut self.edits[last]
    }

    /// Octets of memory that its records take so far.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Whether the transfer is over after a message. One of a single SOA is, when that is not after the version that
    /// changes were asked from.
    pub fn is_over(&self) -> bool {
        let latest = self.first.as_ref().map(|(_, latest)| *latest);
        match (self.stage, self.since, latest) {
            (Stage::End, ..) => true,
            (Stage::First, Some(since), Some(latest)) => !latest.is_after(since),
            _ => false,
        }
    }

    /// What was sent.
    ///
    /// # Errors
    /// When it is not over.
    pub fn finish(self) -> Result<Transfer, TransferFault> {
        let (_, latest) = self.first.as_ref().ok_or(TransferFault::Early)?;
        let latest = *latest;
        if !self.is_over() {
            return Err(TransferFault::Early);
        }
        Ok(if self.stage == Stage::First {
            Transfer::Soa(latest)
        } else if self.edits.is_empty() {
            Transfer::Whole(self.whole)
        } else {
            Transfer::Changes(self.edits, latest)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::zone::Rdata;

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes(), None).unwrap()
    }

    fn soa(serial: u32) -> OwnedRecord {
        let mut wire = [name("ns.").wire(), name("admin.").wire()].concat();
        for number in [serial, 60, 30, 600, 30] {
            wire.extend(number.to_be_bytes());
        }
        OwnedRecord {
            owner: name("Contoso.com."),
            rtype: RecordType::SOA,
            ttl: 300,
            rdata: Rdata::new(RecordType::SOA, &wire).unwrap(),
        }
    }

    fn a(host: u8) -> OwnedRecord {
        OwnedRecord {
            owner: name(&format!("h{host}.contoso.com.")),
            rtype: RecordType::A,
            ttl: 300,
            rdata: Rdata::new(RecordType::A, &[192, 0, 2, host]).unwrap(),
        }
    }

    fn read(since: Option<u32>, records: &[OwnedRecord]) -> Result<Transfer, TransferFault> {
        let bounds = Bounds {
            records: 20,
            octets: 6000,
        };
        let mut reader = Reader::new(name("contoso.com."), since.map(Serial), bounds);
        for record in records {
            reader.take(record.clone())?;
        }
        reader.finish()
    }

    #[test]
    fn a_whole_zone_begins_and_ends_with_its_soa() {
        let all = [soa(5), a(1), a(2), soa(5)];
        let Ok(Transfer::Whole(records)) = read(None, &all) else {
            panic!("whole: {:?}", read(None, &all));
        };
        assert_eq!(records, all[..3]);
        // A primary that has no changes may send all of it (RFC 1995 §4).
        assert_eq!(read(Some(3), &all), read(None, &all));
        assert_eq!(read(None, &all[..3]), Err(TransferFault::Early));
        assert_eq!(read(None, &[soa(5), a(1), soa(6)]), Err(TransferFault::End));
        // The same serial at the end of another SOA is another version.
        let mut other = soa(5);
        let mut wire = other.rdata.wire().to_vec();
        *wire.last_mut().unwrap() ^= 1;
        other.rdata = Rdata::new(RecordType::SOA, &wire).unwrap();
        assert_eq!(read(None, &[soa(5), a(1), other]), Err(TransferFault::End));
        assert_eq!(
            read(None, &[a(1)]),
            Err(TransferFault::Begin(name("contoso.com.")))
        );
        assert_eq!(
            read(None, &[soa(5), a(1), soa(5), a(2)]),
            Err(TransferFault::Trailing)
        );
        assert_eq!(read(None, &[]), Err(TransferFault::Early));
    }

    #[test]
    fn changes_come_in_steps_that_each_begin_with_the_soa_before() {
        let all = [
            soa(5),
            soa(3),
            a(1),
            soa(4),
            a(2),
            soa(4),
            soa(5),
            a(3),
            a(4),
            soa(5),
        ];
        // RFC 1995 §4: the last SOA of the deltas is the latest; here it ends the message as well.
        let Ok(Transfer::Changes(edits, to)) = read(Some(3), &all) else {
            panic!("changes: {:?}", read(Some(3), &all));
        };
        assert_eq!(to, Serial(5));
        let froms: Vec<u32> = edits.iter().map(|edit| edit.from.0).collect();
        assert_eq!(froms, [3, 4]);
        assert_eq!(
            (&edits[0].removed, &edits[0].added),
            (&vec![a(1)], &vec![soa(4), a(2)])
        );
        assert_eq!(
            (&edits[1].removed, &edits[1].added),
            (&vec![], &vec![soa(5), a(3), a(4)])
        );
        for cut in 2..all.len() {
            assert_eq!(
                read(Some(3), &all[..cut]),
                Err(TransferFault::Early),
                "{cut}"
            );
        }
    }

    #[test]
    fn one_soa_says_that_there_is_nothing_newer() {
        assert_eq!(read(Some(5), &[soa(5)]), Ok(Transfer::Soa(Serial(5))));
        assert_eq!(read(Some(7), &[soa(5)]), Ok(Transfer::Soa(Serial(5))));
        assert_eq!(read(Some(3), &[soa(5)]), Err(TransferFault::Early));
        assert_eq!(read(None, &[soa(5)]), Err(TransferFault::Early));
    }

    #[test]
    fn a_transfer_without_end_is_given_up() {
        let endless: Vec<OwnedRecord> = std::iter::once(soa(5)).chain((0..=255).map(a)).collect();
        assert_eq!(read(None, &endless), Err(TransferFault::Records(20)));
        let mut large = a(1);
        large.rtype = RecordType::from(65280);
        large.rdata = Rdata::new(large.rtype, &[0; 6000]).unwrap();
        assert_eq!(
            read(None, &[soa(5), large]),
            Err(TransferFault::Octets(6000))
        );
    }

    #[test]
    fn no_order_of_records_makes_it_fail_badly() {
        let some = [soa(3), soa(4), soa(5), a(1), a(2)];
        let mut x = 12345_u32;
        for _ in 0..20_000 {
            let records: Vec<OwnedRecord> = (0..8)
                .map(|_| {
                    x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    some[(x >> 16) as usize % some.len()].clone()
                })
                .collect();
            if let Ok(Transfer::Changes(edits, to)) = read(Some(3), &records) {
                assert_eq!(edits[0].from, Serial(3));
                assert!(
                    edits.iter().all(|edit| !edit.added.is_empty()),
                    "{edits:?} {to}"
                );
            }
        }
    }
}
