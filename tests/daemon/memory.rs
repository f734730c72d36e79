//! What stays in memory of many reloads and failovers.

use serde_json::json;

use crate::server::{Place, Pools, Server, configuration};

const DOMAINS: usize = 600;
/// Rounds of one reload and one failover each.
const ROUNDS: usize = 100;
/// After so many rounds, each zone keeps as much of its past as it ever will.
const SETTLED: usize = 20;

/// What the process holds, in KiB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

fn many_domains(pools: &Pools, ttl: usize) -> String {
    let domains: Vec<String> = (0..DOMAINS).map(|n| format!("\"d{n}.example\"")).collect();
    format!(
        r#"{}[[route]]
name = "many"
domains = [{}]
zones = "owners"
pools = ["pool1", "pool2"]
failover = "ask"
ttl = "{ttl}s"
check_domains = ["d0.example"]
service = [{{ kind = "xmpp-server", port = {}, allow_nonstandard_port = true }}]
address = {{ name = "xmpp.{{domain}}" }}
"#,
        configuration(pools, &[], 30),
        domains.join(", "),
        pools.port
    )
}

#[test]
fn two_hundred_reloads_and_failovers_of_many_domains_leave_nothing_behind() {
    let pools = Pools::new();
    let place = Place::new(&many_domains(&pools, 30));
    let server = place.start();
    server.pools_up();
    let mut settled = 0;
    for round in 1..=ROUNDS {
        place.configure(&many_domains(&pools, 30 + round % 2));
        let (code, done) = server.control("POST", "/v1/configuration/reload", &json!({}));
        assert_eq!(code, 200, "{done}");
        let to = format!("pool{}", 1 + round % 2);
        let (code, done) = server.pin("many", &to, "");
        assert_eq!(code, 200, "{done}");
        if round == SETTLED {
            settled = resident(&server);
        }
    }
    let end = resident(&server);
    println!("{settled} KiB after {SETTLED} rounds, {end} KiB after {ROUNDS}");
    // The set of zones has some 4 MiB, and at times the allocator holds some sets that are free.
    assert!(
        end < settled + settled / 4 + 16_384,
        "{settled} KiB, then {end} KiB"
    );
}
