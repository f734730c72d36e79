//! A server of the real program in a directory of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::dns::{Response, query};

/// Long enough for a busy machine; no test waits this long unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Two pools that accept connections at 127.0.1.1 and 127.0.2.1 on one port.
pub(crate) struct Pools {
    pub(crate) port: u16,
    pub(crate) first: Option<TcpListener>,
    _second: TcpListener,
}

impl Pools {
    pub(crate) fn new() -> Pools {
        for _ in 0..100 {
            let first = TcpListener::bind("127.0.1.1:0").unwrap();
            let port = first.local_addr().unwrap().port();
            if let Ok(second) = TcpListener::bind(("127.0.2.1", port)) {
                return Pools {
                    port,
                    first: Some(first),
                    _second: second,
                };
            }
        }
        panic!("no port is free on both addresses");
    }
}

/// A configuration with these routes, all on the same two pools; route `NAME` has the domain `NAME.contoso.com`.
pub(crate) fn configuration(pools: &Pools, routes: &[String], ttl: u32) -> String {
    let mut text = r#"version = 1
[server]
listen = ["127.0.0.1:0"]
state = "state"
control = "control.sock"
[dns]
nameservers = [{ name = "ns1.example.net" }]
[health.check]
depth = "tcp"
interval = "1s"
retry = "200ms"
timeout = "800ms"
fall = 3
min_fault = "0s"
[[pool]]
name = "pool1"
target = [{ name = "edge1.contoso.com", publish = ["192.0.2.10"], probe = ["127.0.1.1"] }]
[[pool]]
name = "pool2"
target = [{ name = "edge2.contoso.com", publish = ["192.0.2.20"], probe = ["127.0.2.1"] }]
[[zone]]
apex = "contoso.com"
"#
    .to_owned();
    for route in routes {
        text.push_str(&format!(
            r#"[[route]]
name = "{route}"
domains = ["{route}.contoso.com"]
pools = ["pool1", "pool2"]
failover = "auto"
ttl = "{ttl}s"
service = [{{ kind = "xmpp-server", port = {}, allow_nonstandard_port = true }}]
address = {{ name = "xmpp.{{domain}}" }}
"#,
            pools.port
        ));
    }
    text
}

pub(crate) fn names(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("route{n}")).collect()
}

/// What the program has written to its log.
#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

