//! The manual: a page for wharf, one for each command, and one for the configuration, made of the
//! parser and the tables. Writes no file.

mod conf;
mod prose;

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use self::prose::NotesSection;
use super::failure::EXIT_CODES;
use crate::command::{COMMANDS, Category, CommandSpec};

/// One page.
pub(super) struct ManualPage {
    pub(super) name: String,
    pub(super) section: u8,
    pub(super) text: String,
}

const MANUAL: &str = "wharf's manual";
const COMMANDS_SECTION: u8 = 1;

/// Makes every page; `root` is the parser of the whole command line.
pub(super) fn pages(mut root: Command) -> io::Result<Vec<ManualPage>> {
    root.build();
    let mut pages = vec![overview(), conf::page()];
    for line in COMMANDS {
        if let Some(command) = root.find_subcommand(line.name) {
            pages.push(of_command(line, command)?);
        }
    }
    for it in &mut pages {
        it.text = in_ascii(&it.text);
    }
    Ok(pages)
}

/// Spells other letters as groff_char(7) has them, so that a page needs no encoding.
fn in_ascii(text: &str) -> String {
    let spelled = |it: char| match it {
        '\0'..='\x7f' => it.to_string(),
        _ => format!("\\[u{:04X}]", u32::from(it)),
    };
    text.chars().map(spelled).collect()
}

/// Begins a page with its title, and its name in one line.
fn begin(name: &str, section: u8, about: &str) -> Roff {
    let (number, source) = (section.to_string(), source());
    let mut page = Roff::new();
    // No date: the same release writes the same pages.
    page.control("TH", [name.to_uppercase().as_str(), &number, "", &source, MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {about}"))]);
    page
}

fn source() -> String {
    format!("wharf {}", env!("CARGO_PKG_VERSION"))
}

fn of_command(line: &CommandSpec, command: &Command) -> io::Result<ManualPage> {
    let name = format!("wharf-{}", line.name);
    let mut page = begin(&name, COMMANDS_SECTION, &lower_first(line.help));
    page.control("SH", ["SYNOPSIS"]);
    let usage = command.get_overridden_usage().map(ToString::to_string).unwrap_or_default();
    let words = usage.lines().next().unwrap_or_default();
    let called = format!("wharf {}", line.name);
    let rest = words.strip_prefix(&called).unwrap_or(words);
    page.text([bold(called), roman(rest)]);
    if !line.aliases.is_empty() {
        page.control("PP", []);
        page.text([roman(format!("Also called: {}", line.aliases.join(", ")))]);
    }
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (description, rest) = prose::sections(&notes);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(format!("{}.", line.help))]);
    if !description.is_empty() {
        page.control("PP", []);
        prose::write(&mut page, &description);
    }
    arguments(&mut page, command);
    let mut options = Vec::new();
    // Those of every command come last.
    let ordered = command.clone().mut_args(|it| {
        let common = it.is_global_set();
        if common { it.display_order(usize::MAX) } else { it }
    });
    Man::new(ordered).render_options_section(&mut options)?;
    let text = page.to_roff() + &String::from_utf8_lossy(&options);
    let mut page = Roff::new();
    for NotesSection { head, text } in rest {
        page.control("SH", [head]);
        prose::write(&mut page, &text);
    }
    see_also(&mut page, &["wharf(1)", "wharf.conf(5)"]);
    Ok(ManualPage { name, section: COMMANDS_SECTION, text: text + &page.to_roff() })
}

/// Explains the operands, which the section of the options leaves out.
fn arguments(page: &mut Roff, command: &Command) {
    let explained = command.get_positionals().filter_map(|it| Some((it, it.get_help()?)));
    for (at, (it, help)) in explained.enumerate() {
        if at == 0 {
            page.control("SH", ["ARGUMENTS"]);
        }
        let value = it.get_value_names().and_then(<[_]>::first).map_or("", |it| it.as_str());
        page.control("TP", []);
        page.text([italic(value)]);
        page.text([roman(help.to_string())]);
    }
}

/// Writes wharf(1).
fn overview() -> ManualPage {
    let mut page = begin("wharf", COMMANDS_SECTION, "live full-screen manager for containers");
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold("wharf"), roman(" [-P PATH] [--read-only]")]);
    page.control("br", []);
    page.text([bold("wharf"), roman(" COMMAND [OPTIONS] NAME ...")]);
    page.control("br", []);
    page.text([bold("wharf lxc"), roman(" NAME [OPTIONS] ...")]);
    page.control("SH", ["DESCRIPTION"]);
    prose::write(&mut page, DESCRIPTION);
    entries(&mut page, "OPTIONS", OPTIONS);
    page.control("SH", ["COMMANDS"]);
    for category in Category::ALL {
        page.control("SS", [category.title()]);
        for line in COMMANDS.iter().filter(|it| it.category == category) {
            page.control("TP", []);
            page.text([bold(format!("wharf-{}", line.name)), roman("(1)")]);
            page.text([roman(line.help)]);
        }
    }
    entries(&mut page, "EXIT STATUS", EXIT_CODES);
    entries(&mut page, "FILES", FILES);
    see_also(&mut page, &["wharf.conf(5)", "lxc.container.conf(5)", "cgroups(7)"]);
    ManualPage { name: "wharf".to_owned(), section: COMMANDS_SECTION, text: page.to_roff() }
}

const DESCRIPTION: &str = "\
Without a command, the screen opens: every container of this machine with its processes and live
counters. Its footer shows the keys that do something now, ? lists all of them, and : finds any by
name. As an ordinary user it opens, too, and says what it cannot do and why.

With a command, wharf does one thing and ends. There is no daemon: each running container has a
small supervisor of its own. Containers, configurations and control sockets are LXC's, so both
tools see and control what the other one has started.

Called by one of LXC's names, such as lxc-start, or as `wharf lxc start`, it takes LXC's options and
gives LXC's output and exit codes; see wharf-link(1).";

const OPTIONS: &[(&str, &str)] = &[
    ("-P, --lxcpath PATH", "Directory that holds the containers."),
    ("-q, --quiet", "Print no messages, only set the exit code."),
    ("--read-only", "Open the screen to look only, and change nothing."),
    ("-h, --help", "Explain a command."),
    ("-V, --version", "Print the version."),
];

const FILES: &[(&str, &str)] = &[
    ("/var/lib/lxc/NAME/config", "The configuration of a container of root's."),
    ("~/.local/share/lxc/NAME/config", "That of one of another user's."),
    ("/etc/lxc/lxc.conf, ~/.config/lxc/lxc.conf", "Settings of all of LXC."),
    ("/etc/lxc/default.conf", "What LXC gives to new containers; `wharf create` has its own."),
    ("~/.config/wharf/config.toml", "Preferences of the screen."),
    ("/run/wharf", "Records, sockets and locks of running containers."),
];

fn entries(page: &mut Roff, head: &str, all: &[(&str, &str)]) {
    page.control("SH", [head]);
    for (name, meaning) in all {
        page.control("TP", []);
        page.text([bold(*name)]);
        page.text([roman(*meaning)]);
    }
}

fn see_also(page: &mut Roff, others: &[&str]) {
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(others.join(", "))]);
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
