//! Pulling a zone from one primary: its changes where that works, else all of it.
//!
//! In: the version we have, a primary, the TSIG key. Out: a newer version, or that there is none; or why neither.
//! Everything is over TCP and bounded in time, records and octets. Never here: when, and what is done about a failure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::transfer::{Bounds, Reader, Transfer, TransferFault};
use crate::ask::{AskError, How, Malformed, Query, Record, Reply, Stream, Transport};
use crate::clock::Wall;
use crate::topology::DomainName;
use crate::tsig::{self, Key, VerifyFault};
use crate::zone::{Name, OwnedRecord, ReceivedFault, Serial, StaticZone};

/// How long a primary may be silent between two messages.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one transfer may take in all.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Why nothing came of asking a primary.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullFault {
    /// It cannot be asked, or says nothing.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It answers with an error.
    #[error("it answers {0}")]
    Code(ResponseCode),
    /// What came has not the signature it must have.
    #[error("{0}")]
    Signature(#[from] VerifyFault),
    /// What came cannot be read.
    #[error("it sent what cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// A message of another conversation.
    #[error("it sent a message that does not belong to the transfer")]
    Foreign,
    /// What came is no transfer.
    #[error("it sent what is no transfer: {0}")]
    Transfer(#[from] TransferFault),
    /// What came is no zone.
    #[error("it sent what is no zone: {0}")]
    Zone(#[from] ReceivedFault),
    /// Its version is older than ours.
    #[error("it has serial {theirs}, which is before {ours}, received earlier; raise its serial")]
    Older {
        /// Its serial.
        theirs: Serial,
        /// Ours.
        ours: Serial,
    },
    /// It took too long.
    #[error("the transfer did not end within {LONGEST:?}")]
    Long,
    /// The process is ending.
    #[error("the transfer was given up")]
    GivenUp,
}

impl PullFault {
    /// Whether it lies in what was sent, not in the way there.
    pub fn is_content(&self) -> bool {
        !matches!(
            self,
            PullFault::Ask(_) | PullFault::Code(_) | PullFault::Long | PullFault::GivenUp
        )
    }
}

/// What one primary is asked with.
#[derive(Clone)]
pub struct Asking {
    /// The zone.
    pub apex: DomainName,
    /// Who is asked.
    pub server: SocketAddr,
    /// What both sides sign with.
    pub key: Option<Arc<Key>>,
    /// The wall clock.
    pub read_wall: Arc<dyn Fn() -> Wall + Send + Sync>,
}

impl Asking {
    /// A newer version than `ours`; none when the primary has none.
    ///
    /// # Errors
    /// Why there is neither; what we have is as good as before.
    pub async fn pull(
        &self,
        ours: Option<&Arc<StaticZone>>,
    ) -> Result<Option<Arc<StaticZone>>, PullFault> {
        tokio::time::timeout(LONGEST, self.newest(ours))
            .await
            .unwrap_or(Err(PullFault::Long))
    }

    async fn newest(
        &self,
        ours: Option<&Arc<StaticZone>>,
    ) -> Result<Option<Arc<StaticZone>>, PullFault> {
        if let Some((ours, soa)) = ours.and_then(|ours| Some((ours, ours.soa()?))) {
            match self.changed(ours, soa).await {
                Ok(Changed::Not) => return Ok(None),
                Ok(Changed::To(zone)) => return Ok(Some(zone)),
                Ok(Changed::Otherwise) => {}
                // A primary that cannot be asked for changes will not be asked for all of it either.
                Err(fault @ (PullFault::Ask(_) | PullFault::Older { .. })) => return Err(fault),
                Err(fault) => tracing::debug!(
                    "zone {}: {} gives no changes ({fault}); it is asked for the whole zone",
                    self.apex,
                    self.server
                ),
            }
        }
        match self
            .transfer(Query::axfr(Name::from(&self.apex)), None)
            .await?
        {
            Transfer::Whole(records) => {
                let (apex, source) = (self.apex.clone(), self.source());
                let zone =
                    off_thread(move || StaticZone::received(&apex, &source, records)).await?;
                self.check_newer(ours, zone.serial())?;
                self.note("the whole zone", &zone);
                // The same serial, and all of it had to be sent: a change that ours could not take was in between.
                Ok(Some(Arc::new(zone)))
            }
            Transfer::Soa(_) | Transfer::Changes(..) => Err(TransferFault::Early.into()),
        }
    }

    async fn changed(
        &self,
        ours: &Arc<StaticZone>,
        soa: OwnedRecord,
    ) -> Result<Changed, PullFault> {
        let since = ours.serial();
        let record = Record {
            owner: soa.owner,
            rtype: soa.rtype,
            class: 1,
            ttl: soa.ttl,
            rdata: soa.rdata,
        };
        match self.transfer(Query::ixfr(record), Some(since)).await? {
            Transfer::Soa(serial) if serial == since => Ok(Changed::Not),
            Transfer::Soa(theirs) => {
                self.check_newer(Some(ours), theirs)?;
                Ok(Changed::Otherwise)
            }
            Transfer::Whole(records) => {
                let (apex, source) = (self.apex.clone(), self.source());
                let zone =
                    off_thread(move || StaticZone::received(&apex, &source, records)).await?;
                self.check_newer(Some(ours), zone.serial())?;
                Ok(match zone.serial() == since {
                    true => Changed::Not,
                    false => {
                        self.note("the whole zone in place of changes", &zone);
                        Changed::To(Arc::new(zone))
                    }
                })
            }
            Transfer::Changes(edits, to) => {
                let (ours, source) = (ours.clone(), self.source());
                let zone = off_thread(move || ours.edited(&source, edits, to)).await?;
                self.note(&format!("changes since serial {since}"), &zone);
                Ok(Changed::To(Arc::new(zone)))
            }
        }
    }

    fn note(&self, what: &str, zone: &StaticZone) {
        tracing::info!(
            "zone {}: {what} received from {}, serial {}",
            self.apex,
            self.server,
            zone.serial()
        );
    }

    fn check_newer(&self, ours: Option<&Arc<StaticZone>>, theirs: Serial) -> Result<(), PullFault> {
        match ours.map(|ours| ours.serial()) {
            Some(ours) if theirs != ours && !theirs.is_after(ours) => {
                Err(PullFault::Older { theirs, ours })
            }
            _ => Ok(()),
        }
    }

    /// One conversation: a request, and the messages that answer it.
    async fn transfer(&self, query: Query, since: Option<Serial>) -> Result<Transfer, PullFault> {
        let id: u16 = rand::random();
        let mut request = query.write(id);
        let mut verifier = self
            .key
            .as_ref()
            .map(|key| tsig::sign(&mut request, key, (self.read_wall)()));
        let how = How {
            transport: Transport::Tcp,
            timeout: PATIENCE,
            tries: 1,
            source: None,
        };
        let mut stream = Stream::open(self.server, &request, &how).await?;
        let mut reader = Reader::new(query.name.clone(), since, Bounds::default());
        let mut first = true;
        while !reader.is_over() {
            let octets = stream.next().await?;
            if let Some(verifier) = &mut verifier {
                verifier.verify(&octets, (self.read_wall)())?;
            }
            let reply = Reply::read(&octets)?;
            // RFC 5936 §2.2.1: the question is there in the first message, and may be in those after it.
            let asked = match &reply.question {
                Some(question) => question.name == query.name && question.rtype == query.rtype,
                None => !first || reply.rcode != ResponseCode::NoError,
            };
            if reply.id != id || !asked {
                return Err(PullFault::Foreign);
            }
            if reply.rcode != ResponseCode::NoError {
                return Err(PullFault::Code(reply.rcode));
            }
            if reply.answers.is_empty() {
                return Err(TransferFault::Early.into());
            }
            first = false;
            for record in reply.answers {
                if record.class != 1 {
                    return Err(PullFault::Foreign);
                }
                reader.take(owned(record))?;
            }
        }
        // RFC 8945 §5.3.1: the last message is signed.
        if verifier.is_some_and(|verifier| !verifier.is_settled()) {
            return Err(VerifyFault::Unsigned.into());
        }
        Ok(reader.finish()?)
    }

    /// What messages call the zone that this primary sent.
    fn source(&self) -> String {
        format!("the zone from {}", self.server)
    }
}

/// What became of asking for changes.
enum Changed {
    Not,
    To(Arc<StaticZone>),
    /// There is something newer, and it must be asked for in another way.
    Otherwise,
}

fn owned(record: Record) -> OwnedRecord {
    debug_assert!(record.rtype != RecordType::OPT);
    OwnedRecord {
        owner: record.owner,
        rtype: record.rtype,
        ttl: record.ttl,
        rdata: record.rdata,
    }
}

/// A large zone takes a processor for a while: not one that others wait for.
async fn off_thread(
    work: impl FnOnce() -> Result<StaticZone, ReceivedFault> + Send + 'static,
) -> Result<StaticZone, PullFault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(PullFault::GivenUp),
    }
}
