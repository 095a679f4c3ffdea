//! The guide and the README: every command line in them is one that wharf knows, and every link
//! leads to a file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the README and the pages of the guide, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_dir(root.join("docs")).unwrap().map(|it| it.unwrap().path());
    let pages = guide.filter(|it| it.extension().is_some_and(|it| it == "md"));
    pages
        .chain([root.join("README.md")])
        .map(|it| (it.clone(), fs::read_to_string(&it).unwrap()))
        .collect()
}

/// Returns the command lines of wharf's in a page: in blocks of text, and in code within a line.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 1 {
            // A long run of blanks separates a command from its explanation.
            let lines = part.lines().map(|it| it.split("  ").next().unwrap_or_default());
            found.extend(lines.flat_map(|it| it.split("; ")).map(str::to_owned));
        } else {
            found.extend(part.split('`').skip(1).step_by(2).map(|it| it.replace('\n', " ")));
        }
    }
    found.retain(|it| it.starts_with("wharf "));
    found
}

fn help(verb: &str) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_wharf")).args(["help", verb]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Returns whether a command's help has a line for `option`.
fn lists(help: &str, option: &str) -> bool {
    let mut lines = help.lines().map(str::trim_start).filter(|it| it.starts_with('-'));
    lines.any(|it| it.split([' ', ',', '=']).any(|it| it == option))
}

#[test]
fn every_command_in_the_guide_exists() {
    let mut helps: HashMap<String, Option<String>> = HashMap::new();
    let mut seen = 0;
    for (page, text) in pages() {
        for line in commands(&text) {
            let words: Vec<&str> = line.split(' ').skip(1).take_while(|it| *it != "--").collect();
            let Some(verb) = words.iter().find(|it| !it.starts_with('-')) else { continue };
            // Words in capitals stand for something.
            if matches!(*verb, "lxc" | "help") || verb.starts_with(char::is_uppercase) {
                continue;
            }
            let known = helps.entry((*verb).to_owned()).or_insert_with(|| help(verb));
            let Some(known) = known else { panic!("{}: {line}", page.display()) };
            for option in words.iter().filter(|it| it.starts_with('-')) {
                let option = option.trim_end_matches(['…', ']']);
                assert!(lists(known, option), "{}: {line}: {verb} has no {option}", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} command lines were found");
}

#[test]
fn every_link_leads_to_a_file() {
    for (page, text) in pages() {
        for link in text.split("](").skip(1).filter_map(|it| it.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let target = page.parent().unwrap().join(path);
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}
