//! The numbers repoint promises, measured on the real program: how fast answers follow a failure, and what
//! probing costs while nothing happens.
//!
//! In: the release binary, built-in pools on loopback addresses. Out: a table on standard output.
//! Never here: a pass or fail; a busy machine would decide it.
//!
//! `cargo bench --bench numbers` runs all; `-- failover`, `-- idle` or `-- signing` one of them.

#[path = "numbers/signing.rs"]
mod signing;

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use repoint::demo::{Authority, Behaviour, Leaf, PoolServer};
use tokio::runtime::Runtime;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let run = |name: &str| wanted.is_empty() || wanted.iter().any(|arg| arg == name);
    let runtime = Runtime::new().expect("a runtime");
    if run("failover") {
        failover(&runtime);
    }
    if run("idle") {
        idle(&runtime);
    }
    if run("signing") {
        signing::run();
    }
}

/// Time from a pool's failure to the first changed answer.
fn failover(runtime: &Runtime) {
    let fast = "interval = \"1s\"\nretry = \"200ms\"\ntimeout = \"800ms\"\nfall = 3\nmin_fault = \"0s\"\n\
                rise = 5\nsteady = 5";
    println!("\nfailure to first changed answer, in seconds (asked every millisecond)\n");
    println!("| settings | pool | rounds | min | median | max | promised |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    let cases = [
        ("fast", fast, Behaviour::Closed, "refused", 11, "1.8"),
        ("fast", fast, Behaviour::Hung, "silent", 11, "4.8"),
        ("default", "", Behaviour::Closed, "refused", 3, "27"),
        ("default", "", Behaviour::Hung, "silent", 3, "27"),
    ];
    let mut served = Vec::new();
    for (settings, check, behaviour, name, rounds, promised) in cases {
        let (mut times, mut publishing) = measure_failovers(runtime, check, behaviour, rounds);
        times.sort_by(f64::total_cmp);
        served.append(&mut publishing);
        let (least, most) = (times[0], times[times.len() - 1]);
        let median = times[times.len() / 2];
        println!(
            "| {settings} | {name} | {rounds} | {least:.2} | {median:.2} | {most:.2} | {promised} |"
        );
    }
    served.sort_by(f64::total_cmp);
    println!(
        "\nfrom the deciding observation to the served answer, in milliseconds, over {} switches (asked every \
         millisecond): median {:.1}, max {:.1} (promised 5)",
        served.len(),
        served[served.len() / 2],
        served[served.len() - 1],
    );
}

fn measure_failovers(
    runtime: &Runtime,
    check: &str,
    behaviour: Behaviour,
    rounds: usize,
) -> (Vec<f64>, Vec<f64>) {
    let dir = tempfile::tempdir().expect("a directory");
    let addresses = [Ipv4Addr::new(127, 77, 0, 1), Ipv4Addr::new(127, 77, 0, 2)];
    let pools = runtime.block_on(start_pools(dir.path(), &addresses));
    let listen = free_port();
    let mut config = head(dir.path(), listen);
    let _ = writeln!(
        config,
        "[health.check]\nca = \"{}\"\n{check}",
        ca(dir.path()).display()
    );
    for (index, address) in addresses.iter().enumerate() {
        let _ = writeln!(config, "[[pool]]\nname = \"p{index}\"\n[[pool.target]]");
        let _ = writeln!(
            config,
            "name = \"e{index}.bench.example\"\npublish = [\"{address}\"]"
        );
    }
    config.push_str(
        "[[route]]\nname = \"r\"\ndomains = [\"bench.example\"]\npools = [\"p0\", \"p1\"]\nzones = \"owners\"\n\
         max_switches = 1000\n[route.address]\nname = \"xmpp.{domain}\"\n[[route.service]]\nkind = \"xmpp-server\"\n",
    );
    let server = Server::start(dir.path(), &config);
    let (mut times, mut served) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (active, other) = (round % 2, (round + 1) % 2);
        server.wait_until_up();
        wait_for(listen, addresses[active], Duration::from_secs(120));
        // A failure may come at any moment between two probes.
        let phase = Duration::from_millis(97 * (round as u64 + 1) % 1000);
        std::thread::sleep(phase);
        runtime
            .block_on(pools[active].set(behaviour))
            .expect("a pool that does as told");
        times.push(wait_for(listen, addresses[other], Duration::from_secs(120)).as_secs_f64());
        let seen = SystemTime::now();
        let decided = server.last_verdict(&format!("pool p{active} in route r: up -> down"));
        served.push(
            seen.duration_since(decided)
                .unwrap_or_default()
                .as_secs_f64()
                * 1000.0,
        );
        runtime
            .block_on(pools[active].set(Behaviour::Healthy))
            .expect("a pool that does as told");
    }
    (times, served)
}

