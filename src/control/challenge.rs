//! Challenges of certificate authorities: set, cleared, listed.
//!
//! In: names in paths, values in bodies. Out: a command for the node, and its answer once the change is served.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::change::{Asked, carry_out, view_for_change};
use super::extract::Body;
use super::look::AnyNode;
use super::refusal::{Refused, invalid};
use super::wire::{ChallengeBody, ClearBody};
use crate::engine::{Challenge, ChallengeChange, Command, Done};
use crate::topology::DomainName;

pub(super) async fn list(State(node): AnyNode) -> Result<Json<Vec<Challenge>>, Refused> {
    Ok(Json(node.view().await?.challenges))
}

pub(super) async fn set(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
    Body(body): Body<ChallengeBody>,
) -> Result<Json<Done>, Refused> {
    let (_, expected) = view_for_change(&node, &asked).await?;
    let command = Command::Challenges {
        changes: vec![(read(&name)?, ChallengeChange::Set(body.value))],
        lifetime: body.lifetime,
        lenient: false,
    };
    carry_out(&node, command, asked, expected).await
}

pub(super) async fn clear(
    State(node): AnyNode,
    Path(name): Path<String>,
    asked: Asked,
    Body(body): Body<ClearBody>,
) -> Result<Json<Done>, Refused> {
    let (_, expected) = view_for_change(&node, &asked).await?;
    let change = body
        .value
        .map_or(ChallengeChange::ClearAll, ChallengeChange::Clear);
    let command = Command::Challenges {
        changes: vec![(read(&name)?, change)],
        lifetime: None,
        lenient: false,
    };
    carry_out(&node, command, asked, expected).await
}

fn read(name: &str) -> Result<DomainName, Refused> {
    name.parse().map_err(|error| {
        invalid(
            "bad-name",
            StatusCode::BAD_REQUEST,
            &format!("cannot change the challenges at {name}"),
            format!("it is not a domain name: {error}"),
        )
    })
}
