//! `info`: everything about one container.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::{ArgAction, ArgMatches};
use serde_json::{Value, json};

use super::{Subcommand, list};
use crate::cli::args;
use crate::cli::chosen::{self, ChosenContainers};
use crate::cli::invocation::{Invocation, exists};
use crate::cli::output::{age, formatted, long_size};
use crate::engine::Verb;
use crate::engine::oom::OomKill;
use crate::engine::sample::{Container, Detail, Interface, Limit, Root};
use crate::engine::shown::shown;

pub(super) const INFO: Subcommand = Subcommand {
    name: "info",
    arguments: |command| {
        let command = command
            .arg(args::flag("state", Some('s'), "Only the state"))
            .arg(args::flag("pid", Some('p'), "Only the pid of init"))
            .arg(args::flag("ips", Some('i'), "Only the addresses"))
            .arg(args::flag("stats", Some('S'), "Only the use of CPU, memory and network"))
            .arg(
                args::value("config", Some('c'), "KEY", "Only the value of this configuration key")
                    .action(ArgAction::Append),
            )
            .arg(args::flag(
                "no-humanize",
                Some('H'),
                "Plain numbers, and a single fact without its label",
            ))
            .arg(args::json())
            .arg(args::format());
        chosen::arguments(command)
    },
    run: info,
    notes: "\
Exit code: 0, or 1 if there is no such container or its configuration cannot be used.

Examples:
  wharf info web
  wharf info -p -H web              prints only the pid
  wharf info -c lxc.rootfs.path web
  wharf info --format '{name} {memory_bytes}' 'web*'",
};

/// Which facts of a container are printed, and how.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
struct InfoOptions {
    state: bool,
    pid: bool,
    ips: bool,
    stats: bool,
    keys: Vec<String>,
    /// Nothing in particular was asked for.
    all: bool,
    raw: bool,
}

impl InfoOptions {
    fn new(matches: &ArgMatches) -> Self {
        let [state, pid, ips, stats, raw] =
            ["state", "pid", "ips", "stats", "no-humanize"].map(|it| matches.get_flag(it));
        let keys: Vec<String> = matches.get_many("config").unwrap_or_default().cloned().collect();
        let all = !(state || pid || ips || stats) && keys.is_empty();
        Self { state, pid, ips, stats, keys, all, raw }
    }

    /// LXC drops the label of a single fact under `-H`.
    fn bare(&self) -> bool {
        let facts = [self.state, self.pid, self.ips].into_iter().filter(|it| *it).count();
        self.raw && !self.stats && facts + self.keys.len() == 1
    }
}

fn info(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let chosen = ChosenContainers::read(invocation, matches, Verb::Info)?;
    let wanted = InfoOptions::new(matches);
    // A single fact that was asked for is still valid.
    let (json, template) = (matches.get_flag(args::JSON), matches.get_one::<String>(args::FORMAT));
    let asked = wanted.all || json || template.is_some();
    let engine = &invocation.engine;
    let mut found = Vec::new();
    for name in &chosen.names {
        let container = if asked || wanted.ips || wanted.stats {
            engine.info(name)?
        } else {
            engine.glance(name)?
        };
        if !container.defined && !container.state.is_active() {
            exists(engine, Verb::Info, name)?;
        }
        found.push(container);
    }
    let faulty = asked && found.iter().any(|it| it.faulty);
    let usable = if faulty { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if let Some(template) = template {
        write!(invocation.out, "{}", formatted(template, found.iter().map(object))?)?;
        return Ok(usable);
    }
    match found.as_slice() {
        [one] if json && !chosen.by_pattern => invocation.json(&object(one))?,
        all if json => invocation.json(&all.iter().map(object).collect())?,
        all => {
            for (index, container) in all.iter().enumerate() {
                if index > 0 && !wanted.bare() {
                    writeln!(invocation.out)?;
                }
                show(invocation, container, &wanted)?;
            }
        }
    }
    Ok(usable)
}

/// Prints what is wanted of one container.
fn show(
    invocation: &mut Invocation<'_>,
    container: &Container,
    wanted: &InfoOptions,
) -> anyhow::Result<()> {
    let bare = wanted.bare();
    for (label, value) in lines(container, wanted) {
        if bare {
            writeln!(invocation.out, "{}", shown(&value))?;
        } else {
            let label = format!("{label}:");
            writeln!(invocation.out, "{label:<15} {}", shown(&value))?;
        }
    }
    let mut unknown = Vec::new();
    for key in &wanted.keys {
        match invocation.engine.config_item(&container.name, key)? {
            Some(value) => item(invocation, key, &value, bare)?,
            None => unknown.push(format!("`{key}`")),
        }
    }
    if !unknown.is_empty() {
        anyhow::bail!("LXC has no configuration key {}", unknown.join(", "));
    }
    Ok(())
}

/// Prints one key with its value; each item of a list is on its own line.
fn item(invocation: &mut Invocation<'_>, key: &str, value: &str, bare: bool) -> anyhow::Result<()> {
    let mut lines = value.lines();
    let first = lines.next().unwrap_or_default();
    match (bare, first) {
        (true, first) => writeln!(invocation.out, "{}", shown(first))?,
        (false, "") => writeln!(invocation.out, "{} =", shown(key))?,
        (false, first) => writeln!(invocation.out, "{} = {}", shown(key), shown(first))?,
    }
    for line in lines {
        writeln!(invocation.out, "{}", shown(line))?;
    }
    Ok(())
}

/// Lists the facts that were asked for, in LXC's order and words.
fn lines(it: &Container, wanted: &InfoOptions) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut put = |label, value: Option<String>| lines.extend(value.map(|it| (label, it)));
    let all = wanted.all;
    put("Name", all.then(|| it.name.to_string()));
    if all || wanted.state {
        put("State", Some(it.state.to_string()));
    }
    if all {
        put("Trouble", it.trouble.clone());
        put("Since", it.since.map(|it| format!("{} ago", age(it))));
        put("Last exit", it.last_end());
    }
    if all || wanted.pid {
        put("PID", it.init_pid.map(|it| it.to_string()));
    }
    let network = it.detail.as_ref().map(|it| it.network.as_slice()).unwrap_or_default();
    if all || wanted.ips {
        let inner = network.iter().filter(|it| it.name != "lo");
        lines.extend(inner.flat_map(|it| &it.addresses).map(|it| ("IP", it.clone())));
    }
    if all || wanted.stats {
        lines.extend(stats(it, wanted.raw));
        lines.extend(network.iter().flat_map(|it| link(it, wanted.raw)));
    }
    if all {
        let detail = it.detail.as_ref();
        lines.extend(detail.and_then(root).map(|it| ("Root", it)));
        lines.extend(detail.and_then(|it| it.cgroup.as_ref()).map(|it| ("Cgroup", it.to_string())));
        lines.extend(
            detail.and_then(|it| it.limit_cgroup.as_ref()).map(|it| ("Limits in", it.to_string())),
        );
    }
    lines
}

