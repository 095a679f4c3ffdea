//! `wharf config`: reads, changes, checks and modernises the configurations of containers, and files.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use crate::support::screen::Screen;
use crate::support::{self, Lxcpath, text, told};

const LINES: &str = "# mine\nlxc.utsname\t=  web # not a comment\n\n  lxc.tty = 1\r\n\
                     lxc.mount.entry = /a b none bind 0 0\nlxc.mount.entry = /c d none bind 0 0\n\
                     lxc.network.type = empty\nlxc.network.flags = up";

/// A container of which there is a configuration alone.
struct Configured {
    lxcpath: Lxcpath,
    name: String,
}

impl Configured {
    fn with(content: &str) -> Self {
        let lxcpath = Lxcpath::new();
        let name = lxcpath.name("c");
        fs::create_dir(lxcpath.path().join(&name)).unwrap();
        let it = Self { lxcpath, name };
        fs::write(it.file(), content).unwrap();
        it
    }

    fn file(&self) -> PathBuf {
        self.lxcpath.path().join(&self.name).join("config")
    }

    fn content(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn ok(&self, action: &str, rest: &[&str]) -> String {
        self.lxcpath.ok(&[&["config", action, &self.name], rest].concat())
    }

    /// Runs it, expects a refusal and an unchanged file, and returns the message.
    fn refused(&self, action: &str, rest: &[&str]) -> String {
        let before = self.content();
        let output = self.lxcpath.wharf(&[&["config", action, &self.name], rest].concat());
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert_eq!(self.content(), before);
        text(&output.stderr)
    }
}

#[test]
fn a_value_is_set_in_its_own_line_and_spelling() {
    let it = Configured::with(LINES);
    fs::set_permissions(it.file(), fs::Permissions::from_mode(0o604)).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(it.file(), None, Some(4242)).unwrap();
    }
    let old = fs::metadata(it.file()).unwrap();
    it.ok("set", &["lxc.uts.name", "db"]);
    it.ok("set", &["lxc.tty.max", "3"]);
    it.ok("set", &["lxc.net.0.flags", ""]);
    let expected = LINES.replace("web # not a comment", "db").replace("= 1\r", "= 3\r");
    let expected = expected.replace("flags = up", "flags = ");
    assert_eq!(it.content(), expected);
    let new = fs::metadata(it.file()).unwrap();
    assert_eq!((new.mode(), new.uid(), new.gid()), (old.mode(), old.uid(), old.gid()));
    assert_ne!(new.ino(), old.ino(), "it was written in place");
    // A key that is not there goes to the end, which now ends with a newline.
    it.ok("set", &["lxc.start.order", "-1"]);
    assert_eq!(it.content(), expected.clone() + "\nlxc.start.order = -1\n");
    it.ok("unset", &["lxc.start.order"]);
    assert_eq!(it.content(), expected + "\n");
    assert_eq!(fs::read_dir(it.file().parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_key_of_several_lines_gets_one_more_or_one_alone() {
    let it = Configured::with(LINES);
    it.ok("set", &["--add", "lxc.mount.entry", "/e f none bind 0 0"]);
    it.ok("set", &["--add", "lxc.mount.entry", "/a b none bind 0 0"]);
    let all = "lxc.mount.entry = /c d none bind 0 0\nlxc.mount.entry = /e f none bind 0 0\nlxc.net";
    assert!(it.content().contains(all), "{}", it.content());
    assert_eq!(it.ok("get", &["lxc.mount.entry"]).lines().count(), 3);
    it.ok("unset", &["lxc.mount.entry", "/c d none bind 0 0"]);
    assert_eq!(it.ok("get", &["lxc.mount.entry"]).lines().count(), 2);
    it.ok("set", &["lxc.mount.entry", "/g h none bind 0 0"]);
    assert_eq!(it.ok("get", &["lxc.mount.entry"]), "/g h none bind 0 0\n");
    let said = it.refused("set", &["--add", "lxc.tty.max", "2"]);
    assert!(said.contains("lxc.tty.max has one value"), "{said}");
}

#[test]
fn a_key_of_several_lines_stands_alone_although_an_include_has_some() {
    let it = Configured::with(LINES);
    let included = it.file().with_file_name("more");
    fs::write(&included, "lxc.group = theirs\n").unwrap();
    it.ok("set", &["--add", "lxc.include", included.to_str().unwrap()]);
    it.ok("set", &["lxc.group", "ours"]);
    assert_eq!(it.ok("get", &["lxc.group"]), "ours\n");
    it.ok("set", &["lxc.group", "others"]);
    assert_eq!(it.ok("get", &["lxc.group"]), "others\n");
    it.ok("set", &["--add", "lxc.group", "more"]);
    assert_eq!(it.ok("get", &["lxc.group"]), "others\nmore\n");
}

#[test]
fn a_limit_is_saved_beside_a_line_that_is_wrong() {
    let it = Configured::with("lxc.tty.max = many\n");
    it.ok("set", &["lxc.cgroup2.pids.max", "100"]);
    assert_eq!(it.content(), "lxc.tty.max = many\nlxc.cgroup2.pids.max = 100\n");
    let said = it.refused("set", &["lxc.cgroup2.pids.max", "few"]);
    assert!(said.contains("expected a number"), "{said}");
}

#[test]
fn a_value_that_is_refused_changes_nothing() {
    let it = Configured::with(LINES);
    let file = it.file().display().to_string();
    for (key, value, why) in [
        (
            "lxc.tty.max",
            "x",
            format!("lxc.tty x: expected a number that is not negative (line 4 of {file})"),
        ),
        (
            "lxc.ttymax",
            "1",
            format!("unknown key lxc.ttymax; did you mean lxc.tty.max? (line 9 of {file})"),
        ),
        (
            "lxc.net.0.veth.pair",
            "a",
            format!("it requires lxc.net.0.type = veth on a line above (line 9 of {file})"),
        ),
        ("lxc.uts.name", "a\nlxc.tty = 2", "control character".to_owned()),
        ("lxc.network.mtu", "1400", "does not say which interface".to_owned()),
        ("lxc.include", "/nowhere.conf", format!("No such file or directory (line 9 of {file})")),
    ] {
        let said = it.refused("set", &[key, value]);
        assert!(said.contains(&why), "{key}: {said}");
    }
    it.refused("unset", &["lxc.group"]);
    // What is wrong already does not keep other lines from being changed, and can be taken out.
    fs::write(it.file(), "lxc.bogus = 1\nlxc.tty.max = 1\nlxc.foo = 2\n").unwrap();
    it.ok("set", &["lxc.tty.max", "2"]);
    it.ok("unset", &["lxc.bogus"]);
    assert_eq!(it.content(), "lxc.tty.max = 2\nlxc.foo = 2\n");
}

#[test]
fn a_link_stays_a_link_and_its_target_is_not_changed() {
    let it = Configured::with("");
    let target = it.lxcpath.path().join("shared.conf");
    fs::write(&target, "lxc.tty = 1\n").unwrap();
    fs::remove_file(it.file()).unwrap();
    symlink(&target, it.file()).unwrap();
    let said = it.refused("set", &["lxc.tty.max", "2"]);
    assert!(said.contains("is a link"), "{said}");
    let said = it.refused("migrate", &["--yes"]);
    assert!(said.contains("is a link"), "{said}");
    assert!(!it.file().with_extension("backup").exists(), "a copy of what was not changed");
    assert!(it.file().symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(target).unwrap(), "lxc.tty = 1\n");
}

#[test]
fn a_dry_run_prints_the_difference_and_writes_nothing() {
    let it = Configured::with(LINES);
    let said = it.ok("set", &["--dry-run", "lxc.tty.max", "2"]);
    assert!(said.contains("\n-  lxc.tty = 1\n+  lxc.tty = 2\n"), "{said}");
    assert!(said.starts_with("--- /"), "{said}");
    assert_eq!(it.content(), LINES);
}

#[test]
fn a_line_counts_although_a_later_include_says_otherwise() {
    let it = Configured::with("");
    let shared = it.lxcpath.path().join("shared.conf");
    fs::write(&shared, "lxc.tty.max = 4\n").unwrap();
    fs::write(it.file(), format!("lxc.tty.max = 1\nlxc.include = {}\n", shared.display())).unwrap();
    let effective = it.ok("show", &["--effective"]);
    let line = effective.lines().find(|it| it.starts_with("lxc.tty.max = 4 ")).unwrap();
    assert!(line.ends_with(&format!("line 1 of {}", shared.display())), "{line}");
    assert!(effective.contains("lxc.autodev = 1 "), "{effective}");
    assert_eq!(it.ok("get", &["lxc.tty.max"]), "4\n");
    it.ok("set", &["lxc.tty.max", "2"]);
    assert_eq!(it.ok("get", &["lxc.tty.max"]), "2\n");
    assert_eq!(it.content(), format!("lxc.include = {}\nlxc.tty.max = 2\n", shared.display()));
    it.ok("unset", &["lxc.tty.max"]);
    let said = it.refused("unset", &["lxc.tty.max"]);
    assert!(said.contains(&format!("is set by line 1 of {}", shared.display())), "{said}");
}

#[test]
fn what_is_shown_is_the_file_and_a_key_without_a_value_fails() {
    let it = Configured::with(LINES);
    assert_eq!(it.ok("show", &[]), LINES);
    assert_eq!(it.ok("get", &["lxc.tty"]), "1\n");
    assert_eq!(it.ok("get", &["lxc.net.0.type"]), "empty\n");
    it.refused("get", &["lxc.group"]);
    it.refused("get", &["lxc.bogus"]);
    let json = it.ok("show", &["--effective", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let lines = json.as_array().unwrap();
    let tty = lines.iter().find(|it| it["key"] == "lxc.tty.max").unwrap();
    assert_eq!((tty["value"].as_str(), tty["line"].as_u64()), (Some("1"), Some(4)));
}

#[test]
fn each_line_that_is_wrong_or_old_is_found_with_its_place() {
    let it = Configured::with("");
    let shared = it.lxcpath.path().join("shared.conf");
    fs::write(&shared, "lxc.tty = x\n").unwrap();
    let own = format!(
        "lxc.bogus = 1\nhello\nlxc.include = {}\nlxc.kmsg = 1\nlxc.pts = 9\n",
        shared.display()
    );
    fs::write(it.file(), own).unwrap();
    let output = it.lxcpath.wharf(&["config", "check"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let (file, shared) = (it.file().display().to_string(), shared.display().to_string());
    let expected = format!(
        "{file}:1: refused: unknown key lxc.bogus\n\
         {file}:2: ignored: hello is neither a setting nor a comment\n\
         {file}:4: old spelling: LXC has no key lxc.kmsg since 2.1\n\
         {file}:5: old spelling: lxc.pts is now lxc.pty.max\n\
         {shared}:1: refused: lxc.tty x: expected a number that is not negative\n\
         {shared}:1: old spelling: lxc.tty is now lxc.tty.max\n"
    );
    assert_eq!(text(&output.stdout).replace("; did you mean lxc.group?", ""), expected);
    // What can be read, and not be started.
    fs::write(it.file(), "lxc.rootfs.path = /nowhere\nlxc.tty.max = 1\n").unwrap();
    let output = it.lxcpath.wharf(&["config", "check", &it.name]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).starts_with(&format!("{file}:1: refused: lxc.rootfs.path /nowhere: "))
    );
    fs::write(it.file(), "lxc.tty = 1\n").unwrap();
    let said = it.ok("check", &[]);
    assert_eq!(said, format!("{file}:1: old spelling: lxc.tty is now lxc.tty.max\n"));
}

const OLD: &str = "# lxc.tty = 3\nlxc.utsname = web\nlxc.rootfs = /srv/web\nlxc.rootfs.backend = dir\n\
                   lxc.pivotdir = lxc_putold\nlxc.network.type = veth\nlxc.network.link = br0\n\
                   lxc.network.ipv4 = 10.0.3.2/24\n\nlxc.network.type = empty\nlxc.network.flags = up\n\
                   lxc.limit.nofile = 64\nlxc.rootfs  =  /srv/b\n";
const NEW: &str = "# lxc.tty = 3\nlxc.uts.name = web\nlxc.rootfs.path = dir:/srv/web\n\
                   lxc.net.0.type = veth\nlxc.net.0.link = br0\n\
                   lxc.net.0.ipv4.address = 10.0.3.2/24\n\nlxc.net.1.type = empty\nlxc.net.1.flags = up\n\
                   lxc.prlimit.nofile = 64\nlxc.rootfs.path  =  dir:/srv/b\n";

#[test]
fn an_old_configuration_is_spelled_as_today() {
    let it = Configured::with(OLD);
    let said = it.refused("migrate", &[]);
    assert!(said.contains("--yes writes it"), "{said}");
    let said = it.ok("migrate", &["--dry-run"]);
    assert!(said.contains("\n-lxc.utsname = web\n"), "{said}");
    assert_eq!(it.content(), OLD);
    let said = it.ok("migrate", &["--yes"]);
    assert!(said.contains("\n+lxc.uts.name = web\n"), "{said}");
    assert_eq!(it.content(), NEW);
    let backup = it.file().with_file_name("config.backup");
    assert_eq!(fs::read_to_string(&backup).unwrap(), OLD);
    assert!(it.ok("migrate", &["--yes"]).contains("spelled as today"));
    // An older copy is not overwritten.
    fs::write(it.file(), OLD).unwrap();
    it.ok("migrate", &["--yes"]);
    assert_eq!(fs::read_to_string(it.file().with_file_name("config.backup.1")).unwrap(), OLD);
}

#[test]
fn a_migration_asks_where_somebody_can_answer() {
    let it = Configured::with(OLD);
    for (answer, content, code) in [("n\r", OLD, 1), ("y\r", NEW, 0)] {
        let mut command = it.lxcpath.command(&["config", "migrate", &it.name]);
        command.env("TERM", "xterm");
        let mut screen = Screen::spawn(command, 100, 40);
        screen.wait_for("Write this? [y/N]");
        screen.keys(answer);
        assert_eq!(screen.exit().code(), Some(code), "{answer}");
        assert_eq!(it.content(), content);
    }
}

#[test]
fn a_file_that_is_no_containers_can_be_changed_too() {
    let it = Configured::with("");
    let file = it.lxcpath.path().join("common.conf");
    fs::write(&file, "lxc.tty = 1\n").unwrap();
    let path = file.to_str().unwrap();
    it.lxcpath.ok(&["config", "set", "-f", path, "lxc.tty.max", "2"]);
    it.lxcpath.ok(&["config", "migrate", "-f", path, "--yes"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "lxc.tty.max = 2\n");
    assert_eq!(it.lxcpath.ok(&["config", "get", "-f", path, "lxc.tty"]), "2\n");
    it.lxcpath.ok(&["config", "check", "-f", path]);
}

#[test]
fn of_many_changes_at_once_none_is_lost() {
    const EACH: usize = 8;
    let it = Configured::with(LINES);
    let common = it.lxcpath.path().join("common.conf");
    fs::write(&common, "").unwrap();
    // A container's file may be named by its path, too.
    let files = [it.file(), common].map(|it| it.to_str().unwrap().to_owned());
    std::thread::scope(|scope| {
        for group in 0..EACH {
            let it = &it;
            scope.spawn(move || it.ok("set", &["--add", "lxc.group", &format!("g{group}")]));
            for file in &files {
                let group = format!("f{group}");
                let args =
                    ["config", "set", "-f", file, "--add", "lxc.group", &group].map(str::to_owned);
                scope.spawn(move || it.lxcpath.ok(&args.each_ref().map(String::as_str)));
            }
        }
    });
    assert_eq!(it.ok("get", &["lxc.group"]).lines().count(), 2 * EACH, "{}", it.content());
    let [_, common] = &files;
    let groups = it.lxcpath.ok(&["config", "get", "-f", common, "lxc.group"]);
    assert_eq!(groups.lines().count(), EACH, "{groups}");
}

#[test]
fn a_limit_is_set_in_each_spelling_that_is_used() {
    let limits = "lxc.cgroup.memory.limit_in_bytes = 1G\nlxc.cgroup2.memory.max = 1G\n";
    let it = Configured::with(limits);
    it.ok("set", &["lxc.cgroup2.memory.max", "512M"]);
    assert_eq!(it.content(), limits.replace("1G", "512M"));
    it.ok("set", &["--add", "lxc.cgroup2.devices.allow", "c 1:3 rwm"]);
    assert_eq!(it.ok("get", &["lxc.cgroup2.devices.allow"]), "c 1:3 rwm\n");
}

/// Runs a command by LXC's name.
fn lxc(args: &[&str], kernel: Option<&std::path::Path>) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.arg("lxc").args(args);
    if let Some(kernel) = kernel {
        command.env("CONFIG", kernel);
    }
    support::finish(command)
}

#[test]
fn lxc_config_answers_as_lxcs() {
    let all = "lxc.default_config\nlxc.lxcpath\nlxc.bdev.lvm.vg\nlxc.bdev.lvm.thin_pool\n\
               lxc.bdev.zfs.root\nlxc.cgroup.use\nlxc.cgroup.pattern\n";
    assert_eq!(text(&lxc(&["config", "-l"], None).stdout), all);
    let unknown = lxc(&["config", "lxc.bogus"], None);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(text(&unknown.stdout), "Unknown configuration item: lxc.bogus\n");
    // The beginning of a name is enough, and no name is a question for the usage.
    assert_eq!(
        lxc(&["config", "l"], None).stdout,
        lxc(&["config", all.lines().next().unwrap()], None).stdout
    );
    let usage = lxc(&["config"], None);
    assert!(usage.status.success() && text(&usage.stderr).starts_with("Usage: lxc-config -l: "));
    assert!(text(&lxc(&["config", "lxc.lxcpath"], None).stdout).starts_with('/'));
}

#[test]
fn lxc_update_config_spells_comments_too_and_keeps_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c");
    let old = "# lxc.tty = 3\n#lxc.rootfs = /x\nlxc.utsname = web\nlxc.rootfs = /srv/web\n\
               lxc.pivotdir = a\nlxc.network.type = veth\nlxc.network.ipv4 = 10.0.3.2/24\n\n\
               lxc.network.type = empty\n#lxc.network.hwaddr = a\nlxc.mount = /x\n";
    // What LXC 5.0.2 makes of it.
    let new = "# lxc.tty.max = 3\n#lxc.rootfs.path = dir:/x\nlxc.uts.name = web\n\
               lxc.rootfs.path = dir:/srv/web\nlxc.net.0.type = veth\n\
               lxc.net.0.ipv4.address = 10.0.3.2/24\n\nlxc.net.1.type = empty\n\
               #lxc.net.1.hwaddr = a\nlxc.mount.fstab = /x\n";
    fs::write(&file, old).unwrap();
    for backup in [old, new] {
        let output = lxc(&["update-config", "-c", file.to_str().unwrap()], None);
        assert!(output.status.success() && output.stdout.is_empty(), "{}", told(&output));
        assert_eq!(fs::read_to_string(&file).unwrap(), new);
        assert_eq!(fs::read_to_string(dir.path().join("c.backup")).unwrap(), backup);
    }
    assert!(lxc(&["update-config"], None).status.success());
    assert_eq!(lxc(&["update-config", "-c", "/nowhere/c"], None).status.code(), Some(1));
}

#[test]
fn lxc_checkconfig_reads_the_configuration_of_a_kernel() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kernel");
    let config = "# Linux/x86 6.1.0 Kernel Configuration\nCONFIG_NAMESPACES=y\nCONFIG_UTS_NS=y\n\
                  CONFIG_IPC_NS=y\nCONFIG_NET_NS=y\nCONFIG_CGROUPS=y\nCONFIG_MACVLAN=m\n";
    fs::write(&file, config).unwrap();
    let output = lxc(&["checkconfig"], Some(&file));
    assert!(output.status.success(), "{}", told(&output));
    let said = text(&output.stdout);
    assert!(
        said.starts_with("LXC version 5.0.2\n\n--- Namespaces ---\nNamespaces: enabled\n"),
        "{said}"
    );
    for line in ["Pid namespace: required", "User namespace: missing", "Cgroup device: missing"] {
        assert!(said.lines().any(|it| it == line), "{said}");
    }
    assert!(said.contains("\nMacvlan: enabled"), "{said}");
    let heads: Vec<&str> = said.lines().filter(|it| it.starts_with("---")).collect();
    let four = ["Namespaces", "Control groups", "Misc", "Checkpoint/Restore"];
    assert_eq!(heads, four.map(|it| format!("--- {it} ---")));
}
