//! The server: every listener with its workers, from start to stop.
//!
//! In: bound listeners, the place where zones are published. Out: [`Serving`], which counts and stops.
//! A worker that fails is started again: answers go on whatever else happens.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;
use super::counters::{Counters, Counts};
use super::hall::{Hall, TcpLimits};
use super::identity::Identity;
use super::listen::{ListenerFailure, Listeners};
use super::peer::Transport;
use super::tcp::{self, Door};
use super::{quic, tls, udp};

/// A server at work. Dropping it stops the server at once; [`Serving::shutdown`] lets it finish.
pub struct Serving {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    counters: Arc<Counters>,
    failures: Vec<ListenerFailure>,
    authority: Authority,
    hall: Arc<Hall>,
    limits: TcpLimits,
    identity: Arc<Identity>,
    /// Where plain DNS is answered.
    plain: Handle,
    /// Where handshakes are made.
    encrypted: Handle,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Serving");
        shown.field("failures", &self.failures);
        shown.finish_non_exhaustive()
    }
}

/// What the encrypted transports need.
#[derive(Clone, Debug)]
pub struct Encryption {
    /// The certificate they show.
    pub identity: Arc<Identity>,
    /// Where their handshakes are made: plain answers wait for none of them.
    pub runtime: Handle,
}

/// Starts serving plain DNS on the listeners, on the current tokio runtime. Publishing is storing into
/// `authority.zones`; each query sees one publication, whole.
pub fn start(listeners: Listeners, authority: Authority, limits: TcpLimits) -> io::Result<Serving> {
    let encryption = Encryption {
        identity: Arc::default(),
        runtime: Handle::current(),
    };
    start_with(listeners, authority, limits, encryption)
}

/// As [`start`], with the encrypted transports.
pub fn start_with(
    listeners: Listeners,
    authority: Authority,
    limits: TcpLimits,
    encryption: Encryption,
) -> io::Result<Serving> {
    let counters = Arc::new(Counters::default());
    let hall = Arc::new(Hall::new(limits, authority.clone(), counters.clone()));
    let mut serving = Serving {
        stop: watch::channel(false).0,
        workers: JoinSet::new(),
        counters,
        failures: Vec::new(),
        authority,
        hall,
        limits,
        identity: encryption.identity,
        plain: Handle::current(),
        encrypted: encryption.runtime,
    };
    let wanted = listeners.udp.len();
    let failures = serving.add(listeners)?;
    let of_udp = failures
        .iter()
        .filter(|(transport, _)| *transport == Transport::Udp);
    let is_silent = of_udp.count() == wanted;
    serving.failures = failures.into_iter().map(|(_, failure)| failure).collect();
    if let (true, Some(failure)) = (is_silent, serving.failures.first()) {
        return Err(io::Error::other(format!(
            "{}: {}",
            failure.listener, failure.why
        )));
    }
    Ok(serving)
}

fn acceptor(identity: &Arc<Identity>, protocols: &[&[u8]]) -> io::Result<TlsAcceptor> {
    let settings = tls::settings(identity.clone(), protocols, rustls::DEFAULT_VERSIONS);
    Ok(Arc::new(settings.map_err(io::Error::other)?).into())
}

impl Serving {
    /// Serves these listeners as well. One that cannot be served is told and left out.
    ///
    /// # Errors
    /// When no TLS can be spoken at all.
    pub fn add(&mut self, listeners: Listeners) -> io::Result<Vec<(Transport, ListenerFailure)>> {
        let mut failures = Vec::new();
        let mut failed = |transport, address: io::Result<SocketAddr>, error: io::Error| {
            let at = address.map_or_else(|error| error.to_string(), |address| address.to_string());
            let failure = ListenerFailure {
                listener: format!("{transport} {at}"),
                why: error.to_string(),
                fix: "look at what the operating system says".into(),
                at: None,
            };
            failures.push((transport, failure));
        };
        for socket in listeners.udp {
            let address = socket.local_addr();
            if let Err(error) = self.add_udp(socket) {
                failed(Transport::Udp, address, error);
            }
        }
        let (dot, doh) = (
            acceptor(&self.identity, tls::DOT)?,
            acceptor(&self.identity, tls::DOH)?,
        );
        for (transport, sockets, door) in [
            (Transport::Tcp, listeners.tcp, Door::Tcp),
            (Transport::Tls, listeners.tls, Door::Tls(dot)),
            (Transport::Https, listeners.https, Door::Https(doh)),
        ] {
            for listener in sockets {
                let address = listener.local_addr();
                if let Err(error) = self.add_tcp(listener, door.clone()) {
                    failed(transport, address, error);
                }
            }
        }
        for socket in listeners.quic {
            let address = socket.local_addr();
            if let Err(error) = self.add_quic(socket) {
                failed(Transport::Quic, address, error);
            }
        }
        Ok(failures)
    }

    fn add_udp(&mut self, socket: std::net::UdpSocket) -> io::Result<()> {
        let _inside = self.plain.enter();
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let (authority, counted) = (self.authority.clone(), self.counters.clone());
        let stopped = self.stop.subscribe();
        let worker = supervise(self.counters.clone(), move || {
            udp::serve(
                socket.clone(),
                authority.clone(),
                counted.clone(),
                stopped.clone(),
            )
        });
        self.workers.spawn_on(worker, &self.plain);
        Ok(())
    }

    fn add_tcp(&mut self, listener: std::net::TcpListener, door: Door) -> io::Result<()> {
        let runtime = match door {
            Door::Tcp => &self.plain,
            Door::Tls(_) | Door::Https(_) => &self.encrypted,
        };
        let _inside = runtime.enter();
        let listener = Arc::new(TcpListener::from_std(listener)?);
        let (hall, stopped) = (self.hall.clone(), self.stop.subscribe());
        let worker = supervise(self.counters.clone(), move || {
            tcp::serve(
                listener.clone(),
                door.clone(),
                hall.clone(),
                stopped.clone(),
            )
        });
        self.workers.spawn_on(worker, runtime);
        Ok(())
    }

    fn add_quic(&mut self, socket: std::net::UdpSocket) -> io::Result<()> {
        let _inside = self.encrypted.enter();
        let endpoint = quic::endpoint(socket, self.identity.clone(), &self.limits)?;
        let (hall, stopped) = (self.hall.clone(), self.stop.subscribe());
        let worker = supervise(self.counters.clone(), move || {
            quic::serve(endpoint.clone(), hall.clone(), stopped.clone())
        });
        self.workers.spawn_on(worker, &self.encrypted);
        Ok(())
    }

    /// Reads the counters.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// Listeners that could not be served, and why.
    pub fn failures(&self) -> &[ListenerFailure] {
        &self.failures
    }

    /// The counters themselves, for whoever shows them.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Stops: what has arrived is still answered, then the sockets are closed.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.workers.join_next().await.is_some() {}
    }
}

/// Runs a worker to its end, again after a panic.
async fn supervise<F, W>(counters: Arc<Counters>, worker: F)
where
    F: Fn() -> W,
    W: Future<Output = ()> + Send + 'static,
{
    loop {
        // A set of one: dropping the supervisor takes the worker with it.
        let mut running = JoinSet::new();
        running.spawn(worker());
        match running.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                counters.restarts();
                tracing::error!(%error, "a worker failed and is started again; please report this");
            }
            _ => return,
        }
    }
}
