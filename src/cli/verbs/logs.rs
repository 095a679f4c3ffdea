//! `logs`: what a container's console has printed, and prints.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::ArgMatches;
use regex::bytes::Regex;

use super::Subcommand;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, exists, number, only_named};
use crate::cli::{args, timeout};
use crate::command::Verb;
use crate::engine::shown::shown_bytes;

pub(super) const LOGS: Subcommand = Subcommand {
    name: "logs",
    arguments: |command| {
        command
            .arg(args::flag("follow", Some('f'), "Go on with what it prints, until it stops"))
            .arg(timeout::option("With -f: end after this time"))
            .arg(args::value("lines", Some('l'), "COUNT", "Only the last lines"))
            .arg(args::flag("raw", None, "Bytes as they were printed, colours and all"))
            .arg(args::name())
            .arg(args::operands("NAME", "The container"))
    },
    run: logs,
    notes: "\
Prints the latest output of the console, which is that of the last run if the container is
stopped. Without --raw colours are left out, and what else a terminal would act on is shown as
text.

Examples:
  wharf logs web
  wharf logs -f -l 20 web
  wharf logs -f -t 60 web > boot.log",
};

/// The sequences that set colours, and the carriage return of a terminal's lines.
static COLOURS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?-u)\x1b\[[0-9;:]*m|\x1b\[K|\x0f|\r+$").ok());

/// Bytes of a line; the rest of a longer one is printed as the next.
const LONGEST_LINE: usize = 64 << 10;

fn logs(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let name = only_named(matches)?;
    let last = number::<usize>(matches, "lines")?;
    let limit = timeout::read(matches)?;
    if limit.is_some() && !matches.get_flag("follow") {
        return Err(Usage("--timeout goes with -f, which waits for more".into()).into());
    }
    let mut log =
        LogWriter { raw: matches.get_flag("raw"), begun: Vec::new(), out: &mut *invocation.out };
    let mut written = Ok(());
    if matches.get_flag("follow") {
        exists(&invocation.engine, Verb::ReadConsole, &name)?;
        let mut first = true;
        invocation.engine.follow_console(&name, limit, &mut |bytes| {
            let bytes = if first { tail(bytes, last) } else { bytes };
            first = false;
            written = log.put(bytes);
            written.is_ok()
        })?;
    } else {
        let output = invocation.engine.console_output(&name);
        if output.is_err() {
            exists(&invocation.engine, Verb::ReadConsole, &name)?;
        }
        let bytes = output?;
        written = log.put(tail(&bytes, last));
    }
    written?;
    log.end()?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the last lines of `bytes`; without a number, all.
fn tail(bytes: &[u8], lines: Option<usize>) -> &[u8] {
    let Some(lines) = lines else { return bytes };
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let breaks = body.iter().enumerate().rev().filter(|(_, it)| **it == b'\n');
    match lines.checked_sub(1) {
        None => &[],
        Some(skipped) => {
            let from = breaks.map(|(at, _)| at + 1).nth(skipped).unwrap_or(0);
            bytes.get(from..).unwrap_or_default()
        }
    }
}

/// Writes output line by line, safe to show unless it is to be raw.
struct LogWriter<'a> {
    raw: bool,
    /// The line that has not ended yet.
    begun: Vec<u8>,
    out: &'a mut dyn Write,
}

impl LogWriter<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.raw {
            self.out.write_all(bytes)?;
            return self.out.flush();
        }
        for piece in bytes.split_inclusive(|it| *it == b'\n') {
            self.begun.extend_from_slice(piece);
            // A program that never ends its line must not fill the memory.
            if piece.ends_with(b"\n") || self.begun.len() > LONGEST_LINE {
                let line = std::mem::take(&mut self.begun);
                self.line(line.strip_suffix(b"\n").unwrap_or(&line))?;
            }
        }
        self.out.flush()
    }

    /// Writes what is left when no more will come.
    fn end(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.begun);
        if line.is_empty() { Ok(()) } else { self.line(&line) }
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let plain = match &*COLOURS {
            Some(colours) => colours.replace_all(line, &b""[..]),
            None => line.into(),
        };
        // A tab is a blank of some width on any terminal.
        let parts: Vec<String> = plain.split(|it| *it == b'\t').map(shown_bytes).collect();
        writeln!(self.out, "{}", parts.join("\t"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole() {
        let text = b"a\nb\nc\n";
        for (lines, expected) in [
            (None, "a\nb\nc\n"),
            (Some(0), ""),
            (Some(1), "c\n"),
            (Some(2), "b\nc\n"),
            (Some(9), "a\nb\nc\n"),
        ] {
            assert_eq!(tail(text, lines), expected.as_bytes(), "{lines:?}");
        }
        assert_eq!(tail(b"a\nb", Some(1)), b"b");
    }

    #[test]
    fn what_a_terminal_would_act_on_is_text() {
        let mut out = Vec::new();
        let mut log = LogWriter { raw: false, begun: Vec::new(), out: &mut out };
        log.put(b"[\x1b[0;32m  OK").unwrap();
        log.put(b"\x1b[0m] a\tb\r\n\x1b]0;title\x07\nlast").unwrap();
        log.end().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "[  OK] a\tb\n\\x1b]0;title\\x07\nlast\n");
    }
}
