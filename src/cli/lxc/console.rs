//! `lxc-console`.

use std::process::ExitCode;

use super::call::{LxcCall, LxcCommand, NameFrom, bad_arguments, refused};
use super::getopt::value;
use crate::engine::console::Console;

pub(super) const CONSOLE: LxcCommand = LxcCommand {
    name: "console",
    usage: "--name=NAME [--tty NUMBER]",
    about: "connects this terminal to one of the running container NAME",
    options: &[
        value("tty", Some('t'), "NUMBER", "Which terminal; 0 is its console (default: a free one)"),
        value("escape", Some('e'), "PREFIX", "Key before q, such as ^a (default)"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: console,
};

fn console(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let tty = match call.value("tty").map(str::parse::<i64>).transpose() {
        Ok(Some(number)) if number >= 0 => {
            let number = u32::try_from(number);
            Some(number.map_err(|_too_big| refused("there is no terminal with such a number"))?)
        }
        Ok(_) => None,
        Err(_) => return Err(bad_arguments()),
    };
    let escape = control_code(call.value("escape").unwrap_or("^a")).ok_or_else(bad_arguments)?;
    let (name, state) = call.container()?;
    if !state.is_active() {
        return Err(refused(format!("{name} is not running")));
    }
    call.engine.console(&name, Console { tty, escape: Some(escape) })?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a key of the form `^a` or `a` as the control code it stands for.
fn control_code(text: &str) -> Option<u8> {
    match text.strip_prefix('^').unwrap_or(text).as_bytes() {
        [key @ (b'@'..=b'_' | b'a'..=b'z')] => Some(key & 0x1f),
        _ => None,
    }
}
