//! Reads real configuration files of LXC's releases, if a directory of them is at hand, and
//! compares with what LXC itself understood. `WHARF_CORPUS` names the directory: `official/` holds
//! the files, `oracle.tsv` LXC's verdicts, `parsed/` LXC's values. Skipped without it.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a test that says it skipped")]

use std::fs;
use std::path::{Path, PathBuf};

use wharf::engine::config;

fn corpus() -> Option<PathBuf> {
    let dir = std::env::var_os("WHARF_CORPUS").map(PathBuf::from);
    if dir.is_none() {
        println!("skipped: WHARF_CORPUS is not set");
    }
    dir
}

/// A file that is no configuration, or that includes what is not installed here.
fn is_configuration(path: &Path, text: &str) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let other = ["seccomp", "fstab", "MANIFEST", "system.conf"].iter().any(|it| name.contains(it));
    !other && text.lines().any(|it| it.trim_start().starts_with("lxc."))
}

/// Takes out lines that name files of another machine.
fn without_includes(text: &str) -> String {
    text.lines().filter(|it| !it.starts_with("lxc.include")).flat_map(|it| [it, "\n"]).collect()
}

#[test]
fn files_of_every_release_are_accepted() {
    let Some(dir) = corpus() else { return };
    let mut bad = Vec::new();
    let mut read = 0;
    for entry in fs::read_dir(dir.join("official")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if !is_configuration(&path, &text) {
            continue;
        }
        read += 1;
        let name = "corpus".parse().unwrap();
        let parsed =
            config::parse(&name, Path::new("/lxc"), without_includes(&text).as_bytes(), &path, &[]);
        // One of them has a misspelt capability, which LXC refuses too.
        let error = parsed.err().map(|it| it.to_string());
        bad.extend(error.filter(|it| !it.contains("unknown capability sys_resources")));
    }
    assert!(bad.is_empty(), "{} of {read}:\n{}", bad.len(), bad.join("\n"));
}

#[test]
fn values_are_what_lxc_understood() {
    let Some(dir) = corpus() else { return };
    let mut bad = Vec::new();
    let mut compared = 0;
    for entry in fs::read_dir(dir.join("parsed")).unwrap() {
        let path = entry.unwrap().path();
        let base = path.file_name().unwrap().to_string_lossy().replace(".dump", "");
        let Ok(text) = fs::read_to_string(dir.join("official").join(&base)) else { continue };
        if text.contains("lxc.include") {
            continue;
        }
        let name = "corpus".parse().unwrap();
        let Ok(parsed) = config::parse(&name, Path::new("/lxc"), text.as_bytes(), &path, &[])
        else {
            continue;
        };
        for (key, value) in dump(&fs::read_to_string(&path).unwrap()) {
            if key.ends_with(".hwaddr") {
                // LXC puts a random address where the file has x.
                continue;
            }
            compared += 1;
            let ours = parsed.get(&key);
            if ours.as_deref().map(str::trim_end) != Some(value.trim_end()) {
                bad.push(format!("{base}: {key}: LXC {value:?}, wharf {ours:?}"));
            }
        }
    }
    println!("{compared} values compared");
    assert!(bad.is_empty(), "{} of {compared}:\n{}", bad.len(), bad.join("\n"));
}

/// Splits a dump, `KEY = value` with further lines of a list below it.
fn dump(text: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let group = all.last().is_some_and(|(key, _)| {
            ["lxc.cgroup", "lxc.cgroup2"].contains(&key.as_str())
                && line.starts_with(&format!("{key}."))
        });
        match line.split_once(" = ") {
            Some((key, value))
                if line.starts_with("lxc.") && (!group || key == "lxc.cgroup.relative") =>
            {
                all.push((key.to_owned(), value.to_owned()));
            }
            _ => {
                if let Some((_, value)) = all.last_mut() {
                    value.push('\n');
                    value.push_str(line);
                }
            }
        }
    }
    all
}