/// Returns where the root is; `None` if no configuration sets it.
fn root(detail: &Detail) -> Option<String> {
    Some(match detail.rootfs.as_ref()? {
        Root::Host => "the host's".to_owned(),
        Root::Own(path) => path.display().to_string(),
    })
}

/// Lists CPU and memory usage, except what no controller counts.
fn stats(it: &Container, raw: bool) -> Vec<(&'static str, String)> {
    let counters = &it.counters;
    let size = |bytes: u64| if raw { bytes.to_string() } else { long_size(bytes) };
    let bound = |limit: Limit| match limit {
        Limit::Max => "none".to_owned(),
        Limit::At(bytes) => size(bytes),
    };
    let cpu = counters.cpu_total.map(|it| {
        if raw { it.as_nanos().to_string() } else { format!("{:.2} seconds", it.as_secs_f64()) }
    });
    let kills = counters.oom_kills.filter(|it| *it > 0).map(|it| it.to_string());
    [
        ("CPU use", cpu),
        ("Memory use", counters.memory_bytes.map(size)),
        ("Memory cache", counters.memory_cache_bytes.map(size)),
        ("Memory peak", counters.memory_peak_bytes.map(size)),
        ("Memory limit", counters.memory_max_bytes.map(bound)),
        ("OOM kills", kills),
        ("Last OOM kill", it.oom_last.as_ref().map(oom)),
        ("Tasks", counters.pids.map(|it| it.to_string())),
    ]
    .into_iter()
    .filter_map(|(label, value)| Some((label, value?)))
    .collect()
}

/// Describes an OOM kill.
fn oom(it: &OomKill) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(it.at_ms));
    let ago = at.map(|it| format!(", {} ago", age(it))).unwrap_or_default();
    format!("{it}{ago}")
}

/// Lists one interface's traffic, as seen from inside.
fn link(it: &Interface, raw: bool) -> Vec<(&'static str, String)> {
    let size = |bytes: u64| if raw { bytes.to_string() } else { long_size(bytes) };
    let (Some(rx), Some(tx)) = (it.rx_bytes, it.tx_bytes) else { return Vec::new() };
    vec![
        ("Link", it.name.clone()),
        (" TX bytes", size(tx)),
        (" RX bytes", size(rx)),
        (" Total bytes", size(rx.saturating_add(tx))),
    ]
}

fn object(it: &Container) -> Value {
    let mut object = serde_json::Map::new();
    object.insert("name".into(), json!(it.name));
    object.insert("state".into(), json!(it.state));
    object.extend(list::facts(it));
    if let Some(detail) = &it.detail {
        object.insert(
            "rootfs".into(),
            json!(detail.rootfs.as_ref().and_then(Root::path).map(Path::to_string_lossy)),
        );
        object.insert("cgroup".into(), json!(detail.cgroup.as_ref().map(ToString::to_string)));
        object.insert(
            "limit_cgroup".into(),
            json!(detail.limit_cgroup.as_ref().map(ToString::to_string)),
        );
        object.insert("namespaces".into(), json!(detail.namespaces));
        object.insert("mounts".into(), json!(detail.mounts));
        let network: Vec<Value> = detail
            .network
            .iter()
            .map(|it| {
                json!({
                    "name": it.name, "addresses": it.addresses,
                    "rx_bytes": it.rx_bytes, "tx_bytes": it.tx_bytes,
                })
            })
            .collect();
        object.insert("network".into(), Value::Array(network));
    }
    Value::Object(object)
}
