//! `repoint probe`: what a probe counts as, by its exit code and to the eye.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Output};

use openssl::ssl::{SslAcceptor, SslMethod};
use repoint::demo::{Authority, Leaf};

/// A SIP server at a port of the kernel's choice that shows a certificate with this name.
fn serve(authority: &Authority, name: &str) -> u16 {
    let leaf = Leaf {
        dns: vec![name.to_owned()],
        ..Leaf::for_domain(&"contoso.com".parse().unwrap())
    };
    let identity = authority.issue(&leaf).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).unwrap();
    acceptor.set_private_key(&identity.key).unwrap();
    acceptor.set_certificate(&identity.certificate).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            if let Ok(mut secured) = acceptor.accept(connection) {
                // Until the probe has gone.
                let _ = secured.read_to_end(&mut Vec::new());
            }
        }
    });
    port
}

fn probe(directory: &std::path::Path, port: u16, policy: &str) -> (Option<i32>, String) {
    let configuration = format!(
        r#"version = 1
[dns]
nameservers = [{{ name = "ns1.example.net" }}]
[[pool]]
name = "edgepool1"
target = [{{ name = "sipfed1.contoso.com", publish = ["192.0.2.10"], probe = ["127.0.0.1"] }}]
[[route]]
name = "contoso"
domains = ["contoso.com"]
pools = ["edgepool1"]
zones = "owners"
[[route.service]]
kind = "sipfederationtls"
port = {port}
allow_nonstandard_port = true
check = {{ certificate = "{policy}", ca = "ca.pem", timeout = "20s" }}
"#
    );
    let file = directory.join("repoint.toml");
    std::fs::write(&file, configuration).unwrap();
    let Output { status, stdout, .. } = Command::new(env!("CARGO_BIN_EXE_repoint"))
        .args(["probe", "contoso", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

#[test]
fn a_certificate_that_counts_as_a_failure_is_marked_and_ends_with_one() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("A Test Authority").unwrap();
    std::fs::write(directory.path().join("ca.pem"), authority.pem().unwrap()).unwrap();
    let sibling = serve(&authority, "www.contoso.com");
    let wrong = "certificate: does not name sipfed1.contoso.com, sip.contoso.com or contoso.com";
    for (policy, code, counts_as) in [
        ("require", 1, format!("failure: {wrong}")),
        ("warn", 0, format!("degraded: {wrong}")),
        ("ignore", 0, format!("good: {wrong} (ignored)")),
    ] {
        let (ended, said) = probe(directory.path(), sibling, policy);
        assert_eq!(ended, Some(code), "{said}");
        let line = format!("counts as           {counts_as}");
        assert!(said.contains(&line), "{line}\n{said}");
        assert!(said.contains("partners look for the SRV target"), "{said}");
    }
    let target = serve(&authority, "sipfed1.contoso.com");
    let (ended, said) = probe(directory.path(), target, "require");
    assert_eq!(ended, Some(0), "{said}");
    assert!(said.contains("counts as           good\n"), "{said}");
}
