//! Pulling a zone from one primary: its changes where that works, else all of it.
//!
//! In: the version we have, a primary, the TSIG key. Out: a newer version, or that there is none; or why neither.
//! Everything is over TCP and bounded in time, records and octets. Never here: when, and what is done about a failure.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::share::{HeldMemory, TransferMemory};
use super::transfer::{Bounds, Reader, Transfer, TransferFault};
use crate::ask::{AskError, How, Malformed, Query, Record, Reply, Stream, Transport};
use crate::clock::Wall;
use crate::topology::DomainName;
use crate::tsig::{self, Key, VerifyFault};
use crate::zone::{Cancellation, Name, OwnedRecord, ReceivedFault, Serial, StaticZone};

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
    /// It answers with an error and without the signature that was agreed on.
    #[error("it answers {0}, unsigned: it may not know the TSIG key, or not allow this transfer")]
    UnsignedCode(ResponseCode),
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
    #[error("the transfer did not end within {0:?}")]
    Long(Duration),
    /// It sends as many other zones as one primary may.
    #[error("it sends other zones, as many at one time as one primary may")]
    Busy,
    /// Other transfers hold all the memory there is for them.
    #[error("other transfers hold all memory that there is for them")]
    Memory,
    /// The process is ending.
    #[error("the transfer was given up")]
    GivenUp,
}

impl PullFault {
    /// Whether it lies in what was sent, not in the way there.
    pub fn is_content(&self) -> bool {
        !matches!(
            self,
            PullFault::Ask(_)
                | PullFault::Code(_)
                | PullFault::UnsignedCode(_)
                | PullFault::Long(_)
                | PullFault::Busy
                | PullFault::Memory
                | PullFault::Zone(ReceivedFault::Cancelled)
                | PullFault::GivenUp
        )
    }
}

/// How long a primary is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For each message.
    pub message: Duration,
    /// For a transfer in all, changes that lead to nothing and the whole zone after them included.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            message: Duration::from_secs(10),
            whole: Duration::from_secs(10 * 60),
        }
    }
}

/// What one primary is asked with.
#[derive(Clone)]
pub struct Asking {
    /// The zone.
    pub apex: DomainName,
    /// Who is asked.
    pub server: SocketAddr,
    /// How long it is waited for.
    pub patience: Patience,
    /// What both sides sign with.
    pub key: Option<Arc<Key>>,
    /// The address it is asked from; the system chooses when absent.
    pub source: Option<IpAddr>,
    /// The memory that all transfers share.
    pub memory: TransferMemory,
    /// The wall clock.
    pub read_wall: Arc<dyn Fn() -> Wall + Send + Sync>,
}

