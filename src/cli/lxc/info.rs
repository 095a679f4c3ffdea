//! `lxc-info`.

use std::process::ExitCode;

use super::call::{LxcCall, LxcCommand, NameFrom};
use super::getopt::{flag, value};
use crate::cli::output::long_size;
use crate::engine::sample::Container;
use crate::engine::shown::shown;
use crate::engine::{ErrorKind, Name};

pub(super) const INFO: LxcCommand = LxcCommand {
    name: "info",
    usage: "--name=NAME",
    about: "shows what is known of the container NAME",
    options: &[
        value("config", Some('c'), "KEY", "Show KEY of its configuration"),
        flag("ips", Some('i'), "Show its addresses"),
        flag("state", Some('s'), "Show its state"),
        flag("pid", Some('p'), "Show the pid of its init"),
        flag("stats", Some('S'), "Show its use of CPU, memory and network"),
        flag("no-humanize", Some('H'), "Show plain numbers, and a single fact without its label"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: info,
};

/// Writes facts as LXC does: a label of fifteen columns, or none for the only fact that was asked
/// for under `-H`.
struct LxcFacts<'a, 'b> {
    call: &'a mut LxcCall<'b>,
    raw: bool,
    /// How many facts were asked for, as LXC counts.
    asked: usize,
}

impl LxcFacts<'_, '_> {
    fn put(&mut self, label: &str, value: &str) -> anyhow::Result<()> {
        if self.raw && self.asked == 1 {
            writeln!(self.call.out, "{}", shown(value))?;
        } else {
            writeln!(self.call.out, "{label:<15} {}", shown(value))?;
        }
        Ok(())
    }

    fn size(&mut self, label: &str, bytes: Option<u64>) -> anyhow::Result<()> {
        let Some(bytes) = bytes else { return Ok(()) };
        let value = if self.raw { bytes.to_string() } else { long_size(bytes) };
        writeln!(self.call.out, "{label:<15} {value}")?;
        Ok(())
    }
}

fn info(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let Ok(name) = call.name() else { return Ok(missing(call)) };
    let [state, pid, ips, stats, raw] =
        ["state", "pid", "ips", "stats", "no-humanize"].map(|it| call.has(it));
    let keys: Vec<String> = call.given.values("config").map(str::to_owned).collect();
    let all = !(state || pid || ips || stats) && keys.is_empty();
    let engine = &call.engine;
    let seen = if all || ips || stats { engine.info(&name) } else { engine.glance(&name) };
    let container = match seen {
        Ok(container) if container.defined || container.state.is_active() => container,
        Err(error) if error.kind != ErrorKind::NotFound => return Err(error.into()),
        Ok(_) | Err(_) => return Ok(missing(call)),
    };
    let asked = [state, pid, ips].into_iter().filter(|it| *it).count() + if stats { 5 } else { 0 };
    let mut facts = LxcFacts { call: &mut *call, raw, asked };
    if all {
        facts.put("Name:", name.as_str())?;
    }
    if all || state {
        facts.put("State:", container.state.word())?;
    }
    if all || pid {
        container.init_pid.map_or(Ok(()), |it| facts.put("PID:", &it.to_string()))?;
    }
    let network = container.detail.as_ref().map(|it| it.network.as_slice()).unwrap_or_default();
    if all || ips {
        for it in network.iter().filter(|it| it.name != "lo").flat_map(|it| &it.addresses) {
            facts.put("IP:", it)?;
        }
    }
    if (all || stats) && container.state.is_active() {
        put_stats(&mut facts, &name, &container)?;
    }
    for key in &keys {
        put_key(call, &name, key, raw && keys.len() == 1)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// LXC's words, which have no name of the program before them.
fn missing(call: &LxcCall<'_>) -> ExitCode {
    if !call.has("quiet") {
        let name = shown(call.name.as_deref().unwrap_or_default());
        super::say(&format!("{name} doesn't exist\n"));
    }
    ExitCode::FAILURE
}

fn put_stats(facts: &mut LxcFacts<'_, '_>, name: &Name, it: &Container) -> anyhow::Result<()> {
    let counters = &it.counters;
    if let Some(cpu) = counters.cpu_total {
        let value = if facts.raw {
            cpu.as_nanos().to_string()
        } else {
            format!("{:.2} seconds", cpu.as_secs_f64())
        };
        writeln!(facts.call.out, "{:<15} {value}", "CPU use:")?;
    }
    let read = |file: &str| facts.call.engine.cgroup_get(name, file).ok();
    let moved = read("blkio.throttle.io_service_bytes").and_then(|it| total(&it));
    let moved = moved.or_else(|| read("io.stat").map(|it| sum(&it)));
    let cache = counters.memory_cache_bytes.unwrap_or(0);
    let memory = counters.memory_bytes.map(|it| it.saturating_add(cache));
    let kernel = read("memory.kmem.usage_in_bytes").and_then(|it| it.trim().parse().ok());
    let kernel = kernel.or_else(|| read("memory.stat").and_then(|it| field(&it, "kernel")));
    facts.size("BlkIO use:", moved)?;
    facts.size("Memory use:", memory)?;
    facts.size("KMem use:", kernel.filter(|_| memory.is_some()))?;
    for link in &facts.call.engine.host_links(name) {
        writeln!(facts.call.out, "{:<15} {}", "Link:", shown(&link.name))?;
        facts.size(" TX bytes:", Some(link.from_container_bytes))?;
        facts.size(" RX bytes:", Some(link.to_container_bytes))?;
        let both = link.from_container_bytes.saturating_add(link.to_container_bytes);
        facts.size(" Total bytes:", Some(both))?;
    }
    Ok(())
}

/// Returns the last line of cgroup v1's table of I/O, `Total 1234`.
fn total(table: &str) -> Option<u64> {
    table.lines().last()?.strip_prefix("Total ")?.trim().parse().ok()
}

/// Adds up what cgroup v2 has read and written, `8:0 rbytes=1 wbytes=2 …`.
fn sum(table: &str) -> u64 {
    let values = table.split_whitespace().filter_map(|it| {
        it.strip_prefix("rbytes=").or_else(|| it.strip_prefix("wbytes="))?.parse::<u64>().ok()
    });
    values.fold(0, u64::saturating_add)
}

fn field(table: &str, name: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|it| it.split_once(' '));
    lines.find(|it| it.0 == name)?.1.trim().parse().ok()
}

/// Writes one key of the configuration; one that LXC does not know is no failure.
fn put_key(call: &mut LxcCall<'_>, name: &Name, key: &str, bare: bool) -> anyhow::Result<()> {
    match call.engine.config_item(name, key)? {
        Some(value) if bare => writeln!(call.out, "{}", lines(&value))?,
        Some(value) if value.is_empty() => writeln!(call.out, "{} =", shown(key))?,
        Some(value) => writeln!(call.out, "{} = {}", shown(key), lines(&value))?,
        None => {
            call.out.flush()?;
            super::say(&format!("{} invalid\n", shown(key)));
        }
    }
    Ok(())
}

/// Makes each line of a list safe to show, and keeps the newline after the last.
fn lines(value: &str) -> String {
    let lines: Vec<String> = value.split('\n').map(|it| shown(it).into_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_is_read_in_both_spellings() {
        assert_eq!(total("8:0 Read 1\n8:0 Write 2\nTotal 3\n"), Some(3));
        assert_eq!(total("8:0 Read 1\n"), None);
        assert_eq!(sum("8:0 rbytes=1 wbytes=20 rios=5\n8:16 rbytes=300\n"), 321);
        assert_eq!(field("anon 1\nkernel 4096\n", "kernel"), Some(4096));
    }
}
