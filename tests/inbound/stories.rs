//! What an owner who edits a zone elsewhere, and the operator of repoint, live through.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::primary::{KEY, Primary};
use crate::server::{Place, Pools, Server, configuration, names};
use crate::world::nameserver::Software;
use crate::world::private_network::enter;

const LIMIT: Duration = Duration::from_secs(240);

/// The zone of the stories: two hosts, and a record where repoint steers.
const RECORDS: &str = "www A 192.0.2.80\nold DNAME new\nwww.new A 192.0.2.81\n\
    _xmpp-server._tcp.route1 SRV 0 0 5269 elsewhere.example.net.\n";

/// The record of the two where repoint steers.
const STEERED: &str = "_xmpp-server._tcp.route1 SRV 0 0 5269 elsewhere.example.net.\n";

fn configured(pools: &Pools, secret: &str) -> String {
    configured_with(pools, secret, 1)
}

fn configured_with(pools: &Pools, secret: &str, routes: usize) -> String {
    let text = configuration(pools, &names(routes), 30);
    let text = text.replace("\"127.0.0.1:0\"", "\"127.0.0.1:53\"").replace(
        "apex = \"contoso.com\"\n",
        "apex = \"contoso.com\"\nprimary = [\"127.0.0.1:5354\", \"127.0.0.1:5353\"]\ntsig = \"owner.example.\"\n",
    );
    format!(
        "{text}[[tsig]]\nname = \"owner.example.\"\nalgorithm = \"hmac-sha256\"\nsecret = \"{secret}\"\n"
    )
}

pub(crate) fn answers(server: &Server, name: &str, rtype: &str) -> Vec<String> {
    server
        .ask(&format!("{name}.contoso.com"), rtype)
        .answers()
        .to_vec()
}

fn zone(server: &Server) -> Value {
    let (code, zone) = server.control("GET", "/v1/zones/contoso.com", &Value::Null);
    assert_eq!(code, 200, "{zone}");
    zone
}

fn follows(software: Software, dir: &Path) -> (Primary, Pools, Place, Server) {
    let primary = Primary::start(software, dir, RECORDS);
    let pools = Pools::new();
    let place = Place::new(&configured(&pools, KEY.secret));
    let server = place.start();
    server.until("the zone is received", |server| {
        answers(server, "www", "A").len() == 1
    });
    server.logged("zone contoso.com: the whole zone received from 127.0.0.1:5353");

    // What is steered replaces what was sent, and is said to; nothing that signing made is there.
    assert_eq!(server.active("route1"), "pool1");
    let now = zone(&server);
    let inbound = &now["inbound"];
    let warning = inbound["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("_xmpp-server._tcp.route1.contoso.com."),
        "{warning}"
    );
    assert_ne!(now["serial"], inbound["serial"], "our serial is our own");
    for rtype in ["DNSKEY", "NSEC", "CDS"] {
        let said = server.ask("contoso.com", rtype);
        assert_eq!(said.answers().len(), 0, "{rtype}: {said:?}");
    }
    assert!(
        !server
            .alarms()
            .iter()
            .any(|kind| kind.starts_with("inbound"))
    );

    assert_eq!(answers(&server, "www.old", "A").len(), 3, "redirected");

    // The owner edits; repoint follows the NOTIFY, and transfers what changed.
    for (serial, host) in (2..).zip(["mail", "chat", "blog"]) {
        let before = zone(&server);
        let began = Instant::now();
        primary.edit(serial, &format!("{RECORDS}{host} A 192.0.2.{serial}\n"));
        server.until("the edit is served", |server| {
            answers(server, host, "A").len() == 1
        });
        println!("{software}: followed in {:?}", began.elapsed());
        let now = zone(&server);
        assert!(now["serial"].as_u64() > before["serial"].as_u64());
        assert_eq!(answers(&server, "www", "A").len(), 1);
        // By what changed (IXFR), as we saw it and as the primary did.
        let (from, to) = (&before["inbound"]["serial"], &now["inbound"]["serial"]);
        server.logged(&format!(
            "zone contoso.com: changes since serial {from} received from 127.0.0.1:5353, serial {to}"
        ));
        primary.logged(&match software {
            Software::Knot => format!("started, serial {from} -> {to}"),
            Software::Nsd => "ixfr for contoso.com. from 127.0.0.1".to_owned(),
            Software::Bind => format!("IXFR started: TSIG owner.example (serial {from} -> {to})"),
        });
    }
    assert_eq!(
        answers(&server, "mail", "A").len(),
        0,
        "what the owner removed is gone"
    );
    let (code, said) = server.control("POST", "/v1/zones/contoso.com/refresh", &Value::Null);
    assert_eq!(code, 200, "{said}");
    assert!(
        said["came"].as_str().unwrap().contains("no newer version"),
        "{said}"
    );
    (primary, pools, place, server)
}

