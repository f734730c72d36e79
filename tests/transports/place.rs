//! A directory with a certificate in it, and a configuration that serves every transport with it.

use std::net::SocketAddr;
use std::path::Path;

use crate::made::{Made, made};
use crate::server::{Place, Pools, Server, configuration, names};
use crate::tool::tool;

impl Made {
    pub(crate) fn write(&self, place: &Place) {
        put(place, "chain.pem", &self.chain);
        put(place, "key.pem", &self.key);
    }
}

/// Puts a file there at one stroke.
pub(crate) fn put(place: &Place, name: &str, content: &[u8]) {
    let fresh = place.file("fresh.tmp");
    std::fs::write(&fresh, content).unwrap();
    std::fs::rename(fresh, place.file(name)).unwrap();
}

/// A zone with a small answer, a large one, and TTLs that differ.
const ZONE: &str = "$TTL 3600\n@ SOA ns1.example.net. hostmaster.example.net. 1 60 30 7d 45\n@ NS ns1.example.net.\n\
                    host 120 A 192.0.2.1\nmail 300 MX 10 host\n";

/// A place that serves every transport, with the certificate of serial number 1.
pub(crate) fn encrypted(pools: &Pools) -> Place {
    let place = Place::new(&text(pools, ""));
    let mut zone = ZONE.to_owned();
    for n in 0..150 {
        zone.push_str(&format!("big TXT \"{n} {}\"\n", "x".repeat(200)));
    }
    std::fs::write(place.file("other.zone"), zone).unwrap();
    made(1, -1, 89).write(&place);
    place
}

/// The configuration of [`encrypted`], with more keys in `[server]`.
pub(crate) fn text(pools: &Pools, more: &str) -> String {
    let server = format!(
        "[server]\nlisten_tls = [\"127.0.0.1:0\"]\nlisten_https = [\"127.0.0.1:0\"]\nlisten_quic = [\"127.0.0.1:0\"]\n\
         certificate = \"chain.pem\"\ncertificate_key = \"key.pem\"\n{more}"
    );
    let zone = "[[zone]]\napex = \"other.example\"\nfile = \"other.zone\"\n";
    configuration(pools, &names(1), 30).replacen("[server]\n", &server, 1) + zone
}

/// Where a running server answers over `transport`.
pub(crate) fn over(server: &Server, transport: &str) -> SocketAddr {
    let line = server.logged(&format!("answering over {transport} on"));
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// What a program prints; it must succeed.
pub(crate) fn said(program: &str, arguments: &[&str]) -> String {
    let output = tool(program)
        .args(arguments)
        .current_dir(Path::new("/"))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
