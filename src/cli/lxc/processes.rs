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
    about: "lists the processes of containers by ps(1)",
    options: &[
        value("name", Some('n'), "NAMES", "Only of these containers, separated by commas"),
        flag("lxc", None, "Only of containers, of all of them (default)"),
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
            "--lxc" | "--help" | "--usage" | "--version" => parts.own.push(word.clone()),
            "--" => {
                parts.others.extend(words.cloned());
                break;
            }
            it if it.starts_with("--name=") || it.starts_with("--lxcpath=") => {
                parts.own.push(word.clone());
            }
            _ => parts.others.push(word.clone()),
        }
    }
    Some(parts)
}

fn ps(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let mut containers = HashMap::new();
    for name in names(call)? {
        match call.engine.processes(&name) {
            Ok(list) => containers.extend(list.into_iter().map(|it| (it.pid, name.clone()))),
            // A container that has stopped has no processes.
            Err(error) if error.kind == ErrorKind::NotRunning => (),
            Err(error) => return Err(error.into()),
        }
    }
    if containers.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut pids: Vec<i32> = containers.keys().copied().collect();
    pids.sort_unstable();
    let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
    let mut ps = Command::new("ps");
    ps.args(call.others.iter().flatten()).arg("-p").arg(pids.join(","));
    let output = ps.stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|why| refused(format!("cannot run ps: {why}")))?;
    write!(call.out, "{}", prefixed(&String::from_utf8_lossy(&output.stdout), &containers))?;
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

/// Puts the container before each row, if a column of the table is the pid.
fn prefixed(table: &str, containers: &HashMap<i32, Name>) -> String {
    let mut lines = table.lines();
    let Some(head) = lines.next() else { return String::new() };
    let column = head.split_whitespace().position(|it| it == "PID");
    let mut text = format!("{:<10} {}\n", "CONTAINER", shown(head));
    for line in lines {
        let pid = column.and_then(|it| line.split_whitespace().nth(it)?.parse::<i32>().ok());
        let name = pid.and_then(|it| containers.get(&it)).map_or("", Name::as_str);
        // Writing to a String cannot fail.
        _ = writeln!(text, "{name:<10} {}", shown(line));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_ps_are_passed_on() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let parts = for_ps(&words("-n foo --forest")).unwrap();
        assert_eq!((parts.own, parts.others), (words("-n foo"), words("--forest")));
        let parts = for_ps(&words("--lxc -- --forest -n")).unwrap();
        assert_eq!((parts.own, parts.others), (words("--lxc"), words("--forest -n")));
    }

    #[test]
    fn rows_say_whose_they_are() {
        let containers = HashMap::from([(7, "web".parse().unwrap())]);
        let table = "  PID TTY CMD\n    7 ?   init\n";
        let expected = "CONTAINER    PID TTY CMD\nweb            7 ?   init\n";
        assert_eq!(prefixed(table, &containers), expected);
    }
}
