//! One call of a command by LXC's name: its arguments, the engine, the output and the log.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::getopt::{GivenWords, Opt, OptTakes};
use crate::engine::shown::shown;
use crate::engine::{Engine, Name, State};

/// One command that LXC has.
pub(super) struct LxcCommand {
    /// Without `lxc-`.
    pub(super) name: &'static str,
    /// What follows the name in the first line of the help.
    pub(super) usage: &'static str,
    pub(super) about: &'static str,
    /// Besides the common ones.
    pub(super) options: &'static [Opt],
    pub(super) named: NameFrom,
    /// Parts the words that are meant for another program from the command's own, if there are any.
    pub(super) parts: Option<PartWords>,
    pub(super) run: fn(&mut LxcCall<'_>) -> anyhow::Result<ExitCode>,
}

/// Parts the words of a call; none: nothing is meant for another program.
pub(super) type PartWords = fn(&[String]) -> Option<WordParts>;

/// Words of a call that go on to another program, and those that are the command's own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WordParts {
    pub(super) own: Vec<String>,
    pub(super) others: Vec<String>,
}

/// Where a command has the name of its container from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameFrom {
    /// From `-n`, or else the first operand.
    Needed,
    /// It works without one, and every operand is its own.
    Free,
}

/// Why a command ends without success, in LXC's words where a script may know them.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct LxcRefusal {
    pub(super) text: String,
    pub(super) code: u8,
}

/// Refuses with exit code 1.
pub(super) fn refused(text: impl Into<String>) -> anyhow::Error {
    LxcRefusal { text: text.into(), code: 1 }.into()
}

/// Refuses values that LXC's own parser of a command refuses.
pub(super) fn bad_arguments() -> anyhow::Error {
    refused("could not parse command line")
}

/// One call.
pub(super) struct LxcCall<'a> {
    pub(super) command: &'static LxcCommand,
    pub(super) given: GivenWords,
    /// The name as it was given.
    pub(super) name: Option<String>,
    /// The words that go on to another program; none: that is not asked for.
    pub(super) others: Option<Vec<String>>,
    pub(super) engine: Engine,
    pub(super) out: &'a mut dyn Write,
    log: Option<File>,
}

impl<'a> LxcCall<'a> {
    /// OptTakes the name from the arguments, and opens the engine and the log. The error is what the
    /// call has to say before it ends.
    pub(super) fn new(
        command: &'static LxcCommand,
        mut given: GivenWords,
        out: &'a mut dyn Write,
    ) -> Result<Self, String> {
        let program = format!("lxc-{}", command.name);
        let many = matches!(command.name, "monitor" | "top");
        if given.values("lxcpath").count() > 1 && !many {
            return Err("This command only accepts 1 -P,--lxcpath arguments".to_owned());
        }
        if given.has("rcfile") && !matches!(command.name, "start" | "execute") {
            return Err(format!(
                "{program}: wharf uses the container's own configuration here; only lxc-start and \
                 lxc-execute take another file (--rcfile)"
            ));
        }
        let mut name = given.value("name").map(str::to_owned);
        if command.named == NameFrom::Needed && name.is_none() {
            if given.operands.is_empty() {
                return Err(format!("{program}: No container name specified"));
            }
            name = Some(given.operands.remove(0));
        }
        let file = given.value("logfile").filter(|it| *it != "none");
        let open = |path: &str| OpenOptions::new().append(true).create(true).open(path);
        let log = file.map(open).transpose().map_err(|why| {
            let path = shown(file.unwrap_or_default());
            format!("{program}: Failed to open log file \"{path}\": {why}")
        })?;
        let engine = Engine::open(given.value("lxcpath").map(Path::new));
        Ok(Self { command, given, name, others: None, engine, out, log })
    }

    /// Returns the container that was named.
    pub(super) fn name(&self) -> anyhow::Result<Name> {
        Ok(self.name.as_deref().unwrap_or_default().parse()?)
    }

    /// Returns the container that was named, and its state.
    pub(super) fn container(&self) -> anyhow::Result<(Name, State)> {
        let name = self.name()?;
        let state = self.engine.state(&name)?;
        Ok((name, state))
    }

    /// Returns the same; none: its name is one that wharf leaves to LXC, so that to wharf there is
    /// no such container.
    pub(super) fn container_if_managed(&self) -> anyhow::Result<Option<(Name, State)>> {
        self.name().map_or(Ok(None), |_managed| self.container().map(Some))
    }

    pub(super) fn has(&self, option: &str) -> bool {
        self.given.has(option)
    }

    pub(super) fn value(&self, option: &str) -> Option<&str> {
        self.given.value(option)
    }

    /// Returns an engine for each lxcpath that was given, or for the one that is used without.
    pub(super) fn engines(&self) -> Vec<Engine> {
        let given = self.given.values("lxcpath").map(|it| Engine::open(Some(Path::new(it))));
        let given: Vec<Engine> = given.collect();
        if given.is_empty() { vec![self.engine.clone()] } else { given }
    }

    /// Returns the configuration file that was given.
    pub(super) fn rcfile(&self) -> Option<PathBuf> {
        self.value("rcfile").map(PathBuf::from)
    }

    /// Returns the lxcpath as LXC writes it in messages.
    pub(super) fn place(&self) -> String {
        format!(
            "{}:{}",
            self.engine.lxcpath().given().display(),
            self.name.as_deref().unwrap_or("")
        )
    }

