//! Steered names: each has one route.

use std::collections::HashMap;

use crate::topology::{DomainName, ServiceKind};

use super::super::draft::RouteDraft;
use super::super::problem::{At, ConfigProblems, Place, Rule};
use super::{services, title};

/// Reports names that two things steer, and names that are too long.
pub(super) fn collisions(
    routes: &[RouteDraft],
    domains: &[Vec<At<DomainName>>],
    problems: &mut ConfigProblems,
) {
    // What steers a name: the route, and the service; none for the federation address.
    type Steered = (DomainName, bool);
    let mut seen: HashMap<Steered, (usize, Option<ServiceKind>, Place)> = HashMap::new();
    for (index, (route, domains)) in routes.iter().zip(domains).enumerate() {
        let services = route.services.iter().map(|service| {
            let place = service
                .owner
                .as_ref()
                .map_or(&service.kind.place, |o| &o.place);
            (Some(service.kind.value), services::owner(service), place)
        });
        let address = route.address.iter();
        let address = address.map(|address| (None, address.value.clone(), &address.place));
        // One report for each pair of things, however many domains they share.
        let mut reported: Vec<(usize, Option<ServiceKind>, Option<ServiceKind>)> = Vec::new();
        for (kind, template, place) in services.chain(address) {
            for domain in domains {
                let owner = match template.for_domain(&domain.value) {
                    Ok(owner) => owner,
                    Err(error) => {
                        let text = format!("a steered name of {} cannot be: {error}", title(route));
                        problems.error(Rule::BadValue, &domain.place, text);
                        continue;
                    }
                };
                let key = (owner, kind.is_some());
                let Some((other, other_kind, other_place)) = seen.get(&key) else {
                    seen.insert(key, (index, kind, place.clone()));
                    continue;
                };
                // The same template for all domains, or a service or domain written twice (reported there).
                if *other == index && *other_kind == kind {
                    continue;
                }
                let pair = (*other, *other_kind, kind);
                if reported.contains(&pair) {
                    continue;
                }
                reported.push(pair);
                let owner = &key.0;
                let records = if kind.is_some() {
                    "SRV records"
                } else {
                    "addresses"
                };
                let who = if *other == index {
                    format!("two services of {}", title(route))
                } else {
                    format!("{} and {}", title(&routes[*other]), title(route))
                };
                problems
                    .error(
                        Rule::OwnerCollision,
                        place,
                        format!("{who} both steer the {records} of {owner}"),
                    )
                    .also(other_place, "the other one")
                    .help("a name has one route: take the domain out of one of them, or give the other an owner of its own");
            }
        }
    }
}
