//! NOTIFY: a primary says that a zone has changed (RFC 1996).
//!
//! In: a NOTIFY, who sent it and signed it. Out: what is answered; whoever follows the zone hears of it. What a NOTIFY
//! says of the zone is not believed: it only hurries a question that would be asked sooner or later. Never here: asking.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;

use super::answer::Answer;
use super::options::ExtendedError;
use super::peer::Peer;
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

    /// Answers a NOTIFY, and passes it on when it comes from where it must.
    pub(super) fn notified(
        &self,
        apex: &Name,
        peer: Peer,
        signed_by: Option<&Name>,
    ) -> (Answer, Option<ExtendedError>) {
        let refused = |rcode, why| (Answer::empty(rcode), Some(why));
        if self.zones.is_empty() {
            return refused(ResponseCode::NotImp, ExtendedError::NotSupported);
        }
        let Some(notifier) = self.zones.get(apex) else {
            return refused(ResponseCode::NotAuth, ExtendedError::NotAuthoritative);
        };
        let address = peer.address.ip().to_canonical();
        let is_primary = notifier.addresses.contains(&address);
        if !is_primary || (notifier.key.is_some() && signed_by != notifier.key.as_ref()) {
            return refused(ResponseCode::Refused, ExtendedError::Prohibited);
        }
        if let Some(hear) = &self.hear {
            hear(apex);
        }
        let mut answer = Answer::empty(ResponseCode::NoError);
        answer.authoritative = true;
        (answer, None)
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
            let (answer, _) = primaries.notified(&name(apex.as_bytes()), peer(address), key);
            assert_eq!(answer.rcode, rcode, "{apex} {address} {key:?}");
            let passed_on = heard.load(Ordering::Relaxed) - before;
            assert_eq!(passed_on == 1, rcode == ResponseCode::NoError);
        }
        let none = Primaries::default().notified(&key, peer("192.0.2.1:5"), None);
        assert_eq!(none.0.rcode, ResponseCode::NotImp);
    }
}
