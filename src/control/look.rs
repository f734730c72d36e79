//! Looking: the requests that change nothing.
//!
//! In: paths and queries. Out: parts of the view, history, zones. Never here: a change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::explanation::Explanation;
use super::extract::{Body, Known, etag};
use super::node::Node;
use super::probing::Probed;
use super::refusal::{Refused, unknown};
use super::wire::{ConfigurationFile, ProbeBody, Refreshed, ServerHealth, TargetView};
use crate::clock::Wall;
use crate::decide::{Override, OverrideKey};
use crate::engine::{Alarm, Entry, PoolView, RouteView, View, ZoneView};
use crate::health::{AddressHealth, Verdict};
use crate::secondaries::SecondaryView;
use crate::serve::Counts;
use crate::store::HistoryFilter;
use crate::topology::{CheckId, DomainName, PoolName, RouteName};

pub(super) type AnyNode = State<Arc<dyn Node>>;

/// History entries unless the request says how many.
const USUAL_HISTORY: usize = 100;
/// One answer has at most this many.
const LONGEST_HISTORY: usize = 10_000;

pub(super) async fn health(State(node): AnyNode) -> Result<Json<ServerHealth>, Refused> {
    let view = node.view().await?;
    Ok(Json(ServerHealth {
        version: view.version,
        started: view.started,
        generation: view.generation,
        store_fault: view.store_fault,
    }))
}

pub(super) async fn status(State(node): AnyNode) -> Result<Response, Refused> {
    let view = node.view().await?;
    Ok(([(header::ETAG, etag(view.generation))], Json(view)).into_response())
}

pub(super) async fn counters(State(node): AnyNode) -> Json<Counts> {
    Json(node.counts())
}

pub(super) async fn routes(State(node): AnyNode) -> Result<Json<Vec<RouteView>>, Refused> {
    Ok(Json(node.view().await?.routes))
}

pub(super) async fn route(
    State(node): AnyNode,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let view = node.view().await?;
    let route = find_route(&view, &name)?;
    let tag = etag(route.decision.generation);
    Ok(([(header::ETAG, tag)], Json(route)).into_response())
}

pub(super) async fn explanation(
    State(node): AnyNode,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let view = node.view().await?;
    let route = find_route(&view, &name)?;
    let tag = etag(route.decision.generation);
    let explanation = Explanation::of(&view, &route.name);
    Ok(([(header::ETAG, tag)], Json(explanation)).into_response())
}

pub(super) async fn probe(
    State(node): AnyNode,
    Path(name): Path<String>,
    Body(body): Body<ProbeBody>,
) -> Result<Json<Vec<Probed>>, Refused> {
    let view = node.view().await?;
    let route = find_route(&view, &name)?;
    if let Some(pool) = &body.pool {
        find_route_pool(&view, route, pool.as_str())?;
    }
    Ok(Json(node.probe(route.name.clone(), body.pool).await?))
}

pub(super) async fn pools(State(node): AnyNode) -> Result<Json<Vec<PoolView>>, Refused> {
    Ok(Json(node.view().await?.pools))
}

pub(super) async fn pool(
    State(node): AnyNode,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let view = node.view().await?;
    let pool = find_pool(&view, &name)?;
    Ok(([(header::ETAG, etag(view.generation))], Json(pool)).into_response())
}

pub(super) async fn targets(State(node): AnyNode) -> Result<Json<Vec<TargetView>>, Refused> {
    Ok(Json(target_views(&node.view().await?)))
}

