//! `[log]`, `[alarm]`, `[dns]` and `[health]`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::topology::DomainName;
use crate::zone::KeyAlgorithm;

use super::super::dnssec::Dnssec;
use super::super::draft::{
    CheckDraft, HealthDraft, MannersDraft, NameserverDraft, NameserversDraft,
};
use super::super::problem::{ConfigProblems, Place, Rule};
use super::super::settings::{AlarmSettings, LogFormat, LogLevel, LogSettings};
use super::super::table::Table;
use super::super::value::Value;
use super::route::ttl;
use super::{check, keys, manners};

/// Defaults of `[dns]`. NS and SOA records rarely change; absent names must appear soon (`negative_ttl`),
/// because a partner that asked too early waits that long.
const DNS_TTL: u32 = 3600;
const NEGATIVE_TTL: u32 = 30;

pub(super) fn log(value: Option<Value<'_>>, problems: &mut ConfigProblems) -> LogSettings {
    let mut settings = LogSettings::default();
    let Some(mut table) = value.and_then(|v| v.table(&keys::LOG, problems)) else {
        return settings;
    };
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    if let Some(format) = table
        .get("format")
        .and_then(|v| v.choice(&formats, problems))
    {
        settings.format = format.value;
    }
    let levels = [
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
        LogLevel::Trace,
    ]
    .map(|level| (level.as_str(), level));
    if let Some(level) = table.get("level").and_then(|v| v.choice(&levels, problems)) {
        settings.level = level.value;
    }
    table.finish(problems);
    settings
}

pub(super) fn alarm(value: Option<Value<'_>>, problems: &mut ConfigProblems) -> AlarmSettings {
    let mut settings = AlarmSettings::default();
    let Some(mut table) = value.and_then(|v| v.table(&keys::ALARM, problems)) else {
        return settings;
    };
    if let Some(value) = table.get("exec") {
        let wanted = "the program and its arguments, like [\"/usr/local/bin/page\", \"--dns\"]";
        let list = value.list_of(wanted, problems, |item, p| item.text(wanted, p));
        let argv: Vec<String> = list.items.iter().map(|a| a.value.to_owned()).collect();
        if let Some(program) = argv.first() {
            // A name without a slash would be searched for in whatever PATH the daemon has.
            if !program.starts_with('/') {
                let why = format!("{program:?} is not an absolute path");
                value.bad(
                    why,
                    "write the program's whole path; no shell is involved",
                    problems,
                );
            }
        }
        settings.exec = argv;
    }
    let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
    if let Some(timeout) = table
        .get("timeout")
        .and_then(|v| v.duration(bounds, problems))
    {
        settings.timeout = timeout.value;
    }
    table.finish(problems);
    settings
}

pub(super) fn dns(
    value: Option<Value<'_>>,
    top: &Place,
    base: &Path,
    problems: &mut ConfigProblems,
) -> NameserversDraft {
    let mut draft = NameserversDraft {
        place: top.clone(),
        servers: Vec::new(),
        given: false,
        hostmaster: None,
        ttl: DNS_TTL,
        negative_ttl: NEGATIVE_TTL,
        resolvers: Vec::new(),
        manners: MannersDraft::default(),
        dnssec: Dnssec::default(),
    };
    let Some(mut table) = value.and_then(|v| v.table(&keys::DNS, problems)) else {
        return draft;
    };
    draft.place = table.place().clone();
    if let Some(value) = table.get("nameservers") {
        draft.given = true;
        for table in value.tables(&keys::NAMESERVER, problems) {
            draft.servers.extend(nameserver(table, problems));
        }
        if value.is_empty_list() {
            value.bad(
                "it is empty",
                "leave the key out, or name your nameservers",
                problems,
            );
        }
        let names: Vec<_> = draft.servers.iter().map(|s| s.name.clone()).collect();
        super::super::problem::no_duplicates(&names, "nameserver", problems);
    }
    draft.hostmaster = table
        .get("hostmaster")
        .and_then(|v| {
            v.parsed(
                "a mail address like \"hostmaster@contoso.com\"",
                mailbox,
                problems,
            )
        })
        .map(|name| name.value);
    if let Some(ttl) = table.get("ttl").and_then(|v| ttl(&v, problems)) {
        draft.ttl = ttl.value;
    }
    if let Some(ttl) = table.get("negative_ttl").and_then(|v| ttl(&v, problems)) {
        draft.negative_ttl = ttl.value;
        if ttl.value > 3600 {
            problems
                .warning(
                    Rule::Ttl,
                    &ttl.place,
                    "a negative TTL above one hour: a name that was missing once stays missing that long",
                )
                .help("60 s or less suits names that are switched");
        }
    }
    let dnssec = &mut draft.dnssec;
    if let Some(everywhere) = table.get("dnssec").and_then(|v| v.boolean(problems)) {
        dnssec.everywhere = everywhere.value;
    }
    let algorithms = [KeyAlgorithm::EcdsaP256Sha256, KeyAlgorithm::Ed25519]
        .map(|algorithm| (algorithm.as_str(), algorithm));
    if let Some(algorithm) = table
        .get("dnssec_algorithm")
        .and_then(|v| v.choice(&algorithms, problems))
    {
        dnssec.algorithm = algorithm.value;
    }
    // A secondary that took longer than a week has let the zone expire.
    let bounds = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);
    if let Some(propagation) = table
        .get("propagation")
        .and_then(|v| v.duration(bounds, problems))
    {
        dnssec.propagation = propagation.value;
    }
    if let Some(value) = table.get("resolvers") {
        draft.resolvers = resolvers(&value, problems);
    }
    draft.manners = manners::read(&mut table, base, problems);
    table.finish(problems);
    draft
}

