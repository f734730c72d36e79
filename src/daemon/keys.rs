//! New keys for a command: made or read, written to their file, then put to work by the engine.
//!
//! In: what an operator asks for. Out: the engine's answer; without its consent the file is removed again. Never here:
//! which step comes next; showing a private key.

use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::control::NewKey;
use crate::engine::{Command, Done, KeyChange, KeyVerb, Refusal, RefusalKind};
use crate::shell::{Ask, Handle};
use crate::store::KeyFiles;
use crate::zone::{KeyAlgorithm, SigningKey};

/// No private key is larger.
const LARGEST: u64 = 64 << 10;

pub(super) async fn begin_key(
    handle: &Handle,
    files: KeyFiles,
    new: NewKey,
) -> Result<Done, Refusal> {
    let zone = new.zone.clone();
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
    let made = spawn_blocking(move || match (verb, file) {
        (KeyVerb::Import, Some(file)) => read(&file),
        (KeyVerb::Import, None) => Err("no file is named".to_owned()),
        _ => make(algorithm),
    });
    let key = made
        .await
        .map_err(|ended| ended.to_string())
        .and_then(|made| made);
    let key = Arc::new(key.map_err(&refusal)?);
    // A file of that name belongs to a key in use, or is what is imported: it stays whatever comes of this.
    let path = files.path(&new.zone, key.tag());
    let writes = !new.dry_run && !path.exists();
    if writes {
        let (files, zone, key) = (files.clone(), new.zone.clone(), Arc::clone(&key));
        let written = spawn_blocking(move || files.write(&zone, &key)).await;
        let written = written
            .map_err(std::io::Error::other)
            .and_then(|written| written);
        written.map_err(|error| refusal(format!("{}: {error}", path.display())))?;
    }
    let tag = key.tag();
    let change = KeyChange::Begin {
        verb,
        key,
        parent_has_no_ds: new.parent_has_no_ds,
    };
    let done = handle
        .request(Ask {
            command: Command::Keys {
                zone: new.zone.clone(),
                change,
            },
            author: new.author,
            why: new.why,
            dry_run: new.dry_run,
            volatile: false,
            expected: new.expected,
        })
        .await;
    if done.is_err() && writes {
        // Without it nothing changes: a file that stays is a key that nobody uses.
        let _ = spawn_blocking(move || files.remove(&new.zone, tag)).await;
    }
    done
}

fn make(algorithm: KeyAlgorithm) -> Result<SigningKey, String> {
    SigningKey::generate(algorithm).map_err(|fault| fault.to_string())
}

/// Reads PEM, or BIND's `.private` with the `.key` beside it.
fn read(file: &Path) -> Result<SigningKey, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let meta = std::fs::metadata(file)
        .map_err(|error| format!("{}; the server itself reads it", told(&error)))?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(told(&"it is not a file with a key"));
    }
    let text = std::fs::read(file).map_err(|error| told(&error))?;
    if text.starts_with(b"-----") {
        return SigningKey::from_pem(&text, true).map_err(|fault| told(&fault));
    }
    let text = String::from_utf8(text).map_err(|_| told(&"it is neither PEM nor BIND's format"))?;
    let key = SigningKey::from_bind_private(&text, true).map_err(|fault| told(&fault))?;
    let beside = file.with_extension("key");
    if let Ok(public) = std::fs::read_to_string(&beside) {
        let data = key.dnskey().to_text();
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
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
