//! `config`: explains the keys of a configuration.

use std::process::ExitCode;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::Subcommand;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, operands};
use crate::cli::output::{Justify, TextTable};
use crate::engine::keys::{self, KnownKey};
use crate::engine::shown::shown;

pub(super) const CONFIG: Subcommand = Subcommand {
    name: "config",
    arguments: |command| {
        command.arg(args::json()).arg(args::operands(
            "keys [WORD]",
            "Lists the keys; with WORD, only those whose names contain it",
        ))
    },
    run: config,
    notes: "\
Each key has its meaning and what this host makes of it:
  works    it has its effect
  needs    the host lacks what it needs
  ignored  it is accepted and changes nothing
  refused  a start stops at the line
`*` stands for the free part of a key, N for the number of an interface.

Examples:
  wharf config keys
  wharf config keys cgroup",
};

fn config(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let operands = operands(matches)?;
    let word = match operands.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["keys"] => "",
        ["keys", word] => word,
        _ => return Err(Usage("expected `keys`, or `keys WORD`".into()).into()),
    };
    let has = |name: &String| name.contains(word);
    let mut known = keys::known(invocation.engine.lxcpath());
    known.retain(|it| has(&it.key) || it.earlier.iter().any(has));
    if matches.get_flag(args::JSON) {
        invocation.json(&known.iter().map(object).collect())?;
    } else if known.is_empty() {
        anyhow::bail!("no configuration key contains `{}`", shown(word));
    } else {
        let heads = ["KEY", "HERE", "MEANING"];
        let table = TextTable {
            heads: heads.map(|it| (it.to_owned(), Justify::Left)).into(),
            rows: known.iter().map(row).collect(),
        };
        write!(invocation.out, "{}", table.layout())?;
    }
    Ok(if known.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn row(it: &KnownKey) -> Vec<String> {
    let earlier = it.earlier.first().map(|it| format!(" (earlier {it})")).unwrap_or_default();
    let why = if it.why.is_empty() { String::new() } else { format!("; {}", it.why) };
    vec![it.key.clone(), it.here.to_string(), format!("{}{earlier}{why}", it.meaning)]
}

fn object(it: &KnownKey) -> Value {
    json!({
        "key": it.key, "earlier": it.earlier, "meaning": it.meaning,
        "here": it.here.to_string(), "why": it.why,
    })
}
