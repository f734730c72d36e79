//! Challenges by signed updates (RFC 2136), sent by nsupdate to the real program.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

use super::server::{PATIENCE, Place, Pools, Server, configuration, names};
use crate::tool::tool;

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NAME: &str = "_acme-challenge.xmpp.route1.contoso.com";

fn start() -> (Place, Server) {
    let pools = Pools::new();
    let mut text = configuration(&pools, &names(1), 30);
    for key in ["pool1.example", "other.example", "narrow.example"] {
        text.push_str(&format!(
            "[[tsig]]\nname = \"{key}\"\nalgorithm = \"hmac-sha256\"\nsecret = \"{SECRET}\"\n"
        ));
    }
    text.push_str(&format!(
        "[acme]\ntsig = [{{ key = \"pool1.example\", zones = [\"contoso.com\"] }}, \
         {{ key = \"narrow.example\", names = [\"{NAME}\"] }}]\n"
    ));
    let place = Place::new(&text);
    let server = place.start();
    (place, server)
}

/// Runs nsupdate with these lines, and gives what it says; empty when all went well.
fn nsupdate(server: &Server, options: &[&str], lines: &[&str]) -> String {
    nsupdate_at(server.address, options, lines)
}

fn nsupdate_at(address: SocketAddr, options: &[&str], lines: &[&str]) -> String {
    let mut child = tool("nsupdate")
        .args(["-t", "20", "-r", "0"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsupdate of bind9-dnsutils");
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
        // nsupdate compresses what it may, and a zone's operator writes names in any case.
        "prereq yxrrset contoso.com NS NS1.Example.Net.".to_owned(),
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

    server.logged("an update of contoso.com. is refused, unsigned: it must be signed");
    server.logged("key other.example.: this key may not update");
    server.logged("key pool1.example.: it would change something else than challenges");
    server.logged("key pool1.example.: BADSIG: the secrets differ");
    let (_, counts) = server.control("GET", "/v1/counters", &serde_json::Value::Null);
    assert_eq!(counts["updates_refused"], 6, "{counts}");
    assert_eq!(counts["signatures_refused"], 1, "{counts}");

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

/// Somebody on the way to the server, who passes datagrams on and keeps what is asked.
struct Listener {
    address: SocketAddr,
    heard: Receiver<Vec<u8>>,
}

fn listen_on_the_way_to(server: SocketAddr) -> Listener {
    let way = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = way.local_addr().unwrap();
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        let mut octets = [0; 4096];
        let mut client = None;
        // Ends with the test's process.
        while let Ok((length, from)) = way.recv_from(&mut octets) {
            if from == server {
                let back: SocketAddr = client.unwrap();
                way.send_to(&octets[..length], back).unwrap();
            } else {
                client = Some(from);
                if tell.send(octets[..length].to_vec()).is_err() {
                    return;
                }
                way.send_to(&octets[..length], server).unwrap();
            }
        }
    });
    Listener { address, heard }
}

impl Listener {
    /// The update that was heard last.
    fn update(&self) -> Vec<u8> {
        let mut updates = self.heard.try_iter().filter(|m| m[2] >> 3 & 0x0f == 5);
        let first = updates.next().expect("an update was sent");
        updates.last().unwrap_or(first)
    }
}

/// The code that octets get, sent as they are, and the error in the TSIG of the response.
fn replayed(server: &Server, octets: &[u8], over_tcp: bool) -> (u16, u16) {
    let mut response = vec![0; 4096];
    let length = if over_tcp {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length, octets].concat()).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let length = usize::from(u16::from_be_bytes(length));
        stream.read_exact(&mut response[..length]).unwrap();
        length
    } else {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(octets, server.address).unwrap();
        socket.recv(&mut response).unwrap()
    };
    response.truncate(length);
    // The error stands before the length of the other data, of which BADTIME has six octets.
    let rcode = u16::from(response[3] & 0x0f);
    let end = if rcode == 9 { length - 10 } else { length - 4 };
    let error = u16::from_be_bytes([response[end], response[end + 1]]);
    (rcode, error)
}

fn second() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

const SAID: (u16, u16) = (0, 0);
const BADTIME: (u16, u16) = (9, 18);

