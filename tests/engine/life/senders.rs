//! Primaries of inbound zones, and what becomes of asking them.
//!
//! In: dice. Out: news to the engine. Never here: transfers on the wire; which version has to be served.

use std::sync::Arc;

use repoint::engine::{Event, InboundNews, InboundOutcome};
use repoint::zone::StaticZone;

use super::*;
use crate::primaries;

/// One zone's primary.
#[derive(Debug, Default)]
pub(super) struct Sender {
    /// The serial it has.
    serial: u32,
    /// What has been transferred from it to this process.
    transferred: Option<Arc<StaticZone>>,
}

impl Life {
    /// A process begins: it has transferred nothing yet.
    pub(super) fn senders_forgotten(&mut self) {
        self.senders
            .values_mut()
            .for_each(|sender| sender.transferred = None);
    }

    /// A primary is asked.
    pub(super) fn send(&mut self) {
        let topology = &self.promises.in_force.topology;
        let zones: Vec<DomainName> = topology.inbound().map(|(apex, _)| apex.clone()).collect();
        let Some(apex) = zones.choose(&mut self.dice).cloned() else {
            return;
        };
        let sender = self.senders.entry(apex.clone()).or_default();
        if sender.serial == 0 || self.dice.random_bool(0.6) {
            sender.serial += 1;
        }
        let known = sender.transferred.clone();
        let serial = sender.serial;
        let outcome = match self.dice.random_range(0..20) {
            0..3 => InboundOutcome::Failed("192.0.2.1:53 did not answer within 10s".into()),
            3 => InboundOutcome::Unusable("it ended before its last SOA".into()),
            // Where targets of ours lie in the zone.
            4 if apex.as_str() == "contoso.com" => {
                let pools = self.promises.in_force.topology.pools.values();
                let targets = pools.flat_map(|pool| pool.targets.iter().map(|target| &target.name));
                InboundOutcome::Received(primaries::misfit(&apex, serial, targets))
            }
            at => match known {
                Some(known) if at < 8 => InboundOutcome::Known(known),
                Some(known) if known.serial().0 == serial => InboundOutcome::Current,
                _ => {
                    let version = primaries::version(&apex, serial);
                    sender.transferred = Some(version.clone());
                    self.promises.sent(&apex, serial, self.world.elapsed());
                    self.lived.sent += 1;
                    InboundOutcome::Received(version)
                }
            },
        };
        if self.trace {
            self.say(&format!(
                "the primary of {apex}, serial {serial}: {outcome:?}"
            ));
        }
        let news = InboundNews {
            apex,
            from: primaries::address(),
            outcome,
        };
        self.world.event(Event::Inbound(Box::new(news)));
    }
}
