//! Changing: overrides, moves, reloading, accepting state.
//!
//! In: paths, bodies, and how. Out: a command for the node, and its answer once the change is served. Names are looked
//! up here first, so that a wrong one is answered with those near to it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};

use super::author::Peer;
use super::extract::{Body, Known, precondition, presentable};
use super::look::{AnyNode, find_pool, find_route, find_route_pool, find_target};
use super::node::{Node, Reload};
use super::refusal::{Refused, invalid};
use super::wire::{DrainBody, FailoverBody, FreezeBody, How, Nothing, PinBody, ReloadBody};
use crate::decide::OverrideKey;
use crate::engine::{Command, Done, Expected, View};
use crate::shell::Ask;
use crate::topology::RouteName;

/// What every change comes with.
pub(super) type Asked = (Extension<Peer>, Known<How>, HeaderMap);

pub(super) async fn pin(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
    Body(body): Body<PinBody>,
) -> Result<Json<Done>, Refused> {
    let (view, route, expected) = route_for_change(&node, &name, &asked).await?;
    let pool = find_route_pool(&view, find_route(&view, &name)?, body.pool.as_str())?;
    let command = Command::SetOverride {
        key: OverrideKey::Pin { route },
        pool: Some(pool),
        never: false,
        lifetime: body.lifetime,
        force: body.force,
    };
    carry_out(&node, command, asked, expected).await
}