/// What was transferred, with its part of the memory.
struct Held {
    transfer: Transfer,
    _memory: HeldMemory,
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
        let longest = self.patience.whole;
        tokio::time::timeout(longest, self.newest(ours))
            .await
            .unwrap_or(Err(PullFault::Long(longest)))
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
                // A primary that cannot be asked for changes will not be asked for all of it either. One that has
                // taken the question and hangs up may not know what changes are.
                Err(fault @ PullFault::Older { .. }) => return Err(fault),
                Err(PullFault::Ask(fault)) if !hung_up(&fault) => return Err(fault.into()),
                Err(fault) => tracing::debug!(
                    "zone {}: {} gives no changes ({fault}); it is asked for the whole zone",
                    self.apex,
                    self.server
                ),
            }
        }
        let whole = Query::axfr(Name::from(&self.apex));
        let Held { transfer, _memory } = self.transfer(whole, None).await?;
        match transfer {
            Transfer::Whole(records) => {
                let zone = self.received(records).await?;
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
        let changes = Query::ixfr(record);
        let Held { transfer, _memory } = self.transfer(changes, Some(since)).await?;
        match transfer {
            Transfer::Soa(serial) if serial == since => Ok(Changed::Not),
            Transfer::Soa(theirs) => {
                self.check_newer(Some(ours), theirs)?;
                Ok(Changed::Otherwise)
            }
            Transfer::Whole(records) => {
                let zone = self.received(records).await?;
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
                self.check_newer(Some(ours), to)?;
                let (ours, source) = (ours.clone(), self.source());
                let zone = off_thread(move |stop| ours.edited(&source, edits, to, stop)).await?;
                self.note(&format!("changes since serial {since}"), &zone);
                Ok(Changed::To(Arc::new(zone)))
            }
        }
    }

    /// The zone that records make.
    async fn received(&self, records: Vec<OwnedRecord>) -> Result<StaticZone, PullFault> {
        let (apex, source) = (self.apex.clone(), self.source());
        off_thread(move |stop| StaticZone::received(&apex, &source, records, stop)).await
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
    async fn transfer(&self, query: Query, since: Option<Serial>) -> Result<Held, PullFault> {
        let id: u16 = rand::random();
        let mut request = query.write(id);
        let mut verifier = self
            .key
            .as_ref()
            .map(|key| tsig::sign(&mut request, key, (self.read_wall)()));
        let how = How {
            transport: Transport::Tcp,
            timeout: self.patience.message,
            tries: 1,
            source: self.source,
        };
        let mut stream = Stream::open(self.server, &request, &how).await?;
        let mut reader = Reader::new(query.name.clone(), since, Bounds::default());
        let mut memory = None;
        let mut first = true;
        while !reader.is_over() {
            let octets = stream.next().await?;
            if let Some(verifier) = &mut verifier {
                verifier
                    .verify(&octets, (self.read_wall)())
                    .map_err(|fault| match fault {
                        VerifyFault::Unsigned => refused_unsigned(id, &octets),
                        fault => fault.into(),
                    })?;
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
            if !self.memory.grow(&mut memory, reader.octets()) {
                return Err(PullFault::Memory);
            }
        }
        // RFC 8945 §5.3.1: the last message is signed.
        if verifier.is_some_and(|verifier| !verifier.is_settled()) {
            return Err(VerifyFault::Unsigned.into());
        }
        Ok(Held {
            transfer: reader.finish()?,
            _memory: memory,
        })
    }

    /// What messages call the zone that this primary sent.
    fn source(&self) -> String {
        format!("the zone from {}", self.server)
    }
}

/// The error of a response that should have been signed: many servers refuse unsigned. Nobody vouches for it, so it only
/// explains why nothing came.
fn refused_unsigned(id: u16, octets: &[u8]) -> PullFault {
    match Reply::read(octets) {
        Ok(reply) if reply.id == id && reply.rcode != ResponseCode::NoError => {
            PullFault::UnsignedCode(reply.rcode)
        }
        _ => VerifyFault::Unsigned.into(),
    }
}

/// What became of asking for changes.
enum Changed {
    Not,
    To(Arc<StaticZone>),
    /// There is something newer, and it must be asked for in another way.
    Otherwise,
}

/// Whether a connection that stood was closed by the other side.
fn hung_up(fault: &AskError) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(
        fault,
        AskError::Unreachable {
            kind: BrokenPipe | ConnectionReset | UnexpectedEof,
            ..
        }
    )
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

/// A large zone takes a processor for a while: not one that others wait for. The work ends soon when
/// nobody waits for it any more.
async fn off_thread(
    work: impl FnOnce(&Cancellation) -> Result<StaticZone, ReceivedFault> + Send + 'static,
) -> Result<StaticZone, PullFault> {
    struct CancelOnDrop(Cancellation);
    impl Drop for CancelOnDrop {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    let waiting = CancelOnDrop(Cancellation::default());
    let cancellation = waiting.0.clone();
    match tokio::task::spawn_blocking(move || work(&cancellation)).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(PullFault::GivenUp),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::zone::Rdata;

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes(), None).unwrap()
    }

    fn record(owner: &str, rtype: RecordType, wire: &[u8]) -> Record {
        Record {
            owner: name(owner),
            rtype,
            class: 1,
            ttl: 300,
            rdata: Rdata::new(rtype, wire).unwrap(),
        }
    }

    fn soa(serial: u32) -> Record {
        let mut wire = [name("ns.").wire(), name("admin.").wire()].concat();
        for number in [serial, 60, 30, 600, 30] {
            wire.extend(number.to_be_bytes());
        }
        record("contoso.com.", RecordType::SOA, &wire)
    }

    fn ns() -> Record {
        record("contoso.com.", RecordType::NS, name("ns.").wire())
    }

    /// A primary that answers each connection with the next of these, or hangs up; and what it was asked for.
    async fn primary(
        script: Vec<Option<Vec<Record>>>,
    ) -> (SocketAddr, tokio::task::JoinHandle<Vec<u16>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answers in script {
                let (mut io, _) = listener.accept().await.unwrap();
                let mut request = vec![0; usize::from(io.read_u16().await.unwrap())];
                io.read_exact(&mut request).await.unwrap();
                let question_ends = 12 + name("contoso.com.").wire().len() + 4;
                let qtype = &request[question_ends - 4..question_ends - 2];
                asked.push(u16::from_be_bytes([qtype[0], qtype[1]]));
                let Some(answers) = answers else {
                    continue;
                };
                let mut reply = request[..question_ends].to_vec();
                reply[2] = 0x84;
                let count = u16::try_from(answers.len()).unwrap().to_be_bytes();
                reply[6..12].copy_from_slice(&[count[0], count[1], 0, 0, 0, 0]);
                for record in &answers {
                    record.write(&mut reply);
                }
                let length = u16::try_from(reply.len()).unwrap();
                io.write_u16(length).await.unwrap();
                io.write_all(&reply).await.unwrap();
                io.flush().await.unwrap();
            }
            asked
        });
        (address, task)
    }

    fn asking(server: SocketAddr) -> Asking {
        Asking {
            apex: "contoso.com".parse().unwrap(),
            server,
            patience: Patience::default(),
            key: None,
            source: None,
            memory: TransferMemory::default(),
            read_wall: Arc::new(|| Wall::from_millis(1_795_000_000_000)),
        }
    }

    #[tokio::test]
    async fn a_refusal_without_the_agreed_signature_is_told_by_its_code() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let refusing = tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.unwrap();
            let mut request = vec![0; usize::from(io.read_u16().await.unwrap())];
            io.read_exact(&mut request).await.unwrap();
            let question_ends = 12 + name("contoso.com.").wire().len() + 4;
            let mut reply = request[..question_ends].to_vec();
            (reply[2], reply[3]) = (0x80, 5);
            reply[6..12].fill(0);
            let length = u16::try_from(reply.len()).unwrap();
            io.write_u16(length).await.unwrap();
            io.write_all(&reply).await.unwrap();
        });
        let key = Key::new(
            name("owner.example."),
            tsig::Algorithm::HmacSha256,
            &[7; 32],
        )
        .unwrap();
        let asking = Asking {
            key: Some(Arc::new(key)),
            ..asking(server)
        };
        let fault = asking.pull(None).await.unwrap_err();
        assert!(
            matches!(fault, PullFault::UnsignedCode(ResponseCode::Refused)),
            "{fault}"
        );
        assert!(!fault.is_content());
        refusing.await.unwrap();
    }

    const AXFR: u16 = 252;
    const IXFR: u16 = 251;

    #[tokio::test]
    async fn a_primary_that_hangs_up_on_ixfr_is_asked_for_the_whole_zone() {
        let all = |serial| Some(vec![soa(serial), ns(), soa(serial)]);
        let (server, asked) = primary(vec![all(5), None, all(6)]).await;
        let asking = asking(server);
        let five = asking.pull(None).await.unwrap().unwrap();
        let six = asking.pull(Some(&five)).await.unwrap().unwrap();
        assert_eq!((five.serial(), six.serial()), (Serial(5), Serial(6)));
        assert_eq!(asked.await.unwrap(), [AXFR, IXFR, AXFR]);
    }

    #[tokio::test]
    async fn changes_that_lead_back_are_refused() {
        let all = Some(vec![soa(21), ns(), soa(21)]);
        let back = Some(vec![soa(5), soa(21), soa(5), soa(5)]);
        let (server, asked) = primary(vec![all, back]).await;
        let asking = asking(server);
        let ours = asking.pull(None).await.unwrap().unwrap();
        let fault = asking.pull(Some(&ours)).await.unwrap_err();
        assert!(
            matches!(
                fault,
                PullFault::Older {
                    theirs: Serial(5),
                    ours: Serial(21)
                }
            ),
            "{fault}"
        );
        assert_eq!(asked.await.unwrap(), [AXFR, IXFR]);
    }

    #[tokio::test]
    async fn a_ttl_of_more_than_31_bits_is_zero() {
        let mut soa = soa(5);
        soa.ttl = 0x8000_0000;
        let (server, _) = primary(vec![Some(vec![soa.clone(), ns(), soa])]).await;
        let zone = asking(server).pull(None).await.unwrap().unwrap();
        assert_eq!(zone.soa().unwrap().ttl, 0);
    }

    #[tokio::test]
    async fn a_primary_that_sends_drop_by_drop_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let asking = Asking {
            patience: Patience {
                message: Duration::from_secs(60),
                whole: Duration::from_millis(300),
            },
            ..asking(listener.local_addr().unwrap())
        };
        // It always has one more record, and never an end.
        let endless = tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.unwrap();
            let mut request = vec![0; usize::from(io.read_u16().await.unwrap())];
            io.read_exact(&mut request).await.unwrap();
            let question_ends = 12 + name("contoso.com.").wire().len() + 4;
            let mut reply = request[..question_ends].to_vec();
            reply[2] = 0x84;
            reply[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
            let mut record = soa(5);
            loop {
                let mut message = reply.clone();
                record.write(&mut message);
                let length = u16::try_from(message.len()).unwrap();
                if io.write_u16(length).await.is_err() || io.write_all(&message).await.is_err() {
                    return;
                }
                record = ns();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let fault = asking.pull(None).await.unwrap_err();
        assert!(matches!(fault, PullFault::Long(_)), "{fault}");
        assert!(!fault.is_content());
        endless.abort();
    }
}
