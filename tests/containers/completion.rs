//! What shells complete: the words, and the shells themselves on a terminal or by their own
//! functions.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::support::{self, Lxcpath, can_run_containers, finish, has_program, text, told, tree};

const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

/// Returns the words that fit at the end of `words`, as a shell gets them.
fn completed(lxcpath: &Lxcpath, words: &[&str]) -> Vec<String> {
    let mut command = Command::new(WHARF);
    let path = lxcpath.path().to_str().unwrap();
    let (program, rest) = words.split_first().unwrap();
    command.env("WHARF_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    // What is after `lxc` is all LXC's.
    let options: &[&str] = if rest.first() == Some(&"lxc") { &[] } else { &["-P", path] };
    command.env("_CLAP_COMPLETE_INDEX", (words.len() + options.len() - 1).to_string());
    command.args(["--", program]).args(options).args(rest);
    let output = finish(command);
    assert!(output.status.success(), "{words:?}: {}", told(&output));
    assert_eq!(text(&output.stderr), "", "{words:?}");
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// Creates containers that are stopped.
fn created(lxcpath: &Lxcpath, words: &[&str]) -> Vec<String> {
    let create = |word: &&str| {
        let name = lxcpath.name(word);
        lxcpath.ok(&["create", &name]);
        name
    };
    words.iter().map(create).collect()
}

/// Checks what each of these command lines is completed to, words parted by blanks.
fn expect(lxcpath: &Lxcpath, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(completed(lxcpath, &words).join(" "), *expected, "{line}");
    }
}

#[test]
fn commands_options_and_words_are_completed() {
    let lines = [
        ("wharf unfr", "unfreeze"),
        ("wharf thaw --qui", "--quiet"),
        ("wharf wait -s FRO", "FROZEN"),
        ("wharf wait --state=FRO", "--state=FROZEN"),
        ("wharf ls -F name,orig", "name,origin"),
        ("wharf config mig", "migrate"),
        ("wharf config get x lxc.start.au", "lxc.start.auto"),
        ("wharf config keys lxc.net.0.macvl", "lxc.net.0.macvlan.mode"),
        ("wharf signal x SIGTE", "SIGTERM"),
        ("wharf help unfr", "unfreeze"),
        ("wharf completion z", "zsh"),
        ("wharf lxc checkc", "checkconfig"),
        ("wharf lxc stop --timeo", "--timeout"),
        ("lxc-stop --timeo", "--timeout"),
        ("wharf attach x -- ls", ""),
        ("wharf no-such-command x", ""),
    ];
    expect(&Lxcpath::new(), &lines);
}

#[test]
fn containers_are_completed_in_the_states_that_a_command_takes() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let runs = &lxcpath.start_sleeper("runs");
    let stopped = &created(&lxcpath, &["stopped"])[0];
    let snapshot = lxcpath.ok(&["snapshot", stopped]);
    let before = tree(lxcpath.path());
    let any = lxcpath.name("");
    let both = format!("{runs} {stopped}");
    let lines = [
        (format!("wharf start {any}"), stopped.as_str()),
        (format!("wharf stop {any}"), runs),
        (format!("wharf info -n {any}"), &both),
        (format!("wharf info {runs} {any}"), stopped),
        (format!("wharf monitor {any}"), &both),
        (format!("wharf create {any}"), ""),
        (format!("wharf clone {stopped} {any}"), ""),
        (format!("wharf snapshot {stopped} restore s"), snapshot.trim()),
        (format!("wharf snapshot {stopped} res"), "restore"),
        (format!("wharf cgroup {runs} pids.ma"), "pids.max"),
        // LXC's names, with the name as an operand or an option.
        (format!("lxc-start {any}"), stopped),
        (format!("lxc-stop -n {any}"), runs),
    ];
    let lines: Vec<(&str, &str)> = lines.iter().map(|(line, it)| (line.as_str(), *it)).collect();
    expect(&lxcpath, &lines);
    assert_eq!(completed(&lxcpath, &["wharf", "signal", runs, "HUP", ""]).len(), 1);
    assert_eq!(tree(lxcpath.path()), before, "completion changed something");
}

/// The number of a user that has nothing here.
const NOBODY: u32 = 65_534;

#[test]
fn an_ordinary_user_is_completed_to_as_well_and_nothing_is_made() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root to become another user");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("wharf");
    support::rootfs::copy_program(WHARF, &program);
    for it in [home.path(), &program] {
        std::os::unix::fs::chown(it, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let before = tree(home.path());
    let mut command = Command::new(&program);
    command.env("WHARF_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2");
    command.env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path()).current_dir("/");
    command.args(["--", "wharf", "start", ""]).uid(NOBODY).gid(NOBODY);
    let output = finish(command);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(text(&output.stderr), "");
    assert_eq!(tree(home.path()), before);
}

