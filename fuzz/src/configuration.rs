//! Any text as a configuration file: taken, or refused with problems that can be shown.

use std::io;
use std::path::Path;

use repoint::config;

/// Reads the octets as a configuration. Files that it names hold one domain, or are not there.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut files = |path: &Path| match path.extension() {
        Some(extension) if extension == "txt" => Ok("contoso.com\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    match config::parse(text, "repoint.toml", &mut files) {
        Ok(configuration) => {
            let kept = configuration.sources.to_json();
            let kept = config::Sources::from_json(&kept).unwrap();
            // What was accepted once is accepted again, as the same.
            let again = config::parse_sources(&kept).unwrap();
            assert!(config::compare(&configuration, &again).is_empty());
            let _ = config::summary(&configuration).to_string();
        }
        Err(problems) => {
            assert!(problems.errors().count() > 0);
            assert!(!problems.render(false).is_empty());
            let _ = problems.to_json();
        }
    }
}
