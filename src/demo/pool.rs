//! A pool of one server, small but real: it speaks XMPP to other servers up to the features inside TLS.
//!
//! In: an address, a domain, a certificate. Out: a listener whose behaviour changes on command: healthy, hung,
//! closed. Never here: accounts, dialback, messages.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslAcceptor, SslContext, SslMethod};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_openssl::SslStream;

use super::authority::Identity;
use crate::probe::xml::{Event, Reader, Start};
use crate::topology::DomainName;

const STREAMS: &str = "http://etherx.jabber.org/streams";
const STARTTLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// How long a connection may last: what Prosody gives a partner that does not authenticate.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(90);
/// Connections held at once; more wait in the kernel.
const MAX_CONNECTIONS: usize = 256;
const MAX_STREAM: usize = 64 * 1024;
/// Rest after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a pool behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// As a pool should.
    Healthy,
    /// It accepts connections and says nothing, like a server stopped by SIGSTOP.
    Hung,
    /// It does not listen: connections are refused.
    Closed,
}

/// A running pool. Dropping it closes the listener and every connection.
pub struct PoolServer {
    address: SocketAddr,
    domain: Arc<str>,
    tls: SslContext,
    state: Mutex<State>,
}

struct State {
    behaviour: Behaviour,
    listener: Option<Arc<TcpListener>>,
    /// The accepting task, which owns its connections.
    accepting: JoinSet<()>,
}

impl PoolServer {
    /// Starts a healthy pool on `address`; port 0 takes a free one.
    pub async fn start(
        address: SocketAddr,
        domain: &DomainName,
        identity: &Identity,
    ) -> io::Result<PoolServer> {
        let listener = listen(address)?;
        let server = PoolServer {
            address: listener.local_addr()?,
            domain: domain.as_str().into(),
            tls: server_tls(identity)?,
            state: Mutex::new(State {
                behaviour: Behaviour::Closed,
                listener: Some(Arc::new(listener)),
                accepting: JoinSet::new(),
            }),
        };
        server.set(Behaviour::Healthy).await?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it behaves.
    pub async fn behaviour(&self) -> Behaviour {
        self.state.lock().await.behaviour
    }

    /// Behaves so from now on; connections made before are closed. Fails, and stays closed, when the
    /// port has been taken by another while it was closed.
    pub async fn set(&self, behaviour: Behaviour) -> io::Result<()> {
        let mut state = self.state.lock().await;
        state.accepting.shutdown().await;
        state.behaviour = Behaviour::Closed;
        if behaviour == Behaviour::Closed {
            state.listener = None;
            return Ok(());
        }
        let listener = match state.listener.take() {
            Some(listener) => listener,
            None => Arc::new(listen(self.address)?),
        };
        state.listener = Some(Arc::clone(&listener));
        state.behaviour = behaviour;
        let (domain, tls) = (Arc::clone(&self.domain), self.tls.clone());
        state
            .accepting
            .spawn(accept(listener, behaviour, domain, tls));
        Ok(())
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn server_tls(identity: &Identity) -> Result<SslContext, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_certificate(&identity.certificate)?;
    builder.set_private_key(&identity.key)?;
    Ok(builder.build().into_context())
}

async fn accept(
    listener: Arc<TcpListener>,
    behaviour: Behaviour,
    domain: Arc<str>,
    tls: SslContext,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let Ok((tcp, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: a moment later there may be some.
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (domain, tls) = (Arc::clone(&domain), tls.clone());
        connections.spawn(async move {
            let serving = async {
                match behaviour {
                    Behaviour::Healthy => serve(tcp, &domain, &tls).await,
                    Behaviour::Hung | Behaviour::Closed => hold(tcp).await,
                }
            };
            // A partner that leaves early is none of the pool's failures.
            let _left = timeout(CONNECTION_TIMEOUT, serving).await;
        });
    }
}

async fn hold(tcp: TcpStream) -> io::Result<()> {
    std::future::pending::<()>().await;
    drop(tcp);
    Ok(())
}

async fn serve(tcp: TcpStream, domain: &str, tls: &SslContext) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tcp = tcp;
    if let Ended::Proceed = stream(&mut tcp, domain, true).await? {
        let mut secured = SslStream::new(Ssl::new(tls)?, tcp)?;
        Pin::new(&mut secured)
            .accept()
            .await
            .map_err(io::Error::other)?;
        stream(&mut secured, domain, false).await?;
        secured.shutdown().await?;
        return drain(&mut secured).await;
    }
    tcp.shutdown().await?;
    drain(&mut tcp).await
}

async fn drain<S: AsyncRead + Unpin>(io: &mut S) -> io::Result<()> {
    let mut sink = [0; 1024];
    while io.read(&mut sink).await? > 0 {}
    Ok(())
}

/// How a stream ended.
enum Ended {
    /// By `<starttls/>`, answered with `<proceed/>`.
    Proceed,
    /// By its end, or by an error.
    Over,
}

async fn stream<S: AsyncRead + AsyncWrite + Unpin>(
    io: &mut S,
    domain: &str,
    in_clear: bool,
) -> io::Result<Ended> {
    let mut reader = Reader::new(MAX_STREAM);
    let mut depth = 0_u32;
    let mut chunk = [0; 2048];
    loop {
        let event = match reader.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => {
                let count = io.read(&mut chunk).await?;
                if count == 0 {
                    return Ok(Ended::Over);
                }
                reader.feed(chunk.get(..count).unwrap_or_default());
                continue;
            }
            Err(_) => return fail(io, "not-well-formed").await,
        };
        match event {
            Event::Start(start) => {
                depth += 1;
                if depth == 1 {
                    io.write_all(header(domain).as_bytes()).await?;
                    if !asks_for(&start, domain) {
                        return fail(io, "host-unknown").await;
                    }
                    io.write_all(features(in_clear).as_bytes()).await?;
                } else if depth == 2 && in_clear && start.name.is(STARTTLS, "starttls") {
                    io.write_all(format!("<proceed xmlns='{STARTTLS}'/>").as_bytes())
                        .await?;
                    return Ok(Ended::Proceed);
                }
            }
            Event::End => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    io.write_all(b"</stream:stream>").await?;
                    return Ok(Ended::Over);
                }
            }
            Event::Text(_) => {}
        }
    }
}

fn asks_for(start: &Start, domain: &str) -> bool {
    let mut to = start
        .attributes
        .iter()
        .filter(|(name, _)| name.ns.is_none() && name.local == "to");
    start.name.is(STREAMS, "stream") && to.any(|(_, value)| value.eq_ignore_ascii_case(domain))
}

fn header(domain: &str) -> String {
    let id = rand::random::<u64>();
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
         xmlns:stream='{STREAMS}' from='{domain}' id='{id:016x}' version='1.0'>"
    )
}

fn features(in_clear: bool) -> String {
    let inside = if in_clear {
        format!("<starttls xmlns='{STARTTLS}'><required/></starttls>")
    } else {
        "<dialback xmlns='urn:xmpp:features:dialback'/>".to_owned()
    };
    format!("<stream:features>{inside}</stream:features>")
}

async fn fail<S: AsyncWrite + Unpin>(io: &mut S, condition: &str) -> io::Result<Ended> {
    let error = format!(
        "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    );
    io.write_all(error.as_bytes()).await?;
    Ok(Ended::Over)
}
