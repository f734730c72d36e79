//! Servers that follow a script: what they say, when, and what they hear.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openssl::ssl::{Ssl, SslContext};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;

pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='contoso.com' id='1' version='1.0'>";
pub(crate) const STARTTLS: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
pub(crate) const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(crate) const INSIDE: &str =
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";

/// A stream error of this condition.
pub(crate) fn error(condition: &str) -> String {
    format!(
        "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    )
}

/// One thing a fake does with a connection.
#[derive(Clone)]
pub(crate) enum Step {
    /// Reads until it has heard this since the last `Hear`.
    Hear(&'static str),
    /// Says this.
    Say(String),
    /// Says these bytes.
    SayBytes(Vec<u8>),
    /// Says this, one byte at a time.
    Drip(String),
    /// Reads a stream header. If it asks for another domain than this one, says that it is unknown and ends.
    Host(&'static str),
    /// Says this until nobody listens.
    Repeat(String),
    /// Reads a first byte and then says nothing.
    HearAnything,
    /// Makes a TLS handshake.
    Tls(SslContext),
    /// Reads until the probe has closed.
    HearEnd,
    /// Keeps the connection open and says and reads nothing.
    Hold,
}

/// The beginning of an honest server, up to `<proceed/>`.
pub(crate) fn to_proceed() -> Vec<Step> {
    vec![
        Step::Hear("version='1.0'>"),
        Step::Say(HEADER.to_owned() + STARTTLS),
        Step::Hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        Step::Say(PROCEED.to_owned()),
    ]
}

/// What a fake heard on its latest connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// All of it, inside TLS too.
    pub(crate) text: String,
    /// The name asked for in the TLS handshake.
    pub(crate) server_name: Option<String>,
    /// The protocol agreed on in the TLS handshake.
    pub(crate) alpn: Option<String>,
    /// The script has ended, and the connection with it.
    pub(crate) ended: bool,
    /// The probe ended the connection in order: with close_notify inside TLS, with FIN.
    pub(crate) closed_in_order: bool,
}

/// A running fake.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    /// How many connections there have been, how many there are, and how many there were at most.
    counts: Arc<Mutex<[usize; 3]>>,
    heard: watch::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Fake {
    /// Starts one on 127.0.0.1; each connection gets the script from its beginning.
    pub(crate) async fn start(script: impl IntoIterator<Item = Step>) -> Fake {
        Fake::start_on(super::ANY_PORT, script).await
    }

    pub(crate) async fn start_on(
        address: SocketAddr,
        script: impl IntoIterator<Item = Step>,
    ) -> Fake {
        let script: Vec<Step> = script.into_iter().collect();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heard) = watch::channel(Heard::default());
        let counts = Arc::<Mutex<[usize; 3]>>::default();
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                sender.send_replace(Heard::default());
                let counted = Counted::new(&counted);
                tokio::spawn(follow(script.clone(), tcp, sender.clone(), counted));
            }
        });
        Fake {
            address,
            counts,
            heard,
            task,
        }
    }

    /// How many connections there have been, and how many at one time at most.
    pub(crate) fn connections(&self) -> (usize, usize) {
        let [all, _, most] = *self.counts.lock().unwrap();
        (all, most)
    }

    /// What was heard, once the script has ended.
    pub(crate) async fn heard(&self) -> Heard {
        self.heard
            .clone()
            .wait_for(|heard| heard.ended)
            .await
            .unwrap()
            .clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection, as long as its script goes on.
struct Counted(Arc<Mutex<[usize; 3]>>);

impl Counted {
    fn new(counts: &Arc<Mutex<[usize; 3]>>) -> Counted {
        let mut locked = counts.lock().unwrap();
        let [all, open, most] = &mut *locked;
        *all += 1;
        *open += 1;
        *most = *open.max(most);
        drop(locked);
        Counted(Arc::clone(counts))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.lock().unwrap()[1] -= 1;
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

async fn follow(script: Vec<Step>, tcp: TcpStream, heard: watch::Sender<Heard>, counted: Counted) {
    let mut io: Box<dyn Io> = Box::new(tcp);
    let mut since = 0;
    for step in script {
        let kept = match step {
            Step::Hear(wanted) => {
                hear(&mut io, &heard, |text| text[since..].contains(wanted)).await
            }
            Step::HearAnything => hear(&mut io, &heard, |text| !text[since..].is_empty()).await,
            Step::HearEnd => {
                hear(&mut io, &heard, |_| false).await;
                true
            }
            Step::Host(domain) => {
                let asked = format!("to='{domain}'");
                let whole = hear(&mut io, &heard, |text| {
                    text[since..].contains("version='1.0'>")
                })
                .await;
                let known = whole && heard.borrow().text[since..].contains(&asked);
                if whole && !known {
                    let answer = HEADER.to_owned() + &error("host-unknown");
                    let _gone = io.write_all(answer.as_bytes()).await;
                }
                known
            }
            Step::Say(text) => io.write_all(text.as_bytes()).await.is_ok(),
            Step::SayBytes(bytes) => io.write_all(&bytes).await.is_ok(),
            Step::Drip(text) => drip(&mut io, &text).await,
            Step::Repeat(text) => {
                while io.write_all(text.as_bytes()).await.is_ok() {}
                false
            }
            Step::Tls(context) => {
                let mut secured = SslStream::new(Ssl::new(&context).unwrap(), io).unwrap();
                let outcome = Pin::new(&mut secured).accept().await;
                heard.send_modify(|heard| {
                    heard.server_name = secured
                        .ssl()
                        .servername(openssl::ssl::NameType::HOST_NAME)
                        .map(str::to_owned);
                    heard.alpn = secured
                        .ssl()
                        .selected_alpn_protocol()
                        .map(|alpn| String::from_utf8_lossy(alpn).into_owned());
                });
                io = Box::new(secured);
                outcome.is_ok()
            }
            Step::Hold => {
                std::future::pending::<()>().await;
                false
            }
        };
        since = heard.borrow().text.len();
        if !kept {
            break;
        }
    }
    drop(counted);
    // As a server closes: close_notify inside TLS, FIN, and then it reads until the peer has closed too.
    let _gone = io.shutdown().await;
    drop(io);
    heard.send_modify(|heard| heard.ended = true);
}

/// Reads until `enough`, or until the peer has closed; whether it was enough.
async fn hear(
    io: &mut Box<dyn Io>,
    heard: &watch::Sender<Heard>,
    enough: impl Fn(&str) -> bool,
) -> bool {
    let mut chunk = [0; 4096];
    while !enough(&heard.borrow().text) {
        match io.read(&mut chunk).await {
            Ok(0) => {
                heard.send_modify(|heard| heard.closed_in_order = true);
                return false;
            }
            Ok(count) => {
                let text = String::from_utf8_lossy(&chunk[..count]).into_owned();
                heard.send_modify(|heard| heard.text.push_str(&text));
            }
            Err(_) => return false,
        }
    }
    true
}

/// One byte at a time; this is what is tested, not waiting for something.
async fn drip(io: &mut Box<dyn Io>, text: &str) -> bool {
    let mut pace = tokio::time::interval(Duration::from_millis(25));
    for byte in text.bytes() {
        pace.tick().await;
        if io.write_all(&[byte]).await.is_err() {
            return false;
        }
    }
    true
}
