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
    /// Octets of names and RDATA, in all.
    pub octets: usize,
}

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
    #[error("it has more than {0} octets")]
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
        self.octets += record.owner.wire().len() + record.rdata.wire().len() + 10;
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
        let (first, latest) = (first.clone(), *latest);
        match (self.stage, soa) {
            (Stage::End, _) => return Err(TransferFault::Trailing),
            // An SOA of our version right behind the first: the changes begin (RFC 1995 §4). One of the latest version
            // is the end of a zone with nothing but its SOA; whether that is a zone is not seen here.
            (Stage::First, Some(serial)) if Some(serial) == self.since && serial != latest => {
                self.begin_edit(serial);
            }
            (Stage::First, _) => {
                self.whole.push(first);
                self.stage = Stage::Whole;
                return self.whole(record, soa, latest);
            }
            (Stage::Whole, _) => return self.whole(record, soa, latest),
            (Stage::Removed, Some(_)) => {
                self.stage = Stage::Added;
                self.edit().added.push(record);
            }
            (Stage::Removed, None) => self.edit().removed.push(record),
            // The SOA that the transfer began with ends it; any other begins the next change.
            (Stage::Added, Some(serial)) if serial == latest => {
                self.stage = match record.rdata == first.rdata {
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
        latest: Serial,
    ) -> Result<(), TransferFault> {
        match soa {
            None => self.whole.push(record),
            Some(serial) if serial == latest => self.stage = Stage::End,
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
