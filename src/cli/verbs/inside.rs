//! `console` and `attach`: this terminal and a container's.

use std::process::ExitCode;

use clap::{ArgAction, ArgMatches};

use super::Subcommand;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, named, number, only_named, pairs, user_or_group};
use crate::cli::{args, timeout};
use crate::command::Verb;
use crate::engine::attach::Attach;
use crate::engine::console::Console;

pub(super) const CONSOLE: Subcommand = Subcommand {
    name: "console",
    arguments: |command| {
        command
            .arg(args::value(
                "tty",
                Some('t'),
                "TTY",
                "0 is the console, N is /dev/ttyN [default: the first free one]",
            ))
            .arg(
                args::value(
                    "escape",
                    Some('e'),
                    "PREFIX",
                    "Key to press before `q`, such as ^a, a or ^], or none",
                )
                .default_value("^a"),
            )
            .arg(args::name())
            .arg(args::operands("NAME", "The container"))
    },
    run: console,
    notes: "\
To leave, press the prefix, then q. The prefix pressed twice is sent once. The container keeps
running.

Examples:
  wharf console web
  wharf console -t 0 -e '^]' web",
};

pub(super) const ATTACH: Subcommand = Subcommand {
    name: "attach",
    arguments: |command| {
        command
            .arg(args::value("uid", Some('u'), "UID", "User that runs the command"))
            .arg(args::value("gid", Some('g'), "GID", "Group that runs the command"))
            .arg(
                args::value("set-var", Some('v'), "NAME=VALUE", "Variable for the command")
                    .action(ArgAction::Append),
            )
            .arg(args::flag("clear-env", None, "Pass no variable except TERM (the default)"))
            .arg(
                args::flag("keep-env", None, "Pass this environment on, as LXC does")
                    .conflicts_with("clear-env"),
            )
            .arg(timeout::option("End the command when it runs longer"))
            .arg(args::name())
            .arg(args::operands("NAME [-- COMMAND]", "The container, and the command to run in it"))
    },
    run: attach,
    notes: "\
Without COMMAND, runs the login shell of the user inside, or /bin/sh. Unlike LXC, wharf does not
pass this environment on, since it may hold secrets of the host; --keep-env does.

Exit code: the command's own; 126 if it cannot be executed, 127 if it does not exist, 128+N if
signal N ended it; 1 if the container could not be entered, or the time of --timeout was over.

Examples:
  wharf attach web
  wharf attach web -- systemctl --failed
  wharf attach web -u www-data -t 10 -- ./status",
};

fn console(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let name = only_named(matches)?;
    let tty = match number::<i32>(matches, "tty")? {
        // LXC's word for the first free one, too.
        None | Some(-1) => None,
        Some(number) => {
            let number = u32::try_from(number);
            Some(number.map_err(|_negative| Usage("a terminal's number is 0 or more".into()))?)
        }
    };
    let escape = matches.get_one::<String>("escape").filter(|it| *it != "none");
    let escape = escape.map(|it| control_code(it)).transpose()?;
    invocation.permit(Verb::Console, &name)?;
    invocation.engine.console(&name, Console { tty, escape })?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a key of the form `^a` or `a` as the control code it stands for.
fn control_code(text: &str) -> Result<u8, Usage> {
    let key = text.strip_prefix('^').unwrap_or(text);
    match key.as_bytes() {
        [key @ (b'@'..=b'_' | b'a'..=b'z')] => Ok(key & 0x1f),
        _ => Err(Usage(format!("`{text}` is not a key of the form ^a"))),
    }
}

fn attach(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, argv) = named(matches)?;
    let attach = Attach {
        argv,
        uid: user_or_group(matches, "uid")?,
        gid: user_or_group(matches, "gid")?,
        environment: pairs(matches, "set-var")?,
        clear_environment: !matches.get_flag("keep-env"),
        limit: timeout::patience(matches)?,
        ..Attach::default()
    };
    invocation.permit(Verb::Attach, &name)?;
    let exit = invocation.engine.attach(&name, &attach)?;
    Ok(ExitCode::from(exit.shell_code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_control_code() {
        for (text, code) in [("^a", 1), ("a", 1), ("^A", 1), ("^]", 29), ("z", 26)] {
            assert_eq!(control_code(text).unwrap(), code, "{text}");
        }
        for text in ["", "^", "ab", "1", "é"] {
            assert!(control_code(text).is_err_and(|it| it.0.contains("form")), "{text}");
        }
    }
}