    /// Reports what went wrong, on standard error unless that is to be quiet, and in the log.
    pub(super) fn complain(&mut self, text: &str) {
        let text = shown(text);
        let name = self.name.as_deref().map(shown);
        if let Some(log) = &mut self.log {
            let now = jiff::Timestamp::now().strftime("%Y%m%d%H%M%S.%3f");
            let (command, name) = (self.command.name, name.as_deref().unwrap_or("lxc"));
            // The message is on standard error as well.
            _ = writeln!(log, "lxc-{command} {name} {now} ERROR    {text}");
        }
        if !self.has("quiet") {
            let name = name.map(|it| format!("{it}: ")).unwrap_or_default();
            // Nothing can be reported when stderr itself is gone.
            _ = io::stderr()
                .write_all(format!("lxc-{}: {name}{text}\n", self.command.name).as_bytes());
        }
    }

    /// Returns the settings by which a container's own log goes where the call's log goes.
    pub(super) fn log_settings(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut settings = Vec::new();
        if let Some(file) = self.value("logfile").filter(|it| *it != "none") {
            // The supervisor has another working directory.
            let file = std::path::absolute(file)?.to_string_lossy().into_owned();
            settings.push(("lxc.log.file".to_owned(), file));
            let level = self.value("logpriority").unwrap_or("ERROR").to_ascii_uppercase();
            settings.push(("lxc.log.level".to_owned(), level));
        }
        Ok(settings)
    }
}

/// The options that every command takes, after its own.
pub(super) const COMMON: &[Opt] = &[
    super::getopt::value("name", Some('n'), "NAME", "Name of the container"),
    super::getopt::flag("help", Some('h'), "Give this help list"),
    super::getopt::flag("usage", None, "Give a short usage message"),
    super::getopt::flag("version", None, "Print the version number"),
    super::getopt::flag("quiet", Some('q'), "Print no messages"),
    super::getopt::value("logfile", Some('o'), "FILE", "Write messages to FILE, too"),
    super::getopt::value("logpriority", Some('l'), "LEVEL", "Least important message of that log"),
    super::getopt::value("lxcpath", Some('P'), "PATH", "Directory that holds the containers"),
    super::getopt::value(
        "rcfile",
        None,
        "FILE",
        "Configuration file to use; only for lxc-start and lxc-execute",
    ),
];

impl LxcCommand {
    /// Returns every option, its own first.
    pub(super) fn all_options(&self) -> Vec<Opt> {
        let common = COMMON.iter().filter(|it| !self.options.iter().any(|own| replaces(own, it)));
        self.options.iter().chain(common).copied().collect()
    }

    /// Writes the help, in the layout from which LXC's completion reads the options.
    pub(super) fn help(&self) -> String {
        let own = COMMON.iter().filter(|it| it.long == "name" && self.named == NameFrom::Needed);
        let own: Vec<Opt> = own.chain(self.options).copied().collect();
        let has =
            |it: &&Opt| !matches!(it.long, "name") && !own.iter().any(|own| replaces(own, it));
        let common: Vec<Opt> = COMMON.iter().filter(has).copied().collect();
        format!(
            "Usage: lxc-{0} {1}\n\nlxc-{0} {2}\n\nOptions :\n{3}\nCommon options :\n{4}\n\
             Mandatory or optional arguments to long options are also mandatory or optional\n\
             for any corresponding short options.\n\n\
             This is wharf's lxc-{0}. `wharf help` explains its own commands.\n\n",
            self.name,
            self.usage,
            self.about,
            table(&own),
            table(&common),
        )
    }

    /// Writes the usage as LXC lays it out: four options a line.
    pub(super) fn short_usage(&self) -> String {
        let mut text = format!("Usage: lxc-{} ", self.name);
        for (count, it) in (1..).zip(self.all_options()) {
            let short = it.short.map(|it| format!("-{it}|")).unwrap_or_default();
            let upper = it.long.to_uppercase();
            let value = match it.takes {
                OptTakes::Nothing => String::new(),
                OptTakes::Value(_) => format!("={upper}"),
                OptTakes::Optional(_) => format!("[={upper}]"),
            };
            // Writing to a String cannot fail.
            _ = write!(text, "[{short}--{}{value}] ", it.long);
            if count % 4 == 0 {
                text += "\n\t";
            }
        }
        text + "\n"
    }
}

/// Returns whether a command's own option takes the place of a common one.
fn replaces(own: &Opt, common: &Opt) -> bool {
    own.long == common.long || own.short.is_some() && own.short == common.short
}

fn table(options: &[Opt]) -> String {
    let left = |it: &Opt| {
        let short = if it.long == "help" { Some('?') } else { it.short };
        let short = short.map_or_else(|| "    ".to_owned(), |it| format!("-{it}, "));
        let value = match it.takes {
            OptTakes::Nothing => String::new(),
            OptTakes::Value(name) => format!("={name}"),
            OptTakes::Optional(name) => format!("[={name}]"),
        };
        format!("{short}--{}{value}", it.long)
    };
    let width = options.iter().map(|it| left(it).len()).max().unwrap_or(0);
    let mut text = String::new();
    for it in options {
        // Writing to a String cannot fail.
        _ = writeln!(text, "  {:<width$} {}", left(it), it.help);
    }
    text
}
