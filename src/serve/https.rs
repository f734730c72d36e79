//! DNS over HTTPS (RFC 8484): a request and its response in each exchange, over HTTP/2 or HTTP/1.1.
//!
//! In: a connection whose TLS stands. Out: DNS messages as they are, with the freshness a cache may give them; an HTTP
//! error where there is no DNS message to answer. Never here: TLS, accepting, what is answered.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::freshness::freshness;
use super::hall::Hall;
use super::peer::{Outcome, Peer};
use super::room::Room;

/// The path of the URI template `https://host/dns-query{?dns}`.
const PATH: &str = "/dns-query";
const MESSAGE: &str = "application/dns-message";
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static(MESSAGE);
/// The longest DNS message there is.
const LONGEST: usize = 65535;
/// As much of what is no DNS message is read, so that the client hears why.
const UNWANTED: usize = 1 << 20;
/// Exchanges under way on one connection; more wait (RFC 9113 §5.1.2). §6.5.2 advises 100 at least, for pages with as many
/// parts; a resolver has few questions at once, and a hundred open ones are a burden that costs its client nothing.
const EXCHANGES: u32 = 32;
/// Header fields of a request, in octets: a GET carries its message there.
const HEADERS: u32 = 16 << 10;
/// What a connection may have on its way to us, in octets, and to it.
const WINDOW: u32 = 128 << 10;

