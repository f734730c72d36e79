//! `GET /v1/delegation?of=…`: what is served, for those who ask the zones above.
//!
//! In: the name of a route or the apex of a zone; neither means everything. Out: a [`Served`]. Never here: asking the
//! zones above; the command line does, from the same machine.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::extract::Known;
use super::look::AnyNode;
use super::refusal::{Refused, unknown};
use crate::delegation::{Selection, Served};
use crate::topology::DomainName;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DelegationQuery {
    /// A route, else a zone.
    of: Option<String>,
}

pub(super) async fn served(
    State(node): AnyNode,
    Known(query): Known<DelegationQuery>,
) -> Result<Json<Served>, Refused> {
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
        (None, None) => {
            let names = view.routes.iter().map(|route| route.name.as_str());
            return Err(unknown("route", &of, names, &view));
        }
    };
    Ok(Json(node.served(&selection)))
}
