//! TLS as a partner speaks it, and as old servers still do.
//!
//! In: a connection and the domain. Out: an encrypted stream, what was negotiated and the certificate.
//! The handshake is completed whatever the certificate is: the facts come first, judging them later.
//! Never here: a certificate of ours; sessions kept between probes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use openssl::error::ErrorStack;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslRef, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_openssl::SslStream;

use super::attempt::{Attempt, Stop, printable};
use super::certificate::{self, ChainFault};
use super::observation::{Phase, Reason, TlsFacts};
use super::trust::Trust;
use super::wire::{TooMuchData, Wire};
use crate::topology::{Depth, ServiceKind};

/// The suites of TLS 1.3, also those that the library leaves out by default. Together with the groups below: whatever
/// a partner can offer, so that a server that refuses us refuses partners too.
const SUITES: &str = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:\
    TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256";
/// The groups of all TLS versions. A question mark: if the library has it.
const GROUPS: &str = "X25519:P-256:P-384:P-521:?X448:?ffdhe2048:?ffdhe3072:?ffdhe4096:?ffdhe6144:?ffdhe8192:\
    ?secp256k1:?brainpoolP256r1:?brainpoolP384r1:?brainpoolP512r1:?brainpoolP256r1tls13:?brainpoolP384r1tls13:\
    ?brainpoolP512r1tls13:?X25519MLKEM768:?SecP256r1MLKEM768:?SecP384r1MLKEM1024";
/// What the library says of a protocol that was not offered, among other things.
const BAD_EXTENSION: &str = "bad extension";
/// How the library ends its text for alert 120 (RFC 7301 §3.2).
const NO_PROTOCOL: &str = "no application protocol";
/// The protocol of direct TLS between servers (XEP-0368).
const XMPP_SERVER: &[u8] = b"xmpp-server";

/// Complaints kept of one chain.
const MAX_CHAIN_FAULTS: usize = 8;

/// The client's TLS settings with one set of trusted authorities. Made once, used by every probe.
pub(super) struct TlsClient {
    context: SslContext,
    description: String,
}

