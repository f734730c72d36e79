//! A provider with thousands of domains: one customer is found, and no answer is thousands of lines.

use crate::site::Site;

const CUSTOMERS: usize = 1500;

fn list(count: usize) -> String {
    let customers = (1..count).map(|n| format!("c{n}.example\n"));
    format!("contoso.com\n{}", customers.collect::<String>())
}

/// A site whose route has a list of customers, and resolvers that do not answer.
fn provider() -> Site {
    let site = Site::start();
    let text = std::fs::read_to_string(site.configuration()).unwrap();
    let text = text
        .replace(
            "domains = [\"contoso.com\"]",
            "domains_file = \"domains.txt\"",
        )
        .replace("[dns]\n", "[dns]\nresolvers = [\"127.0.0.1:1\"]\n");
    std::fs::write(site.configuration(), text).unwrap();
    std::fs::write(site.path("domains.txt"), list(CUSTOMERS)).unwrap();
    let said = site.say(&["config", "reload"]);
    assert!(
        said.contains("1499 domains added: c1.example, c10.example, "),
        "{said}"
    );
    assert!(said.contains("resolvers changed"), "{said}");
    site
}

#[test]
fn one_customer_of_thousands_is_found_by_each_command() {
    let site = provider();
    for (command, names) in [
        (&["domain", "show", "c7.example"][..], 2),
        (
            &["route", "explain", "contoso", "--domain", "c7.example"],
            2,
        ),
        (&["explain", "contoso", "--domain", "c7.example"], 2),
        (&["delegation", "show", "c7.example"], 2),
    ] {
        let said = site.say(command);
        assert!(
            said.contains("_xmpp-server._tcp.c7.example"),
            "{command:?}: {said}"
        );
        assert!(said.contains("xmpp.c7.example"), "{command:?}: {said}");
        assert!(
            said.matches("c8.example").count() == 0,
            "{command:?}: {said}"
        );
        assert!(said.lines().count() < 60, "{names} {command:?}: {said}");
    }
    let json = site.json(&["domain", "show", "c7.example"]);
    assert_eq!(json[0]["route"], "contoso");
    assert_eq!(json[0]["active"], "edgepool1");
    assert_eq!(json[0]["names"].as_array().unwrap().len(), 2);

    let said = site.fails(1, &["domain", "show", "c7.exampl"]);
    assert!(
        said.contains("near are") && said.contains("c7.example"),
        "{said}"
    );
    let said = site.fails(1, &["delegation", "show", "xmpp.c7.exampel"]);
    assert!(
        said.contains("no route, zone or domain has this name; near are xmpp.c7.example"),
        "{said}"
    );
}

#[test]
fn resolvers_that_do_not_answer_are_said_once() {
    let site = provider();
    let output = site.run(&["delegation", "check"]);
    let said = crate::site::text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.matches("no resolver answers").count(), 1, "{said}");
    assert!(
        said.contains("3000 zones and 1500 domains were not looked at"),
        "{said}"
    );
    assert!(said.lines().count() < 20, "{said}");
}

#[test]
fn a_reload_that_removes_customers_says_so_in_a_few_lines() {
    let site = provider();
    std::fs::write(site.path("domains.txt"), list(100)).unwrap();
    let refused = site.fails(1, &["config", "reload"]);
    assert!(
        refused.contains("1400 of 1500 domains would be gone"),
        "{refused}"
    );
    let said = site.say(&["config", "reload", "--dry-run", "--allow-removal"]);
    assert!(said.contains("1400 of 1500 domains removed"), "{said}");
    assert!(said.contains("2800 are gone"), "{said}");
    assert!(said.lines().count() < 40, "{said}");
    let status = site.say(&["status"]);
    assert!(status.contains("config-rejected"), "{status}");
    let said = site.say(&["config", "reload", "--allow-removal"]);
    assert!(said.contains("1400 of 1500 domains removed"), "{said}");
    let history = site.say(&["history"]);
    let words: Vec<&str> = history.split_whitespace().collect();
    assert!(
        words
            .join(" ")
            .contains("configuration reloaded: 1400 of 1500 domains removed"),
        "{history}"
    );
}
