//! The manual pages: every command has one, groff reads each without a warning, and each can be
//! found by man(1).

use std::path::Path;
use std::process::Command;

use crate::support::{Lxcpath, finish, has_program, text, told, tree};

/// Writes the pages, and returns their files.
fn written(lxcpath: &Lxcpath) -> Vec<std::path::PathBuf> {
    let dir = lxcpath.path().join(".man");
    std::fs::create_dir_all(&dir).unwrap();
    lxcpath.ok(&["man", dir.to_str().unwrap()]);
    tree(&dir).into_iter().map(|it| dir.join(it)).filter(|it| it.is_file()).collect()
}

fn page(pages: &[std::path::PathBuf], name: &str) -> String {
    let has = |it: &&std::path::PathBuf| it.ends_with(name);
    let file = pages.iter().find(has).unwrap_or_else(|| panic!("no page {name}"));
    std::fs::read_to_string(file).unwrap()
}

/// Formats a page as a terminal shows it, and returns it with what was warned of.
fn formatted(file: &Path) -> (String, String) {
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tutf8", "-ww", "-P-cbou"]).arg(file);
    let output = finish(groff);
    assert!(output.status.success(), "{}: {}", file.display(), told(&output));
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_command_and_every_key_has_its_entry() {
    let lxcpath = Lxcpath::new();
    let pages = written(&lxcpath);
    let overview = page(&pages, "man1/wharf.1");
    for it in wharf::command::COMMANDS {
        let own = page(&pages, &format!("man1/wharf-{}.1", it.name));
        assert!(own.contains(".SH SYNOPSIS") && own.contains(".SH OPTIONS"), "{}", it.name);
        assert!(own.contains("\\-\\-quiet"), "{}", it.name);
        assert!(overview.contains(&format!("wharf\\-{}", it.name)), "{}", it.name);
    }
    let conf = page(&pages, "man5/wharf.conf.5");
    for it in wharf::engine::keys::catalogue_lines() {
        assert!(conf.contains(&it.key.replace('-', "\\-")), "{}", it.key);
    }
    assert_eq!(pages.len(), wharf::command::COMMANDS.len() + 2);
}

#[test]
fn groff_warns_of_nothing() {
    if !has_program("groff") {
        return;
    }
    let lxcpath = Lxcpath::new();
    for it in written(&lxcpath) {
        let (shown, warned) = formatted(&it);
        assert_eq!(warned, "", "{}", it.display());
        assert!(shown.lines().count() > 20, "{}: {shown}", it.display());
    }
}

#[test]
fn pages_go_into_a_directory_that_is_there() {
    let lxcpath = Lxcpath::new();
    for (word, advice) in [("start", "`wharf help start`"), ("", "make it first")] {
        let refused = lxcpath.wharf(&["man", word]);
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
        assert!(told(&refused).contains(advice), "{}", told(&refused));
    }
}

#[test]
fn man_finds_a_page() {
    if !has_program("man") {
        return;
    }
    let lxcpath = Lxcpath::new();
    written(&lxcpath);
    let mut man = Command::new("man");
    man.arg("-M").arg(lxcpath.path().join(".man")).arg("wharf-start").env("MANPAGER", "cat");
    let output = finish(man);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", told(&output));
    for it in ["SYNOPSIS", "wharf start [OPTIONS] NAME...", "EXAMPLES", "SEE ALSO"] {
        assert!(shown.contains(it), "{it}: {shown}");
    }
}

#[test]
fn pages_are_the_same_each_time() {
    let lxcpath = Lxcpath::new();
    let pages = written(&lxcpath);
    let once: Vec<String> = pages.iter().map(|it| std::fs::read_to_string(it).unwrap()).collect();
    let again: Vec<String> =
        written(&lxcpath).iter().map(|it| std::fs::read_to_string(it).unwrap()).collect();
    assert_eq!(once, again);
}
