//! Probes against Debian's Prosody and ejabberd, each started by the test with its own configuration on
//! an address of its own.
//!
//! In: the installed packages. Out: the same facts from both. Never here: the machine's own servers and
//! their directories.
#![allow(clippy::unwrap_used)]

#[path = "world/tool.rs"]
mod tool;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use repoint::clock::{Mono, Now, Wall};
use repoint::demo::{Authority, Leaf};
use repoint::health::{Grade, judge};
use repoint::probe::{
    CertificateFault, Observation, Phase, ProbeResult, Prober, Reason, StreamCondition, report,
};
use repoint::topology::{Accept, Check, CheckId, CheckSettings, Depth, DomainName, ServiceKind};
use tool::{find, tool};

/// libunbound refuses `.test` by itself, so that the servers are given this.
const DOMAIN: &str = "contoso.example";
/// How long a server may take to start on a machine with much to do.
const START: Duration = Duration::from_secs(120);

/// A running server. Stopped by its process id when dropped.
struct Server {
    child: Child,
    log: PathBuf,
    address: IpAddr,
    ca: PathBuf,
    _directory: tempfile::TempDir,
}

impl Server {
    async fn start(
        leaf: &Leaf,
        configure: impl FnOnce(&Path, IpAddr) -> (Command, PathBuf),
    ) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let authority = Authority::new("A Test Authority").unwrap();
        let identity = authority.issue(leaf).unwrap();
        let key = identity.key.private_key_to_pem_pkcs8().unwrap();
        let certificate = identity.certificate.to_pem().unwrap();
        fs::write(path.join("ca.pem"), authority.pem().unwrap()).unwrap();
        fs::write(path.join("server.crt"), &certificate).unwrap();
        fs::write(path.join("server.key"), &key).unwrap();
        fs::write(path.join("server.pem"), [certificate, key].concat()).unwrap();
        // An address for each server, so that ports need not be shared out.
        let [a, b, c] = rand::random::<[u8; 3]>();
        let address = IpAddr::V4(Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254)));
        let (mut command, log) = configure(&path, address);
        let output = fs::File::create(path.join("output.txt")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let ca = path.join("ca.pem");
        let mut server = Server {
            child,
            log,
            address,
            ca,
            _directory: directory,
        };
        server.wait_for(5269).await;
        server.wait_for(5270).await;
        server
    }

    async fn wait_for(&mut self, port: u16) {
        let began = Instant::now();
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        while TcpStream::connect((self.address, port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the server ended: {ended:?}\n{}",
                self.told()
            );
            assert!(
                began.elapsed() < START,
                "it does not listen on {port}:\n{}",
                self.told()
            );
            pace.tick().await;
        }
    }

    /// What the server wrote.
    fn told(&self) -> String {
        let output = self.ca.with_file_name("output.txt");
        [&self.log, &output]
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .collect()
    }

    fn check(&self, service: ServiceKind, depth: Depth) -> Check {
        let mut settings = CheckSettings::default_for(service);
        settings.depth = depth;
        settings.timeout = Duration::from_secs(30);
        settings.ca = Some(self.ca.clone());
        Check {
            service,
            peer: SocketAddr::new(self.address, service.standard_port()),
            domain: DOMAIN.parse().unwrap(),
            target: None,
            source: None,
            settings,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

fn prosody(directory: &Path, address: IpAddr) -> (Command, PathBuf) {
    prosody_hosting(DOMAIN, directory, address)
}

fn prosody_hosting(host: &str, directory: &Path, address: IpAddr) -> (Command, PathBuf) {
    let config = directory.join("prosody.cfg.lua");
    let log = directory.join("prosody.log");
    let text = format!(
        r#"
run_as_root = true
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}"
log = {{ debug = "{log}" }}
interfaces = {{ "{address}" }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{ 5270 }}
s2s_direct_tls_ssl = {{ certificate = "{directory}/server.crt", key = "{directory}/server.key" }}
modules_enabled = {{ "s2s", "tls", "dialback", "saslauth" }}
modules_disabled = {{ "c2s", "posix" }}
ssl = {{ certificate = "{directory}/server.crt", key = "{directory}/server.key" }}
VirtualHost "{host}"
"#,
        directory = directory.display(),
        log = log.display(),
    );
    fs::write(&config, text).unwrap();
    let mut command = tool("prosody");
    command.arg("--config").arg(config).arg("-F");
    (command, log)
}

/// ejabberd, started by `erl` itself: `ejabberdctl` would change to the system's user and directories, and
/// start a port mapper that stays.
fn ejabberd(directory: &Path, address: IpAddr) -> (Command, PathBuf) {
    ejabberd_hosting(DOMAIN, directory, address)
}

fn ejabberd_hosting(host: &str, directory: &Path, address: IpAddr) -> (Command, PathBuf) {
    let config = directory.join("ejabberd.yml");
    let log = directory.join("ejabberd.log");
    let text = format!(
        r#"
hosts: ["{host}"]
loglevel: debug
certfiles: ["{directory}/server.pem"]
s2s_use_starttls: required
listen:
  - {{port: 5269, ip: "{address}", module: ejabberd_s2s_in}}
  - {{port: 5270, ip: "{address}", module: ejabberd_s2s_in, tls: true}}
modules:
  mod_s2s_dialback: {{}}
"#,
        directory = directory.display(),
    );
    fs::write(&config, text).unwrap();
    let ctl = fs::read_to_string(find("ejabberdctl").unwrap()).unwrap();
    let libraries = ctl
        .lines()
        .find_map(|line| line.strip_prefix("ERL_LIBS="))
        .unwrap();
    let spool = directory.join("spool");
    fs::create_dir(&spool).unwrap();
    let mut command = tool("erl");
    command
        .args([
            "+K",
            "true",
            "-noinput",
            "-mnesia",
            "dir",
            &format!("{spool:?}"),
        ])
        .args(["-s", "ejabberd"])
        .env("ERL_LIBS", libraries.trim_matches('\''))
        .env("EJABBERD_CONFIG_PATH", config)
        .env("EJABBERD_LOG_PATH", &log)
        .env("ERL_CRASH_DUMP", directory.join("erl_crash.dump"))
        .env("HOME", directory);
    (command, log)
}

async fn probe(check: &Check) -> Observation {
    let began = Instant::now();
    let read_now = Arc::new(move || Now {
        mono: Mono::from_micros(i64::try_from(began.elapsed().as_micros()).unwrap()),
        wall: Wall::from_millis(
            i64::try_from(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap()
                    .as_millis(),
            )
            .unwrap(),
        ),
    });
    let prober = Prober::new([&check.settings], read_now).unwrap();
    let id = CheckId::from(format!("{}/{}", check.service, check.peer));
    let observation = prober.probe(&id, check).await;
    println!("{}\n", report(&observation).join("\n"));
    observation
}

fn leaf() -> Leaf {
    Leaf {
        rsa: true,
        ..Leaf::for_domain(&DOMAIN.parse::<DomainName>().unwrap())
    }
}

/// The same server, with a virtual host that has no certificate of its own, as after a forgotten renewal.
fn prosody_without_certificate(directory: &Path, address: IpAddr) -> (Command, PathBuf) {
    let (command, log) = prosody(directory, address);
    let config = directory.join("prosody.cfg.lua");
    let text = fs::read_to_string(&config).unwrap();
    let without = |line: &&str| !line.starts_with("ssl = ");
    let text: Vec<&str> = text.lines().filter(without).collect();
    fs::write(&config, text.join("\n")).unwrap();
    (command, log)
}

#[tokio::test]
async fn prosody_without_a_certificate_is_a_failure() {
    let server = Server::start(&leaf(), prosody_without_certificate).await;
    let mut check = server.check(ServiceKind::XmppServer, Depth::Tls);
    check.settings.accept = Accept::ALL.into();
    let observation = probe(&check).await;
    let refused = matches!(
        observation.result,
        ProbeResult::Stopped {
            phase: Phase::Tls,
            reason: Reason::TlsRefused { .. },
        }
    );
    assert!(refused, "{observation:?}\n{}", server.told());
    assert_eq!(judge(&observation, &check.settings).grade, Grade::Failed);
}

async fn is_climbed_to_every_depth(server: &Server) {
    for service in [ServiceKind::XmppServer, ServiceKind::XmppsServer] {
        for depth in Depth::ALL {
            let observation = probe(&server.check(service, depth)).await;
            assert_eq!(
                observation.result,
                ProbeResult::Reached,
                "{service} {depth}\n{}",
                server.told()
            );
            let depth = depth.of(service);
            if depth >= Depth::Tls {
                assert_eq!(observation.certificate.unwrap().fault, None);
                assert!(!observation.tls.unwrap().legacy);
            }
            if depth == Depth::Features {
                assert_eq!(observation.reached, Some(Depth::Features));
                let offers = observation
                    .notes
                    .iter()
                    .any(|note| note.contains("dialback"));
                assert!(offers, "{:?}", observation.notes);
            }
        }
    }
    let told = server.told();
    assert!(
        told.contains("</stream:stream>"),
        "the log does not show what was said: {told}"
    );
    for complaint in [
        "not-well-formed",
        "bad-format",
        "invalid-xml",
        "connection-timeout",
    ] {
        assert!(
            !told.contains(complaint),
            "the server complained of the probe: {told}"
        );
    }
}

/// An internationalised domain, as the DNS has it.
const WIDE: &str = "xn--bcher-kva.example";

async fn is_known_in_its_ascii_form(server: &Server) {
    for service in [ServiceKind::XmppServer, ServiceKind::XmppsServer] {
        let mut check = server.check(service, CheckSettings::default_for(service).depth);
        check.domain = WIDE.parse().unwrap();
        let observation = probe(&check).await;
        let told = server.told();
        assert_eq!(observation.result, ProbeResult::Reached, "{told}");
        assert_eq!(observation.known_as.as_deref(), Some(WIDE), "{told}");
        assert_eq!(observation.certificate.unwrap().fault, None);
    }
}

fn wide_leaf() -> Leaf {
    Leaf {
        rsa: true,
        ..Leaf::for_domain(&WIDE.parse::<DomainName>().unwrap())
    }
}

#[tokio::test]
async fn prosody_that_hosts_the_ascii_form_of_a_domain_is_asked_for_it() {
    let prosody = |directory: &Path, address| prosody_hosting(WIDE, directory, address);
    is_known_in_its_ascii_form(&Server::start(&wide_leaf(), prosody).await).await;
}

#[tokio::test]
async fn ejabberd_that_hosts_the_ascii_form_of_a_domain_is_asked_for_it() {
    let ejabberd = |directory: &Path, address| ejabberd_hosting(WIDE, directory, address);
    is_known_in_its_ascii_form(&Server::start(&wide_leaf(), ejabberd).await).await;
}

async fn tells_that_it_does_not_host(server: &Server) {
    let mut check = server.check(ServiceKind::XmppServer, Depth::Tls);
    check.domain = "example.net".parse().unwrap();
    let observation = probe(&check).await;
    let condition = StreamCondition::HostUnknown;
    match observation.result {
        ProbeResult::Stopped { reason, .. } => {
            assert_eq!(
                reason,
                Reason::StreamError { condition },
                "{}",
                server.told()
            );
        }
        ProbeResult::Reached => panic!("{}", server.told()),
    }
}

async fn shows_an_expired_certificate(server: &Server) {
    let observation = probe(&server.check(ServiceKind::XmppServer, Depth::Tls)).await;
    assert_eq!(
        observation.result,
        ProbeResult::Reached,
        "{}",
        server.told()
    );
    assert_eq!(
        observation.certificate.unwrap().fault,
        Some(CertificateFault::Expired)
    );
}

#[tokio::test]
async fn prosody_is_climbed_to_every_depth() {
    let server = Server::start(&leaf(), prosody).await;
    is_climbed_to_every_depth(&server).await;
    tells_that_it_does_not_host(&server).await;
}

#[tokio::test]
async fn prosody_with_an_expired_certificate_is_told() {
    let expired = Leaf {
        from_s: -7200,
        until_s: -3600,
        ..leaf()
    };
    shows_an_expired_certificate(&Server::start(&expired, prosody).await).await;
}

#[tokio::test]
async fn prosody_refuses_a_from_that_it_hosts_itself() {
    let server = Server::start(&leaf(), prosody).await;
    let mut check = server.check(ServiceKind::XmppServer, Depth::Tls);
    check.settings.from = Some("probe.example.net".parse().unwrap());
    assert_eq!(probe(&check).await.result, ProbeResult::Reached);
    check.settings.from = Some(DOMAIN.parse().unwrap());
    assert!(matches!(
        probe(&check).await.result,
        ProbeResult::Stopped {
            reason: Reason::StreamError { .. },
            ..
        }
    ));
}

#[tokio::test]
async fn ejabberd_is_climbed_to_every_depth() {
    let server = Server::start(&leaf(), ejabberd).await;
    is_climbed_to_every_depth(&server).await;
    tells_that_it_does_not_host(&server).await;
}

#[tokio::test]
async fn ejabberd_with_an_expired_certificate_is_told() {
    let expired = Leaf {
        from_s: -7200,
        until_s: -3600,
        ..leaf()
    };
    shows_an_expired_certificate(&Server::start(&expired, ejabberd).await).await;
}