/// A directory with a configuration, and what runs in it.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(configuration: &str) -> Place {
        let place = Place {
            dir: tempfile::tempdir().unwrap(),
        };
        place.configure(configuration);
        place
    }

    pub(crate) fn configure(&self, configuration: &str) {
        // Whole at every moment, as editors do it.
        let fresh = self.file("repoint.toml.new");
        std::fs::write(&fresh, configuration).unwrap();
        std::fs::rename(fresh, self.file("repoint.toml")).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command that serves here, for a test to change.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_repoint"));
        command
            .args(["serve", "--config", "repoint.toml"])
            .current_dir(self.dir.path());
        for inherited in [
            "NOTIFY_SOCKET",
            "STATE_DIRECTORY",
            "JOURNAL_STREAM",
            "LISTEN_FDS",
        ] {
            command.env_remove(inherited);
        }
        command
    }

    /// Starts a server and waits until it answers and takes commands.
    pub(crate) fn start(&self) -> Server {
        let mut server = self.begin(self.command());
        server.address = server.answering();
        server.logged("taking commands on");
        server
    }

    /// Starts a server and returns at once.
    pub(crate) fn begin(&self, mut command: Command) -> Server {
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lines.lock().unwrap().0.push(line);
                kept.more.notify_all();
            }
            kept.lines.lock().unwrap().1 = true;
            kept.more.notify_all();
        });
        Server {
            child,
            log,
            address: "127.0.0.1:0".parse().unwrap(),
            control: self.file("control.sock"),
        }
    }
}

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    log: Arc<Log>,
    pub(crate) address: SocketAddr,
    control: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Waits for a line of the log with these words.
    pub(crate) fn logged(&self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.0.iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !lines.1 && !left.is_zero(),
                "{words:?} is not in the log:\n{}",
                lines.0.join("\n")
            );
            lines = self.log.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Waits until it answers, and says where.
    pub(crate) fn answering(&self) -> SocketAddr {
        let line = self.logged("answering on");
        line.split_whitespace().last().unwrap().parse().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lines.lock().unwrap().0.join("\n")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Whether it has a handler for a signal by now.
    pub(crate) fn catches(&self, signal: Signal) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = u64::from_str_radix(caught.unwrap_or("0").trim(), 16).unwrap();
        mask & (1 << (signal as i32 - 1)) != 0
    }

    /// Whether every thread of it is stopped: a signal takes its time.
    pub(crate) fn is_stopped(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // The state follows the name, which may have any character in it.
            stat.rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('T'))
        })
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// One request to the control socket: status and body.
    pub(crate) fn control(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        request(&self.control, method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// The same, for a server that may be killed meanwhile.
    pub(crate) fn control_path(&self) -> PathBuf {
        self.control.clone()
    }

    pub(crate) fn status(&self) -> Value {
        let (code, status) = self.control("GET", "/v1/status", &Value::Null);
        assert_eq!(code, 200, "{status}");
        status
    }

    /// The names of the alarms that stand.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let status = self.status();
        let alarms = status["alarms"].as_array().unwrap().iter();
        alarms
            .map(|alarm| alarm["kind"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until a condition of this server holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Server) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < end,
                "{what} does not come:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until both pools are known to be up.
    pub(crate) fn pools_up(&self) {
        self.until("both pools up", |server| {
            let status = server.status();
            let pools = status["pools"].as_array().unwrap();
            pools.len() == 2 && pools.iter().all(|pool| pool["verdict"] == "up")
        });
    }

    pub(crate) fn ask(&self, name: &str, rtype: &str) -> Response {
        ask(self.address, name, rtype).expect("an answer")
    }

    /// The pool that a route's SRV records put first.
    pub(crate) fn active(&self, route: &str) -> String {
        active(&self.ask(&format!("_xmpp-server._tcp.{route}.contoso.com"), "SRV"))
    }

    pub(crate) fn pin(&self, route: &str, pool: &str, how: &str) -> (u16, Value) {
        let body = serde_json::json!({ "pool": pool, "for": "1h", "force": true });
        self.control("PUT", &format!("/v1/routes/{route}/pin{how}"), &body)
    }
}

/// Asks by UDP, once.
pub(crate) fn ask(server: SocketAddr, name: &str, rtype: &str) -> std::io::Result<Response> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    ask_on(&socket, name, rtype)
}

/// Asks by UDP, once, on a socket that is connected.
pub(crate) fn ask_on(socket: &UdpSocket, name: &str, rtype: &str) -> std::io::Result<Response> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(&query(name, rtype).octets())?;
    let mut octets = [0; 4096];
    let size = socket.recv(&mut octets)?;
    Ok(Response::read(&octets[..size]))
}

/// The pool that SRV records put first: there must be one record of each pool, with different priorities.
pub(crate) fn active(response: &Response) -> String {
    let mut records: Vec<(u16, String)> = response
        .answers()
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            // owner ttl SRV priority weight port target
            (words[3].parse().unwrap(), words[6].to_owned())
        })
        .collect();
    records.sort();
    assert_eq!(records.len(), 2, "{response:?}");
    assert_ne!(records[0].0, records[1].0, "{response:?}");
    let mut targets: Vec<&str> = records.iter().map(|(_, target)| target.as_str()).collect();
    let first = targets[0]
        .replace("edge", "pool")
        .replace(".contoso.com.", "");
    targets.sort_unstable();
    assert_eq!(targets, ["edge1.contoso.com.", "edge2.contoso.com."]);
    first
}

/// One HTTP request over a Unix socket.
pub(crate) fn request(
    socket: &Path,
    method: &str,
    path: &str,
    body: &Value,
) -> std::io::Result<(u16, Value)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    // At one stroke: an answer that needs no body may come, and the connection end, before the body is sent.
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: repoint\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let value = serde_json::from_str(body).map_err(|_| cut())?;
    Ok((code.ok_or_else(cut)?, value))
}
