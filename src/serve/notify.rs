//! NOTIFY: a primary says that a zone has changed (RFC 1996).
//!
//! In: a NOTIFY, who sent it and signed it. Out: what is answered; whoever follows the zone hears of it. What a NOTIFY
//! says of the zone is not believed: it only hurries a question that would be asked sooner or later. Never here: asking.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::answer::Answer;
use super::options::ExtendedError;
use super::peer::Peer;
use super::refused::Why;
use crate::topology::Topology;
use crate::zone::Name;

/// Is told the zone that has changed. Must not wait.
type Hear = Arc<dyn Fn(&Name) + Send + Sync>;

/// Who may say that a zone has changed, and who hears of it.
#[derive(Clone, Default)]
pub struct Primaries {
    zones: HashMap<Name, Notifier>,
    hear: Option<Hear>,
}

#[derive(Clone, Debug)]
struct Notifier {
    addresses: Vec<IpAddr>,
    key: Option<Name>,
}

impl Primaries {
    /// The primaries of a topology; `hear` is told of each zone that one of them says has changed.
    pub fn new(topology: &Topology, hear: Hear) -> Primaries {
        let zones = topology.inbound().map(|(apex, primary)| {
            let addresses = primary.addresses.iter();
            let notifier = Notifier {
                addresses: addresses.map(|a| a.ip().to_canonical()).collect(),
                key: primary.tsig.as_ref().map(Name::from),
            };
            (Name::from(apex), notifier)
        });
        Primaries {
            zones: zones.collect(),
            hear: Some(hear),
        }
    }

    /// Answers a NOTIFY of a zone, given by its apex and the type in the question, and passes it on when it comes from
    /// where it must.
    ///
    /// # Errors
    /// The code to answer with, what is said of it, and what the operator may want to know.
    pub(super) fn notified(
        &self,
        apex: &Name,
        rtype: RecordType,
        peer: Peer,
        signed_by: Option<&Name>,
    ) -> Result<Answer, (ResponseCode, Option<ExtendedError>, Option<Why>)> {
        if self.zones.is_empty() {
            let error = ExtendedError::NotSupported;
            return Err((ResponseCode::NotImp, Some(error), None));
        }
        // RFC 1996 says that a zone has changed by its SOA, and nothing else. Other types mean other things (RFC 9859), and
        // are told to parents. BIND and Knot DNS have the same code for them.
        if rtype != RecordType::SOA {
            return Err((ResponseCode::FormErr, None, None));
        }
        let Some(notifier) = self.zones.get(apex) else {
            let error = ExtendedError::NotAuthoritative;
            return Err((ResponseCode::NotAuth, Some(error), None));
        };
        let address = peer.address.ip().to_canonical();
        let why = match &notifier.key {
            _ if !notifier.addresses.contains(&address) => Some(Why::Address),
            Some(_) if signed_by.is_none() => Some(Why::Unsigned),
            Some(key) if signed_by != Some(key) => Some(Why::Key),
            _ => None,
        };
        if why.is_some() {
            return Err((ResponseCode::Refused, Some(ExtendedError::Prohibited), why));
        }
        if let Some(hear) = &self.hear {
            hear(apex);
        }
        let mut answer = Answer::empty(ResponseCode::NoError);
        answer.authoritative = true;
        Ok(answer)
    }
}

impl fmt::Debug for Primaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.zones.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::peer::Transport;
    use super::*;

    #[test]
    fn only_a_primary_with_the_zones_key_is_heard() {
        let name = |text: &[u8]| Name::from_text(text, None).unwrap();
        let heard = Arc::new(AtomicUsize::new(0));
        let count = heard.clone();
        let notifier = Notifier {
            addresses: vec!["192.0.2.1".parse().unwrap()],
            key: Some(name(b"owner.example.")),
        };
        let primaries = Primaries {
            zones: HashMap::from([(name(b"contoso.com."), notifier)]),
            hear: Some(Arc::new(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            })),
        };
        let peer = |address: &str| Peer {
            address: address.parse().unwrap(),
            transport: Transport::Udp,
            idle: None,
        };
        let (key, other) = (name(b"Owner.example."), name(b"other.example."));
        let asked = [
            (
                "contoso.com.",
                "192.0.2.1:5",
                Some(&key),
                ResponseCode::NoError,
            ),
            (
                "CONTOSO.com.",
                "[::ffff:192.0.2.1]:5",
                Some(&key),
                ResponseCode::NoError,
            ),
            ("contoso.com.", "192.0.2.1:5", None, ResponseCode::Refused),
            (
                "contoso.com.",
                "192.0.2.1:5",
                Some(&other),
                ResponseCode::Refused,
            ),
            (
                "contoso.com.",
                "192.0.2.2:5",
                Some(&key),
                ResponseCode::Refused,
            ),
            (
                "a.contoso.com.",
                "192.0.2.1:5",
                Some(&key),
                ResponseCode::NotAuth,
            ),
        ];
        for (apex, address, key, rcode) in asked {
            let before = heard.load(Ordering::Relaxed);
            let apex = name(apex.as_bytes());
            let said = primaries.notified(&apex, RecordType::SOA, peer(address), key);
            let code = said.map_or_else(|(rcode, ..)| rcode, |answer| answer.rcode);
            assert_eq!(code, rcode, "{apex} {address} {key:?}");
            let passed_on = heard.load(Ordering::Relaxed) - before;
            assert_eq!(passed_on == 1, rcode == ResponseCode::NoError);
        }
        let apex = name(b"contoso.com.");
        let before = heard.load(Ordering::Relaxed);
        for rtype in [
            RecordType::A,
            RecordType::ANY,
            RecordType::AXFR,
            RecordType::CDS,
        ] {
            let said = primaries.notified(&apex, rtype, peer("192.0.2.1:5"), Some(&key));
            assert_eq!(said.unwrap_err().0, ResponseCode::FormErr, "{rtype}");
        }
        assert_eq!(heard.load(Ordering::Relaxed), before);
        let none = Primaries::default();
        let said = none.notified(&key, RecordType::SOA, peer("192.0.2.1:5"), None);
        assert_eq!(said.unwrap_err().0, ResponseCode::NotImp);
    }
}
