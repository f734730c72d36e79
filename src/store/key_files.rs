//! Private keys in files of their own: `keys/` in the state directory, one PEM (PKCS#8) for each, named by zone and tag.
//!
//! In: keys. Out: the same after a restart, or which file is of no use and why. They are for this user alone, and go
//! into no database, log or backup; what others can read is closed to them. Never here: when a key is used.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files;
use crate::keys::KeyRing;
use crate::topology::DomainName;
use crate::zone::{KeyAlgorithm, KeyFault, SigningKey};

/// The directory's name in the state directory.
const DIRECTORY: &str = "keys";
const SUFFIX: &str = ".pem";
/// A key that is being written.
const FRESH: &str = "new";
/// What stood in a key's place and could not be read.
const UNUSABLE: &str = "unusable";
/// Everybody but the user.
const OTHERS: u32 = 0o077;
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

    /// Reads every key there is. What is of no use, or was open to others, is told, one sentence each.
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
        faults.extend(closed(&self.directory));
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().map(|name| name.to_string_lossy());
            let Some((zone, tag)) = name.as_deref().and_then(zone_and_tag) else {
                continue;
            };
            faults.extend(closed(&path));
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

    /// Removes what an interrupted write has left: a key that no row knows. Only while nobody writes. Each is told.
    pub fn sweep(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten();
        let paths = entries.flatten().map(|entry| entry.path());
        let fresh = paths.filter(|path| {
            let whole = path.with_extension(&SUFFIX[1..]);
            let name = whole.file_name().map(|name| name.to_string_lossy());
            let of_key = name.is_some_and(|name| zone_and_tag(&name).is_some());
            of_key && path.extension().is_some_and(|extension| extension == FRESH)
        });
        let removed = fresh.map(|path| match fs::remove_file(&path) {
            Ok(()) => format!(
                "{}: left by an interrupted write, and removed",
                path.display()
            ),
            Err(error) => format!("{}: left by an interrupted write: {error}", path.display()),
        });
        removed.collect()
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

    /// Whether a key's file is there, and of use.
    ///
    /// # Errors
    /// When its name belongs to another key's file.
    pub fn has(&self, zone: &DomainName, key: &SigningKey) -> Result<bool, String> {
        let path = self.path(zone, key.tag());
        if !path.exists() {
            return Ok(false);
        }
        match read(&path) {
            Ok(there) if there.dnskey() == key.dnskey() => Ok(true),
            Ok(_) => Err(format!("{}: another key has this file", path.display())),
            Err(_) => Ok(false),
        }
    }

    /// Writes a key's file, whole or not at all; it is on the disk when this returns. What stands in its place is kept
    /// beside it.
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
        let fresh = path.with_extension(FRESH);
        let written = write_whole(&fresh, &pem).and_then(|()| {
            if path.exists() {
                fs::rename(&path, path.with_extension(UNUSABLE))?;
            }
            fs::rename(&fresh, &path)
        });
        if let Err(error) = written {
            // A private key that nobody uses.
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
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

fn write_whole(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    // A file left over from a crash keeps the mode it had.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(octets)?;
    file.sync_all()
}

/// Takes what others may do with a file or directory away from them. What there was to take, in a sentence.
fn closed(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return None;
    }
    let own = fs::Permissions::from_mode(mode & !OTHERS);
    let what = if path.is_symlink() {
        // Somebody else may have to read it there.
        "what the link leads to is left as it is".to_owned()
    } else {
        match fs::set_permissions(path, own) {
            Ok(()) => "closed, for this user alone".to_owned(),
            Err(error) => format!("that cannot be changed: {error}"),
        }
    };
    let path = path.display();
    Some(format!(
        "{path}: it is open to other users (mode {mode:04o}), and private keys are secrets: {what}"
    ))
}

fn zone_and_tag(name: &str) -> Option<(DomainName, u16)> {
    let (zone, tag) = name.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    Some((zone.parse().ok()?, tag.parse().ok()?))
}

fn read(path: &Path) -> Result<SigningKey, String> {
    let pem = files::read(path, LARGEST).map_err(|error| error.to_string())?;
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
    fn an_unusable_file_gives_its_place_to_the_key_and_is_kept() {
        let state = tempfile::tempdir().unwrap();
        let files = KeyFiles::of(state.path());
        let zone: DomainName = "contoso.com".parse().unwrap();
        let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        files.write(&zone, &key).unwrap();
        let path = files.path(&zone, key.tag());
        fs::write(&path, "scribble").unwrap();
        assert_eq!(files.has(&zone, &key), Ok(false));
        files.write(&zone, &key).unwrap();
        assert_eq!(files.has(&zone, &key), Ok(true));
        let kept = fs::read_to_string(path.with_extension(UNUSABLE)).unwrap();
        assert_eq!(kept, "scribble");
        assert_eq!(files.load().1, Vec::<String>::new());
    }

    #[test]
    fn what_others_could_read_is_closed_and_told() {
        let state = tempfile::tempdir().unwrap();
        let files = KeyFiles::of(state.path());
        let zone: DomainName = "contoso.com".parse().unwrap();
        let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        files.write(&zone, &key).unwrap();
        let path = files.path(&zone, key.tag());
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        open(files.directory(), 0o755);
        open(&path, 0o666);
        let (ring, faults) = files.load();
        assert!(ring.private(&zone, key.dnskey()).is_some());
        assert_eq!(faults.len(), 2);
        assert!(faults[1].contains("(mode 0666)"), "{faults:?}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(files.directory()), mode(&path)), (0o700, 0o600));
        assert_eq!(files.load().1, Vec::<String>::new());
    }

    #[test]
    fn what_an_interrupted_write_left_is_removed() {
        let state = tempfile::tempdir().unwrap();
        let files = KeyFiles::of(state.path());
        let zone: DomainName = "contoso.com".parse().unwrap();
        let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        files.write(&zone, &key).unwrap();
        let fresh = files.path(&zone, 7).with_extension(FRESH);
        let other = files.directory().join("notes.new");
        fs::write(&fresh, "half a key").unwrap();
        fs::write(&other, "not ours").unwrap();
        assert_eq!(files.sweep().len(), 1);
        assert!(!fresh.exists() && other.exists());
        assert_eq!(files.has(&zone, &key), Ok(true));
        // A directory in its place: the write fails, and leaves nothing.
        let path = files.path(&zone, key.tag());
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.with_extension(UNUSABLE).join("full")).unwrap();
        fs::write(&path, "scribble").unwrap();
        files.write(&zone, &key).unwrap_err();
        assert!(!path.with_extension(FRESH).exists());
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
        let scribbled = files.path(&zone, 7);
        fs::write(&scribbled, "scribble").unwrap();
        fs::set_permissions(&scribbled, fs::Permissions::from_mode(0o600)).unwrap();
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
