//! A user of the partner, as a component of its server (XEP-0114): sends a message to contoso.example every 200 ms and
//! records every answer, which pool it came from, and every bounce.
//!
//! Out: what came back, and the longest time without an answer, which is the outage that the partner's users felt.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openssl::hash::{MessageDigest, hash};

use crate::wait::wait_for;
use crate::{CLIENT, COMPONENT_PORT, DOMAIN, PARTNER_ADDRESS, PATIENCE, SECRET};

/// Between two messages.
const EVERY: Duration = Duration::from_millis(200);

/// So many answers in a row are no accident.
const STEADY: usize = 5;

/// The client, sending since it was made and until it is dropped.
#[derive(Debug)]
pub(crate) struct Client {
    seen: Arc<(Mutex<Seen>, Condvar)>,
    stream: TcpStream,
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// Everything the client sent and received.
#[derive(Debug, Default)]
struct Seen {
    /// When each message was sent; its index is its number.
    sent: Vec<Instant>,
    answers: Vec<Answer>,
    bounces: usize,
    last_bounce: String,
    ended: bool,
}

#[derive(Debug, Clone)]
struct Answer {
    number: usize,
    pool: String,
    at: Instant,
}

impl Client {
    /// Connects to the partner's component port, which may still be starting, and begins to send.
    pub(crate) fn start() -> Client {
        let (stream, rest) = wait_for("the partner accepts its component", PATIENCE, || {
            connect().ok()
        });
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let (stop, stopped) = mpsc::channel();
        let mut client = Client {
            seen: Arc::clone(&seen),
            stream: stream.try_clone().expect("a socket"),
            stop: Some(stop),
            threads: Vec::new(),
        };

        let mut out = stream.try_clone().expect("a socket");
        let record = Arc::clone(&seen);
        client.threads.push(std::thread::spawn(move || {
            let began = Instant::now();
            loop {
                let number = {
                    let mut seen = lock(&record);
                    seen.sent.push(Instant::now());
                    seen.sent.len() - 1
                };
                let message = format!("<message from='{CLIENT}' to='{DOMAIN}' type='chat' id='m{number}'><body>m{number}</body></message>");
                if out.write_all(message.as_bytes()).is_err() {
                    return;
                }
                let next = began + EVERY * u32::try_from(number + 1).expect("not that many messages");
                match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return,
                }
            }
        }));
        client
            .threads
            .push(std::thread::spawn(move || receive(stream, rest, &seen)));
        client
    }

    /// Waits until the partner takes its component, which proves that it has started, and leaves again unheard.
    pub(crate) fn check_partner_is_ready() {
        wait_for("the partner accepts its component", PATIENCE, || {
            connect().ok()
        });
    }

    /// Waits until `pool` has answered five messages in a row, all of them sent after this call.
    ///
    /// # Panics
    /// After `limit`, with what came back instead.
    pub(crate) fn wait_for_answers_of(&self, pool: &str, limit: Duration) {
        let from = lock(&self.seen).sent.len();
        let answered = self.wait_until(limit, |fresh| {
            fresh.len() >= STEADY && fresh[fresh.len() - STEADY..].iter().all(|a| a.pool == pool)
        });
        assert!(
            answered,
            "no steady answers of {pool} within {limit:?}: {}",
            lock(&self.seen).summary(from)
        );
    }

    /// Whether any pool answers five messages sent after this call, within `limit`.
    pub(crate) fn is_answered_steadily_within(&self, limit: Duration) -> bool {
        self.wait_until(limit, |fresh| fresh.len() >= STEADY)
    }

    /// Whether `enough` becomes true of the answers to messages sent after this call, before `limit` or the stream's end.
    fn wait_until(&self, limit: Duration, enough: impl Fn(&[&Answer]) -> bool) -> bool {
        let (seen, changed) = &*self.seen;
        let guard = seen.lock().expect("no thread panicked with it");
        let from = guard.sent.len();
        let waiting = |seen: &mut Seen| {
            let fresh: Vec<&Answer> = seen.answers.iter().filter(|a| a.number >= from).collect();
            !seen.ended && !enough(&fresh)
        };
        let (guard, wait) = changed
            .wait_timeout_while(guard, limit, waiting)
            .expect("no thread panicked with it");
        !wait.timed_out() && !guard.ended
    }