pub(super) async fn unpin(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Done>, Refused> {
    let (_, route, expected) = route_for_change(&node, &name, &asked).await?;
    let key = OverrideKey::Pin { route };
    carry_out(&node, Command::EndOverride { key }, asked, expected).await
}

pub(super) async fn freeze_route(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
    Body(body): Body<FreezeBody>,
) -> Result<Json<Done>, Refused> {
    let (_, route, expected) = route_for_change(&node, &name, &asked).await?;
    let command = set(OverrideKey::FreezeRoute { route }, body);
    carry_out(&node, command, asked, expected).await
}

pub(super) async fn unfreeze_route(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Done>, Refused> {
    let (_, route, expected) = route_for_change(&node, &name, &asked).await?;
    let key = OverrideKey::FreezeRoute { route };
    carry_out(&node, Command::EndOverride { key }, asked, expected).await
}

pub(super) async fn freeze_all(
    State(node): AnyNode,
    asked: Asked,
    Body(body): Body<FreezeBody>,
) -> Result<Json<Done>, Refused> {
    let (_, expected) = view_for_change(&node, &asked).await?;
    carry_out(&node, set(OverrideKey::FreezeAll, body), asked, expected).await
}

pub(super) async fn unfreeze_all(
    State(node): AnyNode,
    asked: Asked,
) -> Result<Json<Done>, Refused> {
    let (_, expected) = view_for_change(&node, &asked).await?;
    let key = OverrideKey::FreezeAll;
    carry_out(&node, Command::EndOverride { key }, asked, expected).await
}

pub(super) async fn failover(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
    Body(body): Body<FailoverBody>,
) -> Result<Json<Done>, Refused> {
    let (view, route, expected) = route_for_change(&node, &name, &asked).await?;
    if let Some(to) = &body.to {
        find_route_pool(&view, find_route(&view, &name)?, to.as_str())?;
    }
    let command = Command::Failover { route, to: body.to };
    carry_out(&node, command, asked, expected).await
}

pub(super) async fn failback(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<Done>, Refused> {
    let (_, route, expected) = route_for_change(&node, &name, &asked).await?;
    carry_out(&node, Command::Failback { route }, asked, expected).await
}

pub(super) async fn drain_pool(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
    Body(body): Body<DrainBody>,
) -> Result<Json<Done>, Refused> {
    let (view, expected) = view_for_change(&node, &asked).await?;
    let key = OverrideKey::DrainPool {
        pool: find_pool(&view, &name)?.name.clone(),
    };
    carry_out(&node, drain(key, body), asked, expected).await
}

pub(super) async fn undrain_pool(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Done>, Refused> {
    let (view, expected) = view_for_change(&node, &asked).await?;
    let key = OverrideKey::DrainPool {
        pool: find_pool(&view, &name)?.name.clone(),
    };
    carry_out(&node, Command::EndOverride { key }, asked, expected).await
}

pub(super) async fn drain_target(
    State(node): AnyNode,
    Path((pool, name)): Path<(String, String)>,
    asked: Asked,
    Body(body): Body<DrainBody>,
) -> Result<Json<Done>, Refused> {
    let (view, expected) = view_for_change(&node, &asked).await?;
    let (pool, target) = find_target(&view, &pool, &name)?;
    if body.never {
        return Err(invalid(
            "invalid-body",
            StatusCode::BAD_REQUEST,
            &format!("cannot drain target {target}"),
            "never is for pools: a target that must not be used at all leaves the configuration"
                .into(),
        ));
    }
    let key = OverrideKey::DrainTarget {
        pool: pool.name.clone(),
        target,
    };
    carry_out(&node, drain(key, body), asked, expected).await
}

pub(super) async fn undrain_target(
    State(node): AnyNode,
    Path((pool, name)): Path<(String, String)>,
    asked: Asked,
) -> Result<Json<Done>, Refused> {
    let (view, expected) = view_for_change(&node, &asked).await?;
    let (pool, target) = find_target(&view, &pool, &name)?;
    let key = OverrideKey::DrainTarget {
        pool: pool.name.clone(),
        target,
    };
    carry_out(&node, Command::EndOverride { key }, asked, expected).await
}

pub(super) async fn accept_state(
    State(node): AnyNode,
    asked: Asked,
    // Read although it says nothing: closing a connection with something unread in it resets the answer.
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<Done>, Refused> {
    let (_, expected) = view_for_change(&node, &asked).await?;
    carry_out(&node, Command::AcceptState, asked, expected).await
}

pub(super) async fn check_configuration(
    State(node): AnyNode,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<Vec<String>>, Refused> {
    Ok(Json(node.check_configuration().await?))
}

pub(super) async fn reload(
    State(node): AnyNode,
    asked: Asked,
    Body(body): Body<ReloadBody>,
) -> Result<Json<Done>, Refused> {
    let (_, expected) = view_for_change(&node, &asked).await?;
    let (Extension(peer), Known(how), _) = asked;
    let reload = Reload {
        author: peer.author(how.author.as_deref()),
        why: how.reason,
        dry_run: how.dry_run,
        allow_removal: body.allow_removal,
        expected,
    };
    Ok(Json(node.reload(reload).await?))
}

fn set(key: OverrideKey, body: FreezeBody) -> Command {
    Command::SetOverride {
        key,
        pool: None,
        never: false,
        lifetime: body.lifetime,
        force: false,
    }
}

fn drain(key: OverrideKey, body: DrainBody) -> Command {
    Command::SetOverride {
        key,
        pool: None,
        never: body.never,
        lifetime: body.lifetime,
        force: body.force,
    }
}

/// The route, once it exists, and the decision that must still be its last.
async fn route_for_change(
    node: &Arc<dyn Node>,
    name: &str,
    asked: &Asked,
) -> Result<(View, RouteName, Option<Expected>), Refused> {
    presentable(&asked.1.0)?;
    let view = node.view().await?;
    let route = find_route(&view, name)?;
    let expected = precondition(&asked.2, route.decision.generation, &view)?;
    let route = route.name.clone();
    let expected = expected.map(|generation| Expected::Route(route.clone(), generation));
    Ok((view, route, expected))
}

/// For changes of more than one route: the generation that must still be served.
pub(super) async fn view_for_change(
    node: &Arc<dyn Node>,
    asked: &Asked,
) -> Result<(View, Option<Expected>), Refused> {
    presentable(&asked.1.0)?;
    let view = node.view().await?;
    let expected = precondition(&asked.2, view.generation, &view)?;
    Ok((view, expected.map(Expected::Node)))
}

pub(super) async fn carry_out(
    node: &Arc<dyn Node>,
    command: Command,
    asked: Asked,
    expected: Option<Expected>,
) -> Result<Json<Done>, Refused> {
    let (Extension(peer), Known(how), _) = asked;
    let ask = Ask {
        command,
        author: peer.author(how.author.as_deref()),
        why: how.reason,
        dry_run: how.dry_run,
        volatile: how.volatile,
        expected,
    };
    Ok(Json(node.request(ask).await?))
}
