//! Checks the dependencies of ARCHITECTURE.md, the size of files, the places of unsafe code and the
//! names of types.

#![allow(clippy::unwrap_used, clippy::string_slice, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module, and the modules that it must never name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("engine", &["ui", "widgets", "cli", "command"]),
    ("widgets", &["engine", "ui", "cli", "command"]),
    ("ui", &["cli"]),
    ("command", &["ui", "widgets", "cli"]),
    ("format", &["engine", "ui", "widgets", "cli", "command"]),
];

/// The engine's folders, each of which may use those before it. What `engine.rs` itself has is for
/// callers, but for the words in [`WORDS`].
const FLOORS: &[&str] = &[
    "sys", "terms", "host", "seccomp", "config", "store", "image", "cgroup", "entry", "running",
    "seen", "verbs",
];

/// What every folder of the engine may take from `engine.rs`.
const WORDS: &[&str] = &["Error", "ErrorKind", "Exit", "Host", "Lxcpath", "Name", "State", "Verb"];

/// Folders whose modules, each with all below it, use each other in no circle.
const NO_CIRCLES: &[&str] = &[
    "src/cli",
    "src/cli/lxc",
    "src/cli/verbs",
    "src/command",
    "src/engine",
    "src/engine/cgroup",
    "src/engine/config",
    "src/engine/entry",
    "src/engine/host",
    "src/engine/image",
    "src/engine/running",
    "src/engine/running/command_socket",
    "src/engine/running/record",
    "src/engine/running/supervisor",
    "src/engine/seccomp",
    "src/engine/seen",
    "src/engine/seen/sampler",
    "src/engine/store",
    "src/engine/sys",
    "src/engine/terms",
    "src/engine/verbs",
    "src/ui",
    "src/ui/model",
    "src/ui/update",
    "src/ui/view",
    "src/widgets",
];

/// The files of `ui` that may hold an engine; all others see data alone.
const ENGINE_HOLDERS: &[&str] =
    &["src/ui.rs", "src/ui/gallery", "src/ui/effect.rs", "src/ui/sampling.rs", "src/ui/workers.rs"];

/// Modules that use no file and make no system call.
const PURE: &[&str] =
    &["src/engine/entry/plan.rs", "src/engine/entry/plan/", "src/engine/seen/sample.rs"];

/// Where unsafe code is allowed.
const UNSAFE: &[&str] = &["src/engine/sys.rs", "src/engine/sys/"];

const MAX_LINES: usize = 500;

#[test]
fn arrows_point_one_way() {
    for (module, banned) in FORBIDDEN {
        exists(&format!("src/{module}.rs"));
        for (file, text) in sources().iter().filter(|(file, _)| belongs(file, module)) {
            for other in *banned {
                let named = code(text).any(|line| names(line, &format!("crate::{other}")));
                assert!(!named, "{file} names crate::{other}");
            }
        }
    }
}

#[test]
fn the_engine_stands_on_its_floors() {
    let of_engine = |file: &str| file.starts_with("src/engine/") && !is_for_tests(file);
    let mut found = Vec::new();
    for (file, text) in sources().iter().filter(|(file, _)| of_engine(file)) {
        let path = file.strip_prefix("src/engine/").unwrap();
        let own = path.split(['/', '.']).next().unwrap();
        let floor = |name: &str| FLOORS.iter().position(|it| *it == name);
        let here = floor(own).unwrap_or_else(|| panic!("{file} stands in no folder of the engine"));
        for name in code(shipped(text)).flat_map(|it| named(it, "crate::engine::")) {
            let allowed = WORDS.contains(&name)
                || (name == "Engine" && own == "verbs")
                || (path == "seen/sampler.rs" && name == "Engine")
                || floor(name).is_some_and(|it| it <= here);
            if !allowed {
                found.push(format!("{file} names crate::engine::{name}"));
            }
        }
    }
    assert!(found.is_empty(), "not below the one who names it: {found:#?}");
}

