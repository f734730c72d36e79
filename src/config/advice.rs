//! What is worth knowing when a configuration is checked, and no reason to warn at each reload.
//!
//! In: what was read of a configuration that can be used. Out: warnings at their places. Never here: what refuses one.

use crate::topology::DomainName;

use super::Read;
use super::problem::{ConfigProblems, Place, Rule};

/// Zones that have one nameserver: when it is gone, so are they.
pub(super) fn single_nameservers(read: &Read, problems: &mut ConfigProblems) {
    let servers = &read.draft.nameservers.servers;
    let generated = read.layout.apexes().count() > read.statics.len();
    if let [only] = servers.as_slice()
        && generated
    {
        let name = &only.name.value;
        warn(
            &only.name.place,
            format!(
                "{name} is the only nameserver: when this machine is gone, so are the names that it answers for"
            ),
            problems,
        );
    }
    for zone in &read.draft.zones {
        let (Some(apex), Some(file)) = (&zone.apex, &zone.file) else {
            continue;
        };
        if let Some(name) = only_nameserver(read, &apex.value) {
            let text = format!(
                "{name} is the only nameserver of the zone {}: when it is gone, so is the zone",
                apex.value
            );
            warn(&file.place, text, problems);
        }
    }
}

fn only_nameserver(read: &Read, apex: &DomainName) -> Option<String> {
    let mut names = read.statics.get(apex)?.nameservers();
    let only = names.next()?;
    names.next().is_none().then_some(only)
}

fn warn(place: &Place, text: String, problems: &mut ConfigProblems) {
    problems.warning(Rule::OneNameserver, place, text).help(
        "have a second one in another network and name both here and in the parent zone: docs/secondaries.md",
    );
}
