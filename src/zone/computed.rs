//! Private record types (RFC 6895 §3.1): other servers compute answers from some of them, repoint cannot.
//!
//! In: the static records of a zone. Out: which private types it has, how many records, and at which names. Never here: what
//! is said about it, or where.

use std::fmt;

use hickory_proto::rr::RecordType;

use super::name::Name;
use super::static_zone::StaticZone;
use super::type_names::type_text;

/// Names shown of each type.
const EXAMPLES: usize = 3;

/// BIND keeps notes about signing in records of this type. Nothing is computed from them.
const BIND_SIGNING: u16 = 65534;

/// The records of one private type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateRecords {
    /// The type.
    pub rtype: RecordType,
    /// How many records.
    pub count: usize,
    /// The first of their names.
    pub names: Vec<Name>,
}

impl PrivateRecords {
    /// What a type is, where a vendor's use of it is known.
    pub fn vendor(rtype: RecordType) -> Option<&'static str> {
        Some(match u16::from(rtype) {
            65281 => "WINS of Windows DNS",
            65282 => "WINS-R of Windows DNS",
            65305 => "ANAME",
            65401 => "ALIAS of PowerDNS",
            65402 => "LUA of PowerDNS",
            BIND_SIGNING => "BIND's notes about signing",
            _ => return None,
        })
    }

    /// Whether a server may compute answers from such records.
    pub fn is_computed(&self) -> bool {
        u16::from(self.rtype) != BIND_SIGNING
    }
}

impl fmt::Display for PrivateRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.names.iter().map(ToString::to_string).collect();
        let (what, count) = (type_text(self.rtype), self.count);
        let records = if count == 1 { "record" } else { "records" };
        match PrivateRecords::vendor(self.rtype) {
            Some(vendor) => write!(f, "{count} {records} of type {what} ({vendor}) at ")?,
            None => write!(f, "{count} {records} of the private type {what} at ")?,
        }
        f.write_str(&names.join(", "))?;
        match count.saturating_sub(names.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl StaticZone {
    /// The records of private types.
    pub fn private_records(&self) -> Vec<PrivateRecords> {
        let mut found: Vec<PrivateRecords> = Vec::new();
        for (owner, sets) in &self.names {
            for (number, set) in sets.range(65280..=BIND_SIGNING) {
                let rtype = RecordType::from(*number);
                let known = found.iter().position(|records| records.rtype == rtype);
                let at = known.unwrap_or_else(|| {
                    found.push(PrivateRecords {
                        rtype,
                        count: 0,
                        names: Vec::new(),
                    });
                    found.len() - 1
                });
                let records = &mut found[at];
                records.count += set.rrset.rdatas.len();
                if records.names.len() < EXAMPLES {
                    records.names.push(owner.clone());
                }
            }
        }
        found.sort_by_key(|records| u16::from(records.rtype));
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn private_types_are_counted_with_their_names_and_bind_s_notes_are_told_apart() {
        let text = "$TTL 60\n@ SOA ns1.example.net. h.example.net. 1 60 30 7d 30\n@ NS ns1.example.net.\n\
                    @ TYPE65534 \\# 5 0D00010000\nx TYPE65280 \\# 1 00\n\
                    a TYPE65402 \\# 2 0001\nb TYPE65402 \\# 2 0001\nc TYPE65402 \\# 2 0001\nd TYPE65402 \\# 2 0001\n";
        let apex = "contoso.example".parse().unwrap();
        let none = &mut |_: crate::zone::Include<'_>| Err("no file".to_owned());
        let zone = StaticZone::parse(&apex, "z", text.as_bytes(), none).unwrap();
        let said: Vec<String> = zone
            .private_records()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "1 record of the private type TYPE65280 at x.contoso.example.",
                "4 records of type TYPE65402 (LUA of PowerDNS) at a.contoso.example., b.contoso.example., \
                 c.contoso.example. and 1 more",
                "1 record of type TYPE65534 (BIND's notes about signing) at contoso.example.",
            ]
        );
        let computed: Vec<bool> = zone
            .private_records()
            .iter()
            .map(|r| r.is_computed())
            .collect();
        assert_eq!(computed, [true, true, false]);
        let notes = zone.warnings()[2].to_string();
        assert!(
            notes.ends_with("nothing is computed from them, and repoint serves them as they are"),
            "{notes}"
        );
        assert_eq!(zone.warnings().len(), 3);
    }
}
