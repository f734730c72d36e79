//! The prober: what all probes share, and the choice of the ladder.
//!
//! In: checks, and canaries. Out: one observation for each try, whatever happens. Trust stores are loaded
//! once per distinct file, when the prober is made. Never here: schedules, retries, verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::attempt::{Attempt, OVERSLEPT, Stop};
use super::domainpart::{self, Form};
use super::observation::{CanaryObservation, Observation, Phase, Reason};
use super::tls::TlsClient;
use super::trust::{Trust, TrustError};
use super::{sip, tcp, xmpp};
use crate::clock::ReadNow;
use crate::patience::Patience;
use crate::topology::{
    CertificatePolicy, Check, CheckId, CheckSettings, Depth, DomainName, ServiceKind,
};
use arc_swap::ArcSwap;

/// What all checks with one `ca` share, by that `ca`.
type Clients = BTreeMap<Option<PathBuf>, Arc<TlsClient>>;

/// How often a canary is tried when this process is kept from running meanwhile.
const CANARY_TRIES: u32 = 3;

/// Makes probes. Cheap to share, not to make: it holds the trust stores.
pub struct Prober {
    clients: ArcSwap<Clients>,
    forms: Forms,
    read_now: ReadNow,
}

/// In which form servers know a domain, so that one that knows the unusual form is not asked twice at every probe.
#[derive(Default)]
struct Forms(Mutex<BTreeSet<(SocketAddr, DomainName)>>);

impl Forms {
    fn expected(&self, check: &Check) -> Form {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match !known.is_empty() && known.contains(&(check.peer, check.domain.clone())) {
            true => Form::Ascii,
            false => Form::Unicode,
        }
    }

    fn learn(&self, check: &Check, form: Form, outcome: &Result<(), Stop>) {
        if outcome.is_err() || !domainpart::has_two_forms(&check.domain) {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (check.peer, check.domain.clone());
        match form {
            Form::Ascii => known.insert(place),
            Form::Unicode => known.remove(&place),
        };
    }

    fn forget(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }
}

impl Prober {
    /// A prober for checks with these settings: loads each distinct `ca` once, and the system's roots when
    /// a check without `ca` looks at certificates. The files are read now and not again before `prepare`.
    pub fn new<'a>(
        settings: impl IntoIterator<Item = &'a CheckSettings>,
        read_now: ReadNow,
    ) -> Result<Prober, TrustError> {
        Ok(Prober {
            clients: ArcSwap::from_pointee(load(settings)?),
            forms: Forms::default(),
            read_now,
        })
    }

    /// Makes it ready for checks with these settings too, before a configuration with them is put in force.
    /// Files that it had read are read again. After an error everything is as it was.
    pub fn prepare<'a>(
        &self,
        settings: impl IntoIterator<Item = &'a CheckSettings>,
    ) -> Result<(), TrustError> {
        let fresh = load(settings)?;
        self.clients.rcu(|clients| {
            let mut clients = Clients::clone(clients);
            clients.extend(fresh.clone());
            clients
        });
        Ok(())
    }

    /// Forgets what checks with these settings do not need, after the configuration is in force.
    pub fn retain<'a>(&self, settings: impl IntoIterator<Item = &'a CheckSettings>) {
        self.forms.forget();
        let wanted: BTreeSet<_> = settings.into_iter().map(|settings| &settings.ca).collect();
        self.clients.rcu(|clients| {
            let mut clients = Clients::clone(clients);
            clients.retain(|ca, _| wanted.contains(ca));
            clients
        });
    }

    /// Which authorities the probes of a check with these settings trust, in words:
    /// `142 system roots from /etc/ssl/certs/ca-certificates.crt`.
    pub fn trust_description(&self, settings: &CheckSettings) -> String {
        match self.clients.load().get(&settings.ca) {
            Some(client) => client.trust_description().to_owned(),
            None => "nothing: the file was not loaded".to_owned(),
        }
    }

    /// Which authorities are trusted by any check, one description for each trust store.
    pub fn trust_descriptions(&self) -> Vec<String> {
        let clients = self.clients.load();
        clients
            .values()
            .map(|client| client.trust_description().to_owned())
            .collect()
    }

    /// Makes one probe. It takes at most the check's `timeout` and never fails: what went wrong is in the
    /// observation. Dropping the future closes the connection.
    pub async fn probe(&self, id: &CheckId, check: &Check) -> Observation {
        let mut attempt = Attempt::begin(check, &self.read_now);
        let client = self.clients.load().get(&check.settings.ca).map(Arc::clone);
        let outcome = match (client, check.service) {
            (None, _) => Err(not_loaded(check)),
            (Some(client), ServiceKind::XmppServer | ServiceKind::XmppsServer) => {
                attempt.form = self.forms.expected(check);
                let outcome = xmpp::probe(&mut attempt, &client).await;
                self.forms.learn(check, attempt.form, &outcome);
                outcome
            }
            (Some(client), ServiceKind::SipFederationTls) => {
                sip::probe(&mut attempt, &client).await
            }
        };
        attempt.finish(id, outcome)
    }

    /// Tries a canary by TCP. A refusal answers too: the packet went out and one came back. "Unreachable"
    /// does not: it may be the word of our own router. An attempt during which this process did not run is made again.
    pub async fn probe_canary(&self, canary: SocketAddr, bound: Duration) -> CanaryObservation {
        let mut tries = 0;
        loop {
            let began = (self.read_now)().mono;
            let mut patience = Patience::new(bound);
            let outcome = patience.wait(tcp::connect(canary, None)).await;
            let answered = matches!(outcome, Some(Ok(_) | Err(Reason::Refused)));
            tries += 1;
            if !answered && patience.lost() >= OVERSLEPT && tries < CANARY_TRIES {
                continue;
            }
            return CanaryObservation {
                canary,
                began,
                ended: (self.read_now)().mono,
                answered,
            };
        }
    }
}

fn load<'a>(settings: impl IntoIterator<Item = &'a CheckSettings>) -> Result<Clients, TrustError> {
    let mut wanted: BTreeMap<Option<&PathBuf>, bool> = BTreeMap::new();
    for settings in settings {
        // Where nothing comes of a certificate, missing roots are no reason to refuse the check.
        let judged =
            settings.depth >= Depth::Tls && settings.certificate != CertificatePolicy::Ignore;
        *wanted.entry(settings.ca.as_ref()).or_default() |= judged;
    }
    let mut clients = Clients::new();
    for (ca, judged) in wanted {
        let trust = match ca {
            Some(path) => Trust::from_file(path)?,
            None => match Trust::system() {
                Err(TrustError::NoSystemRoots) if !judged => Trust::nothing()?,
                outcome => outcome?,
            },
        };
        clients.insert(ca.cloned(), Arc::new(TlsClient::new(trust)?));
    }
    Ok(clients)
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
