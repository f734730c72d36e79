//! New keys for a command: made or read, written to their file, then put to work by the engine.
//!
//! In: what an operator asks for. Out: the engine's answer; when it refuses for good, the file is removed again. Never here:
//! which step comes next; showing a private key.

use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::control::NewKey;
use crate::engine::{
    Command, Done, KeyChange, KeyVerb, Refusal, RefusalKind, SAME_TAG, STORE_FAILING,
};
use crate::files;
use crate::shell::{Ask, ENGINE_SILENT, Handle};
use crate::store::KeyFiles;
use crate::topology::DomainName;
use crate::zone::SigningKey;

/// No private key is larger.
const LARGEST: u64 = 64 << 10;

/// How often a key is drawn again that the engine refuses for its tag; the zone has a handful.
const DRAWS: usize = 8;

pub(super) async fn begin_key(
    handle: &Handle,
    files: KeyFiles,
    new: NewKey,
) -> Result<Done, Refusal> {
    let drawn = new.verb != KeyVerb::Import;
    for _ in 1..DRAWS {
        match begin_with_one(handle, &files, &new).await {
            // Its file is missing, or the draw would have seen it.
            Err(refusal) if drawn && refusal.code == SAME_TAG => {}
            done => return done,
        }
    }
    begin_with_one(handle, &files, &new).await
}

async fn begin_with_one(handle: &Handle, files: &KeyFiles, new: &NewKey) -> Result<Done, Refusal> {
    let zone = &new.zone;
    let refusal = |why: String| Refusal {
        code: "key-unusable".into(),
        kind: RefusalKind::Invalid,
        what: format!("cannot take a key for zone {zone}"),
        why,
        in_force: "the keys of the zone are as they were".into(),
        hint: None,
    };
    let algorithm = new
        .algorithm
        .unwrap_or(handle.configuration().dnssec.algorithm);
    let (verb, file) = (new.verb, new.file.clone());
    let made = in_files(files, zone, move |files, zone| match (verb, file) {
        (KeyVerb::Import, Some(file)) => read(&file, zone),
        (KeyVerb::Import, None) => Err("no file is named".to_owned()),
        _ => files
            .draw(zone, algorithm)
            .map_err(|fault| fault.to_string()),
    });
    let key = Arc::new(made.await.map_err(&refusal)?);
    // Its own file belongs to a key in use, or is what is imported: it stays whatever comes of this.
    let looked = Arc::clone(&key);
    let there = in_files(files, zone, move |files, zone| files.has(zone, &looked));
    let writes = !there.await.map_err(&refusal)? && !new.dry_run;
    if writes {
        let key = Arc::clone(&key);
        let written = in_files(files, zone, move |files, zone| {
            let told = |error| format!("{}: {error}", files.path(zone, key.tag()).display());
            files.write(zone, &key).map_err(told)
        });
        written.await.map_err(&refusal)?;
    }
    let tag = key.tag();
    let change = KeyChange::Begin {
        verb,
        key,
        parent_has_no_ds: new.parent_has_no_ds,
        new_file: writes,
    };
    let done = handle
        .request(Ask {
            command: Command::Keys {
                zone: zone.clone(),
                change,
            },
            author: new.author.clone(),
            why: new.why.clone(),
            dry_run: new.dry_run,
            volatile: false,
            expected: new.expected.clone(),
        })
        .await;
    if writes && done.as_ref().is_err_and(is_final) {
        // Without it nothing changes: a file that stays is a key that nobody uses.
        let removed = in_files(files, zone, move |files, zone| {
            files.remove(zone, tag).map_err(|error| error.to_string())
        });
        let _ = removed.await;
    }
    done
}

/// Whether a refused command changes nothing any more. A row that the store was too slow for may still be committed, and
/// a row without its private key cannot be served: the engine removes the file once that is settled. An engine that did not
/// answer may have accepted the key.
fn is_final(refusal: &Refusal) -> bool {
    refusal.code != STORE_FAILING && !refusal.code.starts_with(ENGINE_SILENT)
}

/// Does something with files, which may wait for a disk.
async fn in_files<T: Send + 'static>(
    files: &KeyFiles,
    zone: &DomainName,
    act: impl FnOnce(&KeyFiles, &DomainName) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (files, zone) = (files.clone(), zone.clone());
    let acted = spawn_blocking(move || act(&files, &zone)).await;
    acted.map_err(|ended| ended.to_string())?
}

