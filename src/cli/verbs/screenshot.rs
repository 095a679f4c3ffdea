//! The hidden verb `screenshot`: takes the pictures of the documentation.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, value_parser};

use super::Subcommand;
use crate::cli::args;
use crate::cli::invocation::Invocation;

pub(super) const SCREENSHOT: Subcommand = Subcommand {
    name: "screenshot",
    arguments: |command| {
        command.arg(
            args::value("to", Some('o'), "DIR", "Directory for the pictures")
                .value_parser(value_parser!(PathBuf))
                .default_value("screenshots"),
        )
    },
    run: screenshot,
    notes: "\
Starts containers of its own in a temporary directory, draws the screen over them, and removes
them. SVG always, PNG too where rsvg-convert is installed.

Example:
  wharf screenshot -o pictures",
};

fn screenshot(_session: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    if let Some(dir) = matches.get_one::<PathBuf>("to") {
        crate::ui::gallery::run(dir)?;
    }
    Ok(ExitCode::SUCCESS)
}
