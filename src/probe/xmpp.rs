//! The ladders of XMPP between servers: STARTTLS on `xmpp-server` (RFC 6120), direct TLS on `xmpps-server`
//! (XEP-0368).
//!
//! In: an attempt at a check. Out: how far it came. Every depth ends politely: half-open streams hold a
//! slot on the server for up to 90 s. Never here: the verdict.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::attempt::{Attempt, Stop};
use super::domainpart;
use super::observation::{Phase, Reason, StreamCondition};
use super::stream::{Features, Header, Incoming, Stream};
use super::tls::{self, Secured, TlsClient};
use super::wire::Wire;
use crate::topology::{Depth, ServiceKind};

/// How long a stream error is waited for that would explain a header of another domain.
const EXPLANATION_WAIT: Duration = Duration::from_millis(500);

/// Climbs the ladder of the service. A server that does not know the domain in one form is asked for it in the other,
/// on a second connection once the first is closed: many hosts are configured as the DNS has them.
pub(super) async fn probe(attempt: &mut Attempt<'_>, client: &TlsClient) -> Result<(), Stop> {
    let first = climb(attempt, client).await;
    let unknown = |stop: &Stop| is_unknown_host(&stop.reason);
    if !first.as_ref().is_err_and(unknown) || !domainpart::has_two_forms(&attempt.check.domain) {
        return first;
    }
    let (before, form) = (attempt.domainpart(), attempt.form.other());
    attempt.begin_again(form);
    let second = climb(attempt, client).await;
    let after = attempt.domainpart();
    attempt.note(&match &second {
        Err(stop) if unknown(stop) => {
            format!("the server knows the domain neither as {before} nor as {after}")
        }
        _ => format!("the server does not know the domain as {before}; it was asked for {after}"),
    });
    second
}

/// The probe was answered that there is no such domain, which the other form of its name may change.
pub(super) fn is_unknown_host(reason: &Reason) -> bool {
    match reason {
        Reason::WrongDomain { .. } => true,
        Reason::StreamError { condition } => matches!(
            condition,
            StreamCondition::HostUnknown
                | StreamCondition::HostGone
                | StreamCondition::ImproperAddressing
        ),
        _ => false,
    }
}

async fn climb(attempt: &mut Attempt<'_>, client: &TlsClient) -> Result<(), Stop> {
    match attempt.check.service {
        ServiceKind::XmppsServer => probe_direct(attempt, client).await,
        ServiceKind::XmppServer | ServiceKind::SipFederationTls => {
            probe_starttls(attempt, client).await
        }
    }
}

/// Climbs from TCP over STARTTLS to the features inside TLS.
async fn probe_starttls(attempt: &mut Attempt<'_>, client: &TlsClient) -> Result<(), Stop> {
    let wire = attempt.connect().await?;
    if !attempt.goes_past(Depth::Tcp) {
        return Ok(());
    }
    let mut stream = Stream::new(wire);
    match to_proceed(attempt, &mut stream).await {
        Ok(Rung::Proceed) => {}
        Ok(Rung::Content) => {
            close_stream(attempt, &mut stream).await;
            return Ok(());
        }
        Err(stop) => {
            if worth_goodbye(&stop.reason) {
                close_stream(attempt, &mut stream).await;
            }
            return Err(stop);
        }
    }
    if !attempt.goes_past(Depth::Starttls) {
        // The server expects a handshake now, not the end of a stream that it holds for replaced.
        let mut wire = stream.abandon();
        attempt.close(close_wire(&mut wire)).await;
        return Ok(());
    }
    let wire = stream.into_io().map_err(|reason| Stop {
        phase: Phase::Tls,
        reason,
    })?;
    inside_tls(attempt, client, wire).await
}

/// Climbs from TCP over direct TLS to the features inside it.
async fn probe_direct(attempt: &mut Attempt<'_>, client: &TlsClient) -> Result<(), Stop> {
    let wire = attempt.connect().await?;
    if !attempt.goes_past(Depth::Tcp) {
        return Ok(());
    }
    inside_tls(attempt, client, wire).await
}

/// Where the part in clear ended.
enum Rung {
    /// `<proceed/>` has come.
    Proceed,
    /// The probe was to go no further.
    Content,
}

async fn to_proceed(attempt: &mut Attempt<'_>, stream: &mut Stream<Wire>) -> Result<Rung, Stop> {
    let header = header(attempt, stream, Phase::StreamHeader).await?;
    let features = if header.has_features {
        features(attempt, stream, Phase::StreamFeatures).await?
    } else {
        attempt.note("the server is older than XMPP 1.0: it offers dialback only");
        Features::default()
    };
    attempt.reached = Some(Depth::Stream);
    if !attempt.goes_past(Depth::Stream) {
        return Ok(Rung::Content);
    }
    let asking = async {
        if !features.starttls {
            return Err(Reason::StarttlsNotOffered);
        }
        stream.ask_for_tls().await?;
        stream.incoming().await
    };
    let answer = attempt.step(Phase::Starttls, asking).await?;
    let reason = match answer {
        Incoming::Proceed => {
            attempt.reached = Some(Depth::Starttls);
            return Ok(Rung::Proceed);
        }
        Incoming::TlsFailure => Reason::StarttlsRefused,
        Incoming::Error { condition, note } => {
            note_all(attempt, note);
            Reason::StreamError { condition }
        }
        Incoming::Features(_) | Incoming::Other => Reason::NotXmpp,
    };
    Err(Stop {
        phase: Phase::Starttls,
        reason,
    })
}

