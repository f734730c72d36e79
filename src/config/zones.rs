//! The zones of a configuration: master files read, steered names put into their zones.
//!
//! In: the zones of a draft and the topology. Out: static zones and the layout, or their problems, each at its line
//! of the master file or at what asked for it in the configuration. Never here: records; those are `zone`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::topology::{DomainName, RouteName, Topology};
use crate::zone::{
    Include, Included, LEAST_VALIDITY, Layout, LayoutProblem, MasterProblem, Name, Severity,
    SourceLine, StaticZone,
};

use super::draft::Draft;
use super::named_files::{Files, read_file};
use super::problem::{ConfigProblems, Place, Rule};
use super::validate::Places;

/// The static records of the zones that have a file.
pub(super) type Statics = BTreeMap<DomainName, Arc<StaticZone>>;

/// Master files as read: the good ones, and whose file was refused.
pub(super) struct ReadZones {
    pub(super) statics: Statics,
    refused: BTreeSet<DomainName>,
}

/// Reads the master file of every zone that has one.
pub(super) fn read(
    draft: &Draft,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) -> ReadZones {
    let mut zones = ReadZones {
        statics: BTreeMap::new(),
        refused: BTreeSet::new(),
    };
    for zone in &draft.zones {
        let (Some(apex), Some(path)) = (&zone.apex, &zone.file) else {
            continue;
        };
        let apex = &apex.value;
        if zones.statics.contains_key(apex) || zones.refused.contains(apex) {
            continue;
        }
        let Some((_, text)) = read_file(path, "the zone file", files, problems) else {
            zones.refused.insert(apex.clone());
            continue;
        };
        let name = path.value.display().to_string();
        let mut load = |include: Include<'_>| include_file(include, files, problems);
        let read = StaticZone::parse(apex, &name, text.as_bytes(), &mut load);
        let found = match &read {
            Ok(zone) => zone.warnings(),
            Err(found) => found.as_slice(),
        };
        for problem in found {
            report_line(problem, &path.place, problems);
        }
        match read {
            Ok(zone) => {
                if draft.nameservers.dnssec.signs(apex) {
                    expires_in_time(&zone, &path.place, problems);
                }
                zones.statics.insert(apex.clone(), Arc::new(zone));
            }
            Err(_) => {
                zones.refused.insert(apex.clone());
            }
        }
    }
    zones
}

/// A secondary that is cut off serves a zone until its SOA's EXPIRE, and what it serves should be valid.
fn expires_in_time(zone: &StaticZone, asked: &Place, problems: &mut ConfigProblems) {
    let expire = zone.timers().expire;
    if expire <= LEAST_VALIDITY {
        return;
    }
    let at = zone.soa_line().and_then(|at| line(at, problems));
    let message = format!(
        "the SOA lets a secondary that is cut off serve this zone for {} days, and its signatures are only sure to be valid for {}",
        expire.as_secs() / 86_400,
        LEAST_VALIDITY.as_secs() / 86_400,
    );
    problems
        .warning(Rule::SoaExpire, at.as_ref().unwrap_or(asked), message)
        .help("an EXPIRE of 604800 (7 days) suits a signed zone");
}

/// An included file; a relative path begins beside the file that asks.
fn include_file(
    include: Include<'_>,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) -> Result<Included, String> {
    let beside = Path::new(include.from).parent().unwrap_or(Path::new(""));
    let path: PathBuf = beside.join(include.path);
    let file = path.display().to_string();
    let text = files.text(&path).map_err(|error| error.to_string())?;
    problems.add_file(&file, &text);
    Ok(Included {
        file,
        octets: text.into_bytes(),
    })
}

fn report_line(problem: &MasterProblem, asked: &Place, problems: &mut ConfigProblems) {
    let place = line(&problem.at, problems);
    let message = problem.fault.to_string();
    let place = place.as_ref().unwrap_or(asked);
    let reported = match problem.severity() {
        Severity::Error => problems.error(Rule::ZoneFile, place, message),
        Severity::Warning => problems.warning(Rule::ZoneFile, place, message),
    };
    reported.help(problem.mend());
}

/// The line of a file that was read.
fn line(at: &SourceLine, problems: &ConfigProblems) -> Option<Place> {
    let file = problems
        .files
        .iter()
        .position(|file| file.name == *at.file)?;
    Some(problems.line(file, usize::try_from(at.line).ok()?))
}

/// Puts every steered name into its zone.
pub(super) fn layout(
    draft: &Draft,
    topology: &Topology,
    zones: &ReadZones,
    places: &Places,
    problems: &mut ConfigProblems,
) -> Option<Layout> {
    let (layout, found) = match Layout::new(topology, zones.statics.clone()) {
        Ok(layout) => {
            let warnings = layout.warnings().to_vec();
            (Some(layout), warnings)
        }
        Err(found) => (None, found),
    };
    let mut report = Report {
        draft,
        places,
        refused: zones.refused.iter().map(Name::from).collect(),
        unserved: found
            .iter()
            .filter(|p| matches!(p, LayoutProblem::NoNameservers { .. }))
            .count(),
        said: BTreeSet::new(),
        homeless: homeless(&found),
    };
    for problem in &found {
        report.problem(problem, problems);
    }
    layout
}