/// Reads PEM, or BIND's `.private` with the `.key` beside it.
fn read(file: &Path, zone: &DomainName) -> Result<SigningKey, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = files::read(file, LARGEST)
        .map_err(|error| format!("{}; the server itself reads it", told(&error)))?;
    if text.starts_with(b"-----") {
        return SigningKey::from_pem(&text, true).map_err(|fault| told(&fault));
    }
    let text = String::from_utf8(text).map_err(|_| told(&"it is neither PEM nor BIND's format"))?;
    let key = SigningKey::from_bind_private(&text, true).map_err(|fault| told(&fault))?;
    let beside = file.with_extension("key");
    if let Ok(public) = files::read_text(&beside, LARGEST) {
        let data = key.dnskey().to_text();
        if let Some(other) =
            owner(&public).filter(|owner| !owner.eq_ignore_ascii_case(zone.as_str()))
        {
            return Err(format!("{}: it is a key of {other}", beside.display()));
        }
        let squeezed = |text: &str| -> String {
            let octets = text.chars();
            octets
                .filter(|octet| !octet.is_whitespace() && !"()".contains(*octet))
                .collect()
        };
        let says = public
            .lines()
            .filter(|line| !line.trim_start().starts_with(';'));
        let says: String = says
            .map(|line| squeezed(line.split(';').next().unwrap_or("")))
            .collect();
        if !says.ends_with(&squeezed(&data)) {
            return Err(format!(
                "{}: it is not the public half of a key with flags 257; repoint signs with one key that the parent's DS points at",
                beside.display()
            ));
        }
    }
    Ok(key)
}

/// The zone that BIND's `.key` names, without its last dot; none where it names none.
fn owner(public: &str) -> Option<&str> {
    let lines = public.lines();
    let mut first = lines.filter_map(|line| {
        let named = !line.starts_with(char::is_whitespace) && line.contains("DNSKEY");
        line.split_whitespace().next().filter(|_| named)
    });
    first.find(|name| !name.starts_with(';'))?.strip_suffix('.')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    /// RFC 8080 §6.1.
    const PRIVATE: &str = "Private-key-format: v1.2\nAlgorithm: 15 (ED25519)\n\
                           PrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\n";
    const PUBLIC: &str =
        "example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=";

    /// What comes of the private half with this beside it.
    fn beside(public: Option<&str>) -> Result<SigningKey, String> {
        let directory = tempfile::tempdir().unwrap();
        let private = directory.path().join("Kexample.com.+015+03613.private");
        fs::write(&private, PRIVATE).unwrap();
        if let Some(public) = public {
            fs::write(private.with_extension("key"), public).unwrap();
        }
        read(&private, &"example.com".parse().unwrap())
    }

    #[test]
    fn the_public_half_beside_a_private_one_has_to_be_its_own_with_flags_257() {
        let dressed = format!("; This is a key-signing key\n{PUBLIC} ; key id = 3613\n");
        let folded = PUBLIC.replace("15 l02W", "15 (\n  l02W") + " )\n";
        for good in [PUBLIC, &dressed, &folded] {
            assert_eq!(beside(Some(good)).unwrap().tag(), 3613, "{good}");
        }
        assert_eq!(beside(None).unwrap().tag(), 3613);
        let other = PUBLIC.replace("l02W", "m02W");
        let zone_key = PUBLIC.replace("257", "256");
        for bad in [&other, &zone_key, ""] {
            let why = beside(Some(bad)).unwrap_err();
            assert!(why.contains(".key: it is not the public half"), "{why}");
        }
        let stranger = PUBLIC.replace("example.com", "example.net");
        let why = beside(Some(&stranger)).unwrap_err();
        assert!(why.ends_with(".key: it is a key of example.net"), "{why}");
        let shouted = PUBLIC.replace("example.com", "EXAMPLE.Com");
        assert_eq!(beside(Some(&shouted)).unwrap().tag(), 3613);
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        let zone: DomainName = "example.com".parse().unwrap();
        let why = |octets: &[u8]| {
            fs::write(&file, octets).unwrap();
            read(&file, &zone).map(|key| key.tag()).unwrap_err()
        };
        let cases: [&[u8]; 5] = [
            b"",
            b"\xff\xfe",
            b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
            b"Algorithm: 8 (RSASHA256)\nPrivateKey: AA==\n",
            &[b'x'; 100_000],
        ];
        for octets in cases {
            let why = why(octets);
            assert!(why.starts_with(&file.display().to_string()), "{why}");
        }
        fs::remove_file(&file).unwrap();
        let why = read(&file, &zone).map(|key| key.tag()).unwrap_err();
        assert!(why.contains("the server itself reads it"), "{why}");
        assert!(read(directory.path(), &zone).is_err(), "a directory");
    }
}
