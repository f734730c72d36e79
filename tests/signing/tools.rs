//! The verdict of programs that share no code with us on a whole zone: ldns, BIND, Knot.
//!
//! In: a zone version. Out: nothing, or a panic with what a program says against it.

use std::path::Path;

use repoint::clock::Wall;
use repoint::zone::ZoneVersion;

use crate::tool::tool;

/// Which keys there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Every published key signs everything.
    Combined,
    /// One key signs the keys, another one the zone.
    Split,
    /// Two combined keys, of which one may only be published. Knot 3.2's kzonecheck cannot tell: it refuses such a zone
    /// from dnssec-signzone as well.
    Two,
}

/// Every program accepts the zone.
pub(crate) fn accept(what: &str, zone: &ZoneVersion, keys: Keys) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zone");
    std::fs::write(&file, zone.to_master_text()).unwrap();
    let apex = zone.apex().to_string();
    let mut bind = vec!["-q", "-o", &apex];
    if keys != Keys::Split {
        bind.insert(0, "-z");
    }
    for (program, arguments) in [
        ("ldns-verify-zone", vec!["-V2"]),
        ("dnssec-verify", bind),
        (
            "named-checkzone",
            vec!["-q", "-i", "none", "-k", "fail", &apex],
        ),
        ("kzonecheck", vec!["-d", "on", "-o", &apex]),
    ] {
        if (program, keys) != ("kzonecheck", Keys::Two) {
            verdict(what, program, &arguments, &file, zone);
        }
    }
}

/// ldns accepts the zone at this moment.
pub(crate) fn ldns_at(zone: &ZoneVersion, now: Wall) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zone");
    std::fs::write(&file, zone.to_master_text()).unwrap();
    let moment: String = now
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    verdict(
        &moment,
        "ldns-verify-zone",
        &["-V2", "-t", &moment],
        &file,
        zone,
    );
}

fn verdict(what: &str, program: &str, arguments: &[&str], file: &Path, zone: &ZoneVersion) {
    let output = tool(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    assert!(
        output.status.success(),
        "{what}: {program} {arguments:?} refuses the zone\n{}{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        zone.to_master_text()
    );
}
