//! `repoint config check` as an operator and a script see it.

use std::process::{Command, Output};

fn check(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_repoint"))
        .args(["config", "check"])
        .args(arguments)
        .env_remove("SSL_CERT_FILE")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_file_that_can_be_used_is_summed_up_and_exits_with_0() {
    let output = check(&["docs/examples/lync-pair-behind-nat.toml"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("route contoso: contoso.com on edgepool1, then edgepool2"),
        "{said}"
    );
    assert!(said.contains("canaries: 203.0.113.53:53"), "{said}");
    assert!(said.contains("system roots from /"), "{said}");
}

#[test]
fn a_warning_is_said_and_does_not_refuse() {
    let output = check(&["tests/configs/no-canaries.toml"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("warning[no-canaries]"), "{said}");
    assert!(
        said.contains("no canaries: the blind rule is off\n"),
        "{said}"
    );
}

#[test]
fn a_file_with_problems_exits_with_1_and_says_them_without_colour_into_a_pipe() {
    let output = check(&["tests/configs/ten-faults.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = std::fs::read_to_string("tests/configs/ten-faults.txt").unwrap();
    assert_eq!(stdout(&output).trim_end(), expected.trim_end());
}

#[test]
fn a_script_reads_json() {
    let output = check(&["tests/configs/unknown-pool.toml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["usable"], false);
    assert_eq!(said["problems"].as_array().unwrap().len(), 3);
    assert!(said["summary"].is_null());
    let output = check(&["docs/examples/provider-many-domains.toml", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["usable"], true);
    assert_eq!(
        said["summary"]["routes"][0]["services"][0]["detection"],
        "26s"
    );
}

#[test]
fn a_machine_without_certificate_authorities_cannot_use_the_file() {
    let output = Command::new(env!("CARGO_BIN_EXE_repoint"))
        .args(["config", "check", "docs/examples/university-prosody.toml"])
        .env("SSL_CERT_FILE", "/nowhere/roots.pem")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(said.contains("cannot be used here"), "{said}");
    assert!(said.contains("/nowhere/roots.pem"), "{said}");
}

#[test]
fn who_gets_zones_and_where_they_come_from_is_summed_up() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("repoint.toml");
    let secret = dir.path().join("ns2.secret");
    std::fs::write(&secret, "c2VjcmV0IG9mIHRoZSB0ZXN0LCBsb25nIGVub3VnaCA=\n").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, private).unwrap();
    let example = std::fs::read_to_string("docs/examples/university-prosody.toml").unwrap();
    let more = r#"
[[tsig]]
name = "ns2.example.net"
algorithm = "hmac-sha256"
secret_file = "ns2.secret"
[[secondary]]
name = "ns2"
address = "198.51.100.53:53"
tsig = "ns2.example.net"
[[secondary]]
name = "provider"
address = "[2001:db8::53]:5353"
allow = ["2001:db8::53", "203.0.113.7"]
tsig = "none"
zones = ["contoso.com"]
[[zone]]
apex = "contoso.com"
primary = ["192.0.2.1:53", "192.0.2.2:53"]
tsig = "ns2.example.net"
dnssec = true
[[zone]]
apex = "fabrikam.com"
primary = ["192.0.2.1:53"]
tsig = "none"
"#;
    std::fs::write(&file, format!("{example}{more}")).unwrap();
    let output = check(&[file.to_str().unwrap()]);
    let said = stdout(&output);
    let expected = "signed: contoso.com\n\
        secondary ns2 at 198.51.100.53:53, signed with ns2.example.net: all zones\n\
        secondary provider at [2001:db8::53]:5353, transfers from 203.0.113.7, 2001:db8::53, \
        not signed: the address is enough: contoso.com\n\
        zone contoso.com comes from 192.0.2.1:53, then 192.0.2.2:53, signed with ns2.example.net\n\
        zone fabrikam.com comes from 192.0.2.1:53, not signed: who forges the address writes the zone\n";
    assert!(said.contains(expected), "{said}");

    let json = check(&[file.to_str().unwrap(), "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let summary = &said["summary"];
    assert_eq!(summary["signed"][0], "contoso.com");
    assert_eq!(summary["secondaries"][1]["name"], "provider");
    assert_eq!(summary["primaries"][0]["addresses"][1], "192.0.2.2:53");
}
