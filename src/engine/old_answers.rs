//! Which servers may still give out answers that a route does not have any more.
//!
//! In: what secondaries have, zones that are held back. Out: the moment from which old answers are only in caches; until
//! then the server that still gives them out ([`Giver`]).
//! Never here: when a partner's cache ends; that is added where the time is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::core::Engine;
use crate::clock::{Now, Wall};
use crate::decide::{OldAnswers, RouteState};
use crate::topology::RouteName;
use crate::zone::{Name, Serial};

/// Who may still give out old answers: the first one found, and how many more there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Giver {
    apex: Name,
    why: Why,
    more: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// A configured secondary does not have the version that all others have.
    Secondary {
        name: String,
        address: SocketAddr,
        /// The serial it has, if it has said so.
        has: Option<Serial>,
        /// Our serial, when the secondary's is ahead of it.
        ahead_of: Option<Serial>,
    },
    /// We serve the version from before.
    Held(String),
    /// We do not serve the zone.
    Unserved(String),
}

/// By route, and by the first serial without the old answers.
pub(super) type Givers = BTreeMap<(RouteName, u32), Giver>;

impl Giver {
    /// `secondary ns2 (192.0.2.5) still serves serial 17 of contoso.com, where edgepool1 is first`
    pub(super) fn words(&self, thing: &str) -> String {
        let apex = self.apex.to_string();
        let zone = apex.trim_end_matches('.');
        let text = match &self.why {
            Why::Secondary {
                name,
                address,
                has,
                ahead_of,
            } => {
                let address = match address.port() {
                    53 => address.ip().to_string(),
                    _ => address.to_string(),
                };
                let secondary = format!("secondary {name} ({address})");
                match (has, ahead_of) {
                    (None, _) => {
                        format!("{secondary} has not said yet which serial of {zone} it has")
                    }
                    (Some(has), Some(ours)) => format!(
                        "{secondary} has serial {has} of {zone}, ahead of our {ours}: what it serves is not known"
                    ),
                    (Some(has), None) => format!(
                        "{secondary} still serves serial {has} of {zone}, where {thing} is first"
                    ),
                }
            }
            Why::Held(why) => format!("zone {zone} still has {thing} first: {why}"),
            Why::Unserved(why) => {
                format!("zone {zone} is not served, and other servers may have it: {why}")
            }
        };
        match self.more {
            0 => text,
            more => format!("{text} (and {more} more)"),
        }
    }
}

impl Engine {
    /// Takes note of old answers that no server gives out any more.
    pub(super) fn follow_old_answers(&mut self, now: Now) {
        if self.pending().next().is_none() {
            return;
        }
        let givers = self.givers();
        let reached = self.pending().filter(|at| !givers.contains_key(at));
        let reached: Vec<(RouteName, u32)> = reached.collect();
        let mut routes = BTreeSet::new();
        for (route, serial) in reached {
            if let Some(state) = self.routes.get_mut(&route) {
                state.left.reached(serial, now.wall);
                routes.insert(route);
            }
        }
        for route in routes {
            if let Some(row) = self.row(&route) {
                self.journal.route(row);
            }
        }
    }

    /// The serials that servers are still to reach.
    fn pending(&self) -> impl Iterator<Item = (RouteName, u32)> {
        self.routes.iter().flat_map(|(route, state)| {
            let serials = state.left.serials().into_iter();
            serials.map(|serial| (route.clone(), serial))
        })
    }

    /// Who may still give out old answers. A route and serial that is not in it has none: one pass over all zones, as a
    /// route may have thousands.
    pub(super) fn givers(&self) -> Givers {
        let mut pending: BTreeMap<RouteName, BTreeSet<u32>> = BTreeMap::new();
        for (route, serial) in self.pending() {
            pending.entry(route).or_default().insert(serial);
        }
        let mut givers = Givers::new();
        if pending.is_empty() {
            return givers;
        }
        for apex in self.layout.apexes() {
            let routes: BTreeSet<&RouteName> = self.layout.routes_of(apex).collect();
            for route in routes {
                for serial in pending.get(route).into_iter().flatten() {
                    for why in self.givers_of(apex, Serial(*serial)) {
                        let giver = givers.entry((route.clone(), *serial));
                        let giver = giver.and_modify(|giver| giver.more += 1);
                        giver.or_insert_with(|| Giver {
                            apex: apex.clone(),
                            why,
                            more: 0,
                        });
                    }
                }
            }
        }
        givers
    }

    /// Who may have a version of a zone from before this serial.
    fn givers_of(&self, apex: &Name, serial: Serial) -> Vec<Why> {
        if let Some(held) = self.held_back(apex) {
            return vec![held];
        }
        let Some(newest) = self.zones.version_at(apex).map(|zone| zone.serial()) else {
            return Vec::new();
        };
        // The change left this zone as it was: it has no old answers.
        if serial.is_after(newest) {
            return Vec::new();
        }
        let heard = self.sightings.of(apex);
        let secondaries = self.configuration.secondaries.iter();
        let secondaries = secondaries.filter(|secondary| secondary.has(apex));
        let behind = secondaries.filter_map(|secondary| {
            let has = heard.and_then(|heard| heard.get(&secondary.address).copied());
            // One that is ahead of us has another server's version.
            let ahead_of = has.filter(|has| has.is_after(newest)).map(|_| newest);
            let is_behind = has.is_none_or(|has| serial.is_after(has));
            (is_behind || ahead_of.is_some()).then(|| Why::Secondary {
                name: secondary.name.clone(),
                address: secondary.address,
                has,
                ahead_of,
            })
        });
        behind.collect()
    }

    /// Why a zone is not served with the decisions of now.
    fn held_back(&self, apex: &Name) -> Option<Why> {
        let faults = self.zones.faults();
        let fault = faults.iter().find(|(zone, _)| zone == apex);
        let served = self.zones.version_at(apex);
        let name = apex.to_domain_name();
        let primary = name.filter(|apex| self.topology().primary(apex).is_some());
        let why = if self.signing.unsignable.contains(apex) {
            "a private key of it is missing (repoint status)".to_owned()
        } else if let Some((_, fault)) = fault {
            format!("it cannot be signed: {fault}")
        } else if served.is_some_and(|version| !version.lags()) {
            return None;
        } else if served.is_none() && primary.is_some() {
            "its primary has not sent it yet".to_owned()
        } else {
            "its next version is still being signed".to_owned()
        };
        Some(match served {
            Some(_) => Why::Held(why),
            None => Why::Unserved(why),
        })
    }

    /// Until when resolvers may keep old answers, or who still gives them out.
    pub(super) fn old_answers<'a>(
        &self,
        routes: impl IntoIterator<Item = &'a RouteName>,
        givers: &Givers,
        thing: &str,
        old: impl Fn(&RouteState) -> Option<OldAnswers>,
    ) -> Option<Result<Wall, String>> {
        let mut found = None;
        for route in routes {
            let Some(old) = self.routes.get(route).and_then(&old) else {
                continue;
            };
            match old {
                OldAnswers::Cached { until } => {
                    let last: Option<Wall> = found;
                    found = Some(last.map_or(until, |last| last.max(until)));
                }
                OldAnswers::Served { serial, .. } => {
                    let giver = givers.get(&(route.clone(), serial));
                    // Nothing is found for a moment where a publication has no number yet.
                    let words = giver.map(|giver| giver.words(thing));
                    let words = words.unwrap_or_else(|| "the change is not published yet".into());
                    return Some(Err(words));
                }
            }
        }
        found.map(Ok)
    }
}
