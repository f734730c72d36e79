//! How requests are answered, as the configuration says it.
//!
//! In: the configuration in force. Out: [`Manners`], put in place whole at the start and after a reload.
//! Never here: answering.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Configuration;
use crate::serve::{Berths, Manners, Transfers};

/// The manners of the listeners, and what of them outlives a reload.
pub(super) struct Desk {
    manners: Arc<ArcSwap<Manners>>,
    berths: Berths,
}

impl Desk {
    /// Puts the configuration's manners in place.
    pub(super) fn new(manners: Arc<ArcSwap<Manners>>, configuration: &Configuration) -> Desk {
        let desk = Desk {
            manners,
            berths: Berths::default(),
        };
        desk.follow(configuration);
        desk
    }

    /// Puts another configuration's manners in place.
    pub(super) fn follow(&self, configuration: &Configuration) {
        self.manners.store(Arc::new(Manners {
            tsig: configuration.tsig.clone(),
            transfers: Transfers {
                secondaries: configuration.secondaries.clone(),
                berths: self.berths.clone(),
            },
            ..Manners::default()
        }));
    }
}