fn resolvers(value: &Value<'_>, problems: &mut ConfigProblems) -> Vec<SocketAddr> {
    let wanted = "a list of resolvers' addresses like [\"127.0.0.1:53\"]";
    let list = value.list_of(wanted, problems, |item, p| item.socket(53, p));
    if value.is_empty_list() {
        let mend = "leave the key out to ask those of /etc/resolv.conf";
        value.bad("it is empty", mend, problems);
    }
    super::super::problem::no_duplicates(&list.items, "resolver", problems);
    list.items.into_iter().map(|item| item.value).collect()
}

fn nameserver(mut table: Table<'_>, problems: &mut ConfigProblems) -> Option<NameserverDraft> {
    let wanted = "a host name like \"ns1.example.net\"";
    let name = table
        .require("name", "{ name = \"ns1.example.net\" }", problems)
        .and_then(|v| v.parsed(wanted, str::parse, problems));
    let addresses = table.get("addresses").map_or_else(Vec::new, |v| {
        let list = v.list_of("a list of addresses", problems, |item, p| item.address(p));
        list.items
    });
    super::super::problem::no_duplicates(&addresses, "address", problems);
    table.finish(problems);
    name.map(|name| NameserverDraft { name, addresses })
}

/// A mail address as the SOA record carries it (RFC 1035 §8).
fn mailbox(text: &str) -> Result<DomainName, String> {
    let Some((user, host)) = text.split_once('@') else {
        return text
            .parse()
            .map_err(|e: crate::topology::NameError| e.to_string());
    };
    if user.contains('.') {
        return Err("a dot before the '@' cannot be written into an SOA record here".to_owned());
    }
    format!("{user}.{host}")
        .parse()
        .map_err(|e: crate::topology::NameError| e.to_string())
}

pub(super) fn health(
    value: Option<Value<'_>>,
    top: &Place,
    base: &Path,
    problems: &mut ConfigProblems,
) -> HealthDraft {
    let mut draft = HealthDraft {
        place: top.clone(),
        canaries: Vec::new(),
        canaries_given: false,
        check: CheckDraft::default(),
    };
    let Some(mut table) = value.and_then(|v| v.table(&keys::HEALTH, problems)) else {
        return draft;
    };
    draft.place = table.place().clone();
    if let Some(value) = table.get("canaries") {
        let wanted = "a list of off-site addresses with ports, like [\"198.51.100.1:53\"]";
        let list = value.list_of(wanted, problems, |item, p| item.socket(53, p));
        super::super::problem::no_duplicates(&list.items, "canary", problems);
        draft.canaries_given = !list.items.is_empty() || !list.whole;
        draft.canaries = list.items;
    }
    if let Some(table) = table
        .get("check")
        .and_then(|v| v.table(&keys::HEALTH_CHECK, problems))
    {
        draft.check = check::read(table, base, problems);
    }
    table.finish(problems);
    draft
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mail_address_becomes_the_name_an_soa_record_carries() {
        let expected = "hostmaster.contoso.com";
        assert_eq!(
            mailbox("hostmaster@contoso.com").unwrap().as_str(),
            expected
        );
        assert_eq!(
            mailbox("hostmaster.contoso.com.").unwrap().as_str(),
            expected
        );
        assert!(mailbox("host.master@contoso.com").is_err());
        assert!(mailbox("@").is_err());
    }
}
