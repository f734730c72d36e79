//! Challenges by signed updates (RFC 2136), sent by nsupdate to the real program.

use std::io::Write;
use std::process::{Command, Stdio};

use super::server::{Place, Pools, Server, configuration, names};

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NAME: &str = "_acme-challenge.xmpp.route1.contoso.com";

fn start() -> (Place, Server) {
    let pools = Pools::new();
    let mut text = configuration(&pools, &names(1), 30);
    for key in ["pool1.example", "other.example"] {
        text.push_str(&format!(
            "[[tsig]]\nname = \"{key}\"\nalgorithm = \"hmac-sha256\"\nsecret = \"{SECRET}\"\n"
        ));
    }
    text.push_str("[acme]\ntsig = [\"pool1.example\"]\n");
    let place = Place::new(&text);
    let server = place.start();
    (place, server)
}

/// Runs nsupdate with these lines, and gives what it says; empty when all went well.
fn nsupdate(server: &Server, options: &[&str], lines: &[&str]) -> String {
    let mut child = Command::new("nsupdate")
        .args(["-t", "20", "-r", "0"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsupdate of bind9-dnsutils");
    let address = server.address;
    let mut text = format!(
        "server {} {}\nzone contoso.com\n",
        address.ip(),
        address.port()
    );
    for line in lines {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str("send\n");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap()
}

fn texts(server: &Server) -> Vec<String> {
    let answers = server.ask(NAME, "TXT").answers().into_iter();
    let mut texts: Vec<String> = answers
        .map(|line| line.split(' ').next_back().unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}

#[test]
fn a_holder_of_the_key_changes_challenges_and_nothing_else() {
    let (_place, server) = start();
    let key = format!("hmac-sha256:pool1.example:{SECRET}");
    let signed = ["-y", key.as_str()];
    let over_tcp = ["-v", "-y", key.as_str()];
    let add = format!("update add {NAME} 60 TXT one");
    assert_eq!(nsupdate(&server, &signed, &[&add]), "");
    assert_eq!(texts(&server), ["\"one\""]);
    let add = format!("update add {NAME} 60 TXT two");
    assert_eq!(nsupdate(&server, &over_tcp, &[&add]), "");
    assert_eq!(texts(&server), ["\"one\"", "\"two\""]);

    // Prerequisites (RFC 2136 §2.4), each when it holds and when it does not.
    let delete = format!("update delete {NAME} TXT one");
    for (prerequisite, said) in [
        (format!("prereq nxdomain {NAME}"), "YXDOMAIN"),
        (format!("prereq nxrrset {NAME} TXT"), "YXRRSET"),
        (format!("prereq yxrrset {NAME} A"), "NXRRSET"),
        ("prereq yxdomain nothing.contoso.com".to_owned(), "NXDOMAIN"),
        (format!("prereq yxrrset {NAME} TXT one"), "NXRRSET"),
        ("prereq yxdomain example.org".to_owned(), "NOTZONE"),
    ] {
        let came = nsupdate(&server, &signed, &[&prerequisite, &delete]);
        assert!(came.contains(said), "{prerequisite}: {came}");
    }
    assert_eq!(texts(&server).len(), 2);
    let holds = [
        format!("prereq yxdomain {NAME}"),
        format!("prereq yxrrset {NAME} TXT"),
        format!("prereq yxrrset {NAME} TXT one"),
        format!("prereq yxrrset {NAME} TXT two"),
        "prereq nxdomain nothing.contoso.com".to_owned(),
        delete,
    ];
    let holds: Vec<&str> = holds.iter().map(String::as_str).collect();
    assert_eq!(nsupdate(&server, &signed, &holds), "");
    assert_eq!(texts(&server), ["\"two\""]);

    // Whatever else is asked is refused, whole.
    let fine = format!("update add {NAME} 60 TXT three");
    for other in [
        "update add www.contoso.com 60 A 192.0.2.1",
        "update add contoso.com 60 TXT text",
        "update delete _xmpp-server._tcp.route1.contoso.com SRV",
        "update add _acme-challenge.contoso.com 60 CNAME x.example.",
    ] {
        let came = nsupdate(&server, &signed, &[&fine, other]);
        assert!(came.contains("REFUSED"), "{other}: {came}");
    }
    assert_eq!(texts(&server), ["\"two\""]);
    assert!(
        nsupdate(&server, &[], &[&fine]).contains("REFUSED"),
        "unsigned"
    );
    let other = format!("hmac-sha256:other.example:{SECRET}");
    let came = nsupdate(&server, &["-y", &other], &[&fine]);
    assert!(came.contains("REFUSED"), "another key: {came}");
    let wrong = "hmac-sha256:pool1.example:d3Jvbmc=";
    let came = nsupdate(&server, &["-y", wrong], &[&fine]);
    assert!(
        came.contains("BADSIG") || came.contains("NOTAUTH"),
        "{came}"
    );

    let delete = format!("update delete {NAME}");
    assert_eq!(nsupdate(&server, &signed, &[&delete]), "");
    assert!(texts(&server).is_empty());
    assert_eq!(
        nsupdate(&server, &signed, &[&delete]),
        "",
        "deleting nothing is fine"
    );
    let (code, history) = server.control("GET", "/v1/history?limit=50", &serde_json::Value::Null);
    assert_eq!(code, 200);
    assert!(
        history
            .to_string()
            .contains("TSIG key pool1.example. at 127.0.0.1"),
        "{history}"
    );
}
