//! Settings of the daemon itself, with their defaults.
//!
//! In: nothing. Out: plain values. Never here: what is steered; that is `topology`.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::exchange::listed;
use super::network::Network;
use crate::topology::DomainName;
use crate::zone::Name;

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
    /// Whom the process belongs to after a start as root.
    pub user: Option<String>,
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
            user: None,
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

/// How requests are answered, whatever they ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MannersSettings {
    /// Who this server is: NSID, `hostname.bind`, `id.server`.
    pub nsid: Option<String>,
    /// What it says it runs: `version.bind`, `version.server`.
    pub version: Option<String>,
    /// Whether DNS cookies are given and recognised.
    pub cookies: bool,
    /// The secrets of cookies, the first for new ones; random when absent.
    pub cookie_secrets: Option<CookieSecrets>,
    /// Responses a second for each network and answer, over UDP; 0 is no limit.
    pub rate_limit: u32,
    /// Each n-th response held back is sent truncated; 0 is none.
    pub rate_limit_slip: u32,
    /// Networks without a limit.
    pub rate_limit_exempt: Vec<Network>,
}

impl Default for MannersSettings {
    fn default() -> MannersSettings {
        MannersSettings {
            nsid: None,
            version: None,
            cookies: true,
            cookie_secrets: None,
            rate_limit: 20,
            rate_limit_slip: 2,
            rate_limit_exempt: Vec::new(),
        }
    }
}

/// Secrets of cookies. They are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecrets(pub Vec<[u8; 16]>);

impl fmt::Debug for CookieSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// Who may change challenges of certificate authorities, and how long those last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    /// TSIG keys that may send updates (RFC 2136), each with what it may update.
    pub tsig: Vec<AcmeKey>,
    /// How long a value is published unless it is taken away before.
    pub lifetime: Duration,
}

/// A TSIG key whose holder may update challenges, within a scope. An empty scope allows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeKey {
    /// The key's name.
    pub key: Name,
    /// Zones in which it may update every challenge, by their apex.
    pub zones: BTreeSet<DomainName>,
    /// Challenges that it may update, each by its whole name.
    pub names: BTreeSet<DomainName>,
}

impl AcmeKey {
    /// Whether the key may update a challenge that lies in a zone.
    pub fn may_update(&self, name: &DomainName, zone: &Name) -> bool {
        self.names.contains(name)
            || zone
                .to_domain_name()
                .is_some_and(|zone| self.zones.contains(&zone))
    }
}

impl fmt::Display for AcmeKey {
    /// The scope, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &BTreeSet<DomainName>| {
            let names: Vec<DomainName> = names.iter().cloned().collect();
            listed(&names)
        };
        match (self.zones.is_empty(), self.names.is_empty()) {
            (true, true) => f.write_str("nothing"),
            (false, true) => write!(f, "zones {}", list(&self.zones)),
            (true, false) => write!(f, "names {}", list(&self.names)),
            (false, false) => {
                write!(
                    f,
                    "zones {}; names {}",
                    list(&self.zones),
                    list(&self.names)
                )
            }
        }
    }
}

impl Default for AcmeSettings {
    fn default() -> AcmeSettings {
        AcmeSettings {
            tsig: Vec::new(),
            lifetime: Duration::from_secs(3600),
        }
    }
}