/// The primary dies, and repoint after it.
fn is_served_on((mut primary, _pools, place, mut server): (Primary, Pools, Place, Server)) {
    primary.kill();
    server.until("the alarm", |server| {
        server.alarms().contains(&"inbound-stale".to_owned())
    });
    assert_eq!(answers(&server, "blog", "A").len(), 1);
    let (code, said) = server.control("POST", "/v1/zones/contoso.com/refresh", &Value::Null);
    assert_eq!(code, 503, "{said}");
    // What was received last is served from the store.
    server.kill_9();
    drop(server);
    let server = place.start();
    assert_eq!(answers(&server, "blog", "A").len(), 1);
    assert_eq!(server.active("route1"), "pool1");
    assert_eq!(zone(&server)["inbound"]["from"], "127.0.0.1:5353");
}

#[test]
fn knot_signs_is_followed_by_its_changes_and_dies() {
    let test = "stories::knot_signs_is_followed_by_its_changes_and_dies";
    enter(test, LIMIT, |dir| {
        is_served_on(follows(Software::Knot, dir));
    });
}

#[test]
fn bind_is_followed_by_its_changes() {
    let test = "stories::bind_is_followed_by_its_changes";
    enter(test, LIMIT, |dir| drop(follows(Software::Bind, dir)));
}

#[test]
fn nsd_is_followed_by_its_changes() {
    let test = "stories::nsd_is_followed_by_its_changes";
    enter(test, LIMIT, |dir| drop(follows(Software::Nsd, dir)));
}

#[test]
fn a_zone_that_conflicts_or_is_not_signed_as_agreed_changes_nothing() {
    let test = "stories::a_zone_that_conflicts_or_is_not_signed_as_agreed_changes_nothing";
    enter(test, LIMIT, |dir| {
        let primary = Primary::start(Software::Knot, dir, RECORDS);
        let pools = Pools::new();
        let wrong = KEY.secret.replace("b3du", "d3du");
        let place = Place::new(&configured(&pools, &wrong));
        let server = place.start();
        server.logged("BADSIG");
        server.until("the alarm", |server| {
            server.alarms().contains(&"inbound-absent".to_owned())
        });
        let said = server.ask("www.contoso.com", "A");
        assert_eq!(said.rcode, 5, "refused: {said:?}");
        assert_eq!(zone(&server)["serial"], Value::Null);

        // The secret is mended, live.
        place.configure(&configured(&pools, KEY.secret));
        let (code, said) = server.control("POST", "/v1/configuration/reload", &Value::Null);
        assert_eq!(code, 200, "{said}");
        server.until("the zone is received", |server| {
            server.ask("www.contoso.com", "A").answers().len() == 1
        });

        // An alias where repoint steers an address: what was received before stays.
        primary.edit(
            5,
            &format!("{RECORDS}xmpp.route1 CNAME www\nnew A 192.0.2.9\n"),
        );
        server.until("the alarm", |server| {
            server.alarms().contains(&"inbound-refused".to_owned())
        });
        assert_eq!(answers(&server, "new", "A").len(), 0);
        assert_eq!(answers(&server, "www", "A").len(), 1);
        assert_eq!(answers(&server, "xmpp.route1", "A").len(), 1);
        // So it is with a DNAME above a steered name.
        primary.edit(
            6,
            &format!("{RECORDS}route1 DNAME www\nnew A 192.0.2.9\n").replace(STEERED, ""),
        );
        server.until("the DNAME is named", |server| {
            let refused = zone(server)["inbound"]["refused"].to_string();
            refused.contains("the DNAME of route1.contoso.com.")
        });
        assert_eq!(answers(&server, "xmpp.route1", "A").len(), 1);
        primary.edit(7, &format!("{RECORDS}new A 192.0.2.9\n"));
        server.until("the next version", |server| {
            answers(server, "new", "A").len() == 1
        });
        server.until("the alarm has ended", |server| {
            !server.alarms().contains(&"inbound-refused".to_owned())
        });

        // A configuration that steers where the zone has an alias is refused, now and at a start.
        primary.edit(
            8,
            &format!("{RECORDS}xmpp.route2 CNAME www\nlast A 192.0.2.9\n"),
        );
        server.until("the next version", |server| {
            answers(server, "last", "A").len() == 1
        });
        place.configure(&configured_with(&pools, KEY.secret, 2));
        let (code, said) = server.control("POST", "/v1/configuration/reload", &Value::Null);
        assert_eq!((code, &said["code"]), (409, &"inbound".into()), "{said}");
        server.signal(nix::sys::signal::Signal::SIGTERM);
        let mut server = server;
        server.ended();
        drop(server);
        let server = place.start();
        server.until("the alarm", |server| {
            server.alarms().contains(&"config-rejected".to_owned())
        });
        assert_eq!(answers(&server, "last", "A").len(), 1);
        assert_eq!(server.active("route1"), "pool1");
    });
}

