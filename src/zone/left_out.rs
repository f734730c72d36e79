//! What a master file or a primary has that is not served, in words for the log and for `zone show`.
//!
//! In: the warnings of a zone. Out: one line for each reason. Never here: the records themselves (`placed_zone`).

use hickory_proto::rr::RecordType;

use super::master::{MasterFault, MasterProblem};
use super::name::Name;
use super::static_zone::{Check, StaticZone};

/// The digest of a whole zone (RFC 8976).
const ZONEMD: RecordType = RecordType::Unknown(63);

/// Whether a record is the digest of its zone: the zone that is served has other records, another serial or other
/// signatures, and a secondary that compares the two would refuse it.
pub(super) fn is_zone_digest(apex: &Name, owner: &Name, rtype: RecordType) -> bool {
    rtype == ZONEMD && owner == apex
}

impl Check<'_> {
    /// The digest at the apex.
    pub(super) fn digests(&mut self) {
        let digest = self.names.get(self.apex);
        let digest = digest.and_then(|sets| sets.get(&u16::from(ZONEMD)));
        if let Some(at) = digest.map(|set| set.at().clone()) {
            let owner = self.apex.clone();
            self.problem(&at, MasterFault::ZoneDigest { owner });
        }
    }
}

impl StaticZone {
    /// What of it is not served: a line for each reason, with its first record and how many others there are.
    pub fn left_out(&self) -> Vec<String> {
        let kinds: [fn(&MasterFault) -> bool; 2] = [
            |fault| matches!(fault, MasterFault::BelowDname { .. }),
            |fault| matches!(fault, MasterFault::ZoneDigest { .. }),
        ];
        let lines = kinds.into_iter().filter_map(|of_kind| {
            let mut problems = self.warnings().iter().filter(|p| of_kind(&p.fault));
            let first: &MasterProblem = problems.next()?;
            Some(match problems.count() {
                0 => first.to_string(),
                others => format!("{first} (and {others} more)"),
            })
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::static_zone;

    #[test]
    fn each_reason_is_said_once() {
        let zone = static_zone(
            "contoso.com",
            "$TTL 300\n@ SOA ns1.example.net. hostmaster 7 60 30 600 30\n@ NS ns1.example.net.\n\
             @ ZONEMD 7 1 1 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F\n\
             old DNAME new\na.old A 192.0.2.1\nb.old A 192.0.2.2\n",
        );
        assert_eq!(
            zone.left_out(),
            [
                "test.zone:6: a.old.contoso.com. lies below the DNAME at test.zone:5, which redirects it: \
                 this A record is left out (and 1 more)",
                "test.zone:4: the ZONEMD record of contoso.com. is left out: \
                 it is not the digest of the zone as it is served",
            ]
        );
    }
}
