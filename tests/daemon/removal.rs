//! A list of domains that is cut off: neither a reload nor a restart takes the customers away.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::server::{Place, Pools, Server, configuration, names};

/// The number of the answer section in what [`Server::ask`] reads.
const ANSWER: usize = 1;

fn list(count: usize) -> String {
    (1..=count).map(|n| format!("c{n}.contoso.com\n")).collect()
}

fn served(server: &Server, number: usize) -> bool {
    let owner = format!("_xmpp-server._tcp.c{number}.contoso.com");
    let reply = server.ask(&owner, "SRV");
    reply.records.iter().any(|record| record.section == ANSWER)
}

fn alarm(server: &Server, kind: &str) -> Option<Value> {
    let status = server.control("GET", "/v1/status", &Value::Null).1;
    let alarms = status["alarms"].as_array()?.clone();
    alarms.into_iter().find(|alarm| alarm["kind"] == kind)
}

#[test]
fn a_cut_list_takes_no_customers_away_until_somebody_says_so() {
    let text = configuration(&Pools::new(), &names(1), 30).replace(
        "domains = [\"route1.contoso.com\"]",
        "domains_file = \"domains.txt\"",
    );
    let place = Place::new(&text);
    std::fs::write(place.file("domains.txt"), list(40)).unwrap();
    let mut server = place.start();
    assert!(served(&server, 40));

    std::fs::write(place.file("domains.txt"), &list(40)[..100]).unwrap();
    server.signal(Signal::SIGHUP);
    server.until("the alarm", |server| {
        alarm(server, "config-rejected").is_some()
    });
    let raised = alarm(&server, "config-rejected").unwrap();
    let said = raised["text"].as_str().unwrap();
    assert!(said.contains("of 40 domains would be gone"), "{said}");
    let remedy = raised["remedy"].as_str().unwrap();
    assert!(remedy.contains("--allow-removal"), "{remedy}");
    assert!(served(&server, 40));

    // A restart is no way around it.
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    let server = place.start();
    server.until("the alarm again", |server| {
        alarm(server, "config-rejected").is_some()
    });
    assert!(served(&server, 40));

    let allowed = json!({"allow_removal": true});
    let (code, done) = server.control("POST", "/v1/configuration/reload", &allowed);
    assert_eq!(code, 200, "{done}");
    let words = done["configuration"].to_string();
    assert!(words.contains("of 40 domains removed"), "{words}");
    assert!(!served(&server, 40));
    assert!(served(&server, 1));
    assert!(alarm(&server, "config-rejected").is_none());
    let history = server.control("GET", "/v1/history", &Value::Null).1;
    assert!(
        history.to_string().contains("of 40 domains removed"),
        "{history}"
    );
}

#[test]
fn a_start_may_be_told_to_take_the_customers_away_and_history_says_so() {
    let text = configuration(&Pools::new(), &names(3), 30);
    let place = Place::new(&text);
    let mut server = place.start();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended().code(), Some(0));
    let second = text.find("[[route]]\nname = \"route2\"").unwrap();
    place.configure(&text[..second]);
    let mut command = place.command();
    command.arg("--allow-removal");
    let mut server = place.begin(command);
    server.address = server.answering();
    server.logged("taking commands on");
    assert!(alarm(&server, "config-rejected").is_none());
    server.until("the entry", |server| {
        let history = server.control("GET", "/v1/history", &Value::Null).1;
        history
            .to_string()
            .contains("configuration changed at this start: 2 of 3 domains removed")
    });
}

#[test]
fn a_bad_line_has_an_alarm_with_file_and_line_and_the_rest_is_served() {
    let text = configuration(&Pools::new(), &names(1), 30).replace(
        "domains = [\"route1.contoso.com\"]",
        "domains_file = \"domains.txt\"",
    );
    let place = Place::new(&text);
    std::fs::write(place.file("domains.txt"), list(3)).unwrap();
    let server = place.start();
    std::fs::write(
        place.file("domains.txt"),
        format!("{}c4..contoso.com\r\nc5.contoso.com\r\n", list(3)),
    )
    .unwrap();
    let (code, done) = server.control("POST", "/v1/configuration/reload", &json!({}));
    assert_eq!(code, 200, "{done}");
    assert!(served(&server, 5));
    let raised = alarm(&server, "domain-rejected").unwrap();
    let said = raised["text"].as_str().unwrap();
    assert!(said.contains("domains.txt:4: it is not a domain"), "{said}");

    std::fs::write(place.file("domains.txt"), list(5)).unwrap();
    let (code, done) = server.control("POST", "/v1/configuration/reload", &json!({}));
    assert_eq!(code, 200, "{done}");
    server.until("the end of the alarm", |server| {
        alarm(server, "domain-rejected").is_none()
    });
}
