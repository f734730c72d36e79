//! The ladder of SIP federation over TLS (`sipfederationtls`, port 5061).
//!
//! In: an attempt at a check. Out: how far it came: TCP, then TLS with the server's certificate. Edge servers
//! authenticate each other, so without a certificate of ours nothing deeper can be seen. Never here: a SIP
//! message; what an Edge answers to strangers is not documented, and failed requests throttle the prober.

use super::attempt::{Attempt, Stop};
use super::tls::{self, Secured, TlsClient};
use crate::topology::Depth;

/// Climbs from TCP to TLS.
pub(super) async fn probe(attempt: &mut Attempt<'_>, client: &TlsClient) -> Result<(), Stop> {
    let wire = attempt.connect().await?;
    if !attempt.goes_past(Depth::Tcp) {
        return Ok(());
    }
    let Secured::Open(secured) = tls::secure(attempt, client, wire).await? else {
        return Ok(());
    };
    tls::end_at_handshake(attempt, secured).await
}
