//! How requests are answered whatever they ask (part of `[dns]`), and `[acme]`.

use std::path::Path;
use std::time::Duration;

use super::super::draft::{AcmeDraft, AcmeKeyDraft, MannersDraft};
use super::super::problem::{At, ConfigProblems, no_duplicates};
use super::super::table::Table;
use super::super::value::Value;
use super::secondary::tsig_name;
use super::{keys, path};

/// NSID is sent with every response that is asked for it.
const LONGEST_NSID: usize = 128;
/// A TXT record's string.
const LONGEST_VERSION: usize = 255;

/// Reads the keys of `[dns]` that are about manners.
pub(super) fn read(
    table: &mut Table<'_>,
    base: &Path,
    problems: &mut ConfigProblems,
) -> MannersDraft {
    let mut draft = MannersDraft::default();
    let settings = &mut draft.settings;
    settings.nsid = words(table.get("nsid"), LONGEST_NSID, problems);
    settings.version = words(table.get("version"), LONGEST_VERSION, problems);
    if let Some(cookies) = table.get("cookies").and_then(|v| v.boolean(problems)) {
        settings.cookies = cookies.value;
    }
    let rate = table.get("rate_limit");
    if let Some(rate) = rate.and_then(|v| v.integer(0..=10_000, problems)) {
        settings.rate_limit = rate.value;
    }
    let slip = table.get("rate_limit_slip");
    if let Some(slip) = slip.and_then(|v| v.integer(0..=10, problems)) {
        settings.rate_limit_slip = slip.value;
    }
    if let Some(value) = table.get("rate_limit_exempt") {
        let wanted = "a list of networks like [\"10.0.0.0/8\", \"2001:db8::/32\"]";
        let network = "a network like \"10.0.0.0/8\"";
        let list = value.list_of(wanted, problems, |item, p| {
            item.parsed(network, str::parse, p)
        });
        settings.rate_limit_exempt = list.items.into_iter().map(|item| item.value).collect();
    }
    let secret = table.get("cookie_secret");
    draft.cookie_secret = secret.and_then(|v| path(&v, base, problems));
    draft
}

/// A few words that go out as they are.
fn words(
    value: Option<Value<'_>>,
    longest: usize,
    problems: &mut ConfigProblems,
) -> Option<String> {
    let value = value?;
    let text = value.text("text in quotes", problems)?.value;
    if text.is_empty() || text.len() > longest {
        let why = format!("it has {} octets", text.len());
        let mend = format!("write 1 to {longest} octets, or leave the key out");
        value.bad(why, mend, problems);
        return None;
    }
    Some(text.to_owned())
}

/// Reads `[acme]`.
pub(super) fn acme(value: Option<Value<'_>>, problems: &mut ConfigProblems) -> AcmeDraft {
    let mut draft = AcmeDraft::default();
    let Some(mut table) = value.and_then(|v| v.table(&keys::ACME, problems)) else {
        return draft;
    };
    if let Some(value) = table.get("tsig") {
        let wanted = "a list of TSIG keys, like [{ key = \"pool1.example.net\", zones = [\"fed.contoso.com\"] }]";
        let list = value.list_of(wanted, problems, |item, p| acme_key(item, p));
        draft.tsig = list.items.into_iter().map(|item| item.value).collect();
    }
    let bounds = Duration::from_secs(60)..=Duration::from_secs(7 * 86_400);
    if let Some(At { value, .. }) = table
        .get("lifetime")
        .and_then(|v| v.duration(bounds, problems))
    {
        draft.lifetime = value;
    }
    table.finish(problems);
    draft
}

/// A key with its scope, or its name alone.
fn acme_key(value: &Value<'_>, problems: &mut ConfigProblems) -> Option<At<AcmeKeyDraft>> {
    let place = value.place().clone();
    if !value.is_table() {
        let key = tsig_name(value, problems)?;
        let (zones, names) = (Vec::new(), Vec::new());
        let value = AcmeKeyDraft { key, zones, names };
        return Some(At { value, place });
    }
    let mut table = value.table(&keys::ACME_KEY, problems)?;
    let key = table
        .require("key", "key = \"pool1.example.net\"", problems)
        .and_then(|value| tsig_name(&value, problems));
    let mut list = |name: &'static str, wanted: &str| {
        let value = table.get(name)?;
        let parsed = |item: &Value<'_>, p: &mut ConfigProblems| item.parsed(wanted, str::parse, p);
        let list = value.list_of(&format!("a list of {wanted}s"), problems, parsed);
        no_duplicates(&list.items, name, problems);
        Some(list.items)
    };
    let zones = list("zones", "apex of a zone").unwrap_or_default();
    let names = list("names", "name of a challenge").unwrap_or_default();
    table.finish(problems);
    let value = AcmeKeyDraft {
        key: key?,
        zones,
        names,
    };
    Some(At { value, place })
}
