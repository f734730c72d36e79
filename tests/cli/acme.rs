//! Challenges of certificate authorities, by command.

use crate::site::Site;

const NAME: &str = "_acme-challenge.xmpp.contoso.com";

fn texts(site: &Site) -> Vec<String> {
    let answers = site.ask(NAME, "TXT").into_iter();
    let mut texts: Vec<String> = answers
        .map(|line| line.split(' ').next_back().unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}

#[test]
fn a_challenge_is_served_when_the_command_returns_and_survives_a_kill() {
    let mut site = Site::start();
    let said = site.say(&["acme", "set", NAME, "one", "--for", "10m"]);
    assert!(said.starts_with("done; generation "), "{said}");
    assert_eq!(texts(&site), ["\"one\""]);
    site.say(&["acme", "set", NAME, "two"]);
    assert_eq!(texts(&site), ["\"one\"", "\"two\""]);
    site.kill();
    site.serve();
    assert_eq!(texts(&site), ["\"one\"", "\"two\""]);
    let listed = site.json(&["acme", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(listed[0]["name"], NAME);
    assert!(site.say(&["acme", "list"]).contains("two"));

    let said = site.say(&["acme", "set", NAME, "three", "--dry-run"]);
    assert!(said.contains("three") && texts(&site).len() == 2, "{said}");
    site.say(&["acme", "clear", NAME, "one"]);
    assert_eq!(texts(&site), ["\"two\""]);
    site.say(&["acme", "clear", NAME]);
    assert!(texts(&site).is_empty());
    assert_eq!(site.say(&["acme", "list"]), "no challenges are published\n");
    let history = site.say(&["history"]);
    assert!(history.contains("set the challenge \"one\""), "{history}");
}

#[test]
fn a_name_that_cannot_have_one_is_refused_with_the_way_to_do_it() {
    let site = Site::start();
    let said = site.fails(1, &["acme", "set", "_acme-challenge.contoso.com", "x"]);
    assert!(said.contains("lies in no zone served here"), "{said}");
    assert!(
        said.contains("CNAME") && said.contains("stays in force"),
        "{said}"
    );
    let said = site.fails(1, &["acme", "set", "xmpp.contoso.com", "x"]);
    assert!(
        said.contains("write _acme-challenge.xmpp.contoso.com"),
        "{said}"
    );
    let said = site.fails(1, &["acme", "clear", NAME]);
    assert!(said.contains("repoint acme list"), "{said}");
    let said = site.fails(1, &["acme", "set", NAME, &"x".repeat(256)]);
    assert!(said.contains("256 octets"), "{said}");
    let said = site.fails(1, &["acme", "set", "a..b", "x"]);
    assert!(said.contains("not a domain name"), "{said}");
}
