//! A real server with two pools of its own on loopback, and the command line to operate it.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::dns;

/// Nothing here takes long; a machine that is busy may.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pool that accepts connections, or refuses them. Checks of depth `tcp` ask for no more.
pub(crate) struct Pool {
    address: SocketAddr,
    open: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Pool {
    fn open(listener: TcpListener) -> Pool {
        let mut pool = Pool {
            address: listener.local_addr().unwrap(),
            open: None,
        };
        pool.accept(listener);
        pool
    }

    fn accept(&mut self, listener: TcpListener) {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                // A connection that went away again is as good as any.
                drop(listener.accept());
            }
        });
        self.open = Some((stop, thread));
    }

    /// Connections are refused from now on.
    pub(crate) fn fail(&mut self) {
        if let Some((stop, thread)) = self.open.take() {
            stop.store(true, Ordering::SeqCst);
            // It waits for a connection to see the flag by.
            drop(std::net::TcpStream::connect(self.address));
            thread.join().unwrap();
        }
    }

    /// Connections are accepted again.
    pub(crate) fn recover(&mut self) {
        let listener = until("the pool's port is free", || {
            TcpListener::bind(self.address).ok()
        });
        self.accept(listener);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.fail();
    }
}

/// The server, its pools, its directory.
pub(crate) struct Site {
    pub(crate) pool1: Pool,
    pub(crate) pool2: Pool,
    server: Option<Child>,
    /// Where it answers; known once it does.
    dns: Option<SocketAddr>,
    directory: tempfile::TempDir,
}

impl Site {
    /// A running server whose two pools are up.
    pub(crate) fn start() -> Site {
        Site::start_with("")
    }

    /// The same, with more keys for the route.
    pub(crate) fn start_with(route: &str) -> Site {
        let (first, second) = same_port_twice();
        let site = Site {
            pool1: Pool::open(first),
            pool2: Pool::open(second),
            server: None,
            dns: None,
            directory: tempfile::tempdir().unwrap(),
        };
        site.write_configuration(route);
        site.started()
    }

    pub(crate) fn started(mut self) -> Site {
        self.serve();
        self.until_up();
        self
    }

