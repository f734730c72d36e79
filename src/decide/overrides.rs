//! Overrides: the operator's standing will.
//!
//! In: commands, expiry. Out: what is pinned, drained and frozen now. Never here: what follows from it for a
//! route; that is `decide`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Reason;
use crate::clock::Wall;
use crate::topology::{DomainName, PoolName, Route, RouteName};

/// What an override is about. There is at most one override per key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OverrideKey {
    /// A route's active pool is chosen by the operator.
    Pin {
        /// The pinned route.
        route: RouteName,
    },
    /// A pool comes last in every route.
    DrainPool {
        /// The drained pool.
        pool: PoolName,
    },
    /// A target comes after every pool that is up.
    DrainTarget {
        /// The pool it belongs to.
        pool: PoolName,
        /// The drained target.
        target: DomainName,
    },
    /// No automatic change in a route.
    FreezeRoute {
        /// The frozen route.
        route: RouteName,
    },
    /// No automatic change anywhere.
    FreezeAll,
}

impl OverrideKey {
    /// Whether it bears on a route.
    pub fn concerns(&self, route: &Route) -> bool {
        match self {
            OverrideKey::Pin { route: name } | OverrideKey::FreezeRoute { route: name } => {
                *name == route.name
            }
            OverrideKey::DrainPool { pool } | OverrideKey::DrainTarget { pool, .. } => {
                route.uses(pool)
            }
            OverrideKey::FreezeAll => true,
        }
    }
}

impl fmt::Display for OverrideKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OverrideKey::Pin { route } => write!(f, "pin of route {route}"),
            OverrideKey::DrainPool { pool } => write!(f, "drain of pool {pool}"),
            OverrideKey::DrainTarget { pool, target } => {
                write!(f, "drain of target {target} of pool {pool}")
            }
            OverrideKey::FreezeRoute { route } => write!(f, "freeze of route {route}"),
            OverrideKey::FreezeAll => f.write_str("freeze of all routes"),
        }
    }
}

/// One override with its author, reason and expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// What it is about.
    pub key: OverrideKey,
    /// The pool pinned; for pins only.
    pub pool: Option<PoolName>,
    /// For drains of a pool: never use it at all, not even last.
    #[serde(default)]
    pub never: bool,
    /// Who set it.
    pub author: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub since: Wall,
    /// When it ends; none means `forever`, which alarms daily.
    pub until: Option<Wall>,
}

impl Override {
    /// Whether it has ended at `now`.
    pub fn has_ended(&self, now: Wall) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The reason of a decision that follows from its end.
    pub fn ended(&self) -> Reason {
        Reason::Override {
            change: format!("{} expired", self.key),
            author: None,
            why: None,
            key: None,
        }
    }
}

/// Every override in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(BTreeMap<OverrideKey, Override>);

impl Overrides {
    /// Puts an override in force, in place of one with the same key.
    pub fn set(&mut self, value: Override) -> Option<Override> {
        self.0.insert(value.key.clone(), value)
    }

    /// Ends an override.
    pub fn remove(&mut self, key: &OverrideKey) -> Option<Override> {
        self.0.remove(key)
    }

    /// The override with this key.
    pub fn get(&self, key: &OverrideKey) -> Option<&Override> {
        self.0.get(key)
    }

    /// All overrides, in order of key.
    pub fn iter(&self) -> impl Iterator<Item = &Override> {
        self.0.values()
    }

    /// The pool a route is pinned to, with the pin.
    pub fn pin(&self, route: &RouteName) -> Option<(&PoolName, &Override)> {
        let pin = self.0.get(&OverrideKey::Pin {
            route: route.clone(),
        })?;
        pin.pool.as_ref().map(|pool| (pool, pin))
    }

    /// The drain of a pool.
    pub fn drain(&self, pool: &PoolName) -> Option<&Override> {
        self.0.get(&OverrideKey::DrainPool { pool: pool.clone() })
    }

    /// Whether a target is drained by itself.
    pub fn target_is_drained(&self, pool: &PoolName, target: &DomainName) -> bool {
        let key = OverrideKey::DrainTarget {
            pool: pool.clone(),
            target: target.clone(),
        };
        self.0.contains_key(&key)
    }

    /// The freeze that holds a route: its own, else the one of all routes.
    pub fn freeze(&self, route: &RouteName) -> Option<&Override> {
        self.0
            .get(&OverrideKey::FreezeRoute {
                route: route.clone(),
            })
            .or_else(|| self.0.get(&OverrideKey::FreezeAll))
    }

    /// Takes out the overrides that have ended at `now`.
    pub fn take_ended(&mut self, now: Wall) -> Vec<Override> {
        let ended: Vec<OverrideKey> = self
            .iter()
            .filter(|value| value.has_ended(now))
            .map(|value| value.key.clone())
            .collect();
        ended.iter().filter_map(|key| self.remove(key)).collect()
    }

    /// When the next override ends.
    pub fn next_end(&self) -> Option<Wall> {
        self.0.values().filter_map(|value| value.until).min()
    }
}

impl FromIterator<Override> for Overrides {
    fn from_iter<I: IntoIterator<Item = Override>>(values: I) -> Self {
        Overrides(
            values
                .into_iter()
                .map(|value| (value.key.clone(), value))
                .collect(),
        )
    }
}