#[test]
fn of_the_engines_folders_only_cgroup_is_open() {
    let (_, text) = sources().into_iter().find(|(file, _)| file == "src/engine.rs").unwrap();
    let open: Vec<&str> = code(&text).filter(|it| it.starts_with("pub mod ")).collect();
    assert_eq!(open, ["pub mod cgroup;"]);
}

/// Returns whether the whole file is only for tests.
fn is_for_tests(file: &str) -> bool {
    file.ends_with("/tests.rs") || file == "src/engine/host/made_up.rs"
}

/// Returns the text without its tests.
fn shipped(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

#[test]
fn only_the_shell_of_the_screen_holds_an_engine() {
    for it in ENGINE_HOLDERS {
        exists(it);
    }
    for (file, text) in sources().iter().filter(|(file, _)| belongs(file, "ui")) {
        if ENGINE_HOLDERS.iter().any(|it| file.starts_with(it)) {
            continue;
        }
        let holds = code(text).any(|line| names(line, "engine::Engine"));
        assert!(!holds, "{file} names the engine; ask for an effect instead");
        let braces = code(text).filter(|line| line.trim().starts_with("use crate::engine::{"));
        for line in braces {
            let holds = line.split(['{', '}', ',']).any(|it| it.trim() == "Engine");
            assert!(!holds, "{file} names the engine; ask for an effect instead");
        }
    }
}

#[test]
fn plans_and_snapshots_touch_nothing() {
    for it in PURE {
        exists(it);
    }
    for (file, text) in &sources() {
        if !PURE.iter().any(|it| file.starts_with(it)) {
            continue;
        }
        for banned in
            ["std::fs", "File::open", "std::process", "TcpStream", "UdpSocket", "nix::unistd"]
        {
            assert!(!code(text).any(|line| names(line, banned)), "{file} names {banned}");
        }
    }
}

#[test]
fn the_machine_is_passed_in() {
    for (file, text) in sources().iter().filter(|(file, _)| belongs(file, "engine")) {
        if file == "src/engine.rs" {
            continue;
        }
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        for banned in ["Host::this()", "\"/run/wharf", "\"/run/lxc"] {
            let found = code(shipped).any(|line| line.contains(banned));
            assert!(!found || file == "src/engine/host.rs", "{file} looks up {banned} itself");
        }
    }
}

#[test]
fn unsafe_code_keeps_to_its_files() {
    for (file, text) in &sources() {
        let allowed = UNSAFE.iter().any(|it| file.starts_with(it));
        let found = code(text).any(|line| {
            line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl")
        });
        assert!(allowed || !found, "unsafe code in {file}");
    }
}

#[test]
fn no_file_exceeds_500_lines() {
    for (file, text) in sources().iter().chain(&below("tests")) {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{file} has {lines} lines");
    }
}

#[test]
fn every_subject_of_the_tests_is_on_the_page() {
    let page = fs::read_to_string("ARCHITECTURE.md").unwrap();
    for it in
        ["tests", "tests/containers"].map(|it| fs::read_dir(it).unwrap()).into_iter().flatten()
    {
        let name = it.unwrap().file_name().into_string().unwrap();
        if let Some(subject) = name.strip_suffix(".rs").filter(|it| *it != "main") {
            assert!(page.contains(&format!("`{subject}`")), "ARCHITECTURE.md lacks {subject}");
        }
    }
}

#[test]
fn every_file_opens_with_what_it_is() {
    for (file, text) in &sources() {
        assert!(text.starts_with("//! "), "{file} does not open with a sentence about itself");
    }
}

#[test]
fn modules_use_each_other_in_no_circle() {
    for folder in NO_CIRCLES {
        let mut left = modules_of(folder);
        assert!(left.len() > 1, "there are no modules in {folder}");
        // A module that uses none of the remaining ones is not part of a circle.
        while let Some(at) = left.iter().position(|(module, used)| {
            !left.iter().any(|(other, _)| other != module && used.contains(other))
        }) {
            left.remove(at);
        }
        let left: Vec<&String> = left.iter().map(|(module, _)| module).collect();
        assert!(left.is_empty(), "in a circle in {folder}, or leading to one: {left:?}");
    }
}

/// Returns the modules of a folder, each with those beside it that it and all below it use.
fn modules_of(folder: &str) -> Vec<(String, Vec<String>)> {
    let path = folder.strip_prefix("src/").unwrap().replace('/', "::");
    let mut modules: Vec<(String, Vec<String>)> = Vec::new();
    for (file, text) in sources() {
        let Some(below) = file.strip_prefix(&format!("{folder}/")) else { continue };
        let below = below.strip_suffix(".rs").unwrap();
        if below.split('/').any(|it| it == "tests") || is_for_tests(&file) {
            continue;
        }
        let text = code(shipped(&text)).collect::<Vec<_>>().join("\n");
        let up = "super::".repeat(below.split('/').count());
        let used = [named(&text, &format!("crate::{path}::")), named(&text, &up)].concat();
        let used = used.into_iter().map(str::to_owned);
        let module = below.split('/').next().unwrap();
        match modules.iter_mut().find(|(it, _)| it == module) {
            Some((_, all)) => all.extend(used),
            None => modules.push((module.to_owned(), used.collect())),
        }
    }
    modules
}

/// Returns what `text` names directly after `head`, alone or in braces.
fn named<'a>(text: &'a str, head: &str) -> Vec<&'a str> {
    let word =
        |it: &'a str| it.split(|it: char| !it.is_alphanumeric() && it != '_').next().unwrap();
    let lists = text.split(head).skip(1).map(|it| match it.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap().split(',').collect(),
        None => vec![it],
    });
    lists.flatten().map(|it| word(it.trim())).filter(|it| !it.is_empty()).collect()
}

