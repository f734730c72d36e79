//! Refusals as HTTP answers: one mapping from what went wrong to a status, with the same four parts in the body.
//!
//! In: a [`Refusal`]. Out: a response. `code` is stable; the sentences may change.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::engine::{CHANGED_MEANWHILE, Refusal, RefusalKind, View};
use crate::near::nearest;

/// A refusal with the HTTP status it is sent with.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) refusal: Box<Refusal>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        let status = match refusal.kind {
            // RFC 9110 §15.5.13
            _ if refusal.code == CHANGED_MEANWHILE => StatusCode::PRECONDITION_FAILED,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refused {
            status,
            refusal: Box::new(refusal),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(self.refusal)).into_response()
    }
}

/// Something was named that is not configured or not served.
pub(super) fn unknown<'a>(
    noun: &str,
    name: &str,
    names: impl IntoIterator<Item = &'a str>,
    view: &View,
) -> Refused {
    let names: Vec<&str> = names.into_iter().collect();
    let near = nearest(name, names.iter().copied());
    let why = match (near.as_slice(), names.as_slice()) {
        ([], []) => format!("no {noun} is there at all"),
        ([], all) if all.len() <= 5 => {
            format!("no {noun} has this name; there are {}", all.join(", "))
        }
        ([], all) => format!("no {noun} has this name, among {} that exist", all.len()),
        (near, _) => format!("no {noun} has this name; near are {}", near.join(", ")),
    };
    let refusal = Refusal {
        code: format!("unknown-{noun}"),
        kind: RefusalKind::NotFound,
        what: format!("cannot find {noun} {name}"),
        why,
        in_force: unchanged(view),
        hint: Some(format!(
            "repoint {} list",
            // Domains are listed with their routes.
            if noun == "domain" { "route" } else { noun }
        )),
    };
    refusal.into()
}

/// The request itself makes no sense.
pub(super) fn invalid(code: &str, status: StatusCode, what: &str, why: String) -> Refused {
    Refused {
        status,
        refusal: Box::new(Refusal {
            code: code.into(),
            kind: RefusalKind::Invalid,
            what: what.into(),
            why,
            in_force: "nothing was changed".into(),
            hint: None,
        }),
    }
}

/// What stays in force when a request changed nothing.
pub(super) fn unchanged(view: &View) -> String {
    format!(
        "nothing was changed; generation {} stays served",
        view.generation
    )
}
