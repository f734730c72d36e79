//! What answers at a pool's address when the pool itself is useless: three half-dead servers.
//!
//! A TCP check calls all of them healthy, and partners never skip them by themselves.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::DOMAIN;

/// How the half-dead server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HalfDead {
    /// Accepts the connection and closes it.
    ClosesAtOnce,
    /// Answers the stream header with the stream error `host-unknown` (RFC 6120 §4.9.3.6).
    HostUnknown,
    /// Agrees to STARTTLS, then speaks something else than TLS.
    TlsGarbage,
}

/// A half-dead server on port 5269, until it is dropped.
#[derive(Debug)]
pub(crate) struct Fake {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Listens in place of a pool that was killed.
    pub(crate) fn start(how: HalfDead, address: Ipv4Addr) -> Fake {
        let listener = TcpListener::bind((address, 5269)).expect("the pool's port is free");
        let address = listener.local_addr().expect("a bound socket");
        let (stop, open) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (stopping, streams) = (Arc::clone(&stop), Arc::clone(&open));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if how != HalfDead::ClosesAtOnce {
                    let Ok(copy) = stream.try_clone() else {
                        continue;
                    };
                    streams
                        .lock()
                        .expect("no thread panicked with it")
                        .push(copy);
                    std::thread::spawn(move || {
                        let _ = converse(how, stream);
                    });
                }
            }
        });
        Fake {
            address,
            stop,
            open,
            thread: Some(thread),
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // One last connection wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for stream in self
            .open
            .lock()
            .expect("no thread panicked with it")
            .drain(..)
        {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn converse(how: HalfDead, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    read_until(&mut stream, "<stream:stream", ">")?;
    write!(
        stream,
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
         xmlns:stream='http://etherx.jabber.org/streams' id='half-dead' from='{DOMAIN}' version='1.0'>"
    )?;
    if how == HalfDead::HostUnknown {
        write!(
            stream,
            "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
        )?;
        return stream.shutdown(Shutdown::Write);
    }
    write!(
        stream,
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
    )?;
    read_until(&mut stream, "<starttls", ">")?;
    write!(stream, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")?;
    let mut hello = [0; 1];
    stream.read_exact(&mut hello)?;
    stream.write_all(&b"this is not TLS\n".repeat(64))?;
    // Held open, as a broken TLS terminator does, until the peer gives up.
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

/// Reads until `start` and, after it, `end` have arrived.
fn read_until(stream: &mut TcpStream, start: &str, end: &str) -> std::io::Result<()> {
    let mut said = String::new();
    let mut buffer = [0; 1024];
    loop {
        if said
            .split_once(start)
            .is_some_and(|(_, rest)| rest.contains(end))
        {
            return Ok(());
        }
        let n = stream.read(&mut buffer)?;
        if n == 0 || said.len() > 16384 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        said.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}