#[test]
fn a_type_name_means_one_thing() {
    let mut declared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in &sources() {
        for name in code(text).filter_map(declared_type) {
            declared.entry(name.to_owned()).or_default().push(file.clone());
        }
    }
    assert!(declared.contains_key("Engine"), "no declarations found");
    declared.retain(|_, files| files.len() > 1);
    assert!(declared.is_empty(), "one name for several types, rename all but one: {declared:#?}");
}

/// Returns the name of the type that `line` begins to declare. An associated type, which is
/// indented, is named by its trait.
fn declared_type(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|it| {
        matches!(*it, "pub" | "unsafe") || it.starts_with("pub(") || it.ends_with(')')
    });
    let declares = match words.next()? {
        "struct" | "enum" | "trait" | "union" => true,
        "type" => !line.starts_with(' '),
        _ => false,
    };
    let rest = words.next().filter(|_| declares)?;
    let end = rest.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(rest.len());
    Some(&rest[..end])
}

#[test]
fn declarations_of_types_are_read() {
    for (line, name) in [
        ("pub struct Name(String);", Some("Name")),
        ("pub(in crate::engine) enum Part {", Some("Part")),
        ("    pub(super) struct Row<'a> {", Some("Row")),
        ("type Work<T> = Box<dyn FnOnce() -> T>;", Some("Work")),
        ("    type Err = IdError;", None),
        ("    let structure = 1;", None),
    ] {
        assert_eq!(declared_type(line), name, "{line}");
    }
}

/// Returns whether `file` is `src/MODULE.rs` or is below `src/MODULE/`.
fn belongs(file: &str, module: &str) -> bool {
    file == format!("src/{module}.rs") || file.starts_with(&format!("src/{module}/"))
}

/// Returns whether `line` names `path`, and not a longer word that begins with it.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let next = line[at + path.len()..].chars().next();
        next.is_none_or(|it| !it.is_alphanumeric() && it != '_')
    })
}

/// Returns the lines that are not comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|it| !it.trim_start().starts_with("//"))
}

/// Fails if a rule names a file that no longer exists.
#[track_caller]
fn exists(path: &str) {
    assert!(sources().iter().any(|(file, _)| file.starts_with(path)), "there is no {path}");
}

/// Returns every source file with its text, by its path from the project's root.
fn sources() -> Vec<(String, String)> {
    below("src")
}

fn below(top: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = vec![root.join(top)];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}