pub(super) async fn target(
    State(node): AnyNode,
    Path((pool, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let view = node.view().await?;
    let (pool, name) = find_target(&view, &pool, &name)?;
    let target = target_view(&view, pool, &name);
    Ok(([(header::ETAG, etag(view.generation))], Json(target)).into_response())
}

pub(super) async fn overrides(State(node): AnyNode) -> Result<Json<Vec<Override>>, Refused> {
    Ok(Json(node.view().await?.overrides))
}

pub(super) async fn alarms(State(node): AnyNode) -> Result<Json<Vec<Alarm>>, Refused> {
    Ok(Json(node.view().await?.alarms))
}

/// `GET /v1/history?route=…&since=…&limit=…`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HistoryQuery {
    /// Only this route, and what is about all routes.
    route: Option<String>,
    /// Milliseconds since 1970.
    since: Option<Wall>,
    limit: Option<usize>,
}

pub(super) async fn history(
    State(node): AnyNode,
    Known(query): Known<HistoryQuery>,
) -> Result<Json<Vec<Entry>>, Refused> {
    let route: Option<RouteName> = match query.route {
        // A route that left the configuration still has its history.
        Some(name) => match name.parse() {
            Ok(name) => Some(name),
            Err(_) => return Err(no_route(&node.view().await?, &name)),
        },
        None => None,
    };
    let filter = HistoryFilter {
        route: route.clone(),
        since: query.since,
        limit: query.limit.unwrap_or(USUAL_HISTORY).min(LONGEST_HISTORY),
        ..HistoryFilter::default()
    };
    let entries = node.history(filter).await?;
    if let Some(name) = route
        && !entries
            .iter()
            .any(|entry| entry.route.as_ref() == Some(&name))
    {
        let view = node.view().await?;
        find_route(&view, name.as_str())?;
    }
    Ok(Json(entries))
}

pub(super) async fn zones(State(node): AnyNode) -> Result<Json<Vec<ZoneView>>, Refused> {
    Ok(Json(node.view().await?.zones))
}

pub(super) async fn zone(
    State(node): AnyNode,
    Path(apex): Path<String>,
) -> Result<Json<ZoneView>, Refused> {
    let view = node.view().await?;
    Ok(Json(find_zone(&view, &apex)?.clone()))
}

pub(super) async fn zone_text(
    State(node): AnyNode,
    Path(apex): Path<String>,
) -> Result<Response, Refused> {
    let view = node.view().await?;
    let zone = find_zone(&view, &apex)?;
    match node.zone_text(&zone.apex) {
        Some(text) => Ok(([(header::CONTENT_TYPE, "text/dns")], text).into_response()),
        None => Err(no_zone(&view, &apex)),
    }
}

pub(super) async fn zone_diff(
    State(node): AnyNode,
    Path(apex): Path<String>,
) -> Result<Response, Refused> {
    let view = node.view().await?;
    let zone = find_zone(&view, &apex)?;
    match node.zone_diff(&zone.apex) {
        Some(text) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            Ok((kind, text).into_response())
        }
        None => Err(no_zone(&view, &apex)),
    }
}

pub(super) async fn refresh(
    State(node): AnyNode,
    Path(apex): Path<String>,
) -> Result<Json<Refreshed>, Refused> {
    let view = node.view().await?;
    let apex = find_zone(&view, &apex)?.apex.clone();
    let came = node.refresh(apex.clone()).await?;
    Ok(Json(Refreshed { apex, came }))
}

pub(super) async fn secondaries(State(node): AnyNode) -> Json<Vec<SecondaryView>> {
    Json(node.secondaries(None))
}

pub(super) async fn zone_secondaries(
    State(node): AnyNode,
    Path(apex): Path<String>,
) -> Result<Json<Vec<SecondaryView>>, Refused> {
    let view = node.view().await?;
    let zone = find_zone(&view, &apex)?;
    Ok(Json(node.secondaries(Some(&zone.apex))))
}

pub(super) async fn configuration(State(node): AnyNode) -> Json<ConfigurationFile> {
    let file = node.configuration_file();
    Json(ConfigurationFile { file })
}

pub(super) async fn backup(State(node): AnyNode) -> Result<Response, Refused> {
    let bytes = node.backup().await?;
    let kind = [(header::CONTENT_TYPE, "application/vnd.sqlite3")];
    Ok((kind, bytes).into_response())
}

pub(super) fn find_route<'v>(view: &'v View, name: &str) -> Result<&'v RouteView, Refused> {
    view.routes
        .iter()
        .find(|route| route.name.as_str() == name)
        .ok_or_else(|| no_route(view, name))
}

