//! `version`: prints the version of wharf.

use std::process::ExitCode;

use clap::ArgMatches;

use super::Subcommand;
use crate::cli::args;
use crate::cli::invocation::Invocation;

pub(super) const VERSION: Subcommand = Subcommand {
    name: "version",
    arguments: |command| command.about("Print the version").arg(args::json()).arg(args::format()),
    run: version,
    notes: "\
Example:
  wharf version --json",
};

fn version(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    let object = serde_json::json!({ "version": version });
    if matches.get_flag(args::JSON) {
        invocation.json(&object)?;
    } else if !invocation.objects(matches, [object].into_iter())? {
        writeln!(invocation.out, "wharf {version}")?;
    }
    Ok(ExitCode::SUCCESS)
}
