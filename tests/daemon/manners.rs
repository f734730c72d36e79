//! What the real program says besides its answers, and that a reload changes it.

use super::server::{Place, Pools, Server, configuration, names};
use crate::tool::tool;

/// Asks with dig and gives what it shows.
fn dig(server: &Server, arguments: &[&str]) -> String {
    let address = server.address;
    let (at, port) = (format!("@{}", address.ip()), address.port().to_string());
    let output = tool("dig")
        .args([&at, "-p", &port, "+time=20", "+tries=1", "+norecurse"])
        .args(arguments)
        .output()
        .expect("dig of bind9-dnsutils");
    String::from_utf8(output.stdout).unwrap()
}

fn with(pools: &Pools, dns: &str) -> String {
    configuration(pools, &names(1), 30).replace("[dns]\n", &format!("[dns]\n{dns}\n"))
}

fn reload(server: &Server) -> (u16, serde_json::Value) {
    server.control("POST", "/v1/configuration/reload", &serde_json::json!({}))
}

#[test]
fn dig_gets_every_courtesy_it_asks_for_and_a_reload_changes_them() {
    let pools = Pools::new();
    let place = Place::new(&with(&pools, ""));
    let server = place.start();
    let name = "_xmpp-server._tcp.route1.contoso.com";

    let said = dig(&server, &["+nsid", "+cookie=0102030405060708", name, "SRV"]);
    assert!(
        said.contains("status: NOERROR") && !said.contains("NSID"),
        "{said}"
    );
    assert!(
        said.contains("COOKIE: 0102030405060708") && said.contains("(good)"),
        "{said}"
    );
    let said = dig(&server, &["+tcp", "+keepalive", name, "SRV"]);
    assert!(said.contains("TCP KEEPALIVE: 10.0 secs"), "{said}");
    let said = dig(&server, &["example.org", "A"]);
    assert!(
        said.contains("status: REFUSED") && said.contains("EDE: 20"),
        "{said}"
    );
    let said = dig(&server, &["contoso.com", "AXFR", "+tcp"]);
    assert!(said.contains("Transfer failed"), "{said}");
    let said = dig(&server, &["version.bind", "TXT", "CH"]);
    assert!(said.contains("status: REFUSED"), "{said}");

    std::fs::write(
        place.file("cookie.secret"),
        "# ours\n000102030405060708090a0b0c0d0e0f\n",
    )
    .unwrap();
    place.configure(&with(
        &pools,
        "nsid = \"here\"\nversion = \"unsaid\"\ncookie_secret = \"cookie.secret\"",
    ));
    let (code, done) = reload(&server);
    assert_eq!(code, 200, "{done}");
    let said = dig(&server, &["+nsid", name, "SRV"]);
    assert!(said.contains("(\"here\")"), "{said}");
    assert!(dig(&server, &["+short", "version.bind", "TXT", "CH"]).contains("\"unsaid\""));
    assert!(dig(&server, &["+short", "id.server", "TXT", "CH"]).contains("\"here\""));
    // A cookie of the shared secret is known to whoever has it.
    let said = dig(&server, &["+cookie=0102030405060708", name, "SRV"]);
    let line = said.lines().find(|line| line.contains("COOKIE")).unwrap();
    let cookie = line.split_whitespace().nth(2).unwrap();
    let octets = data_encoding::HEXLOWER.decode(cookie.as_bytes()).unwrap();
    let read = domain::base::opt::cookie::Cookie::new(
        domain::base::opt::cookie::ClientCookie::from_octets([1, 2, 3, 4, 5, 6, 7, 8]),
        Some(domain::base::opt::cookie::ServerCookie::from_octets(
            &octets[8..],
        )),
    );
    let secret: [u8; 16] = std::array::from_fn(|n| u8::try_from(n).unwrap());
    assert!(read.check_server_hash([127, 0, 0, 1].into(), &secret, |_| true));

    // A secret that cannot be used changes nothing.
    std::fs::write(place.file("cookie.secret"), "none\n").unwrap();
    let (code, refusal) = reload(&server);
    assert_eq!(code, 400, "{refusal}");
    assert!(
        refusal["why"]
            .as_str()
            .unwrap()
            .contains("line 1 is no secret"),
        "{refusal}"
    );
    assert!(dig(&server, &["+nsid", name, "SRV"]).contains("(\"here\")"));
    place.configure(&with(&pools, "cookies = false"));
    let (code, done) = reload(&server);
    assert_eq!(code, 200, "{done}");
    let said = dig(&server, &["+cookie", name, "SRV"]);
    assert!(!said.contains("COOKIE"), "{said}");
}
