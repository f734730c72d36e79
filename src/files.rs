//! Reading the files that a configuration names: regular files only, of a bounded size, within a bounded time.
//!
//! In: a path. Out: its octets, or why not. A FIFO, a device or a disk that is gone must not keep a server from
//! answering or from ending. Every such file is read here and nowhere else; a test looks for others.

use std::collections::BTreeSet;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::OFlag;

/// More octets than a configuration file, or one that it names, may have: a million domains have a third of it.
pub const LARGEST: u64 = 64 << 20;

/// How long one file may take.
const READ_TIME: Duration = Duration::from_secs(5);
/// How long it may take while another one has not come back: they may lie on the same disk.
const READ_TIME_BESIDE: Duration = Duration::from_millis(250);
/// Reads that may hang at one time, each with a thread. Beyond it nothing is read.
const MOST_HANGING: usize = 64;

/// The files whose reading has not come back.
static HANGING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The octets of a file.
///
/// # Errors
/// When it is not a regular file, has more than `largest` octets, or does not come within some seconds.
pub fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let file = path.to_owned();
    in_time(path, READ_TIME, move || read_now(&file, largest))
}

/// The text of a file.
///
/// # Errors
/// As for [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, largest: u64) -> io::Result<String> {
    String::from_utf8(read(path, largest)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Whether every user of the machine may read a file; false where it cannot be found out.
pub fn is_open_to_all(path: &Path) -> bool {
    let file = path.to_owned();
    let looked = in_time(path, READ_TIME, move || std::fs::metadata(file));
    looked.is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

fn read_now(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    // What a process was started with is read once and then gone: a reload would find something else.
    if is_of_process(path) {
        return Err(refused("it stands for an open file of a process"));
    }
    // Without O_NONBLOCK opening a FIFO waits for its other end; of a device nothing is taken over.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    check_kind(&file.metadata()?)?;
    take(file, largest)
}

fn take(file: File, largest: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let length = file
        .take(largest.saturating_add(1))
        .read_to_end(&mut octets)?;
    if u64::try_from(length).is_ok_and(|length| length <= largest) {
        return Ok(octets);
    }
    let most = match (largest >> 20, largest >> 10) {
        (0, 0) => format!("{largest} octets"),
        (0, kibibytes) => format!("{kibibytes} KiB"),
        (mebibytes, _) => format!("{mebibytes} MiB"),
    };
    Err(io::Error::new(
        ErrorKind::FileTooLarge,
        format!("it is larger than {most}"),
    ))
}

fn is_of_process(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let stands = [
        "/dev/stdin",
        "/dev/stdout",
        "/dev/stderr",
        "/dev/fd/",
        "/proc/",
    ];
    stands.iter().any(|place| text.starts_with(place))
}

fn check_kind(meta: &Metadata) -> io::Result<()> {
    let kind = meta.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(refused(&format!("it is {what}")))
}

fn refused(what: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        format!("{what}, and only regular files are read"),
    )
}

/// Does something with a file on a thread of its own, and waits only so long for it.
fn in_time<T: Send + 'static>(
    path: &Path,
    most: Duration,
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let within = {
        let hanging = HANGING.lock().unwrap_or_else(PoisonError::into_inner);
        if hanging.contains(path) || hanging.len() >= MOST_HANGING {
            let why = "earlier reading has not come back: its disk or file server does not answer";
            return Err(io::Error::new(ErrorKind::TimedOut, why));
        }
        let within = match hanging.is_empty() {
            true => most,
            false => most.min(READ_TIME_BESIDE),
        };
        drop(hanging);
        within
    };
    let (sender, result) = sync_channel(1);
    let reading = path.to_owned();
    let thread = std::thread::Builder::new().name("file".into());
    thread.spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(act());
        forget(&reading);
    })?;
    if let Ok(result) = result.recv_timeout(within) {
        return result;
    }
    remember(path);
    // It may have come in this moment.
    if let Ok(result) = result.try_recv() {
        forget(path);
        return result;
    }
    Err(io::Error::new(
        ErrorKind::TimedOut,
        format!("it did not come within {within:?}: its disk or file server does not answer"),
    ))
}