/// Answers the exchanges of a connection until it ends, is idle for too long, or the server stops.
pub(super) async fn converse<S>(
    stream: S,
    http2: bool,
    peer: Peer,
    hall: Arc<Hall>,
    stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let (counted, answering) = (activity.clone(), hall.clone());
    let room = Arc::new(Room::new());
    let service = service_fn(move |request| {
        let (counted, hall, room) = (counted.clone(), answering.clone(), room.clone());
        async move {
            let response = exchange(request, peer, &hall, &room).await;
            counted.ended();
            if hall.is_waited_for() {
                counted.make_room.notify_one();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(stream);
    if http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(EXCHANGES)
            .max_header_list_size(HEADERS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(WINDOW as usize)
            .serve_connection(io, service);
        keep(connection, &activity, &hall, stop).await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(hall.limits.idle)
            .max_buf_size(HEADERS as usize)
            .serve_connection(io, service);
        keep(connection, &activity, &hall, stop).await;
    }
}

/// What is going on on a connection.
struct Activity {
    quiet_since: Mutex<Instant>,
    /// Told when others wait for this connection's place.
    make_room: Notify,
}

impl Activity {
    fn new() -> Activity {
        Activity {
            quiet_since: Mutex::new(Instant::now()),
            make_room: Notify::new(),
        }
    }

    fn quiet_since(&self) -> Instant {
        *self
            .quiet_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) {
        *self
            .quiet_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A connection that can be told to take nothing new.
trait Wind: Future {
    fn wind_down(self: Pin<&mut Self>);
}

impl<S, F, Io> Wind for http2::Connection<Io, S, TokioExecutor>
where
    http2::Connection<Io, S, TokioExecutor>: Future,
    S: hyper::service::HttpService<Incoming, Future = F, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    F: Future<Output = Result<Response<Full<Bytes>>, S::Error>> + Send + 'static,
    Io: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, Io> Wind for http1::Connection<Io, S>
where
    http1::Connection<Io, S>: Future,
    S: hyper::service::HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Io: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection, and ends it when nothing was asked on it for too long, others wait for its place, or the server
/// stops: first by asking (GOAWAY), then by closing.
async fn keep<C: Wind>(
    connection: C,
    activity: &Activity,
    hall: &Hall,
    mut stop: watch::Receiver<bool>,
) {
    let mut connection = std::pin::pin!(connection);
    let mut end_by = None;
    loop {
        let until = end_by.unwrap_or_else(|| activity.quiet_since() + hall.patience(false));
        let grace = tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.wait_for(|stop| *stop), if end_by.is_none() => hall.limits.drain,
            () = activity.make_room.notified(), if end_by.is_none() => hall.limits.write,
            () = sleep_until(until) => {
                if end_by.is_some() {
                    hall.counters.tcp_too_slow();
                    return;
                }
                // Something was asked meanwhile. What is under way now has time to end.
                if activity.quiet_since() + hall.patience(false) > Instant::now() {
                    continue;
                }
                hall.limits.write
            }
        };
        connection.as_mut().wind_down();
        end_by = Some(Instant::now() + grace);
    }
}

/// One request and its response.
async fn exchange(
    request: Request<Incoming>,
    peer: Peer,
    hall: &Hall,
    room: &Room,
) -> Response<Full<Bytes>> {
    let message = match message(request, hall).await {
        Ok(message) => message,
        Err(refusal) => {
            hall.counters.http_refusals();
            return refusal.into();
        }
    };
    let Some(place) = room.place(hall.limits.write).await else {
        hall.counters.tcp_too_slow();
        let why = "answers to other requests on this connection were not taken";
        return refused(StatusCode::SERVICE_UNAVAILABLE, why).into();
    };
    let mut response = Vec::new();
    if hall.respond(&message, peer, &mut response) == Outcome::Silent {
        return refused(StatusCode::BAD_REQUEST, "this is no DNS request").into();
    }
    // How long an HTTP cache may keep it: no longer than any DNS cache (RFC 8484 §5.1).
    let fresh = freshness(&response).unwrap_or(0);
    // The place is given back with the octets, wherever HTTP/2 keeps them meanwhile.
    let octets = Bytes::from_owner(place.hold(response));
    let mut carried = Response::new(Full::new(octets));
    carried.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    if let Ok(value) = HeaderValue::try_from(format!("max-age={fresh}")) {
        carried.headers_mut().insert(CACHE_CONTROL, value);
    }
    carried
}

/// The DNS message of a request, or what HTTP has to say (RFC 8484 §4.1, §4.2.1).
async fn message(request: Request<Incoming>, hall: &Hall) -> Result<Vec<u8>, Refusal> {
    let (head, body) = request.into_parts();
    let refusal = match head.method {
        _ if head.uri.path() != PATH => refused(StatusCode::NOT_FOUND, "DNS is at /dns-query"),
        Method::GET | Method::HEAD => return asked_in_query(head.uri.query().unwrap_or("")),
        Method::POST if is_message(&head.headers) => return asked_in_body(body, hall).await,
        Method::POST => refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, MESSAGE),
        _ => refused(StatusCode::METHOD_NOT_ALLOWED, "GET or POST"),
    };
    drain(body, hall).await;
    Err(refusal)
}

fn is_message(headers: &HeaderMap) -> bool {
    let Some(Ok(text)) = headers.get(CONTENT_TYPE).map(HeaderValue::to_str) else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case(MESSAGE)
}

/// Reads what nobody wants, within limits: clients that are answered in the middle of it see a broken stream.
async fn drain(body: Incoming, hall: &Hall) {
    let rest = Limited::new(body, UNWANTED).collect();
    let _ = timeout(hall.limits.read, rest).await;
}

fn asked_in_query(query: &str) -> Result<Vec<u8>, Refusal> {
    let message = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("dns="))
        .ok_or_else(|| {
            refused(
                StatusCode::BAD_REQUEST,
                "the DNS message is missing: ?dns=…",
            )
        })?;
    BASE64URL_NOPAD.decode(message.as_bytes()).map_err(|_| {
        refused(
            StatusCode::BAD_REQUEST,
            "the value of dns is not base64url without padding (RFC 8484 section 6)",
        )
    })
}

async fn asked_in_body(mut body: Incoming, hall: &Hall) -> Result<Vec<u8>, Refusal> {
    match timeout(hall.limits.read, Limited::new(&mut body, LONGEST).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes().into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            drain(body, hall).await;
            Err(refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "a DNS message has 65,535 octets at most",
            ))
        }
        Ok(Err(_)) => Err(refused(StatusCode::BAD_REQUEST, "the body is broken")),
        Err(_) => Err(refused(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        )),
    }
}

/// Why there is no DNS message to answer.
struct Refusal {
    status: StatusCode,
    why: &'static str,
}

fn refused(status: StatusCode, why: &'static str) -> Refusal {
    Refusal { status, why }
}

impl From<Refusal> for Response<Full<Bytes>> {
    fn from(refusal: Refusal) -> Response<Full<Bytes>> {
        let Refusal { status, why } = refusal;
        let mut response = Response::new(Full::new(Bytes::from(format!("{why}\n"))));
        *response.status_mut() = status;
        let head = response.headers_mut();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        head.insert(CONTENT_TYPE, text);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            // RFC 9110 §15.5.6.
            head.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        response
    }
}
