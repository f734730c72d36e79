//! The bodies and queries of the control interface, the same types on both of its ends.
//!
//! In: JSON. Out: values. An unknown key is refused: a misspelt `dry_run` must never become a change.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::decide::{Generation, Override};
use crate::engine::{CheckView, Lifetime};
use crate::health::{AddressHealth, Verdict};
use crate::topology::{DomainName, PoolName, RouteName};

/// How a change is to be made: the query of every changing request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct How {
    /// Why, in the operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// On whose behalf; the socket's user is kept as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Work it out and answer, but change nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// Accept that the change is lost at restart when the store cannot commit it.
    #[serde(skip_serializing_if = "is_false")]
    pub volatile: bool,
}

/// `PUT /v1/routes/{route}/pin`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinBody {
    /// The pool that shall be active.
    pub pool: PoolName,
    /// How long: `"2h"`, `"forever"`.
    #[serde(rename = "for", with = "lifetime")]
    pub lifetime: Lifetime,
    /// Even if it is down.
    #[serde(default)]
    pub force: bool,
}

/// `PUT /v1/pools/{pool}/drain`, `PUT /v1/pools/{pool}/targets/{target}/drain`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainBody {
    /// How long.
    #[serde(rename = "for", with = "lifetime")]
    pub lifetime: Lifetime,
    /// Not even last. Pools only.
    #[serde(default)]
    pub never: bool,
    /// Even if no undrained pool is left.
    #[serde(default)]
    pub force: bool,
}

/// `PUT /v1/freeze`, `PUT /v1/routes/{route}/freeze`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeBody {
    /// How long.
    #[serde(rename = "for", with = "lifetime")]
    pub lifetime: Lifetime,
}

/// `PUT /v1/challenges/{name}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeBody {
    /// The text to publish.
    pub value: String,
    /// How long: `"10m"`; what the configuration says when absent.
    #[serde(
        rename = "for",
        default,
        with = "duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub lifetime: Option<Duration>,
}

/// `POST /v1/challenges/{name}/clear`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClearBody {
    /// The text to take away; all of the name when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// `POST /v1/routes/{route}/failover`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailoverBody {
    /// Where to; the best other pool when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<PoolName>,
}

/// A request that has nothing to say beyond its path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// `POST /v1/routes/{route}/probes`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeBody {
    /// One pool only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolName>,
}

/// `GET /v1/configuration`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationFile {
    /// The file that a reload reads.
    pub file: PathBuf,
}

/// `POST /v1/configuration/reload`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReloadBody {
    /// Permit that an active or pinned pool, or more than a few zones, go.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_removal: bool,
}

/// `GET /v1/health`: whether the server answers at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerHealth {
    /// The version of the program.
    pub version: String,
    /// When the process began.
    pub started: Wall,
    /// The generation served.
    pub generation: Generation,
    /// What is wrong with the store, if anything.
    pub store_fault: Option<String>,
}

/// A target with what its routes see of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// The pool it belongs to.
    pub pool: PoolName,
    /// Its host name.
    pub name: DomainName,
    /// The worst verdict any route has of it; unknown when no route uses it.
    pub verdict: Verdict,
    /// Its drain.
    pub drain: Option<Override>,
    /// Per published address the worst any route has of it.
    pub addresses: BTreeMap<IpAddr, AddressHealth>,
    /// The routes whose pools it belongs to.
    pub routes: Vec<RouteName>,
    /// The checks that decide about it.
    pub checks: Vec<CheckView>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A lifetime as people write it: `2h`, `3d`, `forever`.
pub mod lifetime {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::engine::Lifetime;

    /// Longer than this is `forever`, and shall be called so.
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

    /// Reads a lifetime, or says what to write instead.
    pub fn parse(text: &str) -> Result<Lifetime, String> {
        if text == "forever" {
            return Ok(Lifetime::Forever);
        }
        match humantime::parse_duration(text) {
            Ok(time) if time < Duration::from_secs(1) => Err(format!(
                "{text:?} is over at once; write 30m, 2h, 3d or forever"
            )),
            Ok(time) if time > LONGEST => {
                Err(format!("{text:?} is longer than a year; write forever"))
            }
            Ok(time) => Ok(Lifetime::For(time)),
            Err(_) => Err(format!(
                "{text:?} is not a length of time; write 30m, 2h, 3d or forever"
            )),
        }
    }

    /// Writes a lifetime so that [`parse`] reads it.
    pub fn text(lifetime: &Lifetime) -> String {
        match lifetime {
            Lifetime::Forever => "forever".into(),
            Lifetime::For(time) => humantime::format_duration(*time).to_string(),
        }
    }

    pub(super) fn serialize<S: Serializer>(value: &Lifetime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&text(value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Lifetime, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).map_err(serde::de::Error::custom)
    }
}

/// What came of asking a zone's primaries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// The zone.
    pub apex: DomainName,
    /// What came of it, in words.
    pub came: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn lifetimes_are_read_as_people_write_them() {
        assert_eq!(
            lifetime::parse("2h"),
            Ok(Lifetime::For(Duration::from_secs(7200)))
        );
        assert_eq!(lifetime::parse("forever"), Ok(Lifetime::Forever));
        for bad in ["", "2", "0s", "-1h", "2 fortnights", "9000d"] {
            assert!(lifetime::parse(bad).is_err(), "{bad:?} was taken");
        }
        let odd = lifetime::parse("1h 30m").unwrap();
        assert_eq!(lifetime::parse(&lifetime::text(&odd)), Ok(odd));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let text = r#"{"pool":"edgepool2","for":"2h","forse":true}"#;
        assert!(serde_json::from_str::<PinBody>(text).is_err());
    }
}

mod duration {
    //! Lengths of time as text: `"10m"`.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(time) => to.collect_str(&humantime::format_duration(*time)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let read = text.map(|text| humantime::parse_duration(&text).map_err(D::Error::custom));
        read.transpose()
    }
}
