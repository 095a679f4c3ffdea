//! `checkconfig`: which features of this host containers can use.

use std::process::ExitCode;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::Subcommand;
use crate::cli::args;
use crate::cli::invocation::Invocation;
use crate::cli::output::{Justify, TextTable};
use crate::engine::check::{self, Probe, Status};

pub(super) const CHECKCONFIG: Subcommand = Subcommand {
    name: "checkconfig",
    arguments: |command| command.arg(args::json()).arg(args::format()),
    run: check,
    notes: "\
Each feature is tried for a moment, in a process of its own, and nothing of it stays; as with any \
first use, the kernel may load a module. For an ordinary user it reports what that user's \
containers have.\n\n\
Exit code: 0, or 1 if something that every container of this user needs is missing.

Examples:
  wharf checkconfig
  wharf checkconfig --format '{feature} {status}'",
};

fn check(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let probes = check::probe(invocation.engine.lxcpath());
    if !invocation.objects(matches, probes.iter().map(object))? {
        let heads = ["FEATURE", "STATUS", "TRIED"];
        let table = TextTable {
            heads: heads.map(|it| (it.to_owned(), Justify::Left)).into(),
            rows: probes.iter().flat_map(rows).collect(),
        };
        write!(invocation.out, "{}", table.layout())?;
    }
    let unfit = probes.iter().any(|it| it.status == Status::Required);
    Ok(if unfit { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One line; below that of a feature that is missing, what is lost and how to get it.
fn rows(it: &Probe) -> Vec<Vec<String>> {
    let line = |cells: [String; 3]| cells.to_vec();
    let mut rows =
        vec![line([it.feature.name.to_owned(), it.status.to_string(), it.evidence.clone()])];
    if matches!(it.status, Status::Missing | Status::Required) {
        let below = |text: String| line([String::new(), String::new(), text]);
        rows.push(below(format!("  lost: {}", it.feature.loss)));
        rows.push(below(format!("  to get it: {}", it.feature.remedy)));
    }
    rows
}

fn object(it: &Probe) -> Value {
    json!({
        "feature": it.feature.name, "status": it.status.to_string(), "evidence": it.evidence,
        "loss": it.feature.loss, "remedy": it.feature.remedy,
    })
}
