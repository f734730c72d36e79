//! Keys: made, brought from elsewhere, rolled and refused, by what an operator types.

use std::fs;
use std::path::{Path, PathBuf};

use crate::site::Site;
use crate::tool::tool;

const ZONE: &str = "_xmpp-server._tcp.contoso.com";
const OTHER: &str = "xmpp.contoso.com";

/// A site whose zones are to be signed, and whose parent nobody can ask: no key is made by itself.
fn to_be_signed() -> Site {
    let site = Site::start();
    let text = fs::read_to_string(site.configuration()).unwrap();
    let dns = "[dns]\ndnssec = true\nresolvers = [\"127.0.0.1:9\"]\n";
    fs::write(site.configuration(), text.replacen("[dns]\n", dns, 1)).unwrap();
    site.say(&["config", "reload"]);
    site
}

fn run(program: &str, arguments: &[&str]) -> String {
    let out = tool(program).args(arguments).output();
    let out = out.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(out.status.success(), "{program} {arguments:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

/// The `.private` file of a key that BIND makes, and the RDATA of its DNSKEY.
fn of_bind(directory: &Path, zone: &str, algorithm: &str, flags: &[&str]) -> (PathBuf, String) {
    let at = directory.to_string_lossy();
    let arguments = [&["-q", "-a", algorithm, "-K", &at], flags, &[zone]].concat();
    let name = run("dnssec-keygen", &arguments);
    let private = directory.join(format!("{}.private", name.trim()));
    let public = fs::read_to_string(private.with_extension("key")).unwrap();
    let record = public.lines().find(|line| !line.starts_with(';')).unwrap();
    let (_, rdata) = record.split_once(" DNSKEY ").unwrap();
    (private, rdata.split_whitespace().collect())
}

fn import<'a>(zone: &'a str, file: &'a Path) -> [&'a str; 5] {
    let file = file.to_str().unwrap();
    ["key", "import", zone, file, "--parent-has-no-ds"]
}

/// The RDATA of the only DNSKEY that is served.
fn served(site: &Site, zone: &str) -> String {
    let records = site.ask(zone, "DNSKEY");
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    let (_, rdata) = record.split_once("DNSKEY").unwrap();
    rdata.split_whitespace().collect()
}

#[test]
fn keys_that_bind_has_made_are_served_as_they_were() {
    let site = to_be_signed();
    let algorithms = [("ECDSAP256SHA256", ZONE), ("ED25519", OTHER)];
    for (algorithm, zone) in algorithms {
        let (private, public) = of_bind(&site.path(""), zone, algorithm, &["-f", "KSK"]);
        let dry = [&import(zone, &private)[..], &["--dry-run"]].concat();
        assert!(site.say(&dry).starts_with("dry run"));
        assert!(site.ask(zone, "DNSKEY").is_empty());
        site.say(&import(zone, &private));
        assert_eq!(served(&site, zone), public);
        let shown = site.json(&["key", "show", zone]);
        assert_eq!(shown["keys"][0]["stage"], "published", "{shown}");
        let tag = &shown["keys"][0]["tag"];
        // One of our own, whatever becomes of the other.
        assert!(site.path(&format!("state/keys/{zone}.{tag}.pem")).exists());
        assert!(private.exists());
    }
    let history = site.say(&["history"]);
    assert!(history.contains("imported"), "{history}");
}

#[test]
fn an_import_takes_the_place_of_a_file_that_is_of_no_use() {
    let mut site = to_be_signed();
    let (private, public) = of_bind(&site.path(""), ZONE, "ED25519", &["-f", "KSK"]);
    site.say(&import(ZONE, &private));
    let tag = site.json(&["key", "show", ZONE])["keys"][0]["tag"].to_string();
    let file = site.path(&format!("state/keys/{ZONE}.{tag}.pem"));
    site.kill();
    fs::write(&file, "scribble").unwrap();
    site.serve();
    let missing = "NOT at hand";
    assert!(site.say(&["key", "show", ZONE]).contains(missing));
    site.say(&import(ZONE, &private));
    assert!(!site.say(&["key", "show", ZONE]).contains(missing));
    assert_eq!(served(&site, ZONE), public);
    let kept = fs::read_to_string(file.with_extension("unusable"));
    assert_eq!(kept.unwrap(), "scribble");
    site.kill();
    site.serve();
    assert_eq!(served(&site, ZONE), public, "it is on the disk");
}

#[test]
fn keys_that_openssl_has_made_are_read_in_each_of_its_forms() {
    let site = to_be_signed();
    let sec1 = site.path("sec1.pem");
    let ed25519 = site.path("ed25519.pem");
    let pkcs8 = site.path("pkcs8.pem");
    let curve = [
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
    ];
    run("openssl", &[&curve[..], &[sec1.to_str().unwrap()]].concat());
    let make = ["genpkey", "-algorithm", "ed25519", "-out"];
    run(
        "openssl",
        &[&make[..], &[ed25519.to_str().unwrap()]].concat(),
    );
    let curve = ["genpkey", "-algorithm", "EC", "-pkeyopt"];
    let rest = ["ec_paramgen_curve:P-256", "-out", pkcs8.to_str().unwrap()];
    run("openssl", &[&curve[..], &rest].concat());
    for (file, algorithm) in [(&sec1, 13), (&ed25519, 15), (&pkcs8, 13)] {
        site.say(&import(ZONE, file));
        let public = served(&site, ZONE);
        assert!(public.starts_with(&format!("2573{algorithm}")), "{public}");
        let tag = site.json(&["key", "show", ZONE])["keys"][0]["tag"].to_string();
        site.say(&["key", "retire", ZONE, &tag, "--force", "--yes"]);
        assert!(site.ask(ZONE, "DNSKEY").is_empty());
        assert!(file.exists());
    }
}

#[test]
fn an_import_that_cannot_be_meant_is_refused_and_leaves_no_file() {
    let site = to_be_signed();
    let (zone_key, _) = of_bind(&site.path(""), ZONE, "ED25519", &[]);
    let why = site.fails(1, &import(ZONE, &zone_key));
    assert!(
        why.contains("not the public half of a key with flags 257"),
        "{why}"
    );
    let why = site.fails(1, &import(ZONE, &site.configuration()));
    assert!(why.contains("repoint.toml: "), "{why}");
    let why = site.fails(1, &import(ZONE, &site.path("none.pem")));
    assert!(why.contains("the server itself reads it"), "{why}");
    let (private, _) = of_bind(&site.path(""), ZONE, "ED25519", &["-f", "KSK"]);
    let unsure = ["key", "import", ZONE, private.to_str().unwrap()];
    let why = site.fails(1, &unsure);
    assert!(why.contains("--parent-has-no-ds"), "{why}");
    let why = site.fails(1, &import(OTHER, &private));
    assert!(why.contains(&format!("it is a key of {ZONE}")), "{why}");
    let elsewhere = "elsewhere.example";
    let (private, _) = of_bind(&site.path(""), elsewhere, "ED25519", &["-f", "KSK"]);
    let why = site.fails(1, &import(elsewhere, &private));
    assert!(why.contains("is not served here"), "{why}");
    let kept = fs::read_dir(site.path("state/keys"));
    assert_eq!(kept.map_or(0, |kept| kept.count()), 0);
}

#[test]
fn a_key_is_generated_listed_and_let_go() {
    let site = to_be_signed();
    let said = site.say(&["key", "list"]);
    assert!(said.contains("none") && said.contains(ZONE), "{said}");
    let why = site.fails(1, &["key", "list", "elsewhere.example"]);
    assert!(why.contains("no zone of this name"), "{why}");
    let why = site.fails(1, &["key", "generate", ZONE]);
    assert!(why.contains("--parent-has-no-ds"), "{why}");

    let generate = ["key", "generate", ZONE, "--parent-has-no-ds"];
    let with = ["--algorithm", "ed25519", "--reason", "SR-1234"];
    site.say(&[&generate[..], &with].concat());
    let shown = site.json(&["key", "show", ZONE]);
    assert_eq!(shown["keys"][0]["algorithm_name"], "ed25519");
    let tag = shown["keys"][0]["tag"].to_string();
    let ds = site.say(&["key", "ds", &format!("{ZONE}.")]);
    assert!(ds.contains("NOT YET"), "{ds}");
    assert!(site.say(&["history"]).contains("SR-1234"));
    let why = site.fails(1, &generate);
    assert!(why.contains(&format!("repoint key roll {ZONE}")), "{why}");

    let retire = ["key", "retire", ZONE, &tag];
    let why = site.fails(1, &retire);
    assert!(why.contains("--force removes it now"), "{why}");
    // Nobody types the zone's name.
    let why = site.fails(1, &[&retire[..], &["--force"]].concat());
    assert!(why.contains("was not typed"), "{why}");
    assert!(!site.ask(ZONE, "DNSKEY").is_empty());
    site.say(&[&retire[..], &["--force", "--yes"]].concat());
    assert!(site.ask(ZONE, "DNSKEY").is_empty());
    let pem = format!("state/keys/{ZONE}.{tag}.pem");
    site.until("its file is removed", |site| {
        (!site.path(&pem).exists()).then_some(())
    });
}
