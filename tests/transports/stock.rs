//! What stock clients get: the same over every transport.

use std::collections::BTreeSet;

use crate::place::{encrypted, over, said};
use crate::server::Pools;

fn kdig(server: &str, how: &[&str], name: &str, rtype: &str) -> BTreeSet<String> {
    let (address, port) = server.rsplit_once(':').unwrap();
    let address = format!("@{address}");
    let mut arguments = vec![address.as_str(), "-p", port];
    arguments.extend(how);
    arguments.extend([
        "+noall",
        "+answer",
        "+retry=0",
        "+time=20",
        "+bufsize=1232",
        name,
        rtype,
    ]);
    said("kdig", &arguments)
        .lines()
        .filter(|line| !line.starts_with(';') && !line.trim().is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn kdig_gets_the_same_over_every_transport() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    server.pools_up();
    let plain = server.address.to_string();
    let ways = [
        (over(&server, "tls"), ["+tls"].as_slice()),
        (over(&server, "https"), &["+https"]),
        (over(&server, "https"), &["+https", "+https-get"]),
        (over(&server, "quic"), &["+quic"]),
    ];
    for (name, rtype, count) in [
        ("host.other.example", "A", 1),
        ("_xmpp-server._tcp.route1.contoso.com", "SRV", 2),
        ("big.other.example", "TXT", 150),
    ] {
        let expected = kdig(&plain, &["+tcp"], name, rtype);
        assert_eq!(expected.len(), count, "{expected:?}");
        for (address, how) in &ways {
            let got = kdig(&address.to_string(), how, name, rtype);
            assert_eq!(got, expected, "{how:?}");
        }
    }
}
