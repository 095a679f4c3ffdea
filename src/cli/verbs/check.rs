//! `checkconfig`: which features of this host's kernel containers can use.

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
    arguments: |command| command.arg(args::json()),
    run: check,
    notes: "\
Exit code: 0, or 1 if something that every container needs is missing.",
};

fn check(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let probes = check::probe(invocation.engine.lxcpath().host());
    if matches.get_flag(args::JSON) {
        invocation.json(&probes.iter().map(object).collect())?;
    } else {
        let heads = ["FEATURE", "STATUS", "FOUND, OR LOST WITHOUT IT"];
        let table = TextTable {
            heads: heads.map(|it| (it.to_owned(), Justify::Left)).into(),
            rows: probes.iter().map(row).collect(),
        };
        write!(invocation.out, "{}", table.layout())?;
    }
    let unfit = probes.iter().any(|it| it.status == Status::Required);
    Ok(if unfit { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn row(it: &Probe) -> Vec<String> {
    let last = match it.status {
        Status::Present => it.evidence.clone(),
        Status::Missing | Status::Required => it.loss.to_owned(),
    };
    vec![it.feature.to_owned(), it.status.to_string(), last]
}

fn object(it: &Probe) -> Value {
    json!({
        "feature": it.feature, "status": it.status.to_string(),
        "evidence": it.evidence, "loss": it.loss,
    })
}