impl TlsClient {
    /// Settings that complete a handshake also with Windows Server 2012 R2 and older: TLS 1.0 and CBC suites,
    /// static RSA, no secure renegotiation. What was negotiated is told, so nothing is hidden by being lenient.
    pub(super) fn new(trust: Trust) -> Result<TlsClient, ErrorStack> {
        let mut builder = SslContext::builder(SslMethod::tls_client())?;
        builder.set_security_level(0);
        builder.set_min_proto_version(Some(SslVersion::TLS1))?;
        // Without anonymous suites and pre-shared keys: partners never agree to those.
        builder.set_cipher_list("ALL:!aNULL:!PSK:!SRP:@SECLEVEL=0")?;
        builder.set_ciphersuites(SUITES)?;
        builder.set_options(SslOptions::ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
        // The library's default first offers a post-quantum key share. It costs more than the rest of the
        // handshake, and makes a ClientHello of two segments that old servers and middleboxes drop. Here only the
        // first group has a share; a server that wants another one asks for it.
        builder.set_groups_list(GROUPS)?;
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        builder.set_cert_store(trust.store);
        Ok(TlsClient {
            context: builder.build(),
            description: trust.description,
        })
    }

    /// Which authorities are trusted, in words.
    pub(super) fn trust_description(&self) -> &str {
        &self.description
    }
}

/// A completed handshake.
pub(super) enum Secured {
    /// The stream inside.
    Open(SslStream<Wire>),
    /// The server ended it because we have no certificate to show. All that can be seen has been seen.
    CertificateDemanded,
}

/// Makes the handshake: SNI is the domain, ALPN `xmpp-server` with direct TLS (XEP-0368).
pub(super) async fn secure(
    attempt: &mut Attempt<'_>,
    client: &TlsClient,
    mut wire: Wire,
) -> Result<Secured, Stop> {
    let chain_faults = ChainFaults::default();
    let stopped = |reason| Stop {
        phase: Phase::Tls,
        reason,
    };
    let ours = |error: ErrorStack| {
        stopped(Reason::LocalFailure {
            error: error.to_string(),
        })
    };
    let before_tls = wire.received();
    let direct = attempt.check.service == ServiceKind::XmppsServer;
    let ssl = session(attempt, client, &chain_faults).map_err(ours)?;
    wire.begin_tls();
    let mut stream = SslStream::new(ssl, wire).map_err(ours)?;
    let handshake = async { Ok(Pin::new(&mut stream).connect().await) };
    let outcome = attempt.step(Phase::Tls, handshake).await;
    stream.get_mut().end_handshake();

    let silent = before_tls == 0 && stream.get_ref().received() == 0;
    let outcome = match outcome {
        Err(stop) if silent => return Err(stop.if_late(Reason::Silence)),
        Err(stop) => return Err(stop),
        Ok(outcome) => outcome,
    };
    let wanted = stream.get_ref().client_certificate_wanted();
    let shown = stream.ssl().peer_certificate().is_some();
    let demanded = match &outcome {
        Ok(()) => false,
        Err(error) => wanted && shown && is_demand(Failure::of(error)),
    };
    if outcome.is_ok() || demanded {
        attempt.tls = Some(facts(stream.ssl(), wanted));
        attempt.reached = Some(Depth::Tls);
    }
    if outcome.is_ok() || shown {
        judge(attempt, stream.ssl(), &chain_faults.take());
    }
    match outcome {
        Ok(()) => Ok(Secured::Open(stream)),
        Err(_) if demanded => {
            note_demand(attempt);
            Ok(Secured::CertificateDemanded)
        }
        Err(error) => Err(stopped(match Failure::of(&error) {
            Failure::Closed if silent => Reason::ClosedAtOnce,
            // RFC 7301 §3.2: the server knows none of the protocols that were offered.
            Failure::Alert { ref text, .. } if direct && text.ends_with(NO_PROTOCOL) => {
                Reason::OtherProtocol
            }
            // Our hello offers more than any partner's: where it is refused, theirs are.
            Failure::Alert { text: detail, .. } => Reason::TlsRefused { detail },
            // The library takes no protocol that was not offered.
            Failure::Broken(text) if text == BAD_EXTENSION && direct => Reason::OtherProtocol,
            failure => failure.reason(),
        })),
    }
}

/// Ends a probe that goes no further than the handshake. In TLS 1.3 the server's refusal comes after our side is done
/// (RFC 8446 §4.4.2.4).
pub(super) async fn end_at_handshake(
    attempt: &mut Attempt<'_>,
    secured: SslStream<Wire>,
) -> Result<(), Stop> {
    match attempt.close(hang_up_and_hear(secured)).await {
        // What a sound Edge does with a stranger.
        Some(Farewell::CertificateDemanded) => note_demand(attempt),
        Some(Farewell::Refused(detail)) => {
            return Err(Stop {
                phase: Phase::Tls,
                reason: Reason::TlsRefused { detail },
            });
        }
        Some(Farewell::Closed) | None => {}
    }
    Ok(())
}

/// What came after our goodbye.
enum Farewell {
    /// The peer closed too, or time was up.
    Closed,
    /// The peer had refused us for want of a client certificate.
    CertificateDemanded,
    /// The peer refused the session with an alert.
    Refused(String),
}

/// Sends close_notify and waits until the peer has closed.
pub(super) async fn hang_up(stream: SslStream<Wire>) {
    hang_up_and_hear(stream).await;
}

/// Sends close_notify and reads until the peer has closed. In TLS 1.3 our side is done before the server has
/// looked at it: whatever it had to complain of comes now, ahead of its own close_notify.
async fn hang_up_and_hear(mut stream: SslStream<Wire>) -> Farewell {
    let wanted = stream.get_ref().client_certificate_wanted();
    if stream.shutdown().await.is_err() {
        return Farewell::Closed;
    }
    let mut sink = [0; 1024];
    loop {
        match stream.read(&mut sink).await {
            Ok(0) => return Farewell::Closed,
            Ok(_) => {}
            Err(error) => {
                return match Failure::of_read(&error) {
                    Failure::Alert { demand: true, .. } if wanted => Farewell::CertificateDemanded,
                    Failure::Alert { text, .. } => Farewell::Refused(text),
                    _ => Farewell::Closed,
                };
            }
        }
    }
}

/// Notes that the server refused us for want of a certificate.
pub(super) fn note_demand(attempt: &mut Attempt<'_>) {
    attempt.note(
        "the server ends the handshake without a client certificate; nothing deeper can be seen",
    );
}

/// Why reading from an encrypted stream failed.
pub(super) fn read_failure(error: &io::Error) -> Failure {
    Failure::of_read(error)
}

fn session(
    attempt: &Attempt<'_>,
    client: &TlsClient,
    chain_faults: &ChainFaults,
) -> Result<Ssl, ErrorStack> {
    let mut ssl = Ssl::new(&client.context)?;
    ssl.set_hostname(attempt.check.domain.as_str())?;
    if attempt.check.service == ServiceKind::XmppsServer {
        let length = u8::try_from(XMPP_SERVER.len()).unwrap_or_default();
        ssl.set_alpn_protos(&[&[length], XMPP_SERVER].concat())?;
    }
    // The chain is judged at the time of the clock that everything else is judged by.
    ssl.param_mut()
        .set_time(i64::from(attempt.now().wall.unix_seconds()));
    let record = chain_faults.clone();
    ssl.set_verify_callback(SslVerifyMode::PEER, move |good, store| {
        if !good {
            record.add(ChainFault {
                code: store.error().as_raw(),
                depth: store.error_depth(),
                text: store.error().error_string().to_owned(),
            });
        }
        true
    });
    Ok(ssl)
}

fn facts(ssl: &SslRef, client_certificate_wanted: bool) -> TlsFacts {
    TlsFacts {
        version: ssl.version_str().to_owned(),
        cipher: ssl
            .current_cipher()
            .map_or("unknown", |cipher| cipher.name())
            .to_owned(),
        legacy: ssl
            .version2()
            .is_none_or(|version| version == SslVersion::TLS1 || version == SslVersion::TLS1_1),
        client_certificate_wanted,
        alpn: ssl
            .selected_alpn_protocol()
            .map(|protocol| printable(&String::from_utf8_lossy(protocol))),
    }
}

fn judge(attempt: &mut Attempt<'_>, ssl: &SslRef, chain_faults: &[ChainFault]) {
    let now = attempt.now();
    let Some(shown) = ssl.peer_certificate() else {
        // Not with the suites we offer; but then nobody would take the server for the domain.
        attempt.certificate = Some(certificate::missing());
        return;
    };
    let check = attempt.check;
    let (facts, notes) = certificate::read(&shown, chain_faults, check, now.wall);
    attempt.certificate = Some(facts);
    for note in notes {
        attempt.note(&note);
    }
    attempt.time(Phase::Certificate, now.mono);
}

/// What chain building complained of, written by OpenSSL's callback.
#[derive(Clone, Default)]
struct ChainFaults(Arc<Mutex<Vec<ChainFault>>>);

impl ChainFaults {
    fn add(&self, fault: ChainFault) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < MAX_CHAIN_FAULTS {
            faults.push(fault);
        }
    }

