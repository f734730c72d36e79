//! One process's life, told again: the same events at the same moments publish the same octets.
//!
//! In: what a process was given. Out: whether another that is given the same publishes the same. Never here: chance.

use std::sync::Arc;

use repoint::clock::Now;
use repoint::config::Configuration;
use repoint::engine::{Effect, Engine, Event, Remembered};
use repoint::zone::Zones;

/// Everything that one process was given, and what it published: enough to have it live again.
#[derive(Clone)]
pub(crate) struct Recording {
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) remembered: Remembered,
    pub(crate) seed: u64,
    pub(crate) began: Now,
    pub(crate) events: Vec<(Now, Event)>,
    pub(crate) published: Vec<String>,
}

impl Recording {
    /// Lives again; what is published is the same, byte for byte. How many versions that were.
    pub(crate) fn replay(self) -> usize {
        let text = |effects: Vec<Effect>| -> Vec<String> {
            let zones = effects.into_iter().filter_map(|effect| match effect {
                Effect::Publish(zones) => Some(zones),
                _ => None,
            });
            zones.map(|zones| text_of(&zones)).collect()
        };
        let (mut engine, effects) =
            Engine::new(self.configuration, self.remembered, self.seed, self.began);
        let mut published = text(effects);
        for (now, event) in self.events {
            published.extend(text(engine.handle(event, now)));
        }
        // A process that was killed may not have carried out the last of them.
        assert!(published.len() >= self.published.len());
        for (again, before) in published.iter().zip(&self.published) {
            assert_eq!(again, before);
        }
        self.published.len()
    }
}

pub(crate) fn text_of(zones: &Zones) -> String {
    let zones: String = zones.iter().map(|zone| zone.to_master_text()).collect();
    zones
}
