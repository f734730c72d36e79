//! What repoint of the lab serves: its configuration, and the static parts of two zones.

use std::fmt::Write as _;

use crate::lab::{DOMAINS, NS1, POOLS, World, soa};
use crate::world::private_network::RESOLVER;

/// The configuration. With `short` nobody remembers anything for longer than a second.
pub(crate) fn config(world: World, short: bool) -> String {
    let (port, long) = match world == World::Faulty {
        true => ("port = 5271\nallow_nonstandard_port = true", "ttl = \"1h\""),
        false => ("", ""),
    };
    let (brief, steered) = match short {
        true => ("ttl = \"1s\"\nnegative_ttl = \"1s\"", "ttl = \"1s\""),
        false => ("", ""),
    };
    let (signing, unsigned) = match world {
        World::Signed => ("dnssec = true\npropagation = \"1s\"", "dnssec = false"),
        _ => ("", ""),
    };
    let mut text = format!(
        r#"version = 1
[server]
listen = ["{NS1}:53"]
state = "state"
control = "control.sock"
[dns]
nameservers = [{{ name = "ns1.example.net" }}, {{ name = "ns2.example.net" }}]
resolvers = ["{RESOLVER}:53"]
{signing}
{brief}
[health.check]
ca = "ca.pem"
[[pool]]
name = "edgepool1"
[[pool.target]]
name = "edge1.contoso.com"
publish = ["{}"]
[[pool]]
name = "edgepool2"
[[pool.target]]
name = "edge2.contoso.com"
publish = ["{}"]
[[route]]
name = "contoso"
domains = ["contoso.com"]
pools = ["edgepool1", "edgepool2"]
zones = "owners"
{steered}
[route.address]
name = "xmpp.{{domain}}"
[[route.service]]
kind = "xmpps-server"
[[route.service]]
kind = "sipfederationtls"
"#,
        POOLS[0], POOLS[1]
    );
    for domain in &DOMAINS[1..] {
        let name = domain.split('.').next().unwrap();
        let (ttl, port, dnssec) = match name {
            "fabrikam" => (long, "", ""),
            _ => ("", port, unsigned),
        };
        write!(
            text,
            r#"[[route]]
name = "{name}"
domains = ["{domain}"]
pools = ["edgepool1", "edgepool2"]
{ttl}
{steered}
[route.address]
name = "xmpp.fed.{{domain}}"
[[route.service]]
kind = "xmpps-server"
owner = "_xmpps-server._tcp.fed.{{domain}}"
{port}
[[zone]]
apex = "fed.{domain}"
file = "fed.{domain}.zone"
{dnssec}
"#
        )
        .unwrap();
    }
    text
}

/// The static part of the zone below a domain.
pub(crate) fn zone(domain: &str, short: bool) -> String {
    let cut = format!("fed.{domain}.");
    let text = format!(
        "{}{cut} 3600 NS ns1.{cut}\n{cut} 3600 NS ns2.example.net.\nns1.{cut} 3600 A {NS1}\n",
        soa(&cut, "ns2.example.net.")
    );
    match short {
        true => text.replace(" 3600 ", " 1 ").replace(" 30\n", " 1\n"),
        false => text,
    }
}
