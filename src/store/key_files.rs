//! Private keys in files of their own: `keys/` in the state directory, one PEM (PKCS#8) for each, named by zone and tag.
//!
//! In: keys. Out: the same after a restart, or which file is of no use and why. They are for this user alone, and go
//! into no database, log or backup. Never here: when a key is used.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::keys::KeyRing;
use crate::topology::DomainName;
use crate::zone::{KeyAlgorithm, KeyFault, SigningKey};

/// The directory's name in the state directory.
const DIRECTORY: &str = "keys";
const SUFFIX: &str = ".pem";
/// A private key has a few hundred octets.
const LARGEST: u64 = 64 << 10;

/// Where private keys lie.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    directory: PathBuf,
}

impl KeyFiles {
    /// Those of a state directory.
    pub fn of(state: &Path) -> KeyFiles {
        KeyFiles {
            directory: state.join(DIRECTORY),
        }
    }

    /// The directory; it is made with the first key.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of a key.
    pub fn path(&self, zone: &DomainName, tag: u16) -> PathBuf {
        self.directory.join(format!("{zone}.{tag}{SUFFIX}"))
    }

    /// Reads every key there is. What is of no use is told, one sentence each.
    pub fn load(&self) -> (KeyRing, Vec<String>) {
        let (mut ring, mut faults) = (KeyRing::default(), Vec::new());
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (ring, faults),
            Err(error) => {
                faults.push(format!("{}: {error}", self.directory.display()));
                return (ring, faults);
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().map(|name| name.to_string_lossy());
            let Some((zone, tag)) = name.as_deref().and_then(zone_and_tag) else {
                continue;
            };
            match read(&path) {
                Ok(key) if key.tag() == tag => ring.insert(zone, Arc::new(key)),
                Ok(key) => faults.push(format!(
                    "{}: its key has the tag {}",
                    path.display(),
                    key.tag()
                )),
                Err(why) => faults.push(format!("{}: {why}", path.display())),
            }
        }
        (ring, faults)
    }

    /// Makes a key whose tag no file of the zone has: keys of a zone are told apart by their tags.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn draw(&self, zone: &DomainName, algorithm: KeyAlgorithm) -> Result<SigningKey, KeyFault> {
        self.drawn(zone, || SigningKey::generate(algorithm))
    }

    fn drawn(
        &self,
        zone: &DomainName,
        mut make: impl FnMut() -> Result<SigningKey, KeyFault>,
    ) -> Result<SigningKey, KeyFault> {
        loop {
            // One in thousands of draws has a tag that is taken; none is free only where 65,536 files are.
            let key = make()?;
            if !self.path(zone, key.tag()).exists() {
                return Ok(key);
            }
        }
    }

    /// Whether a key's file is there.
    ///
    /// # Errors
    /// When its name belongs to a file that is of no use, or of another key.
    pub fn has(&self, zone: &DomainName, key: &SigningKey) -> Result<bool, String> {
        let path = self.path(zone, key.tag());
        if !path.exists() {
            return Ok(false);
        }
        match read(&path) {
            Ok(there) if there.dnskey() == key.dnskey() => Ok(true),
            Ok(_) => Err(format!("{}: another key has this file", path.display())),
            Err(why) => Err(format!("{}: {why}", path.display())),
        }
    }

    /// Writes a key's file, whole or not at all; it is on the disk when this returns.
    ///
    /// # Errors
    /// When the directory takes no file.
    pub fn write(&self, zone: &DomainName, key: &SigningKey) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let pem = key.to_pem().map_err(io::Error::other)?;
        let path = self.path(zone, key.tag());
        let fresh = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        // A file left over from a crash keeps the mode it had.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(&pem)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Removes a key's file; one that is not there is removed already.
    ///
    /// # Errors
    /// When it stays.
    pub fn remove(&self, zone: &DomainName, tag: u16) -> io::Result<()> {
        match fs::remove_file(self.path(zone, tag)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn zone_and_tag(name: &str) -> Option<(DomainName, u16)> {
    let (zone, tag) = name.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    Some((zone.parse().ok()?, tag.parse().ok()?))
}

fn read(path: &Path) -> Result<SigningKey, String> {
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err("it is not a file with a key".into());
    }
    let pem = fs::read(path).map_err(|error| error.to_string())?;
    SigningKey::from_pem(&pem, true).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_comes_back_and_is_for_this_user_alone() {
        let state = tempfile::tempdir().unwrap();
        let files = KeyFiles::of(state.path());
        assert_eq!(files.load(), (KeyRing::default(), Vec::new()));
        let zone: DomainName = "_xmpp-server._tcp.contoso.com".parse().unwrap();
        let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        files.write(&zone, &key).unwrap();
        let (ring, faults) = files.load();
        assert_eq!(faults, Vec::<String>::new());
        assert!(ring.private(&zone, key.dnskey()).is_some());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(files.directory()), 0o700);
        assert_eq!(mode(&files.path(&zone, key.tag())), 0o600);
        files.remove(&zone, key.tag()).unwrap();
        files.remove(&zone, key.tag()).unwrap();
        assert_eq!(files.load().0, KeyRing::default());
    }

    #[test]
    fn a_key_is_drawn_again_while_its_tag_is_taken() {
        let state = tempfile::tempdir().unwrap();
        let files = KeyFiles::of(state.path());
        let zone: DomainName = "contoso.com".parse().unwrap();
        let taken = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        files.write(&zone, &taken).unwrap();
        let again = || SigningKey::from_pem(&taken.to_pem().unwrap(), true);
        let free = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let tag = free.tag();
        let mut draws = vec![Ok(free), again(), again()];
        let drawn = files.drawn(&zone, || draws.pop().unwrap()).unwrap();
        assert_eq!((drawn.tag(), draws.len()), (tag, 0));
    }

    #[test]
    fn the_file_of_another_key_is_not_taken_for_a_keys_own() {
        let state = tempfile::tempdir().unwrap();
        let files = KeyFiles::of(state.path());
        let zone: DomainName = "contoso.com".parse().unwrap();
        let [one, other] = [(); 2].map(|()| SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
        assert_eq!(files.has(&zone, &one), Ok(false));
        files.write(&zone, &one).unwrap();
        assert_eq!(files.has(&zone, &one), Ok(true));
        fs::rename(files.path(&zone, one.tag()), files.path(&zone, other.tag())).unwrap();
        let why = files.has(&zone, &other).unwrap_err();
        assert!(why.ends_with("another key has this file"), "{why}");
    }

    #[test]
    fn a_file_of_no_use_is_told_by_name() {
        let state = tempfile::tempdir().unwrap();
        let files = KeyFiles::of(state.path());
        let zone: DomainName = "contoso.com".parse().unwrap();
        let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        files.write(&zone, &key).unwrap();
        let other = key.tag() ^ 1;
        fs::rename(files.path(&zone, key.tag()), files.path(&zone, other)).unwrap();
        fs::write(files.path(&zone, 7), "scribble").unwrap();
        let (ring, faults) = files.load();
        assert_eq!(ring, KeyRing::default());
        assert_eq!(faults.len(), 2);
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains(&format!("has the tag {}", key.tag())))
        );
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains("contoso.com.7.pem: it is not the PEM"))
        );
    }
}
