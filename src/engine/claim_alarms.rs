//! Alarms about serials ahead of ours: which server has one, what its claim is worth, and what follows.

use std::collections::BTreeMap;

use super::ahead::{Claim, Standing, farthest, plain};
use super::alarm::{AlarmKind, Severity};
use super::alarms::Condition;
use super::core::Engine;
use crate::zone::Serial;

impl Engine {
    /// The alarms for claims, one for each server and what its claims are worth: a server may have thousands of zones.
    pub(super) fn claim_conditions(&self, all: &mut Vec<Condition>) {
        let mut found: BTreeMap<(Worth, &str), (&Claim, Serial, usize)> = BTreeMap::new();
        for apex in self.claims.heard.keys() {
            let Some(ours) = self.zones.version_at(apex).map(|zone| zone.serial()) else {
                continue;
            };
            let proven = self.claims.proven(apex, ours);
            let Some(claim) = proven.or_else(|| farthest(self.claims.of(apex), ours)) else {
                continue;
            };
            let goal = self.numbers.goal();
            let worth = match claim.standing {
                _ if goal.is_some_and(|goal| !claim.serial.is_after(goal)) => Worth::Accepted,
                _ if proven.is_some() => Worth::Proven,
                Standing::Nameserver => Worth::Foreign,
                Standing::Secondary | Standing::SignedSecondary => Worth::Unsigned,
            };
            let known = found.entry((worth, &claim.server));
            known.or_insert((claim, ours, 0)).2 += 1;
        }
        let each = found.into_iter();
        all.extend(each.map(|((worth, server), (claim, ours, zones))| {
            self.claim_condition(worth, server, claim, ours, zones)
        }));
    }

    fn claim_condition(
        &self,
        worth: Worth,
        server: &str,
        claim: &Claim,
        ours: Serial,
        zones: usize,
    ) -> Condition {
        let (serial, zone) = (claim.serial, plain(&claim.apex));
        let more = match zones {
            1 => String::new(),
            2 => " (and 1 more zone)".to_owned(),
            n => format!(" (and {} more zones)", n - 1),
        };
        let has = format!("{server} has serial {serial} of {zone}, ahead of our {ours}{more}");
        let (kind, severity, text, remedy) = match worth {
            Worth::Accepted => {
                let behind = || self.left_behind(self.numbers.serial()?);
                let waits = self.awaited().or_else(behind);
                let waits = waits.unwrap_or_else(|| "the store".to_owned());
                (
                    AlarmKind::SerialAhead,
                    Severity::Warning,
                    format!(
                        "{has}: accepted; serials go past it in steps that secondaries follow, and the next step waits for {waits}"
                    ),
                    "see: repoint zone secondaries",
                )
            }
            Worth::Proven => (
                AlarmKind::StateDoubtful,
                Severity::Critical,
                format!(
                    "{has}: another primary, or state that was lost; failover goes on, keys of the zone wait"
                ),
                "find out which of the two it is; when the state was lost: repoint state accept",
            ),
            Worth::Unsigned => (
                AlarmKind::SerialAhead,
                Severity::Warning,
                format!(
                    "{has}; its answer is not signed and nobody else says so, failover goes on"
                ),
                "give the secondary a TSIG key; when the state was lost: repoint state accept",
            ),
            Worth::Foreign => (
                AlarmKind::SerialAhead,
                Severity::Warning,
                format!("{has}; nobody else says so, and failover goes on"),
                "find out where that server takes the zone from; a secondary of repoint belongs into [[secondary]], with a key",
            ),
        };
        Condition {
            kind,
            subject: server.to_owned(),
            severity,
            text,
            remedy: Some(remedy.to_owned()),
        }
    }
}

/// What a claim is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// An operator has accepted it.
    Accepted,
    /// A secondary signed it, or two servers agree.
    Proven,
    /// A configured secondary says so, without a signature.
    Unsigned,
    /// Only a nameserver says so.
    Foreign,
}
