//! The daemon: all parts joined, from the configuration file to the last answer.
//!
//! In: a chosen configuration and its opened store. Out: a running server that answers, probes, decides, remembers and
//! takes commands, and its orderly end. Never here: what any of the parts does.
//!
//! The order of the start is the order of what partners need: state, first zones, answers; then operators' needs.

mod certificate;
mod control;
mod descriptors;
mod keys;
mod log;
mod manager;
mod manners;
mod node;
mod privileges;
mod start;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::task::{JoinHandle, spawn_blocking};

pub use certificate::try_certificate;
pub use descriptors::open_files;
pub use log::begin_log;
pub use manager::{Signals, supervise};
pub use node::ServedNode;
pub use privileges::{Identity, PrivilegeError, find_user, give_up_root};
pub use start::{Chosen, Paths, StartError, choose};

use crate::ask::SourceAddresses;
use crate::config::{Configuration, OpenFiles, ServerSettings};
use crate::engine::{AlarmKind, Batch, Concern, Engine, Entry, EntryKind, Event, Severity};
use crate::inbound::Inbound;
use crate::probe::{Prober, TrustError};
use crate::secondaries;
use crate::serve::{
    self, Addresses, Authority, Encryption, ListenError, ListenerFailure, Listeners, Serving,
    TcpLimits, Transport,
};
use crate::shell::{Clock, Handle, Shell};
use crate::topology::CheckSettings;
use certificate::{PairFiles, ShownCertificate};
use control::Control;
use descriptors::raise_open_files;
use manners::Desk;

/// The store gets this long to put on disk what was journalled before the end.
const FLUSH_TIME: Duration = Duration::from_secs(5);
/// The store gets this long to keep the configuration before the start goes on.
const ACCEPT_TIME: Duration = Duration::from_secs(2);
/// Connections get this long to end by themselves.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// A running server.
pub struct Daemon {
    handle: Handle,
    node: Arc<ServedNode>,
    serving: Serving,
    control: Control,
    engine: Option<JoinHandle<()>>,
    secondaries: JoinHandle<()>,
    /// Asks other nameservers for their serials.
    watching: JoinHandle<()>,
    /// Looks after the certificate, where there is one.
    keeping: Option<JoinHandle<()>>,
    chosen: Chosen,
    /// What could not be listened on yet.
    failed: Vec<(Transport, SocketAddr)>,
}

/// Why a server did not come to answer.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Addresses that cannot be listened on.
    #[error(
        "cannot serve: {}\nnothing is served by this process",
        .0.iter().map(|error| format!("{error} ({})", error.mend())).collect::<Vec<_>>().join("; ")
    )]
    Listen(Vec<ListenError>),
    /// Not even the checks that need no authorities can be made.
    #[error("cannot make a prober: {0}\nnothing is served by this process")]
    Prober(TrustError),
    /// The sockets cannot be handed to the runtime.
    #[error("cannot serve on the sockets that are bound: {0}\nnothing is served by this process")]
    Sockets(std::io::Error),
}

impl Daemon {
    /// Starts everything. Answers are given when this returns; commands are taken too, or the log says why not.
    /// `inherited` are sockets that the service manager handed over. Partners are answered on the runtime `answers`, so
    /// that no handshake, reload or request of an operator keeps a query waiting for a thread; `encrypted` is for the
    /// handshakes of TLS, HTTPS and QUIC, which no probe is to wait for either.
    pub async fn start(
        chosen: Chosen,
        inherited: Listeners,
        answers: &runtime::Handle,
        encrypted: &runtime::Handle,
    ) -> Result<Daemon, DaemonError> {
        let configuration = Arc::clone(&chosen.configuration);
        let clock = Clock::new();
        let of_checks = chosen.clone();
        let made = spawn_blocking(move || prober(&of_checks, clock)).await;
        let made = made.map_err(|ended| DaemonError::Sockets(ended.into()))?;
        let prober = Arc::new(made.map_err(DaemonError::Prober)?);
        let (shell, handle) = Shell::<Engine, Prober>::begin(
            Arc::clone(&configuration),
            chosen.remembered.clone(),
            Arc::clone(&prober),
            chosen.store.clone(),
            clock,
        );
        let engine = tokio::spawn(shell.run());
        handle.first_zones().await;

        let listeners = inherited
            .with(&addresses(&configuration.server))
            .map_err(DaemonError::Listen)?;
        let authority = Authority::new(handle.zones(), Arc::new(move || clock.now()));
        let sources = source_addresses(&configuration.server, &listeners);
        let kept = &chosen.remembered.inbound;
        let inbound = Inbound::start(handle.clone(), clock, kept, sources.clone());
        let desk = Desk::new(&authority, &configuration, inbound.clone(), handle.clone());
        // Also for what cannot be listened on yet.
        let is_encrypted = addresses(&configuration.server).is_encrypted();
        let certificate = (is_encrypted || listeners.is_encrypted())
            .then(|| Arc::new(ShownCertificate::default()));
        if let Some(certificate) = &certificate {
            let files = PairFiles::of(&configuration.server);
            let shown = Arc::clone(certificate);
            let looked = spawn_blocking(move || shown.look(files, clock.now().wall)).await;
            // A panic is in the log.
            certificate::tell(&handle, looked.unwrap_or_default()).await;
        }
        log_left_out(&configuration);
        let files = OpenFiles::new(&configuration, raise_open_files(), serve::processors());
        match files.is_short() {
            true => tracing::warn!("{files}"),
            false => tracing::info!("{files}"),
        }
        let mut failures = listeners.failures().to_vec();
        let serving = answer(
            listeners,
            authority,
            certificate.as_deref(),
            answers,
            (encrypted, files.connections),
        )
        .map_err(DaemonError::Sockets)?;
        failures.extend_from_slice(serving.failures());
        let failed = failures.iter().filter_map(|failure| failure.at).collect();
        tell_failures(&handle, failures).await;
        let keeping = certificate
            .clone()
            .map(|certificate| tokio::spawn(certificate::keep(certificate, clock, handle.clone())));

        remember_configuration(&chosen, &handle).await;
        let node = Arc::new(ServedNode::new(
            handle.clone(),
            prober,
            chosen.store.clone(),
            certificate,
            inbound,
            chosen.paths.clone(),
            (desk, serving.counters()),
        ));
        let keeping_secondaries = tokio::spawn(secondaries::keep(
            node.secondaries().clone(),
            handle.clone(),
            clock,
            sources.clone(),
        ));
        let watching = tokio::spawn(secondaries::watch(handle.clone(), clock, sources));
        let control = Control::start(&configuration.server, Arc::clone(&node)).await;
        Ok(Daemon {
            handle,
            node,
            serving,
            control,
            engine: Some(engine),
            secondaries: keeping_secondaries,
            watching,
            keeping,
            chosen,
            failed,
        })
    }