fn remember(path: &Path) {
    let mut hanging = HANGING.lock().unwrap_or_else(PoisonError::into_inner);
    hanging.insert(path.to_owned());
}

fn forget(path: &Path) {
    let mut hanging = HANGING.lock().unwrap_or_else(PoisonError::into_inner);
    hanging.remove(path);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, "text").unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read_text(&link, 4).unwrap(), "text");
        let said = read(&path, 3).unwrap_err().to_string();
        assert_eq!(said, "it is larger than 3 octets");

        let fifo = place.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let socket = place.path().join("socket");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let to_zero = place.path().join("zero");
        std::os::unix::fs::symlink("/dev/zero", &to_zero).unwrap();
        for (path, what) in [
            (fifo.as_path(), "a FIFO"),
            (place.path(), "a directory"),
            (to_zero.as_path(), "a device"),
            (Path::new("/dev/null"), "a device"),
            (Path::new("/dev/stdin"), "an open file"),
            (Path::new("/dev/fd/0"), "an open file"),
            (Path::new("/proc/self/fd/0"), "an open file"),
        ] {
            let said = read(path, 100).unwrap_err().to_string();
            assert!(said.contains(what), "{}: {said}", path.display());
        }
        assert!(read(&socket, 100).is_err(), "a socket cannot be opened");
    }

    #[test]
    fn a_read_that_hangs_is_given_up_and_not_begun_again_until_it_comes_back() {
        let path = Path::new("/nowhere/of/this/test");
        let (go, gate) = sync_channel::<()>(0);
        let hang = move || {
            // The test ends or lets it go.
            let _ = gate.recv();
            Ok(1)
        };
        let soon = Duration::from_millis(10);
        let said = in_time(path, soon, hang).unwrap_err();
        assert_eq!(said.kind(), ErrorKind::TimedOut);
        let said = in_time(path, READ_TIME, || Ok(2)).unwrap_err().to_string();
        assert!(said.contains("has not come back"), "{said}");
        go.send(()).unwrap();
        while in_time(path, READ_TIME, || Ok(3)).is_err() {
            std::thread::yield_now();
        }
    }

    /// Files that no configuration names: the kernel's, those of the state directory's own making, what a user of the
    /// command line names, and the demo's.
    const ELSEWHERE: [&str; 10] = [
        "src/ask/resolver.rs",
        "src/cli/",
        "src/control/listener.rs",
        "src/daemon/privileges.rs",
        "src/demo/",
        "src/files.rs",
        "src/shell/descendants.rs",
        "src/store/backup.rs",
        "src/store/directory.rs",
        "src/store/lock.rs",
    ];

    #[test]
    fn nobody_else_reads_files_that_a_configuration_names() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut wait = vec![root.join("src")];
        let mut looked = 0;
        while let Some(place) = wait.pop() {
            for entry in fs::read_dir(place).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    wait.push(path);
                    continue;
                }
                let name = path.strip_prefix(root).unwrap().display().to_string();
                let is_test = name.contains("/tests") || name.ends_with("golden.rs");
                if is_test || ELSEWHERE.iter().any(|place| name.starts_with(place)) {
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                looked += 1;
                for call in [
                    "fs::read(",
                    "fs::read_to_string(",
                    "File::open(",
                    "fs::metadata(",
                ] {
                    let finds: Vec<&str> =
                        code.lines().filter(|line| line.contains(call)).collect();
                    let of_store = name.starts_with("src/store/") && !call.contains("read");
                    assert!(
                        finds.is_empty() || of_store,
                        "{name}: {finds:?}: use files::read"
                    );
                }
            }
        }
        assert!(looked > 100, "{looked}");
    }
}
