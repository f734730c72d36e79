//! DNS over HTTPS (RFC 8484): a request and its response in each exchange, over HTTP/2 or HTTP/1.1.
//!
//! In: a connection whose TLS stands. Out: DNS messages as they are, with the freshness a cache may give them; an HTTP
//! error where there is no DNS message to answer. Never here: TLS, accepting, what is answered.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::budget::{ConnectionBudget, Exhausted, LONGEST_MESSAGE, RequestCharge};
use super::freshness::freshness;
use super::hall::Hall;
use super::peer::{Outcome, Peer};

/// The path of the URI template `https://host/dns-query{?dns}`.
const PATH: &str = "/dns-query";
const MESSAGE: &str = "application/dns-message";
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static(MESSAGE);
/// Octets of a refused body that are read and discarded, so that the client reads why.
const DISCARDED: usize = 1 << 20;
/// Exchanges under way on one connection; more wait (RFC 9113 §5.1.2). §6.5.2 advises 100 at least, for pages with as many
/// parts; a resolver has few questions at once, and a hundred open ones are a burden that costs its client nothing.
const EXCHANGES: u32 = 32;
/// Header fields of a request, in octets: a GET carries its message there.
const HEADERS: u32 = 16 << 10;
/// What one exchange, and one connection, may have on its way to us, in octets. Bodies are read as
/// they arrive. The connection's window cannot be smaller (RFC 9113 §6.9.2).
const STREAM_WINDOW: u32 = 16 << 10;
const CONNECTION_WINDOW: u32 = 65535;
/// What a connection may have on its way to its client, in octets.
const SEND_BUFFER: usize = 128 << 10;

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
    let budget = hall.budget.connection();
    let held = budget.clone();
    let service = service_fn(move |request| {
        let (counted, hall, budget) = (counted.clone(), answering.clone(), budget.clone());
        async move {
            let response = exchange(request, peer, &hall, &budget).await;
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
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .serve_connection(io, service);
        keep(connection, &activity, &hall, &held, stop).await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(hall.limits.idle)
            .max_buf_size(HEADERS as usize)
            .serve_connection(io, service);
        keep(connection, &activity, &hall, &held, stop).await;
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
/// stops: first by asking (GOAWAY), then by closing. A connection whose client does not take an answer in time is closed.
async fn keep<C: Wind>(
    connection: C,
    activity: &Activity,
    hall: &Hall,
    budget: &ConnectionBudget,
    mut stop: watch::Receiver<bool>,
) {
    let mut connection = std::pin::pin!(connection);
    let mut end_by = None;
    loop {
        let until = end_by.unwrap_or_else(|| {
            // Answers that are made meanwhile are looked at soon enough.
            let oldest = budget.oldest_untaken().unwrap_or_else(Instant::now);
            let quiet = activity.quiet_since() + hall.patience(false);
            quiet.min(oldest + hall.write_patience())
        });
        let grace = tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.wait_for(|stop| *stop), if end_by.is_none() => hall.limits.drain,
            () = activity.make_room.notified(), if end_by.is_none() => hall.limits.write,
            () = sleep_until(until) => {
                if end_by.is_some() {
                    hall.counters.tcp_too_slow();
                    return;
                }
                let oldest = budget.oldest_untaken();
                if oldest.is_some_and(|since| since + hall.write_patience() <= Instant::now()) {
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
    budget: &ConnectionBudget,
) -> Response<Full<Bytes>> {
    let response = match message(request, hall, budget).await {
        Ok(message) => answer(message, peer, hall, budget).await,
        Err(refusal) => {
            hall.counters.http_refusals();
            Err(refusal)
        }
    };
    response.unwrap_or_else(Response::from)
}

/// The response to a DNS message.
async fn answer(
    (message, _charge): (Vec<u8>, RequestCharge),
    peer: Peer,
    hall: &Hall,
    budget: &ConnectionBudget,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let Some(permit) = budget.reserve(hall.write_patience()).await else {
        hall.counters.tcp_too_slow();
        let why = "answers to other requests on this connection were not taken";
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    let mut response = Vec::new();
    if hall.respond(&message, peer, &mut response) == Outcome::Silent {
        return Err(refused(StatusCode::BAD_REQUEST, "this is no DNS request"));
    }
    // How long an HTTP cache may keep it: no longer than any DNS cache (RFC 8484 §5.1).
    let fresh = freshness(&response).unwrap_or(0);
    // The octets count until HTTP/2 has sent them, wherever it keeps them meanwhile.
    let held = permit.hold(response).map_err(|Exhausted| {
        hall.counters.over_budget();
        let why = "answers on other connections were not taken";
        refused(StatusCode::SERVICE_UNAVAILABLE, why)
    })?;
    let mut carried = Response::new(Full::new(Bytes::from_owner(held)));
    carried.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    if let Ok(value) = HeaderValue::try_from(format!("max-age={fresh}")) {
        carried.headers_mut().insert(CACHE_CONTROL, value);
    }
    Ok(carried)
}

/// The DNS message of a request, or what HTTP has to say (RFC 8484 §4.1, §4.2.1).
async fn message(
    request: Request<Incoming>,
    hall: &Hall,
    budget: &ConnectionBudget,
) -> Result<(Vec<u8>, RequestCharge), Refusal> {
    let (head, mut body) = request.into_parts();
    let mut charge = budget.request();
    let refusal = match head.method {
        _ if head.uri.path() != PATH => refused(StatusCode::NOT_FOUND, "DNS is at /dns-query"),
        Method::GET | Method::HEAD => {
            let message = asked_in_query(head.uri.query().unwrap_or(""))?;
            charge.grow_to(message.len()).map_err(over_budget(hall))?;
            return Ok((message, charge));
        }
        Method::POST if is_message(&head.headers) => {
            // The body may take long: nothing else is kept meanwhile.
            drop(head);
            let read = asked_in_body(&mut body, &mut charge, hall);
            match timeout(hall.patience(true), read).await {
                Ok(Ok(message)) => return Ok((message, charge)),
                Ok(Err(refusal)) => refusal,
                Err(_) => {
                    let why = "the body did not arrive in time";
                    return Err(refused(StatusCode::REQUEST_TIMEOUT, why));
                }
            }
        }
        Method::POST => refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, MESSAGE),
        _ => refused(StatusCode::METHOD_NOT_ALLOWED, "GET or POST"),
    };
    drop(charge);
    let _ = timeout(hall.patience(true), discard(body)).await;
    Err(refusal)
}

fn over_budget(hall: &Hall) -> impl FnOnce(Exhausted) -> Refusal + use<'_> {
    |Exhausted| {
        hall.counters.over_budget();
        let why = "too many long requests have arrived in part";
        refused(StatusCode::SERVICE_UNAVAILABLE, why)
    }
}

fn is_message(headers: &HeaderMap) -> bool {
    let Some(Ok(text)) = headers.get(CONTENT_TYPE).map(HeaderValue::to_str) else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case(MESSAGE)
}

/// Reads the body of a refused request and keeps none of it. A client that is answered earlier may
/// see a broken stream instead of the answer.
async fn discard(mut body: Incoming) {
    let mut octets = 0;
    while let Some(Ok(frame)) = body.frame().await {
        octets += frame.data_ref().map_or(0, Bytes::len);
        if octets > DISCARDED {
            return;
        }
    }
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

async fn asked_in_body(
    body: &mut Incoming,
    charge: &mut RequestCharge,
    hall: &Hall,
) -> Result<Vec<u8>, Refusal> {
    let mut message = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(refused(StatusCode::BAD_REQUEST, "the body is broken"));
        };
        // Trailers carry no data.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if message.len() + data.len() > LONGEST_MESSAGE {
            let why = "a DNS message has 65,535 octets at most";
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        // Copied: a frame of a few octets keeps the whole buffer that it arrived in.
        let appended = charge.append(&mut message, &data);
        appended.map_err(over_budget(hall))?;
    }
    Ok(message)
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
