//! What must hold for any octets (`fuzz/src`), tried with every seed: what was found once is not found again.

use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub)]
mod targets;

/// Inputs that other tests keep, which are seeds as well.
const BORROWED: [(&str, &str); 4] = [
    ("zone_file", "tests/corpus/master"),
    ("configuration", "tests/configs"),
    ("configuration", "docs/examples"),
    ("configuration", "docs"),
];

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

#[test]
fn every_seed_holds_what_its_target_says() {
    for (name, check) in targets::ALL {
        let own = Path::new("fuzz/seeds").join(name);
        let borrowed = BORROWED.iter().filter(|(target, _)| *target == name);
        let mut seeds = files(&own);
        seeds.extend(borrowed.flat_map(|(_, directory)| files(Path::new(directory))));
        assert!(seeds.len() >= 4, "{name} has seeds");
        for seed in seeds {
            println!("{}", seed.display());
            let octets = std::fs::read(&seed).expect("a seed that can be read");
            check(&octets);
            // Cut anywhere, it is an input like any other.
            for length in (0..octets.len().min(200)).chain([octets.len() / 2]) {
                check(&octets[..length]);
            }
        }
    }
}
