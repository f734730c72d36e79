//! Memory: what must outlive the process, in one SQLite file of the state directory.
//!
//! In: [`Batch`]es from the engine's shell. Out: whether each was committed, the
//! [`Remembered`] of the last run at start, and history. Never here: decisions. Nothing outside knows SQL.
//!
//! A failing store never stops answers: what can be read is read, the rest is said in `Remembered`.

mod accepted;
mod backup;
mod directory;
mod history;
mod octets;
mod key_files;
mod lock;
mod open;
mod rows;
mod schema;
mod writer;
mod zones;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::oneshot;

pub use backup::{BackupError, RestoreError, backup, passing_copy, restore, verify};
pub use directory::accepted_in;
pub use history::{HistoryError, HistoryFilter};
pub use key_files::KeyFiles;
pub use open::inbound_in;
pub use writer::Commit;

use crate::clock::Wall;
use crate::engine::{Batch, Keep, Remembered};
use directory::Directory;
use writer::{Job, Writer};

/// Why a store cannot be had at all. Everything else is survivable and told by `Remembered`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Two servers on one state would each forget what the other remembers.
    #[error(
        "cannot use the state directory {}: another repoint{} uses it\nthat one goes on unchanged",
        dir.display(),
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The state directory.
        dir: PathBuf,
        /// The process that holds it, when the kernel tells.
        holder: Option<u32>,
    },
    /// The system gives no thread for the writer.
    #[error("cannot begin the store in {}: {error}\nnothing is served by this process", dir.display())]
    NoThread {
        /// The state directory.
        dir: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// The store of one state directory; cheap to clone. The directory stays locked until the last clone is gone.
#[derive(Clone, Debug)]
pub struct Store {
    writer: Arc<Writer>,
    accepted: Arc<Option<String>>,
}

impl Store {
    /// Opens the state directory, which is made when it is missing. `at` names files that are moved aside.
    ///
    /// A database that cannot be read is moved aside and a new one begun; a directory that cannot be written
    /// gives a store that reads what it can and commits again once the disk does.
    pub fn open(dir: &Path, at: Wall) -> Result<(Store, Remembered), StoreError> {
        let directory = Directory::open(dir)?;
        if directory.fault().is_none() {
            backup::sweep(dir);
        }
        let opened = open::open(&directory, at);
        let accepted = opened.accepted.or_else(|| directory.read_accepted()).into();
        let mut remembered = opened.remembered;
        let keys = KeyFiles::of(dir);
        let swept = keys.sweep();
        remembered.read_keys(&keys);
        remembered.key_faults.extend(swept);
        let writer =
            Writer::start(directory, opened.database, remembered.clone()).map_err(|error| {
                StoreError::NoThread {
                    dir: dir.to_owned(),
                    error,
                }
            })?;
        let store = Store {
            writer: Arc::new(writer),
            accepted,
        };
        Ok((store, remembered))
    }

    /// The state directory.
    pub fn directory(&self) -> &Path {
        self.writer.directory()
    }

    /// The files of private keys.
    pub fn key_files(&self) -> KeyFiles {
        KeyFiles::of(self.directory())
    }

    /// The configuration accepted last, as it was when the store was opened (JSON of `config::Sources`).
    pub fn accepted(&self) -> Option<&str> {
        self.accepted.as_deref()
    }

    /// Puts a batch in the writer's queue, after all that came before it.
    pub fn commit(&self, batch: Batch) -> Commit {
        self.writer.commit(batch)
    }

    /// Keeps zones, in the order of the calls, in slices between the batches that commands wait for. The result
    /// comes when all are written, or one could not be.
    pub fn keep(&self, keep: Keep) -> oneshot::Receiver<Result<(), String>> {
        let (reply, kept) = oneshot::channel();
        if let Err((Job::Keep(_, reply), fault)) =
            self.writer.queue(Job::Keep(Box::new(keep), reply))
        {
            // The receiver is right here; it cannot have gone.
            let _ = reply.send(Err(fault.to_string()));
        }
        kept
    }

    /// What a new core would find after everything queued so far; none when the writer is gone or stuck.
    pub async fn recall(&self) -> Option<Remembered> {
        let (reply, answer) = oneshot::channel();
        self.writer.queue(Job::Recall(reply)).ok()?;
        answer.await.ok()
    }

    /// History entries, oldest first: the newest `limit` that pass the filter. Blocks on the disk.
    pub fn history(
        &self,
        filter: &HistoryFilter,
    ) -> Result<Vec<crate::engine::Entry>, HistoryError> {
        history::query(self.writer.database(), filter)
    }

    /// Waits until everything queued so far is committed or has failed; false when the writer is gone.
    pub async fn flush(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.writer.queue(Job::Flush(reply)).is_ok() && answer.await.is_ok()
    }
}

impl Remembered {
    /// Takes the private keys from their files.
    fn read_keys(&mut self, files: &KeyFiles) {
        (self.ring, self.key_faults) = files.load();
    }
}

/// The database's file name in the state directory.
const DATABASE: &str = "repoint.db";