    /// Starts the server on what is there.
    pub(crate) fn serve(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let said = usize::try_from(log.metadata().unwrap().len()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_repoint"))
            .args(["serve", "--config"])
            .arg(self.configuration())
            .arg("--state")
            .arg(self.path("state"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(child);
        // It took a port that was free: the log says which.
        self.dns = Some(self.until("the server answers", |site| {
            let log = std::fs::read_to_string(site.path("log")).unwrap();
            let (_, after) = log[said..].split_once("answering on ")?;
            let (address, _) = after.split_once('\n')?;
            Some(address.trim().parse().unwrap())
        }));
        self.until("the server takes commands", |site| {
            site.run(&["status"]).status.success().then_some(())
        });
    }

    pub(crate) fn until_up(&self) {
        self.until("both pools are up", |site| {
            let view = site.json(&["status"]);
            let pools = view["pools"].as_array().unwrap();
            let up = pools.iter().all(|pool| pool["verdict"] == "up");
            (up && view["routes"][0]["warm"] == true).then_some(())
        });
    }

    /// Kills the server: no chance to put anything in order.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Asks the server to end, and gives its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut server = self.server.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(server.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        server.wait().unwrap().code()
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = self.server.as_ref().unwrap().id();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.path("repoint.toml")
    }

    pub(crate) fn write_configuration(&self, route: &str) {
        let port = self.pool1.address.port();
        let text = format!(
            r#"version = 1
[server]
listen = ["127.0.0.1:0"]
state = "{directory}/state"
control = "{directory}/control.sock"
[dns]
nameservers = [{{ name = "ns1.example.net" }}]
[health.check]
depth = "tcp"
interval = "1s"
retry = "200ms"
timeout = "800ms"
fall = 2
min_fault = "0s"
rise = 1
steady = 1
[[pool]]
name = "edgepool1"
[[pool.target]]
name = "edge1.contoso.com"
publish = ["{pool1}"]
[[pool]]
name = "edgepool2"
[[pool.target]]
name = "edge2.contoso.com"
publish = ["{pool2}"]
[[route]]
name = "contoso"
domains = ["contoso.com"]
pools = ["edgepool1", "edgepool2"]
zones = "owners"
{route}
[route.address]
name = "xmpp.{{domain}}"
[[route.service]]
kind = "xmpp-server"
port = {port}
allow_nonstandard_port = true
"#,
            directory = self.directory.path().display(),
            pool1 = self.pool1.address.ip(),
            pool2 = self.pool2.address.ip(),
        );
        std::fs::write(self.configuration(), text).unwrap();
    }

    /// Runs the command line against this server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        repoint(&self.path("control.sock"), arguments)
    }

    /// Starts a command that goes on.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_repoint"))
            .args(arguments)
            .env("REPOINT_SOCKET", self.path("control.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs a command that succeeds, and gives what it says.
    pub(crate) fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        self.assert_code(&output, 0, arguments);
        text(&output.stdout)
    }

    /// Runs a command that succeeds with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.say(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Runs a command that fails with this code, and gives what it says on stderr.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        self.assert_code(&output, code, arguments);
        assert_eq!(
            text(&output.stdout),
            "",
            "a failure has no answer: {arguments:?}"
        );
        text(&output.stderr)
    }

    fn assert_code(&self, output: &Output, code: i32, arguments: &[&str]) {
        assert_eq!(
            output.status.code(),
            Some(code),
            "repoint {arguments:?}\nstdout: {}\nstderr: {}\nlog: {}",
            text(&output.stdout),
            text(&output.stderr),
            std::fs::read_to_string(self.path("log")).unwrap_or_default()
        );
    }

    /// A request without a body, as a program sends it, and the whole response.
    pub(crate) fn http(&self, method: &str, path: &str, headers: &str) -> String {
        let mut stream = UnixStream::connect(self.path("control.sock")).unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// The pool in front in the answers that partners get now. SRV and A agree, once both are asked between two changes.
    pub(crate) fn answered_pool(&self) -> String {
        self.until("SRV and A name the same pool", |site| {
            let preferred = site.preferred_target();
            let addresses = site.ask("xmpp.contoso.com", "A").join(" ");
            let (pool, address) = match preferred.as_str() {
                "edge1.contoso.com." => ("edgepool1", site.pool1.address.ip()),
                "edge2.contoso.com." => ("edgepool2", site.pool2.address.ip()),
                other => panic!("{other} is no target"),
            };
            addresses
                .ends_with(&format!(" {address}"))
                .then(|| pool.to_owned())
        })
    }

    fn preferred_target(&self) -> String {
        let srv = self.ask("_xmpp-server._tcp.contoso.com", "SRV");
        let records = srv.iter().map(|record| {
            let words: Vec<&str> = record.split_whitespace().collect();
            let [.., priority, _, _, target] = words.as_slice() else {
                panic!("no SRV: {record}")
            };
            (priority.parse::<u16>().unwrap(), (*target).to_owned())
        });
        records.min().expect("an SRV RRset is never empty").1
    }

    pub(crate) fn ask(&self, name: &str, rtype: &str) -> Vec<String> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
            .send_to(&dns::query(name, rtype).octets(), self.dns.unwrap())
            .unwrap();
        let mut octets = [0; 4096];
        let length = socket.recv(&mut octets).unwrap();
        dns::Response::read(&octets[..length]).answers()
    }

    /// Waits until the pool in front of the answers is this one.
    pub(crate) fn until_answered(&self, pool: &str) {
        self.until(&format!("{pool} is answered"), |site| {
            (site.answered_pool() == pool).then_some(())
        });
    }

    /// Waits until a pool has this verdict.
    pub(crate) fn until_verdict(&self, pool: &str, verdict: &str) {
        self.until(&format!("{pool} is {verdict}"), |site| {
            (site.json(&["pool", "show", pool])["verdict"] == verdict).then_some(())
        });
    }

    /// Waits for a condition; what stands when patience ends is told.
    pub(crate) fn until<T>(&self, what: &str, mut condition: impl FnMut(&Site) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition(self) {
                return value;
            }
            assert!(
                Instant::now() < end,
                "waited for nothing: {what}\n{}\n{}",
                text(&self.run(&["status"]).stdout),
                std::fs::read_to_string(self.path("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It may have ended by itself.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Runs the command line against a socket.
pub(crate) fn repoint(socket: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_repoint"))
        .args(arguments)
        .env("REPOINT_SOCKET", socket)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "waited for nothing: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Two listeners with one port, each on an address that no other test of this process uses.
fn same_port_twice() -> (TcpListener, TcpListener) {
    use std::sync::atomic::AtomicU8;
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    // The process's number keeps test processes apart that run side by side.
    let site = u8::try_from(std::process::id() % 200).unwrap() + 20;
    until("a port is free on both addresses", || {
        let first = TcpListener::bind((IpAddr::from([127, site, number, 1]), 0)).ok()?;
        let port = first.local_addr().ok()?.port();
        let second = TcpListener::bind((IpAddr::from([127, site, number, 2]), port)).ok()?;
        Some((first, second))
    })
}