    fn take(&self) -> Vec<ChainFault> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How TLS failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Closed or reset.
    Closed,
    /// More than a probe takes.
    TooMuch,
    /// The server's alert. `demand`: one that servers send for want of a client certificate, if they asked for it.
    Alert { demand: bool, text: String },
    /// Not TLS, or broken.
    Broken(String),
}

impl Failure {
    /// The reason a probe stops with.
    pub(super) fn reason(self) -> Reason {
        match self {
            Failure::Closed => Reason::Closed,
            Failure::TooMuch => Reason::TooMuch,
            Failure::Alert { text: detail, .. } | Failure::Broken(detail) => {
                Reason::TlsBroken { detail }
            }
        }
    }

    /// Whether this is an alert that servers send for want of a client certificate.
    pub(super) fn is_alert_of_demand(&self) -> bool {
        matches!(self, Failure::Alert { demand: true, .. })
    }

    fn of(error: &openssl::ssl::Error) -> Failure {
        if let Some(io) = error.io_error() {
            return Failure::of_io(io);
        }
        match error.ssl_error() {
            Some(stack) => Failure::of_stack(stack),
            None if error.code() == ErrorCode::SYSCALL => Failure::Closed,
            None => Failure::Broken(printable(&error.to_string())),
        }
    }

    fn of_read(error: &io::Error) -> Failure {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<openssl::ssl::Error>());
        inner.map_or_else(|| Failure::of_io(error), Failure::of)
    }

    fn of_io(error: &io::Error) -> Failure {
        match error.get_ref() {
            Some(inner) if inner.is::<TooMuchData>() => Failure::TooMuch,
            _ => Failure::Closed,
        }
    }

    fn of_stack(stack: &ErrorStack) -> Failure {
        /// `SSL_R_UNEXPECTED_EOF_WHILE_READING`.
        const UNEXPECTED_EOF: i32 = 294;
        /// OpenSSL's reasons for a received alert are this plus the alert's number (RFC 8446 §6).
        const ALERT: i32 = 1000;
        /// handshake_failure, no_certificate, bad_certificate, unsupported_certificate, certificate_unknown,
        /// unknown_ca, access_denied, certificate_required.
        const DEMANDS: [i32; 8] = [40, 41, 42, 43, 46, 48, 49, 116];

        let Some(first) = stack.errors().first() else {
            return Failure::Closed;
        };
        let code = first.reason_code();
        let text = printable(first.reason().unwrap_or("unknown error"));
        if code == UNEXPECTED_EOF {
            Failure::Closed
        } else if (ALERT..ALERT + 256).contains(&code) {
            let alert = code - ALERT;
            Failure::Alert {
                demand: DEMANDS.contains(&alert),
                text,
            }
        } else {
            Failure::Broken(text)
        }
    }
}

/// Whether a handshake that failed after the server had asked for a certificate failed for want of it.
/// Schannel closes without an alert.
fn is_demand(failure: Failure) -> bool {
    failure == Failure::Closed || failure.is_alert_of_demand()
}