    /// The longest time without an answer since `since`, which is not over when none came back yet.
    pub(crate) fn longest_gap(&self, since: Instant) -> Duration {
        let seen = lock(&self.seen);
        let mut last = since;
        let mut longest = Duration::ZERO;
        for at in seen
            .answers
            .iter()
            .map(|a| a.at)
            .filter(|at| *at > since)
            .chain([Instant::now()])
        {
            longest = longest.max(at.saturating_duration_since(last));
            last = at;
        }
        longest
    }
}

impl Seen {
    fn summary(&self, from: usize) -> String {
        let mut pools: Vec<(&str, usize)> = Vec::new();
        for answer in self.answers.iter().filter(|a| a.number >= from) {
            match pools.iter_mut().find(|(pool, _)| *pool == answer.pool) {
                Some((_, count)) => *count += 1,
                None => pools.push((&answer.pool, 1)),
            }
        }
        format!(
            "{} messages sent since, answered by {pools:?}, {} bounces in all, the last: {:?}{}",
            self.sent.len() - from,
            self.bounces,
            self.last_bounce,
            if self.ended {
                "; the partner closed the component's stream"
            } else {
                ""
            }
        )
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.take();
        let _ = self.stream.shutdown(Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// XEP-0114 §3: stream header, then the hash of its id and the secret. Gives the socket and what followed the handshake.
fn connect() -> std::io::Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect((PARTNER_ADDRESS, COMPONENT_PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='{CLIENT}'>"
    )?;
    let mut said = String::new();
    let id = read_until(&mut stream, &mut said, |said| {
        let header = &said[said.find("<stream:stream")?..];
        attribute(&header[..header.find('>')?], "id")
    })?;
    let digest = hash(MessageDigest::sha1(), format!("{id}{SECRET}").as_bytes())?;
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    write!(stream, "<handshake>{digest}</handshake>")?;
    let end = read_until(&mut stream, &mut said, |said| {
        Some(said.find("<handshake")? + "<handshake/>".len())
    })?;
    stream.set_read_timeout(None)?;
    Ok((stream, said.split_off(end.min(said.len()))))
}

fn read_until<T>(
    stream: &mut TcpStream,
    said: &mut String,
    found: impl Fn(&str) -> Option<T>,
) -> std::io::Result<T> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(value) = found(said) {
            return Ok(value);
        }
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        said.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}

/// Takes answers and bounces out of what the partner sends. Our own server's stanzas are well formed and small.
fn receive(mut stream: TcpStream, mut said: String, record: &(Mutex<Seen>, Condvar)) {
    const END: &str = "</message>";
    let mut buffer = [0; 16384];
    loop {
        while let Some(end) = said.find(END) {
            let stanza: String = said.drain(..end + END.len()).collect();
            let mut seen = lock(record);
            let header = &stanza[stanza.find("<message").unwrap_or(0)..];
            if attribute(&header[..header.find('>').unwrap_or(0)], "type").as_deref()
                == Some("error")
            {
                seen.bounces += 1;
                seen.last_bounce = stanza;
            } else if let Some((number, pool)) = body(&stanza) {
                seen.answers.push(Answer {
                    number,
                    pool,
                    at: Instant::now(),
                });
            }
            record.1.notify_all();
        }
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => said.push_str(&String::from_utf8_lossy(&buffer[..n])),
            _ => break,
        }
    }
    lock(record).ended = true;
    record.1.notify_all();
}

/// The body of an answer: the number of our message and the pool's name.
fn body(stanza: &str) -> Option<(usize, String)> {
    let text = stanza.split_once("<body>")?.1.split_once("</body>")?.0;
    let (number, pool) = text.strip_prefix('m')?.split_once(' ')?;
    Some((number.parse().ok()?, pool.to_owned()))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split_once(&format!(" {name}="))?.1;
    let quote = rest.chars().next()?;
    Some(rest[1..].split_once(quote)?.0.to_owned())
}

fn lock(record: &(Mutex<Seen>, Condvar)) -> MutexGuard<'_, Seen> {
    record.0.lock().expect("no thread panicked with it")
}
