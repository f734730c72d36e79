//! DNS over HTTPS: what HTTP says, in every case that RFC 8484 names.

use data_encoding::BASE64URL_NOPAD;

use crate::dns::{Response, query};
use crate::place::{encrypted, over};
use crate::server::{Place, Pools, Server};
use crate::tool::tool;

struct Site {
    url: String,
    place: Place,
    _server: Server,
}

/// What came back: status, head and body.
struct Said {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Said {
    fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
    }

    fn response(&self) -> Response {
        assert_eq!(self.status, 200, "{}", self.head);
        assert_eq!(self.field("content-type"), Some("application/dns-message"));
        Response::read(&self.body)
    }
}

impl Site {
    fn new() -> Site {
        let place = encrypted(&Pools::new());
        let server = place.start();
        Site {
            url: format!("https://{}/dns-query", over(&server, "https")),
            place,
            _server: server,
        }
    }

    fn curl(&self, arguments: &[&str]) -> Said {
        let (head, body) = (self.place.file("head"), self.place.file("body"));
        let _ = std::fs::remove_file(&body);
        let output = tool("curl")
            .args(["--silent", "--show-error", "--insecure", "--max-time", "30"])
            .arg("--dump-header")
            .arg(&head)
            .arg("--output")
            .arg(&body)
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        let head = std::fs::read_to_string(head).unwrap().replace('\r', "");
        // An interim response may come before it.
        let head = head.trim_end().rsplit("\n\n").next().unwrap().to_owned();
        Said {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body: std::fs::read(body).unwrap_or_default(),
            head,
        }
    }

    fn get(&self, octets: &[u8]) -> Said {
        let url = format!("{}?dns={}", self.url, BASE64URL_NOPAD.encode(octets));
        self.curl(&["--http2", &url])
    }

    fn post(&self, more: &[&str], octets: &[u8]) -> Said {
        let file = self.place.file("asked");
        std::fs::write(&file, octets).unwrap();
        let data = format!("@{}", file.display());
        let mut arguments = vec!["--data-binary", &data];
        arguments.extend(more);
        arguments.push(&self.url);
        self.curl(&arguments)
    }
}

const MESSAGE: [&str; 2] = ["--header", "content-type: application/dns-message"];

fn asked(name: &str, rtype: &str) -> Vec<u8> {
    let mut query = query(name, rtype).edns(1232);
    query.id = 0;
    query.octets()
}

#[test]
fn both_methods_carry_messages_over_both_versions_of_http() {
    let site = Site::new();
    let octets = asked("Host.Other.Example", "A");
    let mut seen = Vec::new();
    for version in ["--http2", "--http1.1"] {
        let url = format!("{}?dns={}", site.url, BASE64URL_NOPAD.encode(&octets));
        seen.push(site.curl(&[version, &url]));
        seen.push(site.post(&[version, MESSAGE[0], MESSAGE[1]], &octets));
    }
    assert!(seen[0].head.starts_with("HTTP/2"), "{}", seen[0].head);
    assert!(seen[2].head.starts_with("HTTP/1.1"), "{}", seen[2].head);
    for said in &seen {
        // The octets are those of every other transport: the case of the question, the OPT.
        assert_eq!(said.body, seen[0].body);
        let response = said.response();
        assert_eq!(response.question.as_ref().unwrap().0, "Host.Other.Example.");
        assert_eq!(response.answers().len(), 1);
        assert!(response.opt.is_some());
    }
    // Large answers come whole, and a parameter more does no harm.
    let big = site.post(&MESSAGE, &asked("big.other.example", "TXT"));
    assert_eq!(big.response().answers().len(), 150);
    let url = format!("{}?x=1&dns={}", site.url, BASE64URL_NOPAD.encode(&octets));
    assert_eq!(site.curl(&[&url]).body, seen[0].body);
    let charset = [
        "--header",
        "content-type: Application/DNS-Message; charset=x",
    ];
    assert_eq!(site.post(&charset, &octets).body, seen[0].body);
}

#[test]
fn an_http_cache_keeps_an_answer_no_longer_than_a_dns_cache() {
    let site = Site::new();
    for (name, rtype, rcode, max_age) in [
        ("host.other.example", "A", 0, "max-age=120"),
        // The additional address is part of what is kept.
        ("mail.other.example", "MX", 0, "max-age=120"),
        // RFC 2308 §3: the SOA's MINIMUM.
        ("none.other.example", "A", 3, "max-age=45"),
        ("host.other.example", "AAAA", 0, "max-age=45"),
        ("foreign.example.org", "A", 5, "max-age=0"),
    ] {
        let said = site.get(&asked(name, rtype));
        assert_eq!(said.response().rcode, rcode, "{name} {rtype}");
        assert_eq!(said.field("cache-control"), Some(max_age), "{name} {rtype}");
    }
}

#[test]
fn what_is_no_dns_request_gets_an_http_error() {
    let site = Site::new();
    let octets = asked("host.other.example", "A");
    let status = |arguments: &[&str]| site.curl(arguments).status;
    assert_eq!(status(&[&site.url]), 400);
    assert_eq!(status(&[&format!("{}?dns=", site.url)]), 400);
    assert_eq!(status(&[&format!("{}?dns=!!!!", site.url)]), 400);
    // Padding is not allowed (RFC 8484 §6).
    assert_eq!(status(&[&format!("{}?dns=AAAA%3D", site.url)]), 400);
    assert_eq!(site.get(&[0; 11]).status, 400);
    let mut response = octets.clone();
    response[2] |= 0x80;
    assert_eq!(site.get(&response).status, 400);
    assert_eq!(site.post(&MESSAGE, &[]).status, 400);
    assert_eq!(status(&[&site.url.replace("dns-query", "other")]), 404);
    let refused = site.curl(&["--request", "PUT", "--data", "x", &site.url]);
    assert_eq!(
        (refused.status, refused.field("allow")),
        (405, Some("GET, HEAD, POST"))
    );
    assert_eq!(
        site.post(&["--header", "content-type: text/plain"], &octets)
            .status,
        415
    );
    assert_eq!(
        site.post(&["--header", "content-type:"], &octets).status,
        415
    );
    let long = vec![0; 65_536];
    assert_eq!(site.post(&MESSAGE, &long).status, 413);
    let chunked = [
        MESSAGE[0],
        MESSAGE[1],
        "--http1.1",
        "--header",
        "transfer-encoding: chunked",
    ];
    assert_eq!(site.post(&chunked, &long).status, 413);
    // What is DNS but malformed is DNS's own error (RFC 8484 §4.2.1).
    let malformed = site.get(&[octets.as_slice(), b"more"].concat());
    assert_eq!(malformed.response().rcode, 1);
    // And none of it has cost anybody a connection.
    assert_eq!(site.get(&octets).response().rcode, 0);
}
