//! Reading requests: query, body, precondition. Every fault becomes a refusal of the same shape.
//!
//! In: an HTTP request. Out: values of `wire`, or a 4xx that says what was wrong with it.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::refusal::{Refused, invalid, unchanged};
use super::wire::How;
use crate::decide::Generation;
use crate::engine::{CHANGED_MEANWHILE, Refusal, RefusalKind, View};

/// The longest text an operator may leave in history.
const LONGEST_REASON: usize = 1000;
const LONGEST_AUTHOR: usize = 100;

/// A query in which every key is known.
pub(super) struct Known<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Known<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Known(value)),
            Err(fault) => Err(invalid(
                "invalid-query",
                StatusCode::BAD_REQUEST,
                "cannot read the query of the request",
                fault.body_text(),
            )),
        }
    }
}

/// A JSON body, whatever its content type says; an empty one reads as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        const WHAT: &str = "cannot read the body of the request";
        let bytes =
            Bytes::from_request(request, state)
                .await
                .map_err(|fault: BytesRejection| {
                    invalid("invalid-body", fault.status(), WHAT, fault.body_text())
                })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Body).map_err(|fault| {
            invalid(
                "invalid-body",
                StatusCode::BAD_REQUEST,
                WHAT,
                fault.to_string(),
            )
        })
    }
}

/// Refuses texts that would spoil history or a terminal that shows it.
pub(super) fn presentable(how: &How) -> Result<(), Refused> {
    for (name, text, longest) in [
        ("reason", &how.reason, LONGEST_REASON),
        ("author", &how.author, LONGEST_AUTHOR),
    ] {
        let Some(text) = text else { continue };
        let fault = if text.chars().count() > longest {
            format!("it has more than {longest} characters")
        } else if text.chars().any(char::is_control) {
            "it has a control character".into()
        } else if text.trim().is_empty() {
            "it is empty".into()
        } else {
            continue;
        };
        let what = format!("cannot take the {name} of the request");
        return Err(invalid(
            "invalid-text",
            StatusCode::BAD_REQUEST,
            &what,
            fault,
        ));
    }
    Ok(())
}

/// Reads `If-Match` (RFC 9110 §13.1.1). Gives the generation that must still be in force when it is the change's turn;
/// none when anything may be.
pub(super) fn precondition(
    headers: &HeaderMap,
    current: Generation,
    view: &View,
) -> Result<Option<Generation>, Refused> {
    let given = headers.get_all(header::IF_MATCH).iter();
    let tags: Vec<&str> = given
        .map(|value| value.to_str().unwrap_or("unreadable"))
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    if tags.is_empty() || tags.contains(&"*") {
        return Ok(None);
    }
    if tags.contains(&etag(current).as_str()) {
        return Ok(Some(current));
    }
    let refusal = Refusal {
        code: CHANGED_MEANWHILE.into(),
        kind: RefusalKind::Conflict,
        what: "cannot make the change asked for".into(),
        why: format!("If-Match does not name generation {current}, which is in force"),
        in_force: unchanged(view),
        hint: None,
    };
    Err(refusal.into())
}

/// A generation as entity tag.
pub(super) fn etag(generation: Generation) -> String {
    format!("\"{generation}\"")
}
