//! The command line: arguments in, one engine call, output and an exit code out.
//!
//! It never touches the kernel itself. Output is written once, in one piece; errors are one line on
//! stderr, and all text that wharf did not write passes through [`crate::engine::shown`].

mod args;
mod autostart;
mod chosen;
mod completing;
mod confirm;
mod diff;
mod failure;
mod invocation;
mod lxc;
mod manual;
mod output;
mod parser;
mod pause;
mod timeout;
mod verbs;
mod watched;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;

use self::failure::{ErrorReport, UNWRITTEN};
use self::invocation::Invocation;
use crate::engine::Error;
use crate::ui::Rights;

/// Runs the program.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    crate::engine::keep_ended_children();
    if let Some(code) = completing::main(&args) {
        return code;
    }
    if let Some(code) = lxc::main(&args) {
        return code;
    }
    if let Some(code) = verbs::supervise(&args).or_else(|| verbs::mapped(&args)) {
        return code;
    }
    let matches = match parser::lazy().try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(refusal) => return refuse(&refusal),
    };
    let quiet = matches.get_flag(args::QUIET);
    match run(&matches) {
        Ok(code) => code,
        Err(error) => {
            let report = ErrorReport::from(error);
            if !quiet && !report.message.is_empty() {
                // Of `help` itself there is nothing to read.
                let verb = matches.subcommand_name().filter(|it| report.usage && *it != "help");
                let hint = verb.map(|it| format!("\nTry `wharf help {it}`.")).unwrap_or_default();
                complain(&format!("{}{hint}", report.message));
            }
            ExitCode::from(report.code)
        }
    }
}

/// Reports on stderr what went wrong, in one write(2), so that the output of other processes cannot
/// split the line.
fn complain(message: &str) {
    // Nothing can be reported when stderr itself is gone.
    _ = io::stderr().write_all(format!("wharf: {message}\n").as_bytes());
}

/// Carries out the verb, or opens the screen when there is none.
fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout());
    let mut invocation = Invocation::new(parser::command, matches, &mut out);
    let code = match matches.subcommand() {
        Some(_) if matches.get_flag(args::READ_ONLY) => {
            anyhow::bail!("--read-only is for the screen, which opens without a command")
        }
        Some((name, matches)) => {
            let ended = match verbs::named(name) {
                Some(verb) => (verb.run)(&mut invocation, matches),
                None => parser::explain(&mut invocation, matches),
            };
            ended.map_err(|error| explain(&invocation, error))?
        }
        None if matches.get_flag(args::READ_ONLY) => screen(&mut invocation, Rights::ReadOnly)?,
        None => screen(&mut invocation, Rights::Full)?,
    };
    out.flush().context(UNWRITTEN)?;
    Ok(code)
}

/// Adds which restrictions of this process may be behind a refusal.
fn explain(invocation: &Invocation<'_>, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Error>() {
        Ok(refused) => invocation.engine.explain(refused).into(),
        Err(error) => error,
    }
}

/// Opens the screen, or prints the help where there is no terminal for it.
fn screen(invocation: &mut Invocation<'_>, rights: Rights) -> anyhow::Result<ExitCode> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        crate::ui::run(&invocation.engine, rights)?;
    } else {
        write!(invocation.out, "{}", parser::command().render_help())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints clap's output: help on stdout, a refusal on stderr as one line and a hint.
fn refuse(refusal: &clap::Error) -> ExitCode {
    if refusal.use_stderr() {
        complain(&parser::complaint(refusal));
        return ExitCode::FAILURE;
    }
    let mut out = io::stdout();
    let written = write!(out, "{}", refusal.render()).and_then(|()| out.flush());
    let Err(error) = written.context(UNWRITTEN) else { return ExitCode::SUCCESS };
    let report = ErrorReport::from(error);
    if !report.message.is_empty() {
        complain(&report.message);
    }
    ExitCode::from(report.code)
}
