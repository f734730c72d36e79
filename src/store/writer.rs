//! The writer: one thread with the only writing connection.
//!
//! In: batches, through a bounded queue. Out: one result per batch, also when it comes too late for the caller.
//! Never here: what is done about a failure. A failed connection is given up and opened anew for the next batch.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::KeyFiles;
use super::directory::Directory;
use super::open::{Database, open_writable};
use super::rows;
use super::zones::{Known, Work};
use crate::engine::{Batch, Keep, Remembered, StoreFault};

/// Batches that may wait. A disk that is this far behind is a failed disk.
const QUEUE: usize = 1024;

/// The disk gets this long for what is queued when the store is closed.
const PARTING: Duration = Duration::from_secs(5);

/// The states of a batch on its way.
const QUEUED: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Work for the thread, done in order.
#[derive(Debug)]
pub(super) enum Job {
    Commit {
        batch: Box<Batch>,
        state: Arc<AtomicU8>,
        reply: oneshot::Sender<Result<(), StoreFault>>,
    },
    Keep(Box<Keep>, oneshot::Sender<Result<(), String>>),
    Recall(oneshot::Sender<Remembered>),
    Flush(oneshot::Sender<()>),
}

/// A batch on its way to the disk.
#[derive(Debug)]
pub struct Commit {
    state: Arc<AtomicU8>,
    result: oneshot::Receiver<Result<(), StoreFault>>,
}

impl Commit {
    /// The first result. At the deadline a batch that still waits is withdrawn and has failed; one the disk has
    /// begun is [`StoreFault::TooSlow`], and [`Commit::last`] then tells how it ended.
    pub async fn first(&mut self, within: Option<Duration>) -> Result<(), StoreFault> {
        let Some(within) = within else {
            return settled((&mut self.result).await);
        };
        if let Some(result) = crate::patience::within(within, &mut self.result).await {
            return settled(result);
        }
        let waits =
            self.state
                .compare_exchange(QUEUED, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire);
        if waits.is_ok() {
            return Err(StoreFault::Failed(format!(
                "the disk was busy with earlier writes for {within:?}; this one was withdrawn"
            )));
        }
        match self.result.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => Err(StoreFault::TooSlow(within)),
            Err(oneshot::error::TryRecvError::Closed) => Err(gone()),
            Ok(result) => result,
        }
    }

    /// How a batch ended for which `first` said [`StoreFault::TooSlow`].
    pub async fn last(self) -> Result<(), StoreFault> {
        settled(self.result.await)
    }
}

fn settled(
    result: Result<Result<(), StoreFault>, oneshot::error::RecvError>,
) -> Result<(), StoreFault> {
    result.unwrap_or_else(|_| Err(gone()))
}

fn gone() -> StoreFault {
    StoreFault::Failed("the store's thread has ended".into())
}

/// The thread's outside. Dropping it waits for what is queued, but not for ever.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    directory: PathBuf,
    database: PathBuf,
}