async fn inside_tls(attempt: &mut Attempt<'_>, client: &TlsClient, wire: Wire) -> Result<(), Stop> {
    let Secured::Open(secured) = tls::secure(attempt, client, wire).await? else {
        return Ok(());
    };
    if !attempt.goes_past(Depth::Tls) {
        return tls::end_at_handshake(attempt, secured).await;
    }
    let wanted = secured.get_ref().client_certificate_wanted();
    let mut stream = Stream::new(secured);
    match to_features(attempt, &mut stream).await {
        Ok(()) => {
            close_stream(attempt, &mut stream).await;
            hang_up(attempt, stream.abandon()).await;
            Ok(())
        }
        // In TLS 1.3 the server's refusal comes after our side of the handshake is done.
        Err(_) if wanted && stream.broke_for_want_of_certificate() => {
            tls::note_demand(attempt);
            Ok(())
        }
        Err(stop) => {
            if worth_goodbye(&stop.reason) {
                close_stream(attempt, &mut stream).await;
                hang_up(attempt, stream.abandon()).await;
            }
            Err(stop)
        }
    }
}

async fn to_features(
    attempt: &mut Attempt<'_>,
    stream: &mut Stream<SslStream<Wire>>,
) -> Result<(), Stop> {
    let header = header(attempt, stream, Phase::Features).await?;
    if header.has_features {
        let features = features(attempt, stream, Phase::Features).await?;
        attempt.note(&ways_in(&features));
    }
    attempt.reached = Some(Depth::Features);
    Ok(())
}

/// How partners may authenticate. That none is offered to us, who have no certificate, is no fault.
fn ways_in(features: &Features) -> String {
    let mut ways: Vec<&str> = features.mechanisms.iter().map(String::as_str).collect();
    if features.dialback {
        ways.push("dialback");
    }
    if ways.is_empty() {
        "the server offers us no way to authenticate".to_owned()
    } else {
        format!("the server offers {}", ways.join(", "))
    }
}

async fn header<S: AsyncRead + AsyncWrite + Unpin>(
    attempt: &mut Attempt<'_>,
    stream: &mut Stream<S>,
    phase: Phase,
) -> Result<Header, Stop> {
    let (check, to) = (attempt.check, attempt.domainpart());
    let outcome = attempt
        .step(phase, stream.open(&to, check.settings.from.as_ref()))
        .await;
    let header = match outcome {
        Ok(header) => header,
        Err(stop) if stream.is_silent() && phase == Phase::StreamHeader => {
            return Err(stop.if_late(Reason::Silence));
        }
        Err(Stop {
            reason: Reason::ClosedAtOnce,
            ..
        }) if phase == Phase::Features => {
            return Err(Stop {
                phase,
                reason: Reason::Closed,
            });
        }
        Err(stop) => return Err(stop),
    };
    match &header.from {
        Some(from) if !domainpart::names(from, &check.domain) => {
            let from = from.clone();
            Err(wrong_domain(attempt, stream, phase, from).await)
        }
        _ => Ok(header),
    }
}

/// A server that does not host the domain often answers as itself first and then says why. The reason it
/// gives is worth more than the header.
async fn wrong_domain<S: AsyncRead + AsyncWrite + Unpin>(
    attempt: &mut Attempt<'_>,
    stream: &mut Stream<S>,
    phase: Phase,
    from: String,
) -> Stop {
    let explanation = async { Ok(timeout(EXPLANATION_WAIT, stream.incoming()).await) };
    match attempt.step(phase, explanation).await {
        Ok(Ok(Ok(Incoming::Error { condition, note }))) => {
            note_all(attempt, note);
            Stop {
                phase,
                reason: Reason::StreamError { condition },
            }
        }
        _ => Stop {
            phase,
            reason: Reason::WrongDomain { from },
        },
    }
}

async fn features<S: AsyncRead + AsyncWrite + Unpin>(
    attempt: &mut Attempt<'_>,
    stream: &mut Stream<S>,
    phase: Phase,
) -> Result<Features, Stop> {
    let reason = match attempt.step(phase, stream.incoming()).await? {
        Incoming::Features(features) => return Ok(features),
        Incoming::Error { condition, note } => {
            note_all(attempt, note);
            Reason::StreamError { condition }
        }
        Incoming::Proceed | Incoming::TlsFailure | Incoming::Other => Reason::NotXmpp,
    };
    Err(Stop { phase, reason })
}

/// Whether the peer is one that understands the end of a stream, and may still be there to read it.
fn worth_goodbye(reason: &Reason) -> bool {
    !matches!(
        reason,
        Reason::NotXml
            | Reason::TooMuch
            | Reason::Closed
            | Reason::ClosedAtOnce
            | Reason::TlsBroken { .. }
            | Reason::TlsRefused { .. }
            | Reason::OtherProtocol
    )
}

async fn close_stream<S: AsyncRead + AsyncWrite + Unpin>(
    attempt: &mut Attempt<'_>,
    stream: &mut Stream<S>,
) {
    attempt.close(stream.end()).await;
}

/// Ends our side of the connection and waits until the peer has ended its own.
async fn close_wire(wire: &mut Wire) {
    let mut sink = [0; 1024];
    if wire.shutdown().await.is_ok() {
        while matches!(wire.read(&mut sink).await, Ok(1..)) {}
    }
}

/// The stream has been seen: whatever the peer says now is about its end.
async fn hang_up(attempt: &mut Attempt<'_>, secured: SslStream<Wire>) {
    attempt.close(tls::hang_up(secured)).await;
}

fn note_all(attempt: &mut Attempt<'_>, notes: impl IntoIterator<Item = String>) {
    for note in notes {
        attempt.note(&note);
    }
}
