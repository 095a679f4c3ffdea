//! `version` and `help`: what wharf says about itself.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::Subcommand;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, operands};
use crate::command;

pub(super) const VERSION: Subcommand = Subcommand {
    name: "version",
    arguments: |command| command.about("Print the version").arg(args::json()),
    run: version,
    notes: "",
};

fn version(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    if matches.get_flag(args::JSON) {
        invocation.json(&serde_json::json!({ "version": version }))?;
    } else {
        writeln!(invocation.out, "wharf {version}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Explains the verb that the first operand names, or wharf as a whole.
pub(super) fn help(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
) -> anyhow::Result<ExitCode> {
    let mut root = args::command();
    root.build();
    let operands = operands(matches)?;
    let text = match operands.first() {
        None => root.render_help(),
        Some(word) => {
            let name = command::named(word).map_or(word.as_str(), |it| it.name);
            let verb: Option<&mut Command> = root.find_subcommand_mut(name);
            verb.ok_or_else(|| Usage(format!("no command `{word}`; `wharf help` lists them")))?
                .render_help()
        }
    };
    write!(invocation.out, "{text}")?;
    Ok(ExitCode::SUCCESS)
}
