//! Asks the operator at the terminal before something is done that was not named one by one.

use std::io::{self, IsTerminal as _, Write as _};

use clap::{Arg, ArgMatches};

use super::args;

const YES: &str = "yes";

/// The option that answers before anything is asked.
pub(super) fn option() -> Arg {
    args::flag(YES, Some('y'), "Do not ask")
}

/// The operator need not be asked, or cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    Given,
    Refused,
    /// There is no terminal for the question, or none for the answer.
    Unknown,
}

/// Asks `question` at the terminal, unless `--yes` was given.
pub(super) fn ask(matches: &ArgMatches, question: &str) -> io::Result<Consent> {
    if matches.get_flag(YES) {
        return Ok(Consent::Given);
    }
    // Nobody would see the question elsewhere.
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(Consent::Unknown);
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let agrees = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    Ok(if agrees { Consent::Given } else { Consent::Refused })
}