#[test]
fn an_update_that_is_sent_again_is_not_made_again() {
    let (place, server) = start();
    let key = format!("hmac-sha256:pool1.example:{SECRET}");
    let signed = ["-y", key.as_str()];
    let way = listen_on_the_way_to(server.address);
    let add = |text: &str| format!("update add {NAME} 60 TXT {text}");
    let delete = |text: &str| format!("update delete {NAME} TXT {text}");

    assert_eq!(nsupdate_at(way.address, &signed, &[&add("old")]), "");
    let added = way.update();
    let then = second();
    // Two of one second are two.
    assert_eq!(nsupdate_at(way.address, &signed, &[&add("old")]), "");
    assert_eq!(nsupdate(&server, &signed, &[&delete("old")]), "");
    for over_tcp in [false, true] {
        assert_eq!(replayed(&server, &added, over_tcp), SAID, "as before");
        assert!(texts(&server).is_empty(), "the old challenge stays away");
    }
    // A deletion, whose text was set anew.
    assert_eq!(nsupdate(&server, &signed, &[&add("new")]), "");
    assert_eq!(nsupdate_at(way.address, &signed, &[&delete("new")]), "");
    let deleted = way.update();
    assert_eq!(nsupdate(&server, &signed, &[&add("new")]), "");
    assert_eq!(replayed(&server, &deleted, false), SAID);
    assert_eq!(texts(&server), ["\"new\""]);
    // One that was refused for its prerequisite, which holds later.
    let lines = [&format!("prereq nxdomain {NAME}"), &*add("late")];
    assert!(nsupdate_at(way.address, &signed, &lines).contains("YXDOMAIN"));
    let failed = way.update();
    assert_eq!(nsupdate(&server, &signed, &[&delete("new")]), "");
    assert_eq!(replayed(&server, &failed, false), (6, 0));
    assert!(texts(&server).is_empty());

    // A reload forgets nothing; a new process refuses whatever it cannot know.
    let (code, _) = server.control("POST", "/v1/configuration/reload", &serde_json::json!({}));
    assert_eq!(code, 200);
    assert_eq!(replayed(&server, &added, false), SAID);
    assert!(texts(&server).is_empty());
    drop(server);
    // Signatures say when they were made in whole seconds.
    while second() == then {
        std::thread::sleep(Duration::from_millis(10));
    }
    let server = place.start();
    for over_tcp in [false, true] {
        assert_eq!(replayed(&server, &added, over_tcp), BADTIME);
    }
    assert!(texts(&server).is_empty());
    assert_eq!(nsupdate(&server, &signed, &[&add("after")]), "");
    assert_eq!(texts(&server), ["\"after\""]);
}

#[test]
fn a_key_updates_nothing_outside_its_scope() {
    let (_place, server) = start();
    let narrow = format!("hmac-sha256:narrow.example:{SECRET}");
    let signed = ["-y", narrow.as_str()];
    let own = format!("update add {NAME} 60 TXT own");
    assert_eq!(nsupdate(&server, &signed, &[&own]), "");
    // All of it or nothing.
    let other = "update add _acme-challenge.contoso.com 60 TXT foreign";
    let more = format!("update add {NAME} 60 TXT more");
    for lines in [vec![other], vec![&more, other]] {
        let came = nsupdate(&server, &signed, &lines);
        assert!(came.contains("REFUSED"), "{lines:?}: {came}");
    }
    assert_eq!(texts(&server), ["\"own\""]);
    server.logged(
        "an update of contoso.com. is refused, key narrow.example.: _acme-challenge.contoso.com is not in its scope: \
         names _acme-challenge.xmpp.route1.contoso.com ([acme] tsig)",
    );
    let wide = format!("hmac-sha256:pool1.example:{SECRET}");
    assert_eq!(nsupdate(&server, &["-y", &wide], &[other]), "");
}

#[test]
fn a_key_without_a_scope_updates_nothing_and_config_check_says_so() {
    let (place, server) = start();
    drop(server);
    let text = std::fs::read_to_string(place.file("repoint.toml")).unwrap();
    let (before, _) = text.split_once("[acme]").unwrap();
    place.configure(&format!("{before}[acme]\ntsig = [\"pool1.example\"]\n"));
    let output = Command::new(env!("CARGO_BIN_EXE_repoint"))
        .args(["config", "check", "repoint.toml"])
        .current_dir(place.dir.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("TSIG key pool1.example may update nothing: it has no scope"),
        "{said}"
    );
    let other = place.start();
    let signed = format!("hmac-sha256:pool1.example:{SECRET}");
    let came = nsupdate(
        &other,
        &["-y", &signed],
        &[&format!("update add {NAME} 60 TXT none")],
    );
    assert!(came.contains("REFUSED"), "{came}");
    other.logged("is not in its scope: nothing ([acme] tsig)");
}

/// Runs certbot's client for this server, and gives what it says against it.
fn certbot(server: &Server, verb: &str, name: &str, value: &str) -> Result<(), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/challenge.py");
    let (host, port) = (server.address.ip().to_string(), server.address.port());
    let output = tool("/usr/bin/python3")
        .args([script, &host, &port.to_string(), "pool1.example", SECRET])
        .args([verb, name, value])
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

#[test]
fn certbot_finds_a_challenge_that_is_a_zone_of_its_own_and_a_second_order_sees_nothing_of_the_first()
 {
    let name = "_acme-challenge.elsewhere.example";
    let mut text = configuration(&Pools::new(), &names(1), 30);
    text.push_str(&format!(
        "[[tsig]]\nname = \"pool1.example\"\nalgorithm = \"hmac-sha256\"\nsecret = \"{SECRET}\"\n\
         [acme]\ntsig = [{{ key = \"pool1.example\", names = [\"{name}\"] }}]\n"
    ));
    let place = Place::new(&text);
    let server = place.start();
    let lost = certbot(&server, "add", name, "one").unwrap_err();
    assert!(lost.contains("Unable to determine base domain"), "{lost}");

    place.configure(&format!("{text}[[zone]]\napex = \"{name}\"\n"));
    let (status, said) = server.control("POST", "/v1/configuration/reload", &serde_json::json!({}));
    assert_eq!(status, 200, "{said}");
    // The TTL is 1: a resolver that has the first value forgets it before the second one is looked for.
    for value in ["one", "two"] {
        certbot(&server, "add", name, value).unwrap();
        let answers = server.ask(name, "TXT").answers();
        assert_eq!(answers, [format!("{name}. 1 TXT \"{value}\"")]);
        certbot(&server, "delete", name, value).unwrap();
        assert!(server.ask(name, "TXT").answers().is_empty());
    }
}