/// CPU and memory of 100 routes with three pools each of their own, at the defaults.
fn idle(runtime: &Runtime) {
    let dir = tempfile::tempdir().expect("a directory");
    let addresses: Vec<Ipv4Addr> = (0..300_u16)
        .map(|n| Ipv4Addr::new(127, 78, (n / 250) as u8, (n % 250) as u8 + 1))
        .collect();
    let _pools = runtime.block_on(start_pools(dir.path(), &addresses));
    let mut config = head(dir.path(), free_port());
    let _ = writeln!(
        config,
        "[health.check]\nca = \"{}\"",
        ca(dir.path()).display()
    );
    for (index, address) in addresses.iter().enumerate() {
        let _ = writeln!(config, "[[pool]]\nname = \"p{index}\"\n[[pool.target]]");
        let _ = writeln!(
            config,
            "name = \"e{index}.bench.example\"\npublish = [\"{address}\"]"
        );
    }
    for route in 0..100 {
        let first = route * 3;
        let _ = write!(
            config,
            "[[route]]\nname = \"r{route}\"\ndomains = [\"r{route}.bench.example\"]\n\
             check_domains = [\"bench.example\"]\npools = [\"p{first}\", \"p{}\", \"p{}\"]\n\
             zones = \"owners\"\n[route.address]\nname = \"xmpp.{{domain}}\"\n\
             [[route.service]]\nkind = \"xmpp-server\"\n",
            first + 1,
            first + 2,
        );
    }
    let server = Server::start(dir.path(), &config);
    server.wait_until_up();
    let (before, began) = (server.cpu_seconds(), Instant::now());
    std::thread::sleep(Duration::from_secs(60));
    let used = server.cpu_seconds() - before;
    let share = used / began.elapsed().as_secs_f64() * 100.0;
    println!("\n100 routes, 300 pools, depth tls, interval 10 s, over 60 s\n");
    println!("| CPU of one core | RSS |");
    println!("|---:|---:|");
    println!(
        "| {share:.1} % (promised 5 %) | {:.1} MiB (promised 60) |",
        server.rss_mib()
    );
}

fn head(dir: &Path, listen: SocketAddr) -> String {
    format!(
        "version = 1\n[server]\nlisten = [\"{listen}\"]\nstate = \"{0}/state\"\ncontrol = \"{0}/control.sock\"\n\
         [dns]\nnameservers = [{{ name = \"ns.bench.example\" }}]\n",
        dir.display()
    )
}

fn ca(dir: &Path) -> PathBuf {
    dir.join("ca.pem")
}

async fn start_pools(dir: &Path, addresses: &[Ipv4Addr]) -> Vec<PoolServer> {
    let domain = "bench.example".parse().expect("a name");
    let authority = Authority::new("bench").expect("an authority");
    fs::write(ca(dir), authority.pem().expect("PEM")).expect("a file");
    let identity = authority
        .issue(&Leaf::for_domain(&domain))
        .expect("a certificate");
    let mut pools = Vec::new();
    for address in addresses {
        let address = SocketAddr::new(IpAddr::V4(*address), 5269);
        let started = PoolServer::start(address, &domain, &identity).await;
        pools.push(started.unwrap_or_else(|error| panic!("cannot listen on {address}: {error}")));
    }
    pools
}

fn free_port() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.local_addr().expect("an address")
}

/// Waits until the federation address is this one; says how long that took.
fn wait_for(server: SocketAddr, address: Ipv4Addr, patience: Duration) -> Duration {
    let began = Instant::now();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.connect(server).expect("a destination");
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a time-out");
    let mut question = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["xmpp", "bench", "example", ""] {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend([0, 1, 0, 1]);
    let mut buffer = [0; 512];
    while began.elapsed() < patience {
        let asked = socket
            .send(&question)
            .and_then(|_| socket.recv(&mut buffer));
        // The last four bytes of an answer with one A record and no OPT are its address.
        if let Ok(length) = asked
            && buffer[7] == 1
            && buffer[length - 4..length] == address.octets()
        {
            return began.elapsed();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{address} was not seen within {patience:?}");
}

/// The program under measurement, stopped when dropped.
struct Server {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Server {
    fn start(dir: &Path, config: &str) -> Server {
        let file = dir.join("repoint.toml");
        fs::write(&file, config).expect("a file");
        let log = dir.join("log");
        let written = fs::File::create(&log).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_repoint"))
            .args(["serve", "--config"])
            .arg(&file)
            .stderr(Stdio::from(written))
            .stdout(Stdio::null())
            .spawn()
            .expect("the program");
        Server {
            child,
            socket: dir.join("control.sock"),
            log,
        }
    }

    /// Waits until every pool of every route is up.
    fn wait_until_up(&self) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(180) {
            let output = Command::new(env!("CARGO_BIN_EXE_repoint"))
                .args(["status", "--json", "--socket"])
                .arg(&self.socket)
                .output()
                .expect("the program");
            let view: serde_json::Value =
                serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
            let pools = view["pools"].as_array().cloned().unwrap_or_default();
            if !pools.is_empty() && pools.iter().all(|pool| pool["verdict"] == "up") {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("not every pool came up within 180 s");
    }

    /// When the log last told of this verdict.
    fn last_verdict(&self, text: &str) -> SystemTime {
        let log = fs::read_to_string(&self.log).expect("the log");
        let line = log
            .lines()
            .rfind(|line| line.contains(text))
            .expect("a line about the verdict");
        let moment = line.split_whitespace().next().expect("a moment");
        humantime::parse_rfc3339(moment).expect("RFC 3339")
    }

    /// User and system time so far.
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .expect("a name in brackets")
            .split_whitespace()
            .collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
        // utime and stime are fields 14 and 15; the two before the bracket's end are gone. Linux counts
        // them in hundredths of a second on every common architecture.
        (ticks(11) + ticks(12)) / 100.0
    }

    fn rss_mib(&self) -> f64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a line");
        let kib: f64 = line
            .split_whitespace()
            .nth(1)
            .expect("a value")
            .parse()
            .expect("a number");
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
