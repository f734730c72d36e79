//! Debian's ejabberd as a partner, started by `erl` itself: `ejabberdctl` would change to the system's user and
//! directories and start a port mapper that outlives it.
//!
//! In: a certificate, the authority to trust. Out: the running server.

use std::fs;
use std::path::Path;

use crate::authority::{Authority, Credentials};
use crate::daemon::Daemon;
use crate::world::tool::{find, tool};
use crate::{BackOff, CLIENT, COMPONENT_PORT, PARTNER, PARTNER_ADDRESS, SECRET};

/// The partner, with the client as its component. `back_off` decides how patient it is with a dead peer.
pub(crate) fn partner(
    back_off: BackOff,
    credentials: &Credentials,
    authority: &Authority,
    dir: &Path,
) -> Daemon {
    let patience = match back_off {
        BackOff::Stock => "",
        // A random 1 to 300 s of bouncing after a failure, 30 s for a stream, 10 s for a connection.
        BackOff::Short => {
            "s2s_max_retry_delay: 2\nnegotiation_timeout: 4\noutgoing_s2s_timeout: 2\n"
        }
    };
    let config = dir.join("ejabberd.yml");
    let text = format!(
        r#"{patience}hosts: [{PARTNER}]
loglevel: info
ca_file: {root:?}
certfiles: [{both:?}]
s2s_use_starttls: required
listen:
  - {{port: 5269, ip: "{PARTNER_ADDRESS}", module: ejabberd_s2s_in}}
  - {{port: {COMPONENT_PORT}, ip: "{PARTNER_ADDRESS}", module: ejabberd_service, hosts: {{{CLIENT}: {{password: {SECRET}}}}}}}
modules: {{}}
"#,
        root = authority.root(),
        both = credentials.both,
    );
    fs::write(&config, text).expect("the scratch directory is writable");

    // Where ejabberdctl looks for the libraries: Debian keeps them beside those of the architecture.
    let ctl = fs::read_to_string(find("ejabberdctl").expect("it was there when the test began"))
        .expect("a script");
    let libraries = ctl
        .lines()
        .find_map(|l| l.strip_prefix("ERL_LIBS="))
        .expect("ejabberdctl names its libraries")
        .trim_matches('\'');
    let spool = dir.join("ejabberd-spool");
    fs::create_dir_all(&spool).expect("the scratch directory is writable");
    Daemon::start(
        "partner",
        dir,
        tool("erl")
            .args([
                "+K",
                "true",
                "-noinput",
                "-mnesia",
                "dir",
                &format!("{spool:?}"),
                "-s",
                "ejabberd",
            ])
            .env("ERL_LIBS", libraries)
            .env("EJABBERD_CONFIG_PATH", config)
            .env("EJABBERD_LOG_PATH", dir.join("ejabberd.log"))
            .env("ERL_CRASH_DUMP", dir.join("erl_crash.dump"))
            .env("HOME", dir),
    )
}