fn no_route(view: &View, name: &str) -> Refused {
    unknown(
        "route",
        name,
        view.routes.iter().map(|r| r.name.as_str()),
        view,
    )
}

pub(super) fn find_pool<'v>(view: &'v View, name: &str) -> Result<&'v PoolView, Refused> {
    view.pools
        .iter()
        .find(|pool| pool.name.as_str() == name)
        .ok_or_else(|| {
            unknown(
                "pool",
                name,
                view.pools.iter().map(|p| p.name.as_str()),
                view,
            )
        })
}

/// The pool, if the route uses it; the names offered are those of the route's pools only.
pub(super) fn find_route_pool(
    view: &View,
    route: &RouteView,
    name: &str,
) -> Result<PoolName, Refused> {
    let names = || route.pools.iter().map(|pool| &pool.pool);
    names()
        .find(|pool| pool.as_str() == name)
        .cloned()
        .ok_or_else(|| unknown("pool", name, names().map(PoolName::as_str), view))
}

pub(super) fn find_target<'v>(
    view: &'v View,
    pool: &str,
    name: &str,
) -> Result<(&'v PoolView, DomainName), Refused> {
    let pool = find_pool(view, pool)?;
    let wanted = name.parse::<DomainName>().ok();
    match pool.targets.iter().find(|t| Some(*t) == wanted.as_ref()) {
        Some(target) => Ok((pool, target.clone())),
        None => {
            let names = pool.targets.iter().map(DomainName::as_str);
            Err(unknown("target", name, names, view))
        }
    }
}

fn find_zone<'v>(view: &'v View, apex: &str) -> Result<&'v ZoneView, Refused> {
    let wanted = apex.parse::<DomainName>().ok();
    view.zones
        .iter()
        .find(|zone| Some(&zone.apex) == wanted.as_ref())
        .ok_or_else(|| no_zone(view, apex))
}

fn no_zone(view: &View, apex: &str) -> Refused {
    unknown(
        "zone",
        apex,
        view.zones.iter().map(|z| z.apex.as_str()),
        view,
    )
}

/// All targets, as the view shows them.
pub(crate) fn target_views(view: &View) -> Vec<TargetView> {
    let of_pool = |pool| move |target: &DomainName| target_view(view, pool, target);
    view.pools
        .iter()
        .flat_map(|pool| pool.targets.iter().map(of_pool(pool)))
        .collect()
}

fn target_view(view: &View, pool: &PoolView, name: &DomainName) -> TargetView {
    let index = pool.targets.iter().position(|target| target == name);
    let mut verdict: Option<Verdict> = None;
    let mut addresses: BTreeMap<_, AddressHealth> = BTreeMap::new();
    let mut checks: BTreeSet<&CheckId> = BTreeSet::new();
    let mut routes = Vec::new();
    for route in &view.routes {
        for seen in route.pools.iter().filter(|seen| seen.pool == pool.name) {
            routes.push(route.name.clone());
            let uses = seen.checks.iter();
            checks.extend(uses.filter(|c| Some(c.target) == index).map(|c| &c.check));
            for target in seen.health.targets.iter().filter(|t| t.name == *name) {
                verdict = verdict.max(Some(target.verdict));
                for (address, health) in &target.addresses {
                    let entry = addresses.entry(*address).or_insert(*health);
                    entry.verdict = entry.verdict.max(health.verdict);
                    entry.proven &= health.proven;
                }
            }
        }
    }
    let key = OverrideKey::DrainTarget {
        pool: pool.name.clone(),
        target: name.clone(),
    };
    TargetView {
        pool: pool.name.clone(),
        name: name.clone(),
        verdict: verdict.unwrap_or(Verdict::Unknown),
        drain: view.overrides.iter().find(|o| o.key == key).cloned(),
        addresses,
        routes,
        checks: view
            .checks
            .iter()
            .filter(|check| checks.contains(&check.id))
            .cloned()
            .collect(),
    }
}