#[test]
fn the_value_of_a_long_option_is_completed_behind_its_sign() {
    let lxcpath = Lxcpath::new();
    // bash makes the sign a word of its own.
    for words in
        [&["wharf", "wait", "--state", "=", "STOPPE"][..], &["wharf", "wait", "--state", "STOPPE"]]
    {
        assert_eq!(completed(&lxcpath, words), ["STOPPED"], "{words:?}");
    }
}

#[test]
fn the_variable_alone_changes_no_command() {
    let mut command = Command::new(WHARF);
    command.env("WHARF_COMPLETE", "bash").arg("version");
    assert!(text(&finish(command).stdout).starts_with("wharf "));
}

#[test]
fn a_shell_that_is_not_known_is_refused() {
    let lxcpath = Lxcpath::new();
    let message = lxcpath.refused(&["completion", "csh"], 1);
    assert!(message.contains("`csh` is not one of bash, zsh, fish"), "{message}");
    lxcpath.refused(&["completion", "bash", "zsh"], 1);
}

/// Prepares a shell that finds this wharf, and the script of it.
fn shell(lxcpath: &Lxcpath, program: &str, script: &str) -> Command {
    let bin = lxcpath.path().join(".bin");
    fs::create_dir_all(&bin).unwrap();
    _ = std::os::unix::fs::symlink(WHARF, bin.join("wharf"));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    command.env("PATH", path).env("HOME", lxcpath.path()).env("TERM", "dumb");
    command.arg("-c").arg(script.replace("LXCPATH", lxcpath.path().to_str().unwrap()));
    command
}

#[test]
fn bash_completes_the_name_of_a_container() {
    if !can_run_containers() || !has_program("bash") {
        return;
    }
    let lxcpath = Lxcpath::new();
    let web = &created(&lxcpath, &["web"])[0];
    let half = &web[..web.len() - 1];
    // What readline does for a completion.
    let script = format!(
        "eval \"$(wharf completion bash)\"
         COMP_WORDS=(wharf -P LXCPATH start {half}) COMP_CWORD=4 COMP_TYPE=9
         _clap_complete_wharf wharf {half} LXCPATH
         echo \"${{COMPREPLY[@]}}\"; complete -p wharf"
    );
    let output = finish(shell(&lxcpath, "bash", &script));
    let answer = text(&output.stdout);
    assert_eq!(answer.lines().next(), Some(web.as_str()), "{}", told(&output));
    assert!(answer.contains("-F _clap_complete_wharf wharf"), "{answer}");
}

#[test]
fn fish_completes_the_name_of_a_container() {
    if !can_run_containers() || !has_program("fish") {
        return;
    }
    let lxcpath = Lxcpath::new();
    let web = &created(&lxcpath, &["web"])[0];
    let script = format!(
        "wharf completion fish | source; complete -C 'wharf -P LXCPATH start {}'",
        &web[..web.len() - 1]
    );
    let output = finish(shell(&lxcpath, "fish", &script));
    assert_eq!(text(&output.stdout), format!("{web}\tstopped\n"), "{}", told(&output));
}

#[test]
fn zsh_completes_the_name_of_a_container() {
    if !can_run_containers() || !has_program("zsh") {
        return;
    }
    let lxcpath = Lxcpath::new();
    let web = &created(&lxcpath, &["web"])[0];
    // zsh completes only on a terminal, of which it has one of its own here. The file is in its
    // fpath, as packages have it.
    let functions = lxcpath.path().join(".functions");
    fs::create_dir(&functions).unwrap();
    fs::write(functions.join("_wharf"), lxcpath.ok(&["completion", "zsh"])).unwrap();
    let script = format!(
        "zmodload zsh/zpty
         zpty z zsh -f -i
         zpty -w z \"PS1=; fpath=(LXCPATH/.functions $fpath); autoload -U compinit && compinit -D\"
         zpty -w -n z 'echo read: wharf -P LXCPATH start {}'$'\\t'
         zpty -w z ''
         zpty -w -n z $'\\C-u'
         zpty -w -n z 'wharf -P LXCPATH info {}'$'\\t'
         zpty -w z ' -s -H && echo it-\"\"ended'
         while zpty -r z line; do print -r -- $line; [[ $line == *it-ended* ]] && break; done",
        &web[..web.len() - 1],
        &web[..web.len() - 1]
    );
    let output = finish(shell(&lxcpath, "zsh", &script));
    let answer = text(&output.stdout);
    assert!(answer.contains("it-ended") && answer.contains("STOPPED"), "{}", told(&output));
}
