//! The server as stock clients see it: dnspython, dig and kdig, over both transports and both families.

#![allow(clippy::unwrap_used)]

mod dns;
#[path = "world/tool.rs"]
mod tool;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dns::{HEAD, read_now, zones};
use repoint::serve::{Authority, Listeners, Serving, TcpLimits, start};
use tokio::runtime::Runtime;
use tool::tool;

struct Server {
    _runtime: Runtime,
    _serving: Serving,
    v4: SocketAddr,
    v6: SocketAddr,
}

fn serve() -> Server {
    let mut file = format!(
        "{HEAD}\
         _xmpp-server._tcp 30 SRV 10 0 5269 edge1\n\
         _xmpp-server._tcp 30 SRV 20 0 5269 edge2\n\
         edge1 30 A 192.0.2.10\n\
         edge1 30 AAAA 2001:db8::10\n\
         edge2 30 A 198.51.100.10\n\
         www CNAME edge2\n\
         *.wild TXT \"wild\"\n\
         there.wild A 192.0.2.1\n\
         child NS ns.child\n\
         child DS 12345 13 2 {}\n\
         ns.child A 203.0.113.53\n\
         odd TYPE65280 \\# 3 010203\n",
        "AB".repeat(32)
    );
    for n in 0..30 {
        file.push_str(&format!("large TXT \"{n:02}{}\"\n", "x".repeat(100)));
    }
    let any_port = ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap());
    let listeners = Listeners::bind(&any_port).unwrap();
    let addresses: Vec<SocketAddr> = listeners.tcp_addresses().into_iter().collect();
    let runtime = Runtime::new().unwrap();
    let published = Arc::new(ArcSwap::from_pointee(zones(&[("contoso.example", &file)])));
    let serving = runtime
        .block_on(async {
            start(
                listeners,
                Authority::new(published, read_now()),
                TcpLimits::default(),
            )
        })
        .unwrap();
    Server {
        _runtime: runtime,
        _serving: serving,
        v4: addresses[0],
        v6: addresses[1],
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = tool(program).args(arguments).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error}; scripts/test installs it"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}\n{text}{talk}"
    );
    text
}

fn dig(at: SocketAddr, arguments: &[&str]) -> String {
    let (server, port) = (format!("@{}", at.ip()), at.port().to_string());
    let mut all = vec![
        server.as_str(),
        "-p",
        &port,
        "+norecurse",
        "+time=20",
        "+tries=1",
    ];
    all.extend(arguments);
    run("dig", &all)
}

#[test]
fn dnspython_sees_every_rule_hold() {
    let server = serve();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dns_clients.py");
    for at in [server.v4, server.v6] {
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        let said = run("/usr/bin/python3", &[script, &host, &port]);
        assert_eq!(said.matches("ok      ").count(), 30, "{said}");
    }
}

#[test]
fn dig_finds_nothing_to_warn_about() {
    let server = serve();
    for at in [server.v4, server.v6] {
        let said = dig(at, &["_xmpp-server._tcp.contoso.example", "SRV"]);
        assert!(
            said.contains("status: NOERROR") && said.contains("flags: qr aa;"),
            "{said}"
        );
        assert!(
            said.contains("QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 4"),
            "{said}"
        );
        assert!(
            !said.contains("WARNING") && !said.contains("extra bytes"),
            "{said}"
        );
    }
    assert_eq!(
        dig(server.v4, &["+short", "www.contoso.example", "A"]),
        "edge2.contoso.example.\n198.51.100.10\n"
    );
    assert_eq!(
        dig(
            server.v4,
            &["+short", "+tcp", "odd.contoso.example", "TYPE65280"]
        ),
        "\\# 3 010203\n"
    );
    let said = dig(server.v4, &["large.contoso.example", "TXT"]);
    assert!(
        said.contains("Truncated, retrying in TCP mode") && said.contains("ANSWER: 30"),
        "{said}"
    );
    let said = dig(
        server.v4,
        &[
            "+ednsopt=65001:abcd",
            "+cookie",
            "+nsid",
            "+dnssec",
            "edge1.contoso.example",
        ],
    );
    assert!(
        said.contains("status: NOERROR") && said.contains("flags: do; udp: 1232"),
        "{said}"
    );
    let said = dig(
        server.v4,
        &["+edns=1", "+noednsneg", "edge1.contoso.example"],
    );
    assert!(said.contains("status: BADVERS"), "{said}");
    let said = dig(server.v4, &["+header-only"]);
    assert!(said.contains("status: FORMERR"), "{said}");
    let said = dig(server.v4, &["+opcode=2", "contoso.example"]);
    assert!(said.contains("status: NOTIMP"), "{said}");
    let said = dig(server.v4, &["+opcode=5", "contoso.example", "SOA"]);
    assert!(said.contains("status: REFUSED"), "{said}");
    let said = dig(server.v4, &["contoso.example", "AXFR"]);
    assert!(said.contains("Transfer failed"), "{said}");
    let said = dig(
        server.v4,
        &[
            "+tcp",
            "+keepopen",
            "edge1.contoso.example",
            "A",
            "edge2.contoso.example",
            "A",
        ],
    );
    assert_eq!(said.matches("status: NOERROR").count(), 2, "{said}");
}

#[test]
fn kdig_finds_nothing_to_warn_about() {
    let server = serve();
    let kdig = |arguments: &[&str]| {
        let (at, port) = (format!("@{}", server.v6.ip()), server.v6.port().to_string());
        let mut all = vec![at.as_str(), "-p", &port, "+time=20", "+retry=0"];
        all.extend(arguments);
        run("kdig", &all)
    };
    let said = kdig(&["_xmpp-server._tcp.contoso.example", "SRV"]);
    assert!(
        said.contains("Flags: qr aa rd; QUERY: 1; ANSWER: 2; AUTHORITY: 0; ADDITIONAL: 3"),
        "{said}"
    );
    assert!(
        !said.contains("WARNING") && !said.contains("malformed"),
        "{said}"
    );
    let said = kdig(&[
        "+tcp",
        "+edns",
        "+bufsize=4096",
        "large.contoso.example",
        "TXT",
    ]);
    assert!(
        said.contains("ANSWER: 30;") && said.contains("EDNS PSEUDOSECTION"),
        "{said}"
    );
    let said = kdig(&["x.child.contoso.example", "A"]);
    assert!(
        said.contains("Flags: qr rd; QUERY: 1; ANSWER: 0; AUTHORITY: 1; ADDITIONAL: 1"),
        "{said}"
    );
    let said = kdig(&["+short", "any.wild.contoso.example", "TXT"]);
    assert_eq!(said, "\"wild\"\n");
}
