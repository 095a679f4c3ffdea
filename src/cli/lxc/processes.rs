//! The older `lxc-ps`: ps(1) over the processes of containers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::{Command, ExitCode};

use super::call::{LxcCall, LxcCommand, NameFrom, WordParts, refused};
use super::getopt::{flag, value};
use crate::engine::shown::shown;
use crate::engine::{ErrorKind, Name};

pub(super) const PS: LxcCommand = LxcCommand {
    name: "ps",
    usage: "[-n NAME[,NAME...]] [--lxc] [--] [ps options]",
    about: "lists processes by ps(1), with their containers: of some, of all, or of the whole host",
    options: &[
        value("name", Some('n'), "NAMES", "Only of these containers, separated by commas"),
        flag("lxc", None, "Only of containers, of all of them"),
    ],
    named: NameFrom::Free,
    parts: Some(for_ps),
    run: ps,
};

/// Parts the options of ps(1) off: all that the command does not know itself.
#[expect(clippy::unnecessary_wraps, reason = "its type is that of others that may part nothing")]
fn for_ps(words: &[String]) -> Option<WordParts> {
    let mut parts = WordParts::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-n" | "--name" | "-P" | "--lxcpath" => {
                parts.own.extend([word.clone()].into_iter().chain(words.next().cloned()));
            }
            "--lxc" | "-q" | "--quiet" | "--help" | "--usage" | "--version" => {
                parts.own.push(word.clone());
            }
            "--" => {
                parts.others.extend(words.cloned());
                break;
            }
            it if ["-n", "-P", "--name=", "--lxcpath="].iter().any(|own| it.starts_with(own)) => {
                parts.own.push(word.clone());
            }
            _ => parts.others.push(word.clone()),
        }
    }
    Some(parts)
}

fn ps(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let mut containers = HashMap::new();
    let names = names(call)?;
    for (name, list) in names.iter().zip(call.engine.processes_of(&names)) {
        match list {
            Ok(list) => containers.extend(list.into_iter().map(|it| (it.pid, name.clone()))),
            // A container that has stopped has no processes.
            Err(error) if error.kind == ErrorKind::NotRunning => (),
            Err(error) => return Err(error.into()),
        }
    }
    // Without a filter it lists the processes of the host, too.
    let all = !call.has("lxc") && !call.has("name");
    if containers.is_empty() && !all {
        return Ok(ExitCode::SUCCESS);
    }
    let mut ps = Command::new("ps");
    ps.args(call.others.iter().flatten());
    if all {
        ps.arg("-e");
    } else {
        let mut pids: Vec<i32> = containers.keys().copied().collect();
        pids.sort_unstable();
        let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
        ps.arg("-p").arg(pids.join(","));
    }
    let output = ps.stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|why| refused(format!("cannot run ps: {why}")))?;
    write!(call.out, "{}", prefixed(&String::from_utf8_lossy(&output.stdout), &containers, all))?;
    Ok(if output.status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the containers that were named, or all.
fn names(call: &LxcCall<'_>) -> anyhow::Result<Vec<Name>> {
    let given: Vec<&str> = call.given.values("name").flat_map(|it| it.split(',')).collect();
    if given.is_empty() {
        return Ok(call.engine.list()?.into_iter().map(|(name, _)| name).collect());
    }
    let mut names = Vec::new();
    for it in given {
        let name: Name = it.parse()?;
        if !call.engine.is_defined(&name) && !call.engine.state(&name)?.is_active() {
            return Err(refused(format!("'{name}' does not exist")));
        }
        names.push(name);
    }
    Ok(names)
}

/// Puts the container before each row. Unless `all` are asked for, what is of no container is left out:
/// some options of ps(1) list the whole host.
fn prefixed(table: &str, containers: &HashMap<i32, Name>, all: bool) -> String {
    let head = table.lines().next().unwrap_or_default();
    // Numbers end where their title ends.
    let end = words(head).find(|it| it.1 == "PID").map(|it| it.0);
    let mut text = String::new();
    for (index, line) in table.lines().enumerate() {
        let name = match (pid(line, end), containers) {
            (Some(pid), all) => all.get(&pid),
            (None, all) => words(line).find_map(|it| all.get(&it.1.parse().ok()?)),
        };
        let name = match name {
            Some(name) => name.as_str(),
            None if index == 0 => "CONTAINER",
            None if all => "",
            None => continue,
        };
        // Writing to a String cannot fail.
        _ = writeln!(text, "{name:<10} {}", shown(line));
    }
    text
}

/// Returns the number that ends at `end`, if there is one.
fn pid(line: &str, end: Option<usize>) -> Option<i32> {
    words(line).find(|it| Some(it.0) == end)?.1.parse().ok()
}

/// Returns the words of a line, each with the count of characters before its end.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut end = 0;
    line.split(' ').filter_map(move |word| {
        end += word.chars().count();
        let found = (end, word);
        end += 1;
        (!word.is_empty()).then_some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_ps_are_passed_on() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let parts = for_ps(&words("-n foo --forest")).unwrap();
        assert_eq!((parts.own, parts.others), (words("-n foo"), words("--forest")));
        let parts = for_ps(&words("-nfoo -P/x -q aux")).unwrap();
        assert_eq!((parts.own, parts.others), (words("-nfoo -P/x -q"), words("aux")));
        let parts = for_ps(&words("--lxc -- --forest -n")).unwrap();
        assert_eq!((parts.own, parts.others), (words("--lxc"), words("--forest -n")));
    }

    #[test]
    fn rows_say_whose_they_are() {
        let containers = HashMap::from([(7, "web".parse().unwrap())]);
        let table = "  PID TTY CMD\n    7 ?   init\n";
        let expected = "CONTAINER    PID TTY CMD\nweb            7 ?   init\n";
        assert_eq!(prefixed(table, &containers, false), expected);
    }

    #[test]
    fn rows_of_the_host_are_left_out() {
        let containers = HashMap::from([(7, "web".parse().unwrap())]);
        // One title may stand over two words, and the numbers of another process may include 7.
        let table =
            "STARTED     RSS   PID CMD\nNov 27        9     7 a b\nNov  7        7     8 c\n";
        let expected =
            "CONTAINER  STARTED     RSS   PID CMD\nweb        Nov 27        9     7 a b\n";
        assert_eq!(prefixed(table, &containers, false), expected);
        assert!(prefixed(table, &containers, true).contains("\n           Nov  7 "));
        assert_eq!(prefixed("7\n8\n", &containers, false), "web        7\n");
    }
}
