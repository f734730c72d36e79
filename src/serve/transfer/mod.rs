//! Zone transfers to secondaries: AXFR (RFC 5936) and IXFR (RFC 1995).
//!
//! In: a request for a transfer, who sent it and signed it, the zones as published. Out: a [`Transfer`], which gives the
//! messages one by one as the client takes them; all of them from one version, whatever is published meanwhile.
//! Never here: sockets; waiting.

mod berths;
mod changes;
mod content;

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use berths::Berth;
pub use berths::{Berths, LastTransfer};
use content::Content;

use super::answer::{Answer, required};
use super::message::{Page, write_code};
use super::options::{Courtesies, ExtendedError};
use super::peer::{Outcome, Peer, Transport};
use super::question::{Envelope, Request, soa_of_ixfr};
use super::refused::Why;
use crate::clock::Wall;
use crate::config::Secondary;
use crate::tsig::Signer;
use crate::zone::{Name, Serial, ZoneVersion, Zones};

/// The largest message of a transfer: compression pointers reach all of it, and no client waits long for one.
const MESSAGE: usize = 16 << 10;

/// Why a transfer does not begin.
#[derive(Debug)]
pub(super) struct Unbegun {
    /// The code to answer with.
    pub(super) rcode: ResponseCode,
    /// What is said of it.
    pub(super) error: Option<ExtendedError>,
    /// What the operator may want to know; nothing of a request that is malformed.
    pub(super) why: Option<Why>,
}

impl From<Why> for Unbegun {
    fn from(why: Why) -> Unbegun {
        let (rcode, error) = match why {
            Why::NotReady => (ResponseCode::ServFail, Some(ExtendedError::NotReady)),
            // RFC 5936 §2.2.1.
            Why::NoZone => (ResponseCode::NotAuth, Some(ExtendedError::NotAuthoritative)),
            Why::Room => (ResponseCode::ServFail, None),
            _ => (ResponseCode::Refused, Some(ExtendedError::Prohibited)),
        };
        Unbegun {
            rcode,
            error,
            why: Some(why),
        }
    }
}

/// Who may transfer, and how many at once.
#[derive(Clone, Debug, Default)]
pub struct Transfers {
    /// The secondaries of the configuration.
    pub secondaries: Vec<Arc<Secondary>>,
    /// What is under way; stays when the configuration changes.
    pub berths: Berths,
}

/// What a transfer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The whole zone.
    Axfr,
    /// What changed since the client's serial.
    Ixfr,
    /// The SOA alone: the client is up to date, or asks over UDP.
    Soa,
}

impl Transfers {
    /// The secondary that a request comes from, or why it comes from none.
    fn secondary(
        &self,
        address: IpAddr,
        key: Option<&Name>,
        apex: &Name,
    ) -> Result<&Arc<Secondary>, Why> {
        let mut here = self.secondaries.iter();
        let mut its_own = here.clone().filter(|one| one.is(address, key)).peekable();
        if its_own.peek().is_some() {
            return its_own.find(|one| one.has(apex)).ok_or(Why::OtherZone);
        }
        Err(match here.any(|one| one.allow.contains(&address)) {
            false => Why::Address,
            true if key.is_none() => Why::Unsigned,
            true => Why::Key,
        })
    }

    /// Begins a transfer.
    ///
    /// # Errors
    /// Why not: REFUSED to whom is no secondary of the zone, NOTAUTH for a name that is no apex,
    /// SERVFAIL when too many transfers are under way or the zone has no version yet.
    pub(super) fn begin(
        &self,
        zones: &Zones,
        request: &Request,
        octets: &[u8],
        peer: Peer,
        signer: Option<&Signer>,
    ) -> Result<Begun, Unbegun> {
        let apex = &request.question.name;
        let key = signer.map(|signer| signer.key().name());
        let secondary = self.secondary(peer.address.ip(), key, apex)?;
        let since = match request.question.rtype {
            // RFC 1995 §3: the client's SOA is in the authority section.
            RecordType::IXFR => Some(soa_of_ixfr(octets).ok_or(Unbegun {
                rcode: ResponseCode::FormErr,
                error: None,
                why: None,
            })?),
            _ => None,
        };
        let version = zones
            .version_at(apex)
            .ok_or_else(|| match zones.is_waiting(apex) {
                true => Why::NotReady,
                false => Why::NoZone,
            })?;
        let content = match (peer.transport, since) {
            (Transport::Tcp | Transport::Tls, None) => Content::whole(version.clone()),
            (Transport::Tcp | Transport::Tls, Some(since)) => {
                Content::since(version, Serial(since))
            }
            // RFC 1995 §2: over UDP a client that is behind learns the serial, and comes back over TCP.
            (Transport::Udp, Some(_)) => Content::soa(version),
            // RFC 5936 §4.2 has no AXFR over UDP; HTTPS and QUIC are not for transfers here.
            _ => return Err(Why::Transport.into()),
        };
        let berth = match content.kind() {
            Kind::Soa => None,
            _ => Some(self.berths.take(secondary).ok_or(Why::Room)?),
        };
        Ok(Begun {
            content,
            berth,
            version: version.clone(),
        })
    }
}

