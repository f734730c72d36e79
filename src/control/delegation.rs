//! `GET /v1/delegation?of=…`: what is served, for those who ask the zones above.
//!
//! In: the name of a route or the apex of a zone; neither means everything. Out: a [`Served`]. Never here: asking the
//! zones above; the command line does, from the same machine.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::extract::Known;
use super::look::AnyNode;
use super::refusal::{Refused, unchanged, unknown};
use crate::delegation::{Selection, Served};
use crate::engine::{Refusal, RefusalKind, View};
use crate::near::nearest;
use crate::topology::DomainName;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DelegationQuery {
    /// A route, else a zone, else a domain.
    of: Option<String>,
    /// A domain, whatever else has its name.
    domain: Option<String>,
}

pub(super) async fn served(
    State(node): AnyNode,
    Known(query): Known<DelegationQuery>,
) -> Result<Json<Served>, Refused> {
    if let Some(domain) = query.domain {
        let view = node.view().await?;
        let asked = domain.parse::<DomainName>().ok();
        return match asked.filter(|asked| has_domain(&view, asked)) {
            Some(asked) => Ok(Json(node.served(&Selection::Domain(asked)))),
            None => {
                let names = view.routes.iter().flat_map(|route| &route.domains);
                Err(unknown(
                    "domain",
                    &domain,
                    names.map(DomainName::as_str),
                    &view,
                ))
            }
        };
    }
    let Some(of) = query.of else {
        return Ok(Json(node.served(&Selection::All)));
    };
    let view = node.view().await?;
    let route = view.routes.iter().find(|route| route.name.as_str() == of);
    let apex = of.parse::<DomainName>().ok();
    let zone = view
        .zones
        .iter()
        .find(|zone| Some(&zone.apex) == apex.as_ref());
    let selection = match (route, zone) {
        (Some(route), _) => Selection::Route(route.name.clone()),
        (None, Some(zone)) => Selection::Zone(zone.apex.clone()),
        (None, None) => match apex.filter(|domain| has_domain(&view, domain)) {
            Some(domain) => Selection::Domain(domain),
            None => return Err(nothing_of(&of, &view)),
        },
    };
    Ok(Json(node.served(&selection)))
}

fn has_domain(view: &View, domain: &DomainName) -> bool {
    let mut routes = view.routes.iter();
    routes.any(|route| route.domains.contains(domain))
}

/// The names of all three kinds count as near.
fn nothing_of(of: &str, view: &View) -> Refused {
    let routes = view.routes.iter().map(|route| route.name.as_str());
    let zones = view.zones.iter().map(|zone| zone.apex.as_str());
    let domains = view.routes.iter().flat_map(|route| &route.domains);
    let near = nearest(
        of,
        routes.chain(zones).chain(domains.map(DomainName::as_str)),
    );
    let why = match near.is_empty() {
        true => format!(
            "none of the {} routes, {} zones and their domains has this name",
            view.routes.len(),
            view.zones.len()
        ),
        false => format!(
            "no route, zone or domain has this name; near are {}",
            near.join(", ")
        ),
    };
    Refused::from(Refusal {
        code: "unknown-name".into(),
        kind: RefusalKind::NotFound,
        what: format!("cannot find a route, a zone or a domain {of}"),
        why,
        in_force: unchanged(view),
        hint: Some("repoint route list; repoint zone list".into()),
    })
}
