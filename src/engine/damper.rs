//! Alarms that come and go: each time, the end waits longer.
//!
//! In: whether an alarm's condition holds, the time. Out: whether the alarm stands on all the same. A pool decides what
//! certificate it shows, and must not decide how many pages an operator gets. Never here: beginnings, which never wait.

use std::collections::BTreeMap;
use std::time::Duration;

use super::alarm::AlarmKind;
use crate::clock::Mono;

/// The second end within an hour waits so long, the next one twice as long, and so on.
const FIRST_HOLD: Duration = Duration::from_secs(60);
const LONGEST_HOLD: Duration = Duration::from_secs(60 * 60);

type Key = (AlarmKind, String);

/// What is known of alarms that ended lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Dampers {
    by_alarm: BTreeMap<Key, Damper>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Damper {
    /// Ends of late.
    ends: u32,
    /// When its condition was gone last for the first time.
    eased: Mono,
    /// Since when the condition does not hold.
    gone: Option<Mono>,
}

impl Dampers {
    /// Whether a standing alarm stands on, though its condition is gone or less severe (`eases`).
    pub(super) fn holds(&mut self, key: &Key, eases: bool, now: Mono) -> bool {
        if !is_damped(key.0) {
            return false;
        }
        if !eases {
            if let Some(damper) = self.by_alarm.get_mut(key) {
                damper.gone = None;
            }
            return false;
        }
        // What came and went long ago does not count. So there are never more than alarms of the last hours.
        self.by_alarm.retain(|other, damper| {
            let is_recent = now.since(damper.eased) <= LONGEST_HOLD * 2;
            other == key || is_recent || damper.gone.is_some()
        });
        let damper = self.by_alarm.entry(key.clone()).or_default();
        if damper.gone.is_none() {
            if now.since(damper.eased) > LONGEST_HOLD {
                damper.ends = 0;
            }
            damper.eased = now;
        }
        let gone = *damper.gone.get_or_insert(now);
        let hold = match damper.ends {
            0 => Duration::ZERO,
            ends => FIRST_HOLD
                .saturating_mul(1 << (ends - 1).min(10))
                .min(LONGEST_HOLD),
        };
        if now.since(gone) < hold {
            return true;
        }
        damper.ends = damper.ends.saturating_add(1);
        damper.gone = None;
        false
    }
}

/// Conditions that a pool brings about by what it answers.
fn is_damped(kind: AlarmKind) -> bool {
    matches!(kind, AlarmKind::Certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_alternates_makes_few_pages() {
        for period in [20, 60, 300, 1200, 3600] {
            let mut dampers = Dampers::default();
            let key = (AlarmKind::Certificate, "pool".to_owned());
            let (mut stands, mut pages) = (false, 0);
            for seconds in (0..86_400).step_by(10) {
                let now = Mono::START + Duration::from_secs(seconds);
                let is_bad = seconds / period % 2 == 0;
                let next = match stands {
                    true => is_bad || dampers.holds(&key, true, now),
                    false => is_bad,
                };
                if is_bad && stands {
                    dampers.holds(&key, false, now);
                }
                pages += u32::from(next != stands);
                stands = next;
            }
            assert!(pages <= 60, "{period} s: {pages} pages a day");
        }
    }

    #[test]
    fn a_certificate_that_is_renewed_ends_its_alarm_at_once() {
        let mut dampers = Dampers::default();
        let key = (AlarmKind::Certificate, "pool".to_owned());
        assert!(!dampers.holds(&key, true, Mono::START));
        let later = Mono::START + Duration::from_secs(10_000);
        assert!(!dampers.holds(&key, true, later), "and a later one as well");
    }
}
