//! Putting the demonstration on: pools, a configuration, the server, the story, the board.
//!
//! In: [`Options`]. Out: text on standard output; an error when something is in the way or a step was not
//! seen. Never here: state that outlives the demo; its directory is removed at the end.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openssl::error::ErrorStack;
use tokio::time::Instant;

use super::authority::{Authority, Identity, Leaf};
use super::board::{Scene, draw};
use super::pool::{Behaviour, PoolServer};
use super::question::ask;
use super::story::{DOMAIN, FEDERATION, OWNER, Progress, Step, Story, StoryError};
use crate::daemon::{self, Daemon, DaemonError, Paths, StartError};
use crate::serve::Listeners;
use crate::shell::{Clock, Handle};
use crate::topology::DomainName;

/// The static part of the demo's zone.
const ZONE: &str = include_str!("../../zones/contoso.example.zone");

/// The board is drawn this often.
const FRAME: Duration = Duration::from_millis(250);

/// How the demo is put on.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where the server answers.
    pub listen: SocketAddr,
    /// The preferred pool's address; its port is 5269.
    pub pool1: IpAddr,
    /// The other pool's address.
    pub pool2: IpAddr,
    /// Tell the story once and end.
    pub scripted: bool,
}

/// Why the demo cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A pool cannot listen.
    #[error(
        "cannot start {pool} of the demo on {address}: {source}\n  {help}\n  nothing was started"
    )]
    Pool {
        /// Which.
        pool: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
        /// What to do.
        help: String,
    },
    /// The demo's directory cannot be made.
    #[error("cannot make the demo's directory {}: {source}", .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The pools' certificates cannot be made.
    #[error("cannot make the pools' certificates: {0}")]
    Certificates(ErrorStack),
    /// The server has nothing to start with.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The server cannot answer.
    #[error("{0}\n  the demo's address is chosen by --listen ADDRESS:PORT")]
    Daemon(#[from] DaemonError),
    /// The story was not seen to its end.
    #[error("the story ended early: {0}")]
    Story(#[from] StoryError),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Puts the demo on until the story is told (scripted) or the user ends it.
///
/// # Errors
/// Says what is in the way; whatever was started is stopped.
pub async fn run(options: Options) -> Result<(), DemoError> {
    let stage = Stage::build(options).await?;
    let result = if options.scripted || !io::stdout().is_terminal() {
        stage.tell_once(options.scripted).await
    } else {
        stage.show().await
    };
    stage.clear().await;
    result
}

/// Everything that runs during the demo.
struct Stage {
    options: Options,
    pool1: Arc<PoolServer>,
    pool2: Arc<PoolServer>,
    directory: PathBuf,
    daemon: Daemon,
    handle: Handle,
}

impl Stage {
    async fn build(options: Options) -> Result<Stage, DemoError> {
        let domain: DomainName = DOMAIN.parse().expect("the demo's domain is a name");
        let authority = Authority::new("repoint demo").map_err(DemoError::Certificates)?;
        let identity = authority
            .issue(&Leaf::for_domain(&domain))
            .map_err(DemoError::Certificates)?;
        let pool1 = start_pool("pool1", options.pool1, "--pool1", &domain, &identity).await?;
        let pool2 = start_pool("pool2", options.pool2, "--pool2", &domain, &identity).await?;

        let directory = std::env::temp_dir().join(format!("repoint-demo-{}", std::process::id()));
        let ca = authority.pem().map_err(DemoError::Certificates)?;
        let started = start_server(&options, &directory, &ca).await;
        match started {
            Ok(daemon) => {
                let handle = daemon.handle().clone();
                Ok(Stage {
                    options,
                    pool1,
                    pool2,
                    directory,
                    daemon,
                    handle,
                })
            }
            Err(error) => {
                remove(&directory);
                Err(error)
            }
        }
    }

    fn story(&self, pause: Duration, progress: Progress) -> Story {
        Story {
            server: self.options.listen,
            pool1: self.pool1.clone(),
            pool2: self.pool2.clone(),
            pause,
            progress,
        }
    }

    /// The story, a line for each step seen.
    async fn tell_once(&self, scripted: bool) -> Result<(), DemoError> {
        let pause = if scripted {
            Duration::from_secs(1)
        } else {
            Duration::from_secs(4)
        };
        println!(
            "repoint answers on {}; pools: {}, {}",
            self.options.listen,
            self.pool1.address(),
            self.pool2.address()
        );
        let line = |step: &Step| {
            let took = step.took.unwrap_or_default().as_secs_f32();
            println!("seen after {took:>5.1} s: {}", step.text);
        };
        self.story(pause, Progress::default()).tell(line).await?;
        println!("every step was seen in DNS answers");
        Ok(())
    }

    /// The board, while the story is told and then until Ctrl-C.
    async fn show(&self) -> Result<(), DemoError> {
        let progress = Progress::default();
        let story = self.story(Duration::from_secs(6), progress.clone());
        let mut telling = tokio::spawn(async move { story.tell(|_| {}).await });
        let mut told = false;
        let began = Instant::now();
        let mut frames = tokio::time::interval(FRAME);
        let end = tokio::signal::ctrl_c();
        tokio::pin!(end);
        loop {
            tokio::select! {
                _ = &mut end => return Ok(()),
                result = &mut telling, if !told => {
                    told = true;
                    // A story that panicked has been reported by the panic itself.
                    if let Ok(Err(error)) = result {
                        return Err(error.into());
                    }
                }
                _ = frames.tick() => self.frame(&progress, began.elapsed()).await?,
            }
        }
    }

    async fn frame(&self, progress: &Progress, elapsed: Duration) -> Result<(), DemoError> {
        let seen = ask(self.options.listen, OWNER, FEDERATION).await.ok();
        let view = self.handle.view().await.ok();
        let shown = |address: SocketAddr, behaviour: Behaviour| (address.to_string(), behaviour);
        let (address1, behaviour1) = shown(self.pool1.address(), self.pool1.behaviour().await);
        let (address2, behaviour2) = shown(self.pool2.address(), self.pool2.behaviour().await);
        let text = draw(&Scene {
            pools: &[
                ("pool1", address1, behaviour1),
                ("pool2", address2, behaviour2),
            ],
            view: view.as_ref(),
            seen: seen.as_ref(),
            steps: &progress.steps(),
            hints: &self.hints(),
            elapsed,
        });
        // Home, then each line to its end, then below: a redraw without flicker.
        let mut out = io::stdout().lock();
        write!(out, "\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))?;
        out.flush()?;
        Ok(())
    }

    fn hints(&self) -> Vec<String> {
        let listen = self.options.listen;
        let program = std::env::args().next().unwrap_or_else(|| "repoint".into());
        let socket = self.directory.join("control.sock");
        vec![
            format!(
                "dig @{} -p {} {} SRV",
                listen.ip(),
                listen.port(),
                OWNER.trim_end_matches('.')
            ),
            format!(
                "{program} --socket {} route explain contoso",
                socket.display()
            ),
            format!(
                "{program} --socket {} pin contoso pool2 --for 1m",
                socket.display()
            ),
        ]
    }

    async fn clear(self) {
        self.daemon.stop().await;
        remove(&self.directory);
    }
}

async fn start_pool(
    pool: &'static str,
    address: IpAddr,
    flag: &str,
    domain: &DomainName,
    identity: &Identity,
) -> Result<Arc<PoolServer>, DemoError> {
    let address = SocketAddr::new(address, 5269);
    let started = PoolServer::start(address, domain, identity).await;
    started.map(Arc::new).map_err(|source| DemoError::Pool {
        pool,
        address,
        help: match source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another program has port 5269 of this address or of all addresses (an XMPP server?); stop it, \
                 or choose another address: {flag} 127.0.3.1"
            ),
            io::ErrorKind::AddrNotAvailable => format!(
                "this machine has no such address; choose one it has: {flag} 127.0.0.2"
            ),
            _ => format!("choose another address: {flag} 127.0.3.1"),
        },
        source,
    })
}

async fn start_server(options: &Options, directory: &Path, ca: &[u8]) -> Result<Daemon, DemoError> {
    let made = |source| DemoError::Directory {
        path: directory.to_owned(),
        source,
    };
    let configuration = directory.join("repoint.toml");
    fs::create_dir_all(directory).map_err(made)?;
    fs::write(directory.join("ca.pem"), ca).map_err(made)?;
    fs::write(directory.join(format!("{DOMAIN}.zone")), ZONE).map_err(made)?;
    fs::write(&configuration, configuration_text(options, directory)).map_err(made)?;
    let paths = Paths {
        configuration,
        allow_removal: false,
        state: None,
    };
    let chosen = daemon::choose(paths, Clock::new().now().wall)?;
    Ok(Daemon::start(
        chosen,
        Listeners::default(),
        &tokio::runtime::Handle::current(),
        &tokio::runtime::Handle::current(),
    )
    .await?)
}

fn configuration_text(options: &Options, directory: &Path) -> String {
    format!(
        r#"version = 1
[server]
listen = ["{listen}"]
state = "{directory}/state"
control = "{directory}/control.sock"
[log]
level = "error"
[health.check]
interval = "1s"
retry = "200ms"
timeout = "800ms"
fall = 3
min_fault = "0s"
rise = 3
steady = 3
ca = "{directory}/ca.pem"
[[pool]]
name = "pool1"
[[pool.target]]
name = "edge1.{DOMAIN}"
publish = ["{pool1}"]
[[pool]]
name = "pool2"
[[pool.target]]
name = "edge2.{DOMAIN}"
publish = ["{pool2}"]
[[route]]
name = "contoso"
domains = ["{DOMAIN}"]
pools = ["pool1", "pool2"]
failback = "auto"
hold_down = "5s"
max_switches = 100
ttl = "5s"
[route.address]
name = "xmpp.{{domain}}"
[[route.service]]
kind = "xmpp-server"
[[zone]]
apex = "{DOMAIN}"
file = "{DOMAIN}.zone"
"#,
        listen = options.listen,
        directory = directory.display(),
        pool1 = options.pool1,
        pool2 = options.pool2,
    )
}

fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory) {
        eprintln!(
            "the demo's directory {} stays: {error}",
            directory.display()
        );
    }
}
