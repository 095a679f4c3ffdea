//! `checkconfig`: what of this host's kernel containers can use.

use std::process::ExitCode;

use clap::ArgMatches;

use super::Entry;
use crate::cli::args;
use crate::cli::session::Session;

pub(super) const CHECKCONFIG: Entry = Entry {
    name: "checkconfig",
    aliases: &[],
    arguments: |command| command.arg(args::json()),
    run: check,
    notes: "",
};

fn check(_session: &mut Session<'_>, _matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    anyhow::bail!("checkconfig is not built yet")
}