    /// Whether there is something that could not be listened on yet.
    fn lacks_listeners(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Listens on what could not be had before, as far as it can be had now, and ends its alarm.
    async fn listen_again(&mut self) {
        let workers = addresses(&self.chosen.configuration.server).workers;
        let listeners = Listeners::again(&self.failed, workers);
        let still: Vec<_> = listeners
            .failures()
            .iter()
            .filter_map(|one| one.at)
            .collect();
        let added = match self.serving.add(listeners) {
            Ok(failures) if failures.is_empty() => true,
            Ok(failures) => {
                for (_, failure) in failures {
                    tracing::error!("cannot serve on {}: {}", failure.listener, failure.why);
                }
                false
            }
            Err(error) => {
                tracing::error!("cannot serve: {error}");
                false
            }
        };
        if !added {
            return;
        }
        let before = std::mem::replace(&mut self.failed, still);
        for (transport, address) in before {
            if self.failed.contains(&(transport, address)) {
                continue;
            }
            let subject = format!("{transport} {address}");
            tracing::info!("listening on {subject}, which could not be had at the start");
            let event = Event::Concern {
                kind: AlarmKind::ListenerFailed,
                subject,
                concern: None,
            };
            if let Err(refusal) = self.handle.notify(event).await {
                tracing::error!("the engine does not end the alarm: {}", refusal.why);
            }
        }
    }

    /// The way to the engine.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What the control interface reaches.
    pub fn node(&self) -> &Arc<ServedNode> {
        &self.node
    }

    /// Waits for the engine's task to end, which it must not; for ever when that was seen already.
    async fn engine_ended(&mut self) {
        match &mut self.engine {
            Some(engine) => {
                // Why it panicked is in the log.
                let _ = engine.await;
                self.engine = None;
            }
            None => std::future::pending().await,
        }
    }

    /// Ends in the opposite order of the start: answers are the last to go.
    pub async fn stop(self) {
        self.control.stop().await;
        self.secondaries.abort();
        self.watching.abort();
        if let Some(keeping) = &self.keeping {
            keeping.abort();
        }
        if let Err(refusal) = self.handle.stop().await {
            tracing::error!("the engine does not end: {}", refusal.why);
        }
        if let Some(engine) = &self.engine {
            engine.abort();
        }
        let flushed = tokio::time::timeout(FLUSH_TIME, self.chosen.store.flush()).await;
        if flushed != Ok(true) {
            tracing::error!(
                "the disk did not take the last entries of the journal within {FLUSH_TIME:?}; they are lost"
            );
        }
        if tokio::time::timeout(DRAIN_TIME, self.serving.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("connections that did not end within {DRAIN_TIME:?} are cut");
        }
    }
}

/// What to listen on, as configured.
fn addresses(settings: &ServerSettings) -> Addresses {
    let workers = settings.workers.map(usize::try_from);
    Addresses {
        plain: settings.listen.clone(),
        tls: settings.listen_tls.clone(),
        https: settings.listen_https.clone(),
        quic: settings.listen_quic.clone(),
        workers: workers.and_then(|workers| NonZero::new(workers.ok()?)),
    }
}

/// The addresses that other servers are asked from: those that are listened on.
fn source_addresses(settings: &ServerSettings, listeners: &Listeners) -> SourceAddresses {
    let bound: BTreeSet<IpAddr> = listeners
        .udp_addresses()
        .iter()
        .map(SocketAddr::ip)
        .collect();
    let configured = settings.listen.iter().copied();
    SourceAddresses::listening(configured.filter(|address| bound.contains(&address.ip())))
}

/// Says what zone files have that is not served.
fn log_left_out(configuration: &Configuration) {
    let layout = &configuration.layout;
    for apex in layout.apexes() {
        for line in layout.left_out(apex) {
            tracing::warn!("zone {apex}: {line}");
        }
    }
}

/// Begins to answer on the listeners, and says where.
fn answer(
    listeners: Listeners,
    authority: Authority,
    certificate: Option<&ShownCertificate>,
    answers: &runtime::Handle,
    (encrypted, connections): (&runtime::Handle, usize),
) -> std::io::Result<Serving> {
    let said = [
        (Transport::Udp, "answering on"),
        (Transport::Tls, "answering over tls on"),
        (Transport::Https, "answering over https on"),
        (Transport::Quic, "answering over quic on"),
    ];
    let said = said.map(|(transport, words)| (words, listeners.addresses(transport)));
    let _inside = answers.enter();
    let encryption = Encryption {
        identity: certificate
            .map(ShownCertificate::identity)
            .unwrap_or_default(),
        runtime: encrypted.clone(),
    };
    let limits = TcpLimits {
        connections,
        per_address: TcpLimits::default()
            .per_address
            .min(connections.div_ceil(2)),
        ..TcpLimits::default()
    };
    let serving = serve::start_with(listeners, authority, limits, encryption)?;
    for (words, addresses) in said {
        for address in addresses {
            tracing::info!("{words} {address}");
        }
    }
    Ok(serving)
}

/// Raises an alarm for each listener that failed. The others go on.
async fn tell_failures(handle: &Handle, failures: Vec<ListenerFailure>) {
    for failure in failures {
        let ListenerFailure {
            listener,
            why,
            fix,
            at,
        } = failure;
        let then = match at {
            Some(_) => "it is tried again every 30 s and at SIGHUP",
            None => "then restart repoint",
        };
        let text = format!("cannot listen on {listener}: {why}; the other listeners go on");
        tracing::error!("{text} ({fix})");
        let event = Event::Concern {
            kind: AlarmKind::ListenerFailed,
            subject: listener,
            concern: Some(Concern {
                severity: Severity::Critical,
                text,
                remedy: Some(format!("{fix}; {then}")),
            }),
        };
        if let Err(refusal) = handle.notify(event).await {
            tracing::error!("the engine does not hear of it: {}", refusal.why);
        }
    }
}

/// A prober for the configuration. Authorities that cannot be read make their checks unknown, not the server silent.
fn prober(chosen: &Chosen, clock: Clock) -> Result<Prober, TrustError> {
    let read_now = move || clock.now();
    let checks = || {
        let checks = chosen.configuration.topology.checks.iter();
        checks.map(|(_, check)| &check.settings)
    };
    Prober::new(checks(), Arc::new(read_now)).or_else(|error| {
        tracing::error!(
            "cannot load certificate authorities: {error}; checks that need them are unknown until a reload"
        );
        let usable = |settings: &&CheckSettings| Prober::new([*settings], Arc::new(read_now)).is_ok();
        Prober::new(checks().filter(usable), Arc::new(read_now))
    })
}

/// The journal's entry about a file that was changed since it was accepted last.
fn changed_at_start(chosen: &Chosen, handle: &Handle) -> Vec<Entry> {
    if chosen.changed.is_empty() {
        return Vec::new();
    }
    let text = format!(
        "configuration changed at this start: {}",
        chosen.changed.join("; ")
    );
    tracing::info!("{text}");
    vec![Entry {
        generation: handle.zones().load().generation(),
        at: Clock::new().now().wall,
        route: None,
        kind: EntryKind::Configuration,
        text,
        author: None,
        why: None,
        decision: None,
    }]
}

/// Keeps a configuration that serves for the next start, or tells the engine that its file could not be used.
async fn remember_configuration(chosen: &Chosen, handle: &Handle) {
    if let Some(rejection) = &chosen.rejected {
        let event = Event::ConfigurationRejected(rejection.clone());
        if let Err(refusal) = handle.notify(event).await {
            tracing::error!(
                "the engine does not hear of the refused configuration: {}",
                refusal.why
            );
        }
        return;
    }
    let sources = chosen.configuration.sources.to_json();
    if chosen.store.accepted() == Some(sources.as_str()) {
        return;
    }
    let mut commit = chosen.store.commit(Batch {
        accepted: Some(sources),
        entries: changed_at_start(chosen, handle),
        ..Batch::default()
    });
    if let Err(fault) = commit.first(Some(ACCEPT_TIME)).await {
        // A failing store is the engine's alarm; here is what it means for the next start.
        tracing::warn!("the configuration is not kept for a start with a broken file: {fault}");
    }
}
