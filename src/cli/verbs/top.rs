//! `top`: what containers use, in intervals, for scripts and logs; the screen shows it live.

use std::cmp::Ordering;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ArgMatches;
use serde_json::{Value, json};

use super::{Subcommand, list};
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, number, operands};
use crate::cli::output::{self, Justify, TextTable, epoch_ms, or_unknown, safe_json};
use crate::cli::pause::rest;
use crate::cli::{args, timeout};
use crate::engine::sample::{Container, Limit, Sample};
use crate::engine::sampler::{CounterSet, Interest, Sampler};
use crate::format;

pub(super) const TOP: Subcommand = Subcommand {
    name: "top",
    arguments: |command| {
        command
            .arg(args::value("delay", Some('d'), "SECONDS", "Between two tables [default: 3]"))
            .arg(args::value("count", Some('c'), "COUNT", "Tables to print [default: no end]"))
            .arg(timeout::option("End after this time"))
            .arg(args::value("sort", Some('s'), "ORDER", "cpu, memory, io, pids or name"))
            .arg(args::flag("batch", Some('b'), "Accepted, since it always prints so").hide(true))
            .arg(args::json())
            .arg(args::format())
            .arg(args::optional("REGEX", "Only names that match"))
    },
    run: top,
    notes: "\
Prints a table of the running containers at once and then in each interval; rates are those of the
interval, and the first table has none. %CPU is the share of one processor. With --json, prints
one object per line for each table. `wharf` without a command shows the same live.

Examples:
  wharf top -d 10 -c 6
  wharf top -s memory '^web'
  wharf top --format '{name} {memory_bytes}'",
};

/// By what the rows are sorted.
#[derive(Clone, Copy, Debug)]
enum TopOrder {
    Name,
    Cpu,
    Memory,
    Io,
    Pids,
}

fn top(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let delay = number::<f64>(matches, "delay")?.unwrap_or(3.0);
    let delay = Duration::try_from_secs_f64(delay).ok().filter(|it| !it.is_zero());
    let delay = delay.ok_or_else(|| Usage("--delay takes seconds, such as 3 or 0.5".into()))?;
    let count = number::<u64>(matches, "count")?;
    let limit = timeout::read(matches)?;
    let end = limit.and_then(|it| Instant::now().checked_add(it));
    let order = order(matches.get_one::<String>("sort").map_or("cpu", String::as_str))?;
    let words = operands(matches)?;
    let pattern = match words.as_slice() {
        [] => None,
        [it] => Some(args::regex(it)?),
        [_, more, ..] => return Err(Usage(format!("unexpected operand `{more}`")).into()),
    };
    let mut sampler = Sampler::new(&invocation.engine);
    let interest = Interest { others: CounterSet::ALL, ..Interest::default() };
    let mut printed = 0;
    while count.is_none_or(|it| printed < it) {
        if printed > 0 {
            let left = end.map_or(delay, |it| it.saturating_duration_since(Instant::now()));
            if !rest(delay.min(left))? || left < delay {
                break;
            }
        }
        let mut sample = sampler.sample(&interest);
        sample.containers.retain(|it| {
            it.state.is_active() && pattern.as_ref().is_none_or(|re| re.is_match(it.name.as_str()))
        });
        sample.containers.sort_by(|a, b| compare(order, a, b));
        write(invocation, matches, &sample, printed == 0)?;
        printed += 1;
    }
    Ok(ExitCode::SUCCESS)
}

fn order(word: &str) -> Result<TopOrder, Usage> {
    Ok(match word {
        "name" => TopOrder::Name,
        "cpu" => TopOrder::Cpu,
        "memory" | "ram" => TopOrder::Memory,
        "io" => TopOrder::Io,
        "pids" => TopOrder::Pids,
        other => {
            let known = "cpu, memory, io, pids or name";
            return Err(Usage(format!("`{other}` is not a key to sort by: {known}")));
        }
    })
}

/// Puts the one that uses most first, and equals by name.
fn compare(order: TopOrder, a: &Container, b: &Container) -> Ordering {
    let most = |value: fn(&Container) -> Option<f64>| {
        value(b).unwrap_or(-1.0).total_cmp(&value(a).unwrap_or(-1.0))
    };
    let first = match order {
        TopOrder::Name => Ordering::Equal,
        TopOrder::Cpu => most(|it| {
            // Without an interval, what it has used since its start.
            let total = it.counters.cpu_total.map(|it| it.as_secs_f64());
            it.counters.cpu_percent.map(f64::from).or(total)
        }),
        TopOrder::Memory => most(|it| it.counters.memory_bytes.map(|it| it as f64)),
        TopOrder::Io => most(io),
        TopOrder::Pids => most(|it| it.counters.pids.map(|it| it as f64)),
    };
    first.then_with(|| a.name.cmp(&b.name))
}

/// Bytes read and written each second.
fn io(it: &Container) -> Option<f64> {
    let counters = &it.counters;
    Some(counters.io_read_per_second? + counters.io_write_per_second?)
}

/// Writes one table, at once, since its reader may be waiting for it.
fn write(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
    sample: &Sample,
    first: bool,
) -> anyhow::Result<()> {
    let text = if let Some(template) = matches.get_one::<String>(args::FORMAT) {
        output::formatted(template, sample.containers.iter().map(object))?
    } else if matches.get_flag(args::JSON) {
        let containers: Vec<Value> = sample.containers.iter().map(object).collect();
        let whole = json!({ "at_ms": epoch_ms(sample.taken), "containers": containers });
        safe_json(&whole.to_string()) + "\n"
    } else {
        let between = if first { "" } else { "\n" };
        between.to_owned() + &table(&sample.containers).layout()
    };
    invocation.out.write_all(text.as_bytes())?;
    invocation.out.flush()?;
    Ok(())
}

fn table(containers: &[Container]) -> TextTable {
    let heads = ["NAME", "STATE", "%CPU", "CPU", "RAM", "MAX", "READ/S", "WRITE/S", "PIDS"];
    let align =
        |head| if matches!(head, "NAME" | "STATE") { Justify::Left } else { Justify::Right };
    TextTable {
        heads: heads.map(|it| (it.to_owned(), align(it))).into(),
        rows: containers.iter().map(row).collect(),
    }
}

fn row(it: &Container) -> Vec<String> {
    let counters = &it.counters;
    vec![
        it.name.to_string(),
        it.state.to_string(),
        or_unknown(counters.cpu_percent.map(|it| format!("{it:.1}"))),
        or_unknown(counters.cpu_total.map(|it| format!("{:.2}s", it.as_secs_f64()))),
        or_unknown(counters.memory_bytes.map(format::bytes)),
        or_unknown(counters.memory_max_bytes.map(|it| match it {
            Limit::Max => "max".to_owned(),
            Limit::At(bytes) => format::bytes(bytes),
        })),
        or_unknown(counters.io_read_per_second.map(format::rate)),
        or_unknown(counters.io_write_per_second.map(format::rate)),
        or_unknown(counters.pids),
    ]
}

fn object(it: &Container) -> Value {
    let mut object = serde_json::Map::new();
    object.insert("name".into(), json!(it.name));
    object.insert("state".into(), json!(it.state));
    object.extend(list::facts(it));
    object.insert("cpu_percent".into(), json!(it.counters.cpu_percent));
    object.insert("io_read_per_second".into(), json!(it.counters.io_read_per_second));
    object.insert("io_write_per_second".into(), json!(it.counters.io_write_per_second));
    Value::Object(object)
}
