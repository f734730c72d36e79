//! TSIG keys and cookie secrets: secrets read, and kept out of everything that is shown; those in files of their own also
//! out of everything that is stored.
//!
//! In: the `[[tsig]]` tables of a draft, the files they name. Out: [`Keys`], [`MannersSettings`], or problems that never show a secret.
//! Never here: what a key is for.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER_PERMISSIVE;
use toml::de::{DeTable, DeValue};

use crate::files;
use crate::tsig::{Key, KeyFault, Keys};
use crate::zone::Name;

use super::draft::{Draft, MannersDraft, SecretDraft, TsigDraft};
use super::named_files::Files;
use super::problem::{At, ConfigProblems, Place, Rule, no_duplicates};
use super::settings::{CookieSecrets, MannersSettings};
use super::suggest::quoted;

/// More characters than the secret of any algorithm needs: the file is another one.
const LONGEST: usize = 4096;
/// What stands in place of a secret in a backup.
const REMOVED: &str = "removed-from-backup";

/// The keys of a draft, as far as they could be read.
pub(super) fn keys(draft: &Draft, files: &mut Files<'_>, problems: &mut ConfigProblems) -> Keys {
    let names: Vec<_> = draft.tsig.iter().filter_map(|t| t.name.clone()).collect();
    no_duplicates(&names, "TSIG key", problems);
    let keys = draft.tsig.iter();
    keys.filter_map(|tsig| key(tsig, files, problems))
        .map(Arc::new)
        .collect()
}

/// Reports a TSIG key that no `[[tsig]]` table defines.
pub(super) fn known_key(key: &At<Name>, draft: &Draft, problems: &mut ConfigProblems) {
    let defined = draft.tsig.iter().filter_map(|tsig| tsig.name.as_ref());
    let names: Vec<String> = defined.map(|name| plain(&name.value)).collect();
    let wanted = plain(&key.value);
    if names.iter().any(|name| name.eq_ignore_ascii_case(&wanted)) {
        return;
    }
    let help = if names.is_empty() {
        "add a [[tsig]] with this name, an algorithm and a secret_file".to_owned()
    } else {
        let names = quoted(names.iter().map(String::as_str), "and");
        format!("defined are {names}; add a [[tsig]] with this name")
    };
    problems
        .error(
            Rule::UnknownTsig,
            &key.place,
            format!("TSIG key {wanted} is not defined"),
        )
        .help(help);
}

/// A key's name as configuration writes it.
pub(super) fn plain(name: &Name) -> String {
    let text = name.to_string();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn key(tsig: &TsigDraft, files: &mut Files<'_>, problems: &mut ConfigProblems) -> Option<Key> {
    let (name, algorithm, secret) = (tsig.name.as_ref()?, tsig.algorithm.as_ref()?, &tsig.secret);
    let (text, place, path) = match secret.as_ref()? {
        SecretDraft::Here(text) if text.value == REMOVED => {
            removed(&name.value, &text.place, files.again, problems);
            return None;
        }
        SecretDraft::Here(text) => {
            let path = files.sources.name().to_owned();
            (text.value.clone(), &text.place, path)
        }
        SecretDraft::File(path) => {
            let text = secret_file("the TSIG secret", path, files, problems)?;
            (text, &path.place, path.value.display().to_string())
        }
    };
    exposure("the TSIG secret", Path::new(&path), place, problems);
    match Key::from_base64(name.value.clone(), algorithm.value, &text) {
        Ok(key) => Some(key),
        Err(fault) => {
            refuse(&name.value, fault, place, problems);
            None
        }
    }
}

/// A backup has no secrets. What it restores is served without the key until the configuration file is there.
fn removed(name: &Name, place: &Place, again: bool, problems: &mut ConfigProblems) {
    let message = format!("the secret of TSIG key {name} was removed when a backup was made");
    let problem = match again {
        true => problems.warning(Rule::Unreadable, place, message),
        false => problems.error(Rule::Unreadable, place, message),
    };
    problem.help("write the secret, or better a secret_file, into the configuration file");
}

fn refuse(name: &crate::zone::Name, fault: KeyFault, place: &Place, problems: &mut ConfigProblems) {
    problems
        .error(
            Rule::BadValue,
            place,
            format!("TSIG key {name} cannot be used: {fault}"),
        )
        .help(
            "make one with \"openssl rand -base64 32\", and give the same text to the other server",
        );
}

fn secret_file(
    what: &str,
    path: &At<std::path::PathBuf>,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) -> Option<String> {
    let name = path.value.display();
    let why = match files.secret(&path.value) {
        Ok(text) if text.len() <= LONGEST => return Some(text),
        Ok(_) => format!("it is longer than {LONGEST} octets"),
        Err(error) => error.to_string(),
    };
    let message = format!("cannot read {what} {name}: {why}");
    // A configuration that was accepted once is served, even if this secret cannot be used until the file is back.
    let problem = if files.again {
        problems.warning(Rule::Unreadable, &path.place, message)
    } else {
        problems.error(Rule::Unreadable, &path.place, message)
    };
    problem.help("check the path (a relative one begins beside the configuration file) and its permissions: the user that repoint runs as must read it");
    None
}

/// Says so when everyone on the machine may read a secret.
fn exposure(what: &str, path: &Path, place: &Place, problems: &mut ConfigProblems) {
    if files::is_open_to_all(path) {
        let path = path.display();
        problems
            .warning(
                Rule::ExposedSecret,
                place,
                format!("everyone on this machine may read {what} in {path}"),
            )
            .help(format!("chmod o-r {path}"));
    }
}

/// How requests are answered, with the secrets of cookies where they are in a file.
pub(super) fn manners(
    draft: &Draft,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) -> MannersSettings {
    let MannersDraft {
        settings,
        cookie_secret,
    } = &draft.nameservers.manners;
    let mut settings = settings.clone();
    let Some(path) = cookie_secret else {
        return settings;
    };
    if let Some(text) = secret_file("the cookie secret", path, files, problems) {
        exposure("the cookie secret", &path.value, &path.place, problems);
        match cookie_secrets(&text) {
            Ok(secrets) => settings.cookie_secrets = Some(secrets),
            Err(why) => {
                let name = path.value.display();
                problems
                    .error(
                        Rule::BadValue,
                        &path.place,
                        format!("the cookie secret {name} cannot be used: {why}"),
                    )
                    .help("write one secret of 32 hexadecimal digits on each line, the one for new cookies first: \"openssl rand -hex 16\"");
            }
        }
    }
    settings
}

/// One secret on each line; `#` begins a comment.
fn cookie_secrets(text: &str) -> Result<CookieSecrets, String> {
    let lines = text.lines().enumerate();
    let contents = lines.map(|(n, line)| (n + 1, line.split('#').next().unwrap_or("").trim()));
    let secrets: Vec<[u8; 16]> = contents
        .filter(|(_, content)| !content.is_empty())
        .map(|(n, content)| {
            let octets = HEXLOWER_PERMISSIVE.decode(content.as_bytes()).ok();
            octets
                .and_then(|octets| octets.try_into().ok())
                .ok_or_else(|| format!("line {n} is no secret"))
        })
        .collect::<Result<_, String>>()?;
    if secrets.is_empty() {
        return Err("no secret is in it".to_owned());
    }
    Ok(CookieSecrets(secrets))
}

/// The text with every secret in it replaced by as many stars, for messages that show its lines.
pub(super) fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = value_of_secret(rest) {
        let (before, value) = rest.split_at(at);
        out.push_str(before);
        let length = value_length(value);
        let shown = value[..length].chars();
        // As many octets, so that places stay where they are; lines stay lines.
        shown.for_each(|c| match c {
            '\n' | '\r' => out.push(c),
            c => (0..c.len_utf8()).for_each(|_| out.push('*')),
        });
        rest = &value[length..];
    }
    out.push_str(rest);
    out
}

