//! The table of paths and methods.
//!
//! In: a [`Node`]. Out: the HTTP service. What is not in the table is answered with a refusal, too.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, post, put};

use super::node::Node;
use super::refusal::{Refused, invalid};
use super::{challenge, change, delegation, keys, look};

/// No request needs more; history keeps at most 1,000 characters of a reason.
const LARGEST_BODY: usize = 64 * 1024;

/// The control interface of a node. The listener adds who is asking to each request.
pub fn router(node: Arc<dyn Node>) -> Router {
    let v1 = Router::new()
        .route("/health", get(look::health))
        .route("/status", get(look::status))
        .route("/counters", get(look::counters))
        .route("/alarms", get(look::alarms))
        .route("/overrides", get(look::overrides))
        .route("/history", get(look::history))
        .route("/routes", get(look::routes))
        .route("/routes/{route}", get(look::route))
        .route("/routes/{route}/explanation", get(look::explanation))
        .route("/routes/{route}/probes", post(look::probe))
        .route(
            "/routes/{route}/pin",
            put(change::pin).delete(change::unpin),
        )
        .route(
            "/routes/{route}/freeze",
            put(change::freeze_route).delete(change::unfreeze_route),
        )
        .route("/routes/{route}/failover", post(change::failover))
        .route("/routes/{route}/failback", post(change::failback))
        .route(
            "/freeze",
            put(change::freeze_all).delete(change::unfreeze_all),
        )
        .route("/challenges", get(challenge::list))
        .route("/challenges/{name}", put(challenge::set))
        .route("/challenges/{name}/clear", post(challenge::clear))
        .route("/pools", get(look::pools))
        .route("/pools/{pool}", get(look::pool))
        .route(
            "/pools/{pool}/drain",
            put(change::drain_pool).delete(change::undrain_pool),
        )
        .route("/targets", get(look::targets))
        .route("/pools/{pool}/targets/{target}", get(look::target))
        .route(
            "/pools/{pool}/targets/{target}/drain",
            put(change::drain_target).delete(change::undrain_target),
        )
        .route("/zones", get(look::zones))
        .route("/zones/{apex}", get(look::zone))
        .route("/zones/{apex}/text", get(look::zone_text))
        .route("/zones/{apex}/diff", get(look::zone_diff))
        .route("/zones/{apex}/refresh", post(look::refresh))
        .route("/zones/{apex}/secondaries", get(look::zone_secondaries))
        .route("/secondaries", get(look::secondaries))
        .route("/keys", get(keys::list))
        .route("/keys/{zone}", post(keys::begin))
        .route("/keys/{zone}/{tag}/retire", post(keys::retire))
        .route("/delegation", get(delegation::served))
        .route("/configuration", get(look::configuration))
        .route("/configuration/check", post(change::check_configuration))
        .route("/configuration/reload", post(change::reload))
        .route("/state/backup", get(look::backup))
        .route("/state/accept", post(change::accept_state));
    Router::new()
        .nest("/v1", v1)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(node)
}

async fn no_such_path(uri: Uri) -> Refused {
    invalid(
        "unknown-path",
        StatusCode::NOT_FOUND,
        &format!("cannot answer {}", uri.path()),
        "there is no such path; all begin with /v1".into(),
    )
}

async fn no_such_method(method: Method, uri: Uri) -> Refused {
    invalid(
        "unknown-method",
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("cannot {method} {}", uri.path()),
        "the path does not know the method".into(),
    )
}
