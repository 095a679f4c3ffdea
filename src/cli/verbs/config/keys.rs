//! `config keys`: explains the keys of a configuration.

use std::process::ExitCode;

use clap::ArgMatches;
use serde_json::{Value, json};

use crate::cli::invocation::Invocation;
use crate::cli::output::{Justify, TextTable};
use crate::engine::keys::{self, KnownKey};
use crate::engine::shown::shown;

/// Lists the keys whose names contain `word`.
pub(super) fn list(
    invocation: &mut Invocation<'_>,
    word: &str,
    matches: &ArgMatches,
) -> anyhow::Result<ExitCode> {
    let has = |name: &String| name.contains(word);
    let mut known = keys::known(invocation.engine.lxcpath());
    known.retain(|it| has(&it.key) || it.earlier.iter().any(has));
    if invocation.objects(matches, known.iter().map(object))? {
        return Ok(if known.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    if known.is_empty() {
        anyhow::bail!("no configuration key contains `{}`", shown(word));
    }
    let heads = ["KEY", "HERE", "MEANING"];
    let table = TextTable {
        heads: heads.map(|it| (it.to_owned(), Justify::Left)).into(),
        rows: known.iter().map(row).collect(),
    };
    write!(invocation.out, "{}", table.layout())?;
    Ok(ExitCode::SUCCESS)
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
