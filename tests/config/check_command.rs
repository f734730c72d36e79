//! `repoint config check` as an operator and a script see it.

use std::process::{Command, Output};

use repoint::demo::{Authority, Leaf};

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

/// A directory with a configuration that serves DNS over TLS, and these lines more in `[server]`.
fn served(more: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let server = format!(
        "[server]\nlisten_tls = [\"127.0.0.1:853\"]\ncertificate = \"chain.pem\"\ncertificate_key = \"key.pem\"\n{more}"
    );
    let example = include_str!("../../docs/repoint.example.toml");
    let text = example.replacen("[server]\n", &server, 1);
    std::fs::write(directory.path().join("repoint.toml"), text).unwrap();
    directory
}

fn check_in(directory: &tempfile::TempDir) -> (Option<i32>, String) {
    let file = directory.path().join("repoint.toml");
    let output = check(&[file.to_str().unwrap()]);
    (output.status.code(), stdout(&output).to_owned())
}

/// A chain and its key in PEM, valid from and until so many days from now.
fn pair(from: i64, until: i64) -> (Vec<u8>, Vec<u8>) {
    let domain = "ns1.example.net".parse().unwrap();
    let leaf = Leaf {
        from_s: from * 86_400,
        until_s: until * 86_400,
        ..Leaf::for_domain(&domain)
    };
    let made = Authority::new("A Test Authority")
        .unwrap()
        .issue(&leaf)
        .unwrap();
    let key = made.key.private_key_to_pem_pkcs8().unwrap();
    (made.certificate.to_pem().unwrap(), key)
}

#[test]
fn a_certificate_that_could_not_be_shown_does_not_pass() {
    let directory = served("");
    let put = |name: &str, octets: &[u8]| {
        std::fs::write(directory.path().join(name), octets).unwrap();
    };
    let refused = |why: &str| {
        let (code, said) = check_in(&directory);
        assert_eq!(code, Some(1), "{why}: {said}");
        assert!(
            said.contains("cannot be used here") && said.contains(why),
            "{why}: {said}"
        );
    };
    let (chain, key) = pair(-1, 90);
    refused("chain.pem cannot be read");
    put("chain.pem", &chain);
    refused("key.pem cannot be read");
    put("key.pem", b"");
    refused("no private key");
    put(
        "key.pem",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    refused("cannot be used to sign");
    put("key.pem", &pair(-1, 90).1);
    refused("the key is not the key of the first certificate");
    put("key.pem", &key);
    let (code, said) = check_in(&directory);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("certificate of TLS, HTTPS and QUIC: for ns1.example.net"),
        "{said}"
    );
    put("chain.pem", &key);
    refused("BEGIN CERTIFICATE");
    put(
        "chain.pem",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    refused("cannot be read");
    let (old, key) = pair(-90, -1);
    put("chain.pem", &old);
    put("key.pem", &key);
    refused("not valid now");
}

#[test]
fn a_program_a_user_or_a_directory_that_is_not_there_does_not_pass() {
    let alarm = |program: &str| format!("[alarm]\nexec = [\"{program}\"]\n");
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let example = include_str!("../../docs/repoint.example.toml");
    let with = |section: &str, lines: &str| {
        let text = example.replacen(&format!("{section}\n"), lines, 1);
        std::fs::write(directory.path().join("repoint.toml"), text).unwrap();
        check_in(&directory)
    };
    for (section, lines, why) in [
        (
            "[alarm]",
            alarm("/nowhere/page"),
            "there is no such program",
        ),
        ("[alarm]", alarm(plain.to_str().unwrap()), "chmod +x"),
        (
            "[server]",
            "[server]\nuser = \"no-such-user\"\n".into(),
            "there is no user no-such-user",
        ),
        (
            "[server]",
            "[server]\ncontrol_group = \"no-such-group\"\n".into(),
            "there is no group no-such-group",
        ),
        (
            "[server]",
            "[server]\nstate = \"plain\"\n".into(),
            "is not a directory",
        ),
    ] {
        let (code, said) = with(section, &lines);
        assert_eq!(code, Some(1), "{lines}: {said}");
        assert!(
            said.contains("cannot be used here") && said.contains(why),
            "{lines}: {said}"
        );
    }
    let (code, said) = with("[alarm]", &alarm("/bin/true"));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_single_nameserver_is_worth_a_warning_and_refuses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let example = include_str!("../../docs/repoint.example.toml");
    let second = "    { name = \"ns2.fed.contoso.com\", addresses = [\"198.51.100.53\"] },\n";
    assert!(example.contains(second));
    let write = |text: &str| std::fs::write(directory.path().join("repoint.toml"), text).unwrap();
    write(&example.replacen(second, "", 1));
    let (code, said) = check_in(&directory);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("ns1.example.net is the only nameserver"),
        "{said}"
    );
    // Also where a zone file says which there are.
    let zone = "$TTL 60\n@ SOA ns1.example.net. hostmaster.example.net. 1 60 30 604800 30\n@ NS ns9.example.net.\n";
    std::fs::write(directory.path().join("fed.zone"), zone).unwrap();
    write(&example.replacen(
        "apex = \"fed.contoso.com\"\n",
        "apex = \"fed.contoso.com\"\nfile = \"fed.zone\"\n",
        1,
    ));
    let (code, said) = check_in(&directory);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("ns9.example.net. is the only nameserver of the zone fed.contoso.com"),
        "{said}"
    );
}

#[test]
fn without_a_file_it_is_the_one_that_a_server_starts_with() {
    let output = check(&["--socket", "/nowhere/control.sock"]);
    let talk = String::from_utf8(output.stderr).unwrap();
    assert_eq!(talk, "checking /etc/repoint/repoint.toml\n");
}