/// A configuration with every TSIG secret in it replaced; it can still be read. Secrets in files of their own are not in it.
pub(super) fn redacted(text: &str) -> String {
    let (document, _) = DeTable::parse_recoverable(text);
    let keys = document.get_ref().get("tsig").map(|keys| keys.get_ref());
    let mut spans: Vec<Range<usize>> = match keys {
        Some(DeValue::Array(keys)) => {
            let tables = keys.iter().filter_map(|key| match key.get_ref() {
                DeValue::Table(table) => table.get("secret"),
                _ => None,
            });
            tables.map(|secret| secret.span()).collect()
        }
        _ => Vec::new(),
    };
    spans.sort_by_key(|span| span.start);
    let mut out = text.to_owned();
    for span in spans.into_iter().rev() {
        out.replace_range(span, &format!("\"{REMOVED}\""));
    }
    out
}

/// Where the value of the next `secret` key begins.
fn value_of_secret(text: &str) -> Option<usize> {
    text.match_indices("secret").find_map(|(at, word)| {
        // cookie_secret names a file.
        if text[..at].ends_with('_') {
            return None;
        }
        let after = &text[at + word.len()..];
        let equals = after.trim_start_matches([' ', '\t', '"', '\'']);
        let value = equals.strip_prefix('=')?;
        Some(text.len() - value.len())
    })
}

/// How far a value reaches: to the end of its line, or of its three quotes.
fn value_length(value: &str) -> usize {
    let begins = value.trim_start_matches([' ', '\t']);
    let skipped = value.len() - begins.len();
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inner) = begins.strip_prefix(quotes) {
            let end = inner.find(quotes).map_or(inner.len(), |at| at + 3);
            return skipped + 3 + end;
        }
    }
    value.find('\n').unwrap_or(value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_text_has_no_secret_and_is_the_same_otherwise() {
        let text = "[[tsig]]\nname = \"a\"\nsecret = \"c2VjcmV0\" # x\n[[tsig]]\nsecret_file = \"file\"\n\
                    [[tsig]]\n\"secret\" = '''\nline\n'''\nname = \"c\"\n";
        let expected = "[[tsig]]\nname = \"a\"\nsecret = \"removed-from-backup\" # x\n[[tsig]]\n\
                        secret_file = \"file\"\n[[tsig]]\n\"secret\" = \"removed-from-backup\"\nname = \"c\"\n";
        assert_eq!(redacted(text), expected);
        let inline = "tsig = [{ secret=\"abc\", name = \"é\" }, { name = \"b\", secret = 'd' }]\n";
        let expected = "tsig = [{ secret=\"removed-from-backup\", name = \"é\" }, { name = \"b\", secret = \"removed-from-backup\" }]\n";
        assert_eq!(redacted(inline), expected);
    }

    #[test]
    fn no_secret_is_left_in_a_text_that_is_shown() {
        let text = "[[tsig]]\nname = \"a\"\nsecret = \"c2VjcmV0\" # x\nsecret_file = \"file\"\n\
                    tsig = [{ secret=\"abc\", name = \"é\" }]\n\"secret\" = '''\nline\n''' # seen\nlast = 1\n";
        let shown = masked(text);
        assert_eq!(shown.len(), text.len());
        for gone in ["c2VjcmV0", "abc", "line"] {
            assert!(!shown.contains(gone), "{shown}");
        }
        for kept in ["name = \"a\"", "secret_file = \"file\"", "last = 1", "seen"] {
            assert!(shown.contains(kept), "{shown}");
        }
        assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
    }
}
