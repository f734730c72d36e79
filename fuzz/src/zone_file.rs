//! Any octets as a master file: taken, or refused; what was taken reads the same again.

use repoint::topology::DomainName;
use repoint::zone::StaticZone;

/// Reads the octets as the master file of `example.com`.
pub fn zone_file(data: &[u8]) {
    let apex: DomainName = "example.com".parse().unwrap();
    let mut none = |_: repoint::zone::Include<'_>| Err("no file".to_owned());
    match StaticZone::parse(&apex, "any.zone", data, &mut none) {
        Ok(zone) => {
            let text = zone.to_master_text();
            let again = StaticZone::parse(&apex, "again.zone", text.as_bytes(), &mut none)
                .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
            assert_eq!(again.to_master_text(), text);
            assert_eq!(again.record_count(), zone.record_count());
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let _ = problem.to_string();
            }
        }
    }
}
