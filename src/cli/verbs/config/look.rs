//! `config show`, `get` and `check`: print a configuration and what is to be known of it.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::ArgMatches;
use serde_json::{Value, json};

use crate::cli::args;
use crate::cli::invocation::Invocation;
use crate::cli::output::{Justify, TextTable};
use crate::engine::configure::{ConfigFile, ConfigLine, Finding, FindingKind};
use crate::engine::shown::{shown, shown_bytes};

/// Prints the file as it is.
pub(super) fn text(invocation: &mut Invocation<'_>, file: ConfigFile<'_>) -> anyhow::Result<()> {
    let text = invocation.engine.config_text(file)?;
    if !io::stdout().is_terminal() {
        return Ok(invocation.out.write_all(&text)?);
    }
    for line in text.split_inclusive(|it| *it == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        writeln!(invocation.out, "{}", shown_bytes(line))?;
    }
    Ok(())
}

/// Prints each setting that counts, and where it is from.
pub(super) fn effective(
    invocation: &mut Invocation<'_>,
    file: ConfigFile<'_>,
    matches: &ArgMatches,
) -> anyhow::Result<()> {
    let lines = invocation.engine.config_lines(file)?;
    if invocation.objects(matches, lines.iter().map(object))? {
        return Ok(());
    }
    let from = |it: &ConfigLine| {
        it.place.as_ref().map_or_else(|| "default".to_owned(), ToString::to_string)
    };
    let row = |it: &ConfigLine| vec![format!("{} = {}", it.key, it.value), from(it)];
    let table = TextTable {
        heads: ["SETTING", "FROM"].map(|it| (it.to_owned(), Justify::Left)).into(),
        rows: lines.iter().map(row).collect(),
    };
    write!(invocation.out, "{}", table.layout())?;
    Ok(())
}

fn object(it: &ConfigLine) -> Value {
    let place = it.place.as_ref();
    json!({
        "key": it.key, "value": it.value,
        "file": place.map(|it| it.file.to_string_lossy()), "line": place.map(|it| it.line),
    })
}

/// Prints the values of one key.
pub(super) fn value(
    invocation: &mut Invocation<'_>,
    file: ConfigFile<'_>,
    key: &str,
    matches: &ArgMatches,
) -> anyhow::Result<ExitCode> {
    let values = invocation.engine.config_values(file, key)?;
    let object = json!({ "key": key, "values": values });
    if matches.get_flag(args::JSON) {
        invocation.json(&object)?;
    } else if !invocation.objects(matches, [object].into_iter())? {
        values.iter().try_for_each(|it| writeln!(invocation.out, "{}", shown(it)))?;
    }
    Ok(if values.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints what is to be known of each file, with its line.
pub(super) fn findings(
    invocation: &mut Invocation<'_>,
    files: &[ConfigFile<'_>],
    matches: &ArgMatches,
) -> anyhow::Result<ExitCode> {
    let mut found = Vec::new();
    for file in files {
        found.extend(invocation.engine.config_check(*file)?);
    }
    if !invocation.objects(matches, found.iter().map(finding))? {
        for it in &found {
            let place = it.place.as_ref();
            let place = place.map(|it| format!("{}:{}: ", it.file.display(), it.line));
            let place = place.unwrap_or_default();
            writeln!(invocation.out, "{}{}: {}", shown(&place), it.kind, it.text)?;
        }
    }
    let refused = found.iter().any(|it| it.kind == FindingKind::Refused);
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn finding(it: &Finding) -> Value {
    let place = it.place.as_ref();
    json!({
        "file": place.map(|it| it.file.to_string_lossy()), "line": place.map(|it| it.line),
        "kind": it.kind.to_string(), "text": it.text,
    })
}
