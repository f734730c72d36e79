//! Debian's Unbound as the partner's resolver, and the pools': contoso.example is a stub zone to repoint, or, to compare
//! with, two SRV records that never change.
//!
//! Never here: a query that leaves the private network; names outside the story are refused.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::daemon::Daemon;
use crate::private_network::find;
use crate::wait::wait_for;
use crate::{CLIENT, DOMAIN, NAMESERVER, PARTNER, PARTNER_ADDRESS, PATIENCE, POOLS, RESOLVER};

/// Who answers for contoso.example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// repoint, asked through a stub zone.
    Repoint,
    /// Two SRV records that nobody changes: pool 1 preferred, pool 2 behind it.
    StaticRecords,
}

/// Starts Unbound and waits until it answers.
pub(crate) fn start(source: Source, dir: &Path) -> Daemon {
    let contoso = match source {
        Source::Repoint => format!(
            " local-zone: \"{DOMAIN}.\" transparent\nstub-zone:\n name: \"{DOMAIN}\"\n stub-addr: {NAMESERVER}\n"
        ),
        Source::StaticRecords => {
            let pools = POOLS.iter().enumerate().map(|(n, (name, address))| {
                format!(
                    " local-data: \"_xmpp-server._tcp.{DOMAIN}. 5 SRV {n} 0 5269 {name}.{DOMAIN}.\"\n \
                     local-data: \"{name}.{DOMAIN}. 5 A {address}\"\n"
                )
            });
            format!(
                " local-zone: \"{DOMAIN}.\" static\n{}",
                pools.collect::<String>()
            )
        }
    };
    let text = format!(
        r#"server:
 chroot: ""
 username: ""
 directory: {dir:?}
 pidfile: ""
 use-syslog: no
 logfile: ""
 log-queries: yes
 log-replies: yes
 do-daemonize: no
 interface: {RESOLVER}
 access-control: 127.0.0.0/8 allow
 do-not-query-localhost: no
 do-ip6: no
 module-config: "iterator"
 local-zone: "." refuse
 local-zone: "{PARTNER}." static
 local-data: "_xmpp-server._tcp.{PARTNER}. 300 SRV 0 0 5269 xmpp.{PARTNER}."
 local-data: "_xmpp-server._tcp.{CLIENT}. 300 SRV 0 0 5269 xmpp.{PARTNER}."
 local-data: "xmpp.{PARTNER}. 300 A {PARTNER_ADDRESS}"
{contoso}
remote-control:
 control-enable: no
"#
    );
    let config = dir.join("unbound.conf");
    fs::write(&config, text).expect("the scratch directory is writable");
    // A copy: on hosts with AppArmor the installed one may read its own directories only.
    let program = dir.join("unbound");
    if !program.exists() {
        fs::copy(
            find("unbound").expect("unbound was there when the test began"),
            &program,
        )
        .expect("a copy of unbound");
    }
    let mut daemon = Daemon::start("resolver", dir, Command::new(program).arg("-c").arg(config));
    wait_for("the resolver answers", PATIENCE, || {
        assert!(daemon.is_running(), "unbound ended");
        (!ask(&RESOLVER.to_string(), &format!("xmpp.{PARTNER}"), "A").is_empty()).then_some(())
    });
    daemon
}

/// Asks a nameserver as an operator would, with `dig`: the lines of the answer section, without names and TTLs; none
/// when nobody answers.
pub(crate) fn ask(server: &str, name: &str, record: &str) -> Vec<String> {
    let arguments = [
        "+short",
        "+tries=3",
        "+timeout=2",
        &format!("@{server}"),
        name,
        record,
    ];
    let out = Command::new("dig")
        .args(arguments)
        .output()
        .expect("dig was there when the test began");
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter(|l| !l.starts_with(';'))
        .map(str::to_owned)
        .collect()
}