/// How many names of each route lie in no zone.
fn homeless(found: &[LayoutProblem]) -> BTreeMap<RouteName, usize> {
    let mut counts = BTreeMap::new();
    for problem in found {
        if let LayoutProblem::NoZone { route, .. } = problem {
            *counts.entry(route.clone()).or_default() += 1;
        }
    }
    counts
}

struct Report<'a> {
    draft: &'a Draft,
    places: &'a Places,
    /// Apexes whose master file was refused; what is missing there has been said.
    refused: BTreeSet<Name>,
    /// Generated zones without a nameserver.
    unserved: usize,
    /// One problem of thousands of names is said once.
    said: BTreeSet<(Rule, Option<RouteName>)>,
    homeless: BTreeMap<RouteName, usize>,
}

impl Report<'_> {
    fn problem(&mut self, problem: &LayoutProblem, problems: &mut ConfigProblems) {
        use LayoutProblem as P;
        let rule = match problem {
            P::NoZone { .. } => Rule::NoZone,
            P::OwnerTooLong { .. } | P::Collision { .. } => Rule::OwnerCollision,
            P::StaticAtSteered { .. } | P::ReceivedAtSteered { .. } | P::SteeredAtCname { .. } => {
                Rule::StaticAtSteered
            }
            P::SteeredBelowCut { .. }
            | P::SteeredBelowDname { .. }
            | P::ZoneBelowDname { .. }
            | P::DuplicateApex { .. }
            | P::OccludedStatic { .. } => Rule::ZoneConflict,
            P::DsByHand { .. } => Rule::DsByHand,
            P::TargetIsCname { .. } | P::TargetBelowDname { .. } => Rule::AliasTarget,
            P::TargetAddressesDiffer { .. } => Rule::TargetAddresses,
            P::StaticTargetWithoutAddress { .. } => Rule::ZoneFile,
            P::NoNameservers { .. } => Rule::NoNameservers,
            P::NameserverWithoutAddress { .. } => Rule::Glue,
        };
        // Found already, with the places of both.
        if matches!(problem, P::Collision { .. } | P::OwnerTooLong { .. }) && problems.refuse() {
            return;
        }
        let mut message = problem.to_string();
        match problem {
            P::NoNameservers { apex } => {
                let given = self.draft.nameservers.given;
                if given || self.refused.contains(apex) || !self.said.insert((rule, None)) {
                    return;
                }
                if self.unserved > 1 {
                    message = format!("{message} (and {} more)", self.unserved - 1);
                }
            }
            P::NameserverWithoutAddress { apex, .. } if self.refused.contains(apex) => return,
            P::NoZone { route, .. } => {
                if !self.said.insert((rule, Some(route.clone()))) {
                    return;
                }
                let names = self.homeless.get(route).copied().unwrap_or(1);
                if names > 1 {
                    message = format!("{message} (and {} more of its names)", names - 1);
                }
            }
            _ => {}
        }
        let in_file = problem.source().and_then(|at| line(at, problems));
        let asked = self.place(problem);
        let place = in_file.as_ref().unwrap_or(asked);
        let reported = match problem.severity() {
            Severity::Error => problems.error(rule, place, message),
            Severity::Warning => problems.warning(rule, place, message),
        };
        if in_file.is_some() {
            reported.also(asked, "asked for here");
        }
        reported.help(problem.mend());
    }

    /// The place in the configuration that a problem goes back to.
    fn place(&self, problem: &LayoutProblem) -> &Place {
        let target = match problem {
            LayoutProblem::TargetIsCname { target, .. }
            | LayoutProblem::TargetBelowDname { target, .. }
            | LayoutProblem::TargetAddressesDiffer { target, .. } => self.target(target),
            _ => None,
        };
        let zone =
            match problem {
                LayoutProblem::NameserverWithoutAddress { nameserver, .. } => {
                    let named = self.places.nameservers.iter();
                    named
                        .into_iter()
                        .find(|n| n.value == *nameserver)
                        .map(|n| &n.place)
                }
                LayoutProblem::NoNameservers { apex }
                | LayoutProblem::ZoneBelowDname { apex, .. } => self.zone(apex),
                LayoutProblem::OccludedStatic { child, .. }
                | LayoutProblem::DsByHand { child, .. } => self.zone(child),
                _ => None,
            };
        let route = problem
            .route()
            .and_then(|route| self.places.routes.get(route));
        target
            .or(zone)
            .or(route)
            .unwrap_or(&self.draft.nameservers.place)
    }

    fn target(&self, name: &Name) -> Option<&Place> {
        let mut targets = self.places.targets.iter();
        targets
            .find(|(target, _)| Name::from(*target) == *name)
            .map(|(_, place)| place)
    }

    fn zone(&self, apex: &Name) -> Option<&Place> {
        let mut zones = self.places.zones.iter();
        zones
            .find(|(zone, _)| Name::from(*zone) == *apex)
            .map(|(_, place)| place)
    }
}
