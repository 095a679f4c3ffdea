//! What `--json` prints is what docs/json.md says: no field is missing there, none is left over, and
//! each is of its type.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use wharf::engine::event::What;
use wharf::engine::oom::OomKill;
use wharf::engine::{Exit, State};

use crate::support::{Lxcpath, can_run_containers, wait_until};

/// The fields of one section of the page, by their paths, with their types.
type Fields = BTreeMap<String, String>;

/// Reads the tables of the page, by the heads of their sections.
fn page() -> BTreeMap<String, Fields> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json.md");
    let text = fs::read_to_string(page).unwrap();
    let mut sections: BTreeMap<String, Fields> = BTreeMap::new();
    for section in text.split("\n## ").skip(1) {
        let (head, rest) = section.split_once('\n').unwrap();
        let rows = rest.lines().filter_map(|it| {
            let cells: Vec<&str> = it.strip_prefix("| `")?.split(" | ").collect();
            Some((cells[0].trim_end_matches('`').to_owned(), cells[1].to_owned()))
        });
        sections.insert(head.to_owned(), rows.collect());
    }
    // `info` and `top` have all of `ls`.
    let ls = sections["ls"].clone();
    let rows = ls.iter().map(|(path, kind)| (format!("containers[].{path}"), kind.clone()));
    sections.get_mut("top").unwrap().extend(rows);
    sections.get_mut("info").unwrap().extend(ls);
    sections
}

fn is_exit(value: &Value) -> bool {
    let word = value.as_str().is_some_and(|it| matches!(it, "halted" | "rebooted"));
    word || value.as_object().is_some_and(|one| {
        one.len() == 1
            && one.iter().all(|(word, number)| {
                let known = matches!(word.as_str(), "code" | "signal" | "unheard" | "unmoved");
                known && number.is_i64()
            })
    })
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind.strip_suffix('?') {
        Some(_) if value.is_null() => true,
        Some(kind) => is_of(kind, value),
        None => match kind {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "limit" => value.is_u64() || value == "max",
            "exit" => is_exit(value),
            "object" => value.is_object(),
            "list of strings" => value.as_array().is_some_and(|it| it.iter().all(Value::is_string)),
            "list of objects" => value.as_array().is_some_and(|it| it.iter().all(Value::is_object)),
            other => panic!("docs/json.md has a type `{other}`"),
        },
    }
}

/// What was seen of one section.
struct Seen<'a> {
    section: &'a str,
    fields: &'a Fields,
    paths: BTreeSet<String>,
}

impl<'a> Seen<'a> {
    fn of(page: &'a BTreeMap<String, Fields>, section: &'a str) -> Self {
        let fields = page.get(section);
        let fields = fields.unwrap_or_else(|| panic!("docs/json.md has no section {section}"));
        Self { section, fields, paths: BTreeSet::new() }
    }

    /// Checks an object, or a list of them, below `path`.
    fn look(&mut self, path: &str, value: &Value) {
        if let Some(all) = value.as_array() {
            return all.iter().for_each(|it| self.look(path, it));
        }
        let fields = value.as_object();
        let fields = fields.unwrap_or_else(|| panic!("{}: no object: {value}", self.section));
        for (name, value) in fields {
            self.field(&format!("{path}{name}"), value);
        }
    }

    fn field(&mut self, path: &str, value: &Value) {
        self.paths.insert(path.to_owned());
        let items = format!("{path}[].");
        let Some(kind) = self.fields.get(path) else {
            let has_items = self.fields.keys().any(|it| it.starts_with(&items));
            assert!(has_items, "{}: docs/json.md lacks `{path}`", self.section);
            self.look(&items, value);
            return;
        };
        assert!(is_of(kind, value), "{}: `{path}` is no {kind}: {value}", self.section);
        if value.as_array().is_some_and(|all| all.iter().any(Value::is_object)) {
            self.look(&items, value);
        } else if value.is_object() && kind.starts_with("object") && path != "last" {
            // `last` is the same object as elsewhere.
            self.look(&format!("{path}."), value);
        }
    }