impl Writer {
    pub(super) fn start(
        directory: Directory,
        database: Database,
        remembered: Remembered,
    ) -> io::Result<Writer> {
        let (place, path) = (directory.path().to_owned(), directory.database());
        let (queue, jobs) = sync_channel(QUEUE);
        let desk = Desk {
            directory,
            database,
            remembered,
            known: None,
            keeping: VecDeque::new(),
            flushing: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || desk.run(&jobs))?;
        Ok(Writer {
            queue: Some(queue),
            thread: Some(thread),
            directory: place,
            database: path,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    pub(super) fn commit(&self, batch: Batch) -> Commit {
        let (reply, result) = oneshot::channel();
        let state = Arc::new(AtomicU8::new(QUEUED));
        let job = Job::Commit {
            batch: Box::new(batch),
            state: Arc::clone(&state),
            reply,
        };
        if let Err((Job::Commit { reply, .. }, fault)) = self.queue(job) {
            // The receiver is right here; it cannot have gone.
            let _ = reply.send(Err(fault));
        }
        Commit { state, result }
    }

    /// Puts a job in the queue; never waits.
    pub(super) fn queue(&self, job: Job) -> Result<(), (Job, StoreFault)> {
        use std::sync::mpsc::TrySendError;
        let Some(queue) = &self.queue else {
            return Err((job, gone()));
        };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) => (
                job,
                StoreFault::Failed(format!("{QUEUE} writes wait for the disk already")),
            ),
            TrySendError::Disconnected(job) => (job, gone()),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        let began = Instant::now();
        while !thread.is_finished() && began.elapsed() < PARTING {
            std::thread::sleep(Duration::from_millis(1));
        }
        // A disk that hangs must not keep the process from ending.
        if thread.is_finished() {
            // Its panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// The thread's inside.
struct Desk {
    directory: Directory,
    database: Database,
    /// What was found at the start and what was committed since: the same as a start would find, without a look at a
    /// disk that may not answer.
    remembered: Remembered,
    /// What the database has of zones; none until it is looked at.
    known: Option<Known>,
    /// Zones to keep, oldest first, and who waits for it.
    keeping: VecDeque<(Work, oneshot::Sender<Result<(), String>>)>,
    /// Who waits for everything queued before.
    flushing: Vec<oneshot::Sender<()>>,
}

impl Desk {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            // Zones are kept in slices: after each, somebody who waits has a turn.
            let job = if self.keeping.is_empty() {
                match jobs.recv() {
                    Ok(job) => Some(job),
                    Err(_) => break,
                }
            } else {
                jobs.try_recv().ok()
            };
            if let Some(job) = job {
                self.take(job);
            }
            self.keep_slice();
            if self.keeping.is_empty() {
                for reply in self.flushing.drain(..) {
                    let _ = reply.send(());
                }
            }
        }
        if let Database::Open(connection) = self.database {
            // Folds the log into the database; what fails here is done at the next start.
            let _ = connection.close();
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Commit {
                batch,
                state,
                reply,
            } => {
                let claimed =
                    state.compare_exchange(QUEUED, BEGUN, Ordering::AcqRel, Ordering::Acquire);
                if claimed.is_ok() {
                    // Nobody may be waiting any more: an automatic decision's result is news, not needed.
                    let _ = reply.send(self.commit(&batch));
                }
            }
            Job::Keep(keep, reply) => self.keeping.push_back((Work::new(*keep), reply)),
            Job::Recall(reply) => {
                // The asker may have been stopped meanwhile.
                let mut remembered = self.remembered.clone();
                remembered.read_keys(&KeyFiles::of(self.directory.path()));
                let _ = reply.send(remembered);
            }
            Job::Flush(reply) => self.flushing.push(reply),
        }
    }

    /// Writes a slice of the zones to be kept, if there are any.
    fn keep_slice(&mut self) {
        let Some((mut work, reply)) = self.keeping.pop_front() else {
            return;
        };
        let result = match self.write_slice(&mut work) {
            Ok(false) => return self.keeping.push_front((work, reply)),
            Ok(true) => Ok(()),
            Err(StoreFault::Failed(why)) => Err(why),
            Err(fault) => Err(fault.to_string()),
        };
        match &result {
            Ok(()) => {
                self.remembered.zones = work.keep.zones.iter().cloned().collect();
                self.remembered.inbound = work.keep.inbound;
            }
            Err(_) => self.known = None,
        }
        // The engine may have stopped: then nobody needs to know.
        let _ = reply.send(result);
    }

    fn write_slice(&mut self, work: &mut Work) -> Result<bool, StoreFault> {
        let failed = |error: rusqlite::Error| StoreFault::Failed(error.to_string());
        let mut known = match self.known.take() {
            Some(known) => known,
            None => Known::load(self.connection()?).map_err(failed)?,
        };
        let connection = self.connection()?;
        let written = work.slice(connection, &mut known).and_then(|done| {
            let mark = (done && work.keep.last).then(|| {
                let millis = work.keep.at.as_millis();
                format!("{millis} {:016x}", rand::random::<u64>())
            });
            if let Some(mark) = &mark {
                rows::set_stopped(connection, mark)?;
            }
            Ok((done, mark))
        });
        let (done, mark) = match written {
            Ok(written) => written,
            Err(error) => {
                // As after a batch that failed: the connection may be in any state.
                self.database = Database::Later;
                return Err(failed(error));
            }
        };
        self.known = Some(known);
        if let Some(mark) = mark
            && let Err(error) = self.directory.write_stopped(&mark)
        {
            tracing::warn!(
                "cannot leave the mark of an orderly stop: {error}; every zone gets a new serial at the next start"
            );
        }
        Ok(done)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreFault> {
        let result = self.write(batch);
        match &result {
            Ok(()) => keep(&mut self.remembered, batch),
            Err(fault) => self.remembered.unavailable = Some(fault.to_string()),
        }
        result
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreFault> {
        let connection = self.connection()?;
        let commits = match rows::commit(connection, batch) {
            Ok(commits) => commits,
            Err(error) => {
                // A connection that failed once (disk full, I/O error) may be in any state: begin the next with
                // a fresh one. Note that a commit whose sync failed may come to light after a crash all the same.
                self.database = Database::Later;
                return Err(StoreFault::Failed(error.to_string()));
            }
        };
        if let Err(error) = self.directory.write_commits(commits) {
            tracing::debug!("cannot note how many batches are committed: {error}");
        }
        if let Some(reservation) = batch.reservation
            && let Err(error) = self.directory.write_reserved(reservation)
        {
            tracing::warn!(
                "cannot write the copy of the reserved numbers beside the database: {error}; the database has them"
            );
        }
        if let Some(accepted) = &batch.accepted
            && let Err(error) = self.directory.write_accepted(accepted)
        {
            tracing::warn!(
                "cannot write the plain copy of the accepted configuration: {error}; the database has it"
            );
        }
        Ok(())
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreFault> {
        if let Database::Later = self.database {
            match open_writable(&self.directory) {
                Ok(connection) => {
                    // It may have stayed when the disk took nothing: from here on it is not true.
                    self.directory.take_stopped();
                    self.database = Database::Open(connection);
                }
                Err(trouble) => return Err(StoreFault::Failed(trouble.to_string())),
            }
        }
        match &mut self.database {
            Database::Open(connection) => Ok(connection),
            Database::Never(why) => Err(StoreFault::Failed(why.clone())),
            Database::Later => Err(StoreFault::Failed("the database is not open".into())),
        }
    }
}

/// What a committed batch makes of what is remembered.
fn keep(remembered: &mut Remembered, batch: &Batch) {
    remembered.unavailable = None;
    for (key, value) in &batch.overrides {
        remembered.overrides.retain(|known| known.key != *key);
        remembered.overrides.extend(value.clone());
    }
    for route in &batch.routes {
        remembered.routes.retain(|known| known.route != route.route);
        remembered.routes.push(route.clone());
    }
    for (name, values) in &batch.challenges {
        remembered.challenges.retain(|known| known.name != *name);
        remembered.challenges.extend(values.iter().cloned());
    }
    for row in &batch.keys {
        remembered.keys.retain(|known| known.apex != row.apex);
        remembered.keys.push(row.clone());
    }
    if batch.reservation.is_some() {
        remembered.reservation = batch.reservation;
    }
    if batch.state_accepted {
        remembered.doubt = None;
    }
}
