//! Settings of the daemon itself, with their defaults.
//!
//! In: nothing. Out: plain values. Never here: what is steered; that is `topology`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// Where the server listens and keeps its state. All of it but the certificate takes effect at the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerSettings {
    /// Addresses DNS is served on, by UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Addresses DNS over TLS is served on (RFC 7858).
    pub listen_tls: Vec<SocketAddr>,
    /// Addresses DNS over HTTPS is served on (RFC 8484).
    pub listen_https: Vec<SocketAddr>,
    /// Addresses DNS over QUIC is served on (RFC 9250).
    pub listen_quic: Vec<SocketAddr>,
    /// PEM file of the certificate chain for these three. Read anew while the server runs.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub certificate_key: Option<PathBuf>,
    /// Directory of the state file.
    pub state: PathBuf,
    /// Path of the control socket.
    pub control: PathBuf,
    /// Permission bits of the control socket.
    pub control_mode: u32,
    /// Group of the control socket; the process's own when absent.
    pub control_group: Option<String>,
    /// Threads that answer, and UDP sockets of each address; one per processor when absent.
    pub workers: Option<u32>,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            listen: vec![
                SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 53),
                SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 53),
            ],
            listen_tls: Vec::new(),
            listen_https: Vec::new(),
            listen_quic: Vec::new(),
            certificate: None,
            certificate_key: None,
            state: PathBuf::from("/var/lib/repoint"),
            control: PathBuf::from("/run/repoint/control.sock"),
            control_mode: 0o660,
            control_group: None,
            workers: None,
        }
    }
}

/// How the log is written. Takes effect at the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LogSettings {
    /// Text for people or JSON for collectors.
    pub format: LogFormat,
    /// The least important messages written.
    pub level: LogLevel,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings {
            format: LogFormat::Text,
            level: LogLevel::Info,
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line per event.
    Text,
    /// One JSON object per event.
    Json,
}

impl LogFormat {
    /// The format as configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

/// The weight of a log message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something will not work if it goes on.
    Warn,
    /// Transitions and decisions.
    Info,
    /// Every probe.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level as configuration and the log filter write it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// The program that is told about alarms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlarmSettings {
    /// Program and arguments, without a shell; nothing is run when empty.
    pub exec: Vec<String>,
    /// How long it may run before it is stopped.
    pub timeout: Duration,
}

impl Default for AlarmSettings {
    fn default() -> AlarmSettings {
        AlarmSettings {
            exec: Vec::new(),
            timeout: Duration::from_secs(10),
        }
    }
}
