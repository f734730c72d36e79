//! The server: every listener with its workers, from start to stop.
//!
//! In: bound listeners, the place where zones are published. Out: [`Serving`], which counts and stops.
//! A worker that fails is started again: answers go on whatever else happens.

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
#[derive(Debug)]
pub struct Serving {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    counters: Arc<Counters>,
    failures: Vec<ListenerFailure>,
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
    let (stop, stopped) = watch::channel(false);
    let mut workers = JoinSet::new();
    let mut failures = Vec::new();
    let mut failed = |transport, address: io::Result<SocketAddr>, error: io::Error| {
        let at = address.map_or_else(|error| error.to_string(), |address| address.to_string());
        failures.push(ListenerFailure {
            listener: format!("{transport} {at}"),
            why: error.to_string(),
            fix: "look at what the operating system says".into(),
        });
    };
    let mut plain = 0;
    for socket in listeners.udp {
        let address = socket.local_addr();
        let socket = match UdpSocket::from_std(socket) {
            Ok(socket) => Arc::new(socket),
            Err(error) => {
                failed(Transport::Udp, address, error);
                continue;
            }
        };
        plain += 1;
        let (authority, counted, stopped) = (authority.clone(), counters.clone(), stopped.clone());
        workers.spawn(supervise(counters.clone(), move || {
            udp::serve(
                socket.clone(),
                authority.clone(),
                counted.clone(),
                stopped.clone(),
            )
        }));
    }
    let hall = Arc::new(Hall::new(limits, authority, counters.clone()));
    let mut accept = |listener: std::net::TcpListener, door: Door, runtime: &Handle| {
        let _inside = runtime.enter();
        let listener = Arc::new(TcpListener::from_std(listener)?);
        let (hall, stopped) = (hall.clone(), stopped.clone());
        let worker = supervise(counters.clone(), move || {
            tcp::serve(
                listener.clone(),
                door.clone(),
                hall.clone(),
                stopped.clone(),
            )
        });
        workers.spawn_on(worker, runtime);
        io::Result::Ok(())
    };
    let Encryption { identity, runtime } = encryption;
    let (dot, doh) = (
        acceptor(&identity, tls::DOT)?,
        acceptor(&identity, tls::DOH)?,
    );
    let here = Handle::current();
    for (transport, sockets, door, runtime) in [
        (Transport::Tcp, listeners.tcp, Door::Tcp, &here),
        (Transport::Tls, listeners.tls, Door::Tls(dot), &runtime),
        (
            Transport::Https,
            listeners.https,
            Door::Https(doh),
            &runtime,
        ),
    ] {
        for listener in sockets {
            let address = listener.local_addr();
            if let Err(error) = accept(listener, door.clone(), runtime) {
                failed(transport, address, error);
            }
        }
    }
    for socket in listeners.quic {
        let _inside = runtime.enter();
        let address = socket.local_addr();
        let endpoint = match quic::endpoint(socket, identity.clone(), &limits) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                failed(Transport::Quic, address, error);
                continue;
            }
        };
        let (hall, stopped) = (hall.clone(), stopped.clone());
        let worker = supervise(counters.clone(), move || {
            quic::serve(endpoint.clone(), hall.clone(), stopped.clone())
        });
        workers.spawn_on(worker, &runtime);
    }
    if let (0, Some(failure)) = (plain, failures.first()) {
        return Err(io::Error::other(format!(
            "{}: {}",
            failure.listener, failure.why
        )));
    }
    Ok(Serving {
        stop,
        workers,
        counters,
        failures,
    })
}

fn acceptor(identity: &Arc<Identity>, protocols: &[&[u8]]) -> io::Result<TlsAcceptor> {
    let settings = tls::settings(identity.clone(), protocols, rustls::DEFAULT_VERSIONS);
    Ok(Arc::new(settings.map_err(io::Error::other)?).into())
}

impl Serving {
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
