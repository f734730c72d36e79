//! The document's table of reviewed differences: held equal to the rules.

use std::fs;
use std::path::Path;

use crate::reviewed::{RULES, Zones};

const BEGIN: &str = "<!-- reviewed -->\n";
const END: &str = "<!-- /reviewed -->\n";

#[test]
fn the_document_tells_every_reviewed_difference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the table's beginning");
    let (_, after) = rest.split_once(END).expect("the table's end");
    let mut table =
        "| what they do | who | zones | why repoint does not |\n|---|---|---|---|\n".to_owned();
    for rule in RULES {
        let servers: Vec<String> = rule.servers.iter().map(ToString::to_string).collect();
        table.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            rule.name,
            servers.join(", "),
            match rule.zones {
                Zones::All => "all",
                Zones::Signed => "signed",
                Zones::Unsigned => "unsigned",
            },
            rule.why
        ));
    }
    let expected = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    assert!(
        text == expected || std::env::var_os("UPDATE_EXPECT").is_some(),
        "docs/conformance.md does not have the table of the rules; UPDATE_EXPECT=1 rewrites it"
    );
}
