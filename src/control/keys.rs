//! Zones' keys: what there is, new ones, and their end.
//!
//! In: paths and bodies. Out: public halves and stages; commands for the node. A private key never passes here: a file
//! to import is named by its path, and read by the server.

use std::path::PathBuf;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::author::Peer;
use super::change::{Asked, carry_out, view_for_change};
use super::extract::{Body, Known};
use super::look::AnyNode;
use super::node::NewKey;
use super::refusal::{Refused, invalid};
use crate::engine::{Command, Done, KeyChange, KeyVerb, ZoneKeysView};
use crate::topology::DomainName;
use crate::zone::KeyAlgorithm;

/// `POST /v1/keys/{zone}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyBody {
    /// A first key, one made elsewhere, or one that takes the place of another.
    pub verb: KeyVerb,
    /// With what it signs; what is configured when absent.
    #[serde(default)]
    pub algorithm: Option<String>,
    /// For an import: the file, which the server must be able to read.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The operator's word that the parent has no DS, where it cannot be asked.
    #[serde(default)]
    pub parent_has_no_ds: bool,
}

/// `POST /v1/keys/{zone}/{tag}/retire`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetireBody {
    /// At once, whatever breaks.
    pub force: bool,
}

pub(super) async fn list(State(node): AnyNode) -> Result<Json<Vec<ZoneKeysView>>, Refused> {
    Ok(Json(node.view().await?.zone_keys))
}

pub(super) async fn begin(
    State(node): AnyNode,
    Path(zone): Path<String>,
    asked: (Extension<Peer>, Known<super::wire::How>, HeaderMap),
    Body(body): Body<KeyBody>,
) -> Result<Json<Done>, Refused> {
    let zone = zone_name(&zone)?;
    let (_, expected) = view_for_change(&node, &asked).await?;
    let algorithm = match body.algorithm.as_deref().map(str::parse::<KeyAlgorithm>) {
        None => None,
        Some(Ok(algorithm)) => Some(algorithm),
        Some(Err(_)) => {
            return Err(invalid(
                "unknown-algorithm",
                StatusCode::BAD_REQUEST,
                "cannot make a key",
                "the algorithms are ecdsap256sha256 and ed25519".into(),
            ));
        }
    };
    let (Extension(peer), Known(how), _) = asked;
    let new = NewKey {
        zone,
        verb: body.verb,
        algorithm,
        file: body.file,
        parent_has_no_ds: body.parent_has_no_ds,
        author: peer.author(how.author.as_deref()),
        why: how.reason,
        dry_run: how.dry_run,
        expected,
    };
    Ok(Json(node.begin_key(new).await?))
}

pub(super) async fn retire(
    State(node): AnyNode,
    Path((zone, tag)): Path<(String, u16)>,
    asked: Asked,
    Body(body): Body<RetireBody>,
) -> Result<Json<Done>, Refused> {
    let zone = zone_name(&zone)?;
    let (_, expected) = view_for_change(&node, &asked).await?;
    let change = KeyChange::Retire {
        tag,
        force: body.force,
    };
    carry_out(&node, Command::Keys { zone, change }, asked, expected).await
}

fn zone_name(text: &str) -> Result<DomainName, Refused> {
    text.parse().map_err(|error| {
        let why = format!("{text:?} is not a name: {error}");
        invalid(
            "invalid-name",
            StatusCode::BAD_REQUEST,
            "cannot change keys",
            why,
        )
    })
}
