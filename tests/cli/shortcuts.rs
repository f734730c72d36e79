//! The names that people type first lead to the commands that they mean.

use crate::complete::offered;
use crate::site::{Site, repoint, text};

#[test]
fn undrain_explain_and_unlatch_do_what_the_long_forms_do() {
    let site = Site::start();
    site.say(&["pool", "drain", "edgepool1", "--for", "1h"]);
    site.say(&["undrain", "edgepool1"]);
    site.say(&["drain", "edge2.contoso.com", "--for", "1h"]);
    assert_eq!(
        site.json(&["status"])["overrides"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    site.say(&["undrain", "edge2.contoso.com"]);
    assert!(
        site.json(&["status"])["overrides"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let near = site.fails(1, &["undrain", "edgepol1"]);
    assert!(near.contains("near are edgepool1"), "{near}");
    assert!(site.say(&["explain", "contoso"]).contains("RECOVERY"));

    // A latch is a freeze of one route to those who end it; without a route nothing is ended.
    site.say(&["freeze", "contoso", "--for", "1h"]);
    site.fails(2, &["unlatch"]);
    site.say(&["unlatch", "contoso"]);
    assert!(
        site.json(&["status"])["overrides"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn help_and_completions_know_the_short_forms() {
    let nowhere = std::path::Path::new("/nonexistent/control.sock");
    let help = text(&repoint(nowhere, &["--help"]).stdout);
    for word in ["explain", "drain", "undrain", "unlatch", "domain"] {
        assert!(
            help.lines().any(|line| line.trim().starts_with(word)),
            "{word}: {help}"
        );
        assert_eq!(offered(nowhere, &["repoint", word]), [word]);
    }
}

#[test]
fn a_table_that_is_piped_is_not_cut() {
    let site = Site::start();
    let reason = format!("{} end", "long ".repeat(60));
    site.say(&[
        "pin",
        "contoso",
        "edgepool2",
        "--for",
        "1h",
        "--reason",
        &reason,
    ]);
    let listed = [
        ["route", "list"],
        ["target", "list"],
        ["pool", "list"],
        ["zone", "list"],
    ];
    for command in listed {
        let said = site.say(&command);
        assert!(!said.contains('…'), "{command:?}: {said}");
    }
}