/// A transfer that may begin.
pub(super) struct Begun {
    content: Content,
    berth: Option<Berth>,
    version: Arc<ZoneVersion>,
}

impl Begun {
    /// The SOA alone, which is one message and may be answered like any other.
    pub(super) fn soa(&self) -> Answer {
        let soa = required(self.version.apex(), self.version.soa());
        Answer {
            authoritative: true,
            answers: vec![soa],
            ..Answer::empty(ResponseCode::NoError)
        }
    }
}

/// A transfer under way.
#[derive(Debug)]
pub struct Transfer {
    envelope: Envelope,
    courtesies: Courtesies,
    signer: Option<Signer>,
    content: Content,
    berth: Option<Berth>,
    version: Arc<ZoneVersion>,
    messages: usize,
    octets: u64,
    failed: bool,
}

impl Transfer {
    /// Each message says as much besides its records as any other response to this client (RFC 7873 §5.3: without its
    /// cookie a client believes nothing).
    pub(super) fn new(
        begun: Begun,
        envelope: Envelope,
        courtesies: Courtesies,
        signer: Option<Signer>,
    ) -> Transfer {
        Transfer {
            envelope,
            courtesies,
            signer,
            content: begun.content,
            berth: begun.berth,
            version: begun.version,
            messages: 0,
            octets: 0,
            failed: false,
        }
    }

    /// Writes the next message into `out`, replacing what is there; false, and nothing, after the last one.
    pub fn next(&mut self, now: Wall, out: &mut Vec<u8>) -> bool {
        if self.content.is_over() || self.failed {
            return false;
        }
        if !self.page(MESSAGE, out) && !self.page(usize::from(u16::MAX), out) {
            // A record that no message has room for, beside a signature: a transfer without it would be a lie.
            tracing::error!(zone = %self.version.apex(), "a record is too long to be transferred");
            let rcode = ResponseCode::ServFail;
            write_code(&self.envelope, rcode, false, &self.courtesies, out);
            self.failed = true;
        }
        if let Some(signer) = &mut self.signer {
            signer.sign(out, now);
        }
        self.messages += 1;
        self.octets += u64::try_from(out.len()).unwrap_or(0);
        true
    }

    /// Writes as many records as fit; false when not even one does.
    fn page(&mut self, limit: usize, out: &mut Vec<u8>) -> bool {
        let limit = limit - self.courtesies.signature;
        // RFC 5936 §2.2.2: the question need be in the first message only.
        let first = self.messages == 0;
        let mut page = Page::begin(&self.envelope, &self.courtesies, first, limit, out);
        while let Some(record) = self.content.peek() {
            if !page.add(record) {
                break;
            }
            self.content.step();
        }
        page.finish() > 0
    }

    /// Notes how it ended: `whole` when the last message was taken by the system.
    pub fn end(mut self, whole: bool, now: Wall) {
        if let Some(berth) = self.berth.take() {
            let last = LastTransfer {
                kind: self.content.kind(),
                serial: self.version.serial().0,
                octets: self.octets,
                messages: self.messages,
                at: now,
                whole: whole && !self.failed,
            };
            berth.leave(self.version.apex(), last);
        }
    }

    /// Says that it is refused after all: nobody there can take more than one message.
    pub(super) fn refuse(mut self, now: Wall, out: &mut Vec<u8>) -> Outcome {
        let rcode = ResponseCode::Refused;
        write_code(&self.envelope, rcode, false, &self.courtesies, out);
        if let Some(signer) = &mut self.signer {
            signer.sign(out, now);
        }
        Outcome::of(rcode)
    }

    /// What it sends.
    pub fn kind(&self) -> Kind {
        self.content.kind()
    }
}