    /// Expects that every field of the page was seen, but for these.
    fn whole(self, but: &[&str]) {
        let is_exempt = |it: &&String| but.iter().any(|but| it.contains(but));
        let documented = self.fields.keys().filter(|it| !is_exempt(it));
        let missing: Vec<_> = documented.filter(|it| !self.paths.contains(*it)).collect();
        assert!(missing.is_empty(), "{}: {missing:?} never printed", self.section);
    }
}

/// Checks the output of one command line.
fn check(lxcpath: &Lxcpath, section: &str, args: &[&str], but: &[&str]) {
    let page = page();
    let mut seen = Seen::of(&page, section);
    let output = lxcpath.wharf(&[args, &["--json"]].concat());
    let printed = String::from_utf8(output.stdout).unwrap();
    let value: Value =
        serde_json::from_str(&printed).unwrap_or_else(|it| panic!("{args:?}: {it}: {printed}"));
    assert!(value != json!([]), "{args:?} prints nothing");
    seen.look("", &value);
    seen.whole(but);
}

#[test]
fn every_command_that_prints_json_is_on_the_page() {
    let lxcpath = Lxcpath::new();
    let page = page();
    for it in wharf::command::COMMANDS.iter().map(|it| it.name).chain(["version"]) {
        let help = lxcpath.ok(&["help", it]);
        let has = page.keys().any(|head| head.split(' ').next() == Some(it));
        assert_eq!(help.contains("--json"), has, "{it}");
        assert_eq!(help.contains("--json"), help.contains("--format"), "{it}");
    }
}

#[test]
fn what_is_said_of_this_host_is_as_the_page_has_it() {
    let lxcpath = Lxcpath::new();
    check(&lxcpath, "version", &["version"], &[]);
    check(&lxcpath, "checkconfig", &["checkconfig"], &[]);
    check(&lxcpath, "config keys", &["config", "keys"], &[]);
}

#[test]
fn what_is_said_of_a_configuration_is_as_the_page_has_it() {
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("set");
    lxcpath.ok(&["create", &name]);
    lxcpath.ok(&["config", "set", &name, "lxc.start.auto", "1"]);
    check(&lxcpath, "config show --effective", &["config", "show", &name, "--effective"], &[]);
    check(&lxcpath, "config get", &["config", "get", &name, "lxc.start.auto"], &[]);
    check(&lxcpath, "autostart --list", &["autostart", "--list"], &[]);
    let config = lxcpath.path().join(&name).join("config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + "\nlxc.utsname = old\n").unwrap();
    check(&lxcpath, "config check", &["config", "check", &name], &[]);
    check(&lxcpath, "cgroup keep", &["cgroup", &name, "pids.max", "99", "--keep"], &[]);
    if can_run_containers() {
        lxcpath.ok(&["snapshot", &name, "-c", "before"]);
        check(&lxcpath, "snapshot list", &["snapshot", &name, "list"], &[]);
        lxcpath.ok(&["destroy", &name]);
        check(&lxcpath, "trash", &["trash"], &[]);
        lxcpath.ok(&["trash", "empty", "--yes"]);
    }
}

/// What the kernel logs of a kill is checked without one.
const KILL: &[&str] = &["oom_last."];

#[test]
fn what_is_said_of_a_container_is_as_the_page_has_it() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("runs");
    let stopped = lxcpath.name("stopped");
    lxcpath.ok(&["create", &stopped]);
    lxcpath.ok(&["execute", &stopped, "--", "/bin/true"]);
    check(&lxcpath, "ls", &["ls"], KILL);
    check(&lxcpath, "info", &["info", &name], KILL);
    check(&lxcpath, "ps", &["ps", &name], &[]);
    check(&lxcpath, "top", &["top", "-c", "1"], KILL);
    check(&lxcpath, "cgroup", &["cgroup", &name], &[]);
    check(&lxcpath, "cgroup change", &["cgroup", &name, "pids.max", "77"], &[]);
    let value: Value =
        serde_json::from_str(&lxcpath.ok(&["cgroup", &name, "pids.max", "--json"])).unwrap();
    assert_eq!(value, json!({ "file": "pids.max", "value": "77" }));
}