#[test]
fn records_that_the_primary_computes_answers_from_are_named() {
    let test = "stories::records_that_the_primary_computes_answers_from_are_named";
    enter(test, LIMIT, |dir| {
        let pools = Pools::new();
        let place = Place::new(&configured(&pools, KEY.secret));
        let server = place.start();
        let refresh = "/v1/zones/contoso.com/refresh";
        let (code, said) = server.control("POST", refresh, &Value::Null);
        assert_eq!(code, 503, "{said}");
        let in_force = said["in_force"].as_str().unwrap();
        assert!(in_force.contains("never received"), "{said}");

        let private = "lua TYPE65402 \\# 2 0001\nother TYPE65402 \\# 2 0001\nx TYPE65280 \\# 1 00\n\
             any TYPE65305 \\# 5 0377777700\n@ TYPE65534 \\# 5 0D00010000\n";
        let primary = Primary::start(Software::Knot, dir, &format!("{RECORDS}{private}"));
        server.until("the alarm", |server| {
            server.control("POST", refresh, &Value::Null);
            server.alarms().contains(&"inbound-computed".to_owned())
        });
        let status = server.control("GET", "/v1/status", &Value::Null).1;
        let alarms = status["alarms"].as_array().unwrap();
        let alarm = alarms
            .iter()
            .find(|alarm| alarm["kind"] == "inbound-computed");
        let text = alarm.unwrap()["text"].as_str().unwrap();
        let named =
            "2 records of type TYPE65402 (LUA of PowerDNS) at lua.contoso.com., other.contoso.com.";
        assert!(text.contains(named), "{text}");
        assert!(
            text.contains("1 record of the private type TYPE65280"),
            "{text}"
        );
        assert!(text.contains("(ANAME) at any.contoso.com."), "{text}");
        assert!(
            !text.contains("65534"),
            "nothing is computed from it: {text}"
        );
        let shown = zone(&server)["inbound"]["warnings"].to_string();
        assert!(shown.contains(named), "{shown}");
        let notes = "1 record of type TYPE65534 (BIND's notes about signing) at contoso.com.";
        assert!(shown.contains(notes), "{shown}");
        server.logged(named);
        assert_eq!(answers(&server, "lua", "A").len(), 0);

        primary.edit(9, RECORDS);
        server.until("the alarm has ended", |server| {
            server.control("POST", refresh, &Value::Null);
            !server.alarms().contains(&"inbound-computed".to_owned())
        });
        let (code, said) = server.control("POST", "/v1/zones/x.contoso.com/refresh", &Value::Null);
        assert_eq!(code, 404, "{said}");
    });
}
