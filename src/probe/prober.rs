//! The prober: what all probes share, and the choice of the ladder.
//!
//! In: checks, and canaries. Out: one observation for each try, whatever happens. Trust stores are loaded
//! once per distinct file, when the prober is made. Never here: schedules, retries, verdicts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::attempt::{Attempt, Stop};
use super::observation::{CanaryObservation, Observation, Phase, Reason};
use super::tls::TlsClient;
use super::trust::{Trust, TrustError};
use super::{sip, tcp, xmpp};
use crate::clock::Now;
use crate::topology::{CertificatePolicy, Check, CheckId, CheckSettings, Depth, ServiceKind};

/// Reads both clocks. The caller hands it in, so that one place in the program reads them.
pub type ReadNow = Arc<dyn Fn() -> Now + Send + Sync>;

/// How long a canary may take. The default `timeout` of a probe: it is to be as patient as the check it
/// speaks for.
const CANARY_TIMEOUT: Duration = Duration::from_secs(3);

/// Makes probes. Cheap to share, not to make: it holds the trust stores.
pub struct Prober {
    /// By the `ca` of the check.
    clients: BTreeMap<Option<PathBuf>, TlsClient>,
    read_now: ReadNow,
}

impl Prober {
    /// A prober for checks with these settings: loads each distinct `ca` once, and the system's roots when
    /// a check without `ca` looks at certificates. The files are read now and not again.
    pub fn new<'a>(
        settings: impl IntoIterator<Item = &'a CheckSettings>,
        read_now: ReadNow,
    ) -> Result<Prober, TrustError> {
        let mut wanted: BTreeMap<Option<&PathBuf>, bool> = BTreeMap::new();
        for settings in settings {
            // Where nothing comes of a certificate, missing roots are no reason to refuse the check.
            let judged =
                settings.depth >= Depth::Tls && settings.certificate != CertificatePolicy::Ignore;
            *wanted.entry(settings.ca.as_ref()).or_default() |= judged;
        }
        let mut clients = BTreeMap::new();
        for (ca, judged) in wanted {
            let trust = match ca {
                Some(path) => Trust::from_file(path)?,
                None => match Trust::system() {
                    Err(TrustError::NoSystemRoots) if !judged => Trust::nothing()?,
                    outcome => outcome?,
                },
            };
            clients.insert(ca.cloned(), TlsClient::new(trust)?);
        }
        Ok(Prober { clients, read_now })
    }

    /// Which authorities the probes of a check with these settings trust, in words:
    /// `142 system roots from /etc/ssl/certs/ca-certificates.crt`.
    pub fn trust_description(&self, settings: &CheckSettings) -> &str {
        match self.clients.get(&settings.ca) {
            Some(client) => client.trust_description(),
            None => "nothing: the file was not loaded",
        }
    }

    /// Which authorities are trusted by any check, one description for each trust store.
    pub fn trust_descriptions(&self) -> impl Iterator<Item = &str> {
        self.clients.values().map(TlsClient::trust_description)
    }

    /// Makes one probe. It takes at most the check's `timeout` and never fails: what went wrong is in the
    /// observation. Dropping the future closes the connection.
    pub async fn probe(&self, id: &CheckId, check: &Check) -> Observation {
        let mut attempt = Attempt::begin(check, &self.read_now);
        let outcome = match (self.clients.get(&check.settings.ca), check.service) {
            (None, _) => Err(not_loaded(check)),
            (Some(client), ServiceKind::XmppServer) => {
                xmpp::probe_starttls(&mut attempt, client).await
            }
            (Some(client), ServiceKind::XmppsServer) => {
                xmpp::probe_direct(&mut attempt, client).await
            }
            (Some(client), ServiceKind::SipFederationTls) => sip::probe(&mut attempt, client).await,
        };
        attempt.finish(id, outcome)
    }

    /// Tries a canary by TCP. A refusal answers too: the packet went out and one came back. "Unreachable"
    /// does not: it may be the word of our own router.
    pub async fn probe_canary(&self, canary: SocketAddr) -> CanaryObservation {
        let began = (self.read_now)().mono;
        let outcome = timeout(CANARY_TIMEOUT, tcp::connect(canary, None)).await;
        CanaryObservation {
            canary,
            began,
            ended: (self.read_now)().mono,
            answered: matches!(outcome, Ok(Ok(_) | Err(Reason::Refused))),
        }
    }
}

/// The check's settings are not among those the prober was made for.
fn not_loaded(check: &Check) -> Stop {
    let file = check
        .settings
        .ca
        .as_ref()
        .map(|path| path.display().to_string());
    let file = file.unwrap_or_else(|| "the system's roots".to_owned());
    let error = format!("the certificate authorities are not loaded: {file}");
    Stop {
        phase: Phase::Connect,
        reason: Reason::LocalFailure { error },
    }
}