#[test]
fn a_kill_by_the_kernel_is_as_the_page_has_it() {
    let page = page();
    let mut seen = Seen::of(&page, "ls");
    let kill = OomKill {
        at_ms: 1,
        pid: 2,
        process: "hog".into(),
        held_bytes: Some(3),
        group: Some("/lxc.payload.web".into()),
        limit_file: Some("memory.max".into()),
        limit_bytes: Some(4),
    };
    seen.look("oom_last.", &serde_json::to_value(&kill).unwrap());
    let expected = page["ls"].keys().filter(|it| it.starts_with("oom_last."));
    assert!(expected.eq(seen.paths.iter()));
}

/// One event of each kind; the match keeps it whole.
fn every_event() -> Vec<What> {
    let text = String::new;
    let all = vec![
        What::State { from: State::Stopped, to: State::Starting },
        What::Exited { exit: Exit::Code(1) },
        What::Exited { exit: Exit::Halted },
        What::Braked { restarts: 1, wait_ms: 2 },
        What::Warned { said: text() },
        What::Failed { reason: text() },
        What::SupervisorKilled,
        What::Created,
        What::Destroyed,
        What::Trashed,
        What::Restored,
        What::Cgroup { file: text(), old: text(), new: text() },
        What::LimitLost { file: text(), was: text(), now: text() },
        What::OomKill {
            count: 1,
            last: Some(OomKill {
                at_ms: 1,
                pid: 2,
                process: text(),
                held_bytes: None,
                group: None,
                limit_file: None,
                limit_bytes: None,
            }),
        },
        What::Signal { pid: 1, signal: 15 },
    ];
    for it in &all {
        match it {
            What::State { .. }
            | What::Exited { .. }
            | What::Braked { .. }
            | What::Warned { .. }
            | What::Failed { .. }
            | What::SupervisorKilled
            | What::Created
            | What::Destroyed
            | What::Trashed
            | What::Restored
            | What::Cgroup { .. }
            | What::LimitLost { .. }
            | What::OomKill { .. }
            | What::Signal { .. } => (),
        }
    }
    all
}

#[test]
fn every_event_is_as_the_page_has_it() {
    let page = page();
    let mut seen = Seen::of(&page, "monitor");
    for it in every_event() {
        seen.look("", &serde_json::to_value(&it).unwrap());
    }
    seen.whole(&["at_ms", "lxcpath", "name"]);
}

#[test]
fn events_are_printed_as_the_page_has_them() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("told");
    let follow = |form: &[&str]| {
        let mut command = lxcpath.command(&[&["monitor", name.as_str()], form].concat());
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut followers = [follow(&["--json"]), follow(&["--format", "{event}={to}"])];
    let lines = followers.each_mut().map(|it| {
        let output = BufReader::new(it.stdout.take().unwrap());
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|it| _ = send.send(it));
        });
        receive
    });
    let mut heard = [const { Vec::<String>::new() }; 2];
    // Until both listen, nothing is heard; then a freeze is.
    wait_until("both to hear of a freeze", || {
        lxcpath.ok(&["freeze", &name]);
        lxcpath.ok(&["unfreeze", &name]);
        heard.iter_mut().zip(&lines).for_each(|(heard, lines)| heard.extend(lines.try_iter()));
        heard.iter().all(|it| it.iter().any(|line| line.contains("FROZEN")))
    });
    for it in &mut followers {
        it.kill().unwrap();
        it.wait().unwrap();
    }
    let page = page();
    let mut seen = Seen::of(&page, "monitor");
    for line in &heard[0] {
        seen.look("", &serde_json::from_str(line).unwrap());
    }
    for it in ["at_ms", "lxcpath", "name", "event", "from", "to"] {
        assert!(seen.paths.contains(it), "{it}: {:?}", heard[0]);
    }
    assert!(heard[1].contains(&"state=FROZEN".to_owned()), "{:?}", heard[1]);
}
