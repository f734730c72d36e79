//! Counting what is asked and said.
//!
//! In: one call per message, from any thread. Out: [`Counts`], a reading of all counters for `status`.
//! Never here: names or addresses; nothing grows.

use std::sync::atomic::{AtomicU64, Ordering};

use hickory_proto::op::ResponseCode;
use serde::{Deserialize, Serialize};

use super::peer::{Outcome, Transport};
use super::refused::Asked;
use super::transfer::Kind;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters of a server. They only grow, from its start.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)*
        }

        /// One reading of the counters.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// All counters by name, in the order of their meaning.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }

        impl Counters {
            /// Reads all counters.
            pub fn read(&self) -> Counts {
                Counts {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                }
            }

            $(pub(super) fn $name(&self) {
                self.$name.fetch_add(1, Ordering::Relaxed);
            })*
        }
    };
}

counters! {
    /// Messages received in datagrams.
    udp_queries,
    /// Messages received over TCP.
    tcp_queries,
    /// Messages received over TLS.
    tls_queries,
    /// Messages received over HTTPS.
    https_queries,
    /// Messages received over QUIC.
    quic_queries,
    /// Answers with data, referrals, and names without the type asked for.
    noerror,
    /// Names that are not there.
    nxdomain,
    /// Questions about names of others, other classes, transfers.
    refused,
    /// Malformed requests.
    formerr,
    /// Operations and types not implemented.
    notimp,
    /// Any other response code.
    other,
    /// Whole zones sent (AXFR, or IXFR answered with all of it).
    axfr,
    /// Changes of zones sent (IXFR).
    ixfr,
    /// Transfers that the client did not take to the end.
    transfers_broken,
    /// Transfers refused: to others than the zone's secondaries, and when there were too many.
    transfers_refused,
    /// Updates refused: of keys that may not, and of anything else than challenges.
    updates_refused,
    /// NOTIFYs refused: of others than the zone's primary.
    notifies_refused,
    /// Requests refused for their signature (BADSIG, BADKEY, BADTIME, BADTRUNC).
    signatures_refused,
    /// Responses that were truncated.
    truncated,
    /// Answers over UDP held back by the rate limit.
    rate_limited,
    /// Of those, the ones for which something short was sent: truncated, or with a cookie.
    rate_slipped,
    /// Messages that were no requests and got no response.
    silent,
    /// Responses the system would not send.
    unsent,
    /// TCP connections accepted, those of TLS and HTTPS among them.
    tcp_connections,
    /// Connections closed at once, those of QUIC among them, as their address had its share already.
    tcp_over_share,
    /// Connections closed, and requests over QUIC given up, because the client was too slow.
    tcp_too_slow,
    /// Long requests and answers given up because all connections together held too many octets.
    over_budget,
    /// QUIC connections whose handshake ended well.
    quic_connections,
    /// Handshakes of TLS and QUIC that failed.
    handshake_failures,
    /// HTTP requests that carried no DNS message, and got an HTTP error.
    http_refusals,
    /// Times a listener could not accept and waited (file descriptors ran out).
    accept_failures,
    /// Workers that had to be started again.
    restarts,
}

impl Counters {
    /// Counts a request that is answered by a transfer.
    pub(super) fn transfer(&self, transport: Transport, kind: Kind) {
        self.count(transport, &Outcome::of(ResponseCode::NoError));
        match kind {
            Kind::Axfr => self.axfr(),
            Kind::Ixfr => self.ixfr(),
            Kind::Soa => {}
        }
    }

    /// Counts a message and what was said to it.
    pub(super) fn count(&self, transport: Transport, outcome: &Outcome) {
        match transport {
            Transport::Udp => self.udp_queries(),
            Transport::Tcp => self.tcp_queries(),
            Transport::Tls => self.tls_queries(),
            Transport::Https => self.https_queries(),
            Transport::Quic => self.quic_queries(),
        }
        match outcome {
            Outcome::Silent => self.silent(),
            Outcome::Limited { slipped } => {
                self.rate_limited();
                if *slipped {
                    self.rate_slipped();
                }
            }
            Outcome::Response {
                rcode,
                truncated,
                refused,
            } => {
                match refused.as_ref().map(|refused| refused.asked) {
                    Some(Asked::Transfer) => self.transfers_refused(),
                    Some(Asked::Update) => self.updates_refused(),
                    Some(Asked::Notify) => self.notifies_refused(),
                    Some(Asked::Signed) => self.signatures_refused(),
                    None => {}
                }
                match rcode {
                    ResponseCode::NoError => self.noerror(),
                    ResponseCode::NXDomain => self.nxdomain(),
                    ResponseCode::Refused => self.refused(),
                    ResponseCode::FormErr => self.formerr(),
                    ResponseCode::NotImp => self.notimp(),
                    _ => self.other(),
                }
                if *truncated {
                    self.truncated();
                }
            }
        }
    }
}
