//! What the control interface asks of the running node.
//!
//! In: nothing. Out: the seam between HTTP and the engine, the configuration and the store. `serve` joins it with
//! the real ones; tests join it with values of their own.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use super::probing::Probed;
use crate::delegation::{Selection, Served};
use crate::engine::{Done, Entry, Expected, KeyVerb, Refusal, View};
use crate::secondaries::SecondaryView;
use crate::serve::Counts;
use crate::shell::Ask;
use crate::store::HistoryFilter;
use crate::topology::{DomainName, PoolName, RouteName};
use crate::zone::KeyAlgorithm;

/// An answer that is on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// A running node, as the control interface needs it.
pub trait Node: Send + Sync + 'static {
    /// Everything that can be seen at this moment.
    fn view(&self) -> Answer<'_, View>;

    /// What was asked and said since the start.
    fn counts(&self) -> Counts;

    /// Carries out a command; the answer comes once the change is served.
    fn request(&self, ask: Ask) -> Answer<'_, Done>;

    /// History entries, oldest first.
    fn history(&self, filter: HistoryFilter) -> Answer<'_, Vec<Entry>>;

    /// Probes a route's pools now, or one of them; changes no verdict.
    fn probe(&self, route: RouteName, pool: Option<PoolName>) -> Answer<'_, Vec<Probed>>;

    /// What is served, as far as the zones above must know of it.
    fn served(&self, selection: &Selection) -> Served;

    /// The zone as master-file text; none when it is not served.
    fn zone_text(&self, apex: &DomainName) -> Option<String>;

    /// What the last version of the zone changed, as lines that left (`-`) and came (`+`).
    fn zone_diff(&self, apex: &DomainName) -> Option<String>;

    /// Asks the primaries of a zone now; the answer says what came of it.
    fn refresh(&self, apex: DomainName) -> Answer<'_, String>;

    /// The secondaries, with all their zones or the one asked for.
    fn secondaries(&self, zone: Option<&DomainName>) -> Vec<SecondaryView>;

    /// Makes or reads a key and puts it to work.
    fn begin_key(&self, new: NewKey) -> Answer<'_, Done>;

    /// Reads the configuration file and says whether it could be used; changes nothing.
    fn check_configuration(&self) -> Answer<'_, Vec<String>>;

    /// Where that file is.
    fn configuration_file(&self) -> PathBuf;

    /// Reads the configuration file again and puts it in force, all of it or nothing.
    fn reload(&self, reload: Reload) -> Answer<'_, Done>;

    /// A copy of the store, as the bytes of its file.
    fn backup(&self) -> Answer<'_, Vec<u8>>;
}

/// A key that is to be put to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// For this zone.
    pub zone: DomainName,
    /// Why it is new.
    pub verb: KeyVerb,
    /// With what it signs; what is configured when absent.
    pub algorithm: Option<KeyAlgorithm>,
    /// Where an imported one lies.
    pub file: Option<PathBuf>,
    /// The operator's word that the parent has no DS.
    pub parent_has_no_ds: bool,
    /// Who asks.
    pub author: String,
    /// Why.
    pub why: Option<String>,
    /// Say what would change, and change nothing.
    pub dry_run: bool,
    /// Refuse when something else is in force by then.
    pub expected: Option<Expected>,
}

/// How a configuration is to be reloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Who asks.
    pub author: String,
    /// Why.
    pub why: Option<String>,
    /// Say what would change, and change nothing.
    pub dry_run: bool,
    /// Permit that an active or pinned pool, a route, many domains or many zones go.
    pub allow_removal: bool,
    /// Refuse when something else is in force by then.
    pub expected: Option<Expected>,
}
