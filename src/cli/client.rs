//! Asking the server through its control socket.
//!
//! In: a method, a path, a body. Out: what the server answered, or a failure that says whether anything was asked.
//! Never here: what an answer means.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use nix::unistd::{Gid, Group};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::failure::{Failure, Fault};
use crate::engine::Refusal;
use crate::harmless;

/// The server answers within 60 s or says why not; this is for a server that is stuck.
const PATIENCE: Duration = Duration::from_secs(70);

/// The way to one server.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
    runtime: Runtime,
    patience: Duration,
}

/// What the server answered.
#[derive(Debug)]
pub(super) struct Reply {
    bytes: Bytes,
}

impl Client {
    pub(super) fn new(socket: &Path) -> Result<Client, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                Failure::Local(Fault {
                    what: "cannot begin".into(),
                    why: error.to_string(),
                    in_force: "nothing was asked".into(),
                    hint: None,
                })
            })?;
        Ok(Client {
            socket: socket.to_owned(),
            runtime,
            patience: PATIENCE,
        })
    }

    /// The same, giving up sooner.
    pub(super) fn patient_for(self, patience: Duration) -> Client {
        Client { patience, ..self }
    }

    /// Does something that waits, on this client's runtime.
    pub(super) fn wait_for<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    pub(super) fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.call("GET", path, Bytes::new())
    }

    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Reply, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| self.unreadable(&error))?;
        self.call(method, path, body.into())
    }

    pub(super) fn delete(&self, path: &str) -> Result<Reply, Failure> {
        self.call("DELETE", path, Bytes::new())
    }

    fn call(&self, method: &str, path: &str, body: Bytes) -> Result<Reply, Failure> {
        let exchange = async {
            match tokio::time::timeout(self.patience, self.exchange(method, path, body)).await {
                Ok(reply) => reply,
                Err(_) => Err(self.lost(method, "it did not answer in time".into())),
            }
        };
        self.runtime.block_on(exchange)
    }

    async fn exchange(&self, method: &str, path: &str, body: Bytes) -> Result<Reply, Failure> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.closed(&error))?;
        let lost = |error: hyper::Error| self.lost(method, error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(lost)?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "repoint")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| self.lost(method, error.to_string()))?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(lost)?
            .to_bytes();
        connection.abort();
        if status.is_success() {
            return Ok(Reply { bytes });
        }
        match clean::<Refusal>(&bytes) {
            Ok(refusal) => Err(refusal.into()),
            Err(_) => Err(self.lost(method, format!("it answered {status} without a reason"))),
        }
    }

    /// The answer as a value.
    pub(super) fn read<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, Failure> {
        clean(&reply.bytes).map_err(|error| self.unreadable(&error))
    }

    fn closed(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        let (why, hint) = match error.kind() {
            io::ErrorKind::NotFound => (
                "there is no such socket: the server does not run, or uses another".into(),
                Some("systemctl status repoint, or --socket PATH".into()),
            ),
            io::ErrorKind::ConnectionRefused => (
                "nobody serves it: the server has ended".into(),
                Some("systemctl status repoint".into()),
            ),
            io::ErrorKind::PermissionDenied => (self.who_may(), None),
            _ => (error.to_string(), None),
        };
        Failure::NoAnswer {
            fault: Fault {
                what: format!("cannot ask the server through {socket}"),
                why,
                in_force: "nothing was asked".into(),
                hint,
            },
            forbidden: error.kind() == io::ErrorKind::PermissionDenied,
        }
    }

    fn who_may(&self) -> String {
        let group = std::fs::symlink_metadata(&self.socket)
            .ok()
            .and_then(|there| Group::from_gid(Gid::from_raw(there.gid())).ok().flatten());
        match group {
            Some(group) => format!("permission denied; members of group {} may", group.name),
            None => "permission denied".into(),
        }
    }

    fn lost(&self, method: &str, why: String) -> Failure {
        let in_force = match method {
            "GET" => "nothing was changed",
            _ => "the change may or may not be in force",
        };
        Failure::NoAnswer {
            fault: Fault {
                what: format!(
                    "no answer from the server through {}",
                    self.socket.display()
                ),
                why,
                in_force: in_force.into(),
                hint: Some("repoint status".into()),
            },
            forbidden: false,
        }
    }

    fn unreadable(&self, error: &serde_json::Error) -> Failure {
        Failure::Local(Fault {
            what: "cannot read the server's answer".into(),
            why: format!("{error}; is it another version than this command?"),
            in_force: "what was asked has been carried out".into(),
            hint: Some("repoint --version; repoint --json status".into()),
        })
    }
}

impl Reply {
    /// The answer as bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The answer as text for a terminal.
    pub(super) fn text(&self) -> String {
        harmless::lines(&String::from_utf8_lossy(&self.bytes)).into_owned()
    }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    // A path made of dots alone would be another path.
    if out.chars().all(|c| c == '.') {
        out = out.replace('.', "%2E");
    }
    out
}

/// Reads JSON with every control character in its texts replaced: what a probed server sent must not reach a terminal.
fn clean<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut value: serde_json::Value = serde_json::from_slice(bytes)?;
    scrub(&mut value);
    serde_json::from_value(value)
}

fn scrub(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::String(text) if text.chars().any(harmless::disturbs) => {
            *text = harmless::lines(text).into_owned();
        }
        Value::Array(values) => values.iter_mut().for_each(scrub),
        Value::Object(values) => values.values_mut().for_each(scrub),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_stays_one_segment_of_the_path() {
        assert_eq!(segment("contoso"), "contoso");
        assert_eq!(segment("a/b c"), "a%2Fb%20c");
        assert_eq!(segment(".."), "%2E%2E");
    }

    #[test]
    fn what_a_probed_server_sent_cannot_steer_the_terminal() {
        let read: Vec<String> = clean(br#"["\u001b[2Jgone","a\nb"]"#).unwrap();
        assert_eq!(read, ["\u{fffd}[2Jgone", "a\nb"]);
    }
}
