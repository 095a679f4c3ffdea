//! Reads the configurations in `fixtures/config` and compares the results with LXC 5.0.2.
//!
//! Beside `NAME.conf` there is `NAME.lxc`: `refused`, or a line `KEY<tab>VALUE` for each line that
//! `lxc-info -c KEY` prints where it differs from what an empty configuration has. Key names from
//! before LXC 2.1 were converted by `lxc-update-config` first.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use wharf::engine::{Config, parse_config};

/// The minimum number of configurations, so that an empty directory is noticed.
const FEWEST: usize = 30;

fn configurations() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let files = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    let mut found: Vec<PathBuf> =
        files.filter(|it| it.extension().is_some_and(|it| it == "conf")).collect();
    found.sort();
    assert!(found.len() >= FEWEST, "only {} configurations", found.len());
    found
}

fn parsed(content: &[u8], file: &Path) -> Result<Config, String> {
    let name = "corpus".parse().unwrap();
    parse_config(&name, Path::new("/lxc"), content, file, &[]).map_err(|it| it.to_string())
}

/// LXC's values; none: it refused the file.
fn verdict(file: &Path) -> Option<BTreeMap<String, Vec<String>>> {
    let text = fs::read_to_string(file.with_extension("lxc")).unwrap();
    if text == "refused\n" {
        return None;
    }
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let (key, value) = line.split_once('\t').unwrap();
        values.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    Some(values)
}

#[test]
fn what_lxc_refuses_is_refused_and_what_it_takes_is_taken() {
    let mut refused = 0;
    for file in configurations() {
        let ours = parsed(&fs::read(&file).unwrap(), &file);
        if verdict(&file).is_some() {
            assert!(ours.is_ok(), "{}: {}", file.display(), ours.unwrap_err());
        } else {
            refused += 1;
            let said = ours.expect_err(&format!("{} was accepted", file.display()));
            assert!(said.contains("line "), "{}: {said}", file.display());
        }
    }
    assert!(refused > 0);
}

#[test]
fn values_are_what_lxc_understood() {
    let empty = parsed(b"", Path::new("empty")).unwrap();
    let mut compared = 0;
    for file in configurations() {
        let Some(values) = verdict(&file) else { continue };
        let ours = parsed(&fs::read(&file).unwrap(), &file).unwrap();
        for (key, value) in values {
            let shown = ours.get(&key);
            let lines: Option<Vec<&str>> =
                shown.as_deref().map(|it| it.trim_end().split('\n').collect());
            let expected: Vec<&str> = value.iter().map(String::as_str).collect();
            assert_eq!(lines, Some(expected), "{}: {key}", file.display());
            // LXC's value is not a default, so ours must come from the file as well. A missing
            // interface has no values, and an empty one has defaults.
            compared += usize::from(shown != empty.get(&key));
        }
    }
    assert!(compared > FEWEST, "only {compared} values differ from the defaults");
}
