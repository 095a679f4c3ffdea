//! What the panes of an open container list, as rows and lines. Formats, never paints.

use std::time::Duration;

use crate::command::Action;
use crate::command::action::Do;
use crate::engine::Name;
use crate::engine::event::{Event, What};
use crate::engine::exit::Exit;
use crate::engine::oom::OomKill;
use crate::engine::sample::{CgroupFile, Container, Interface, Sample, Unmanaged};
use crate::format;
use crate::ui::allowed;
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::detail::{CgroupRows, DetailScreen, Tab};
use crate::ui::value::{self, Whole};

/// The limits and counters that are shown by default.
const KEYS: &[&str] = &[
    "cpu.max",
    "cpu.weight",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.shares",
    "cpu.stat",
    "cpuset.cpus",
    "cpuset.mems",
    "memory.max",
    "memory.high",
    "memory.low",
    "memory.swap.max",
    "memory.current",
    "memory.peak",
    "memory.events",
    "memory.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.usage_in_bytes",
    "memory.max_usage_in_bytes",
    "memory.failcnt",
    "memory.swappiness",
    "pids.max",
    "pids.current",
    "io.max",
    "io.weight",
    "blkio.weight",
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "freezer.state",
    "cgroup.freeze",
];

/// The text for the value of a key that a configuration does not set.
pub const NOT_SET: &str = "not set";

/// Returns the cgroup files to list, grouped by controller in a stable order.
pub fn cgroup_rows<'a>(model: &'a Model, screen: &DetailScreen) -> Vec<&'a CgroupFile> {
    let container = model.container(&screen.name);
    let Some(detail) = container.and_then(|it| it.detail.as_ref()) else { return Vec::new() };
    let mut rows: Vec<&CgroupFile> = detail
        .files
        .iter()
        .filter(|it| {
            screen.cgroup.all || value::is_key(&it.file) || KEYS.contains(&it.file.as_str())
        })
        .collect();
    let rank = |it: &CgroupFile| {
        let controller = CONTROLLERS.iter().position(|name| *name == group(it));
        let key = KEYS.iter().position(|name| *name == value::file_of(&it.file));
        (controller.unwrap_or(CONTROLLERS.len()), key.unwrap_or(KEYS.len()))
    };
    rows.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.file.cmp(&other.file)));
    if !screen.cgroup.all {
        // On a hybrid host a counter may exist in both versions; one is enough.
        rows.dedup_by(|other, one| other.file == one.file);
    }
    rows
}

/// The controllers in the order of their groups.
const CONTROLLERS: &[&str] = &["cpu", "memory", "pids", "cpuset", "io", "blkio", "freezer"];

/// Returns the controller under which `file` is listed: the first word of its name.
pub fn group(file: &CgroupFile) -> &str {
    value::file_of(&file.file).split_once('.').map_or(file.controller.as_str(), |(group, _)| {
        match group {
            "cpuacct" => "cpu",
            other => other,
        }
    })
}

/// Returns what percentages refer to, for a value of the open container.
pub fn whole(model: &Model) -> Whole {
    let memory = model.sample.as_ref().and_then(|it| it.host.memory_bytes);
    let files = model.current().and_then(|it| it.detail.as_ref()).map_or(&[][..], |it| &it.files);
    let value = |name: &str| {
        let file = files.iter().find(|it| value::file_of(&it.file) == name)?;
        file.value.as_deref()
    };
    let quota = || value("cpu.max")?.split_whitespace().nth(1);
    let period = value("cpu.cfs_period_us").or_else(quota).and_then(|it| it.trim().parse().ok());
    Whole { memory, period }
}

/// Returns the content of each line of the cgroup pane: the row of a file, or nothing for the name
/// of a group.
pub fn cgroup_lines(files: &[&CgroupFile]) -> Vec<Option<usize>> {
    let mut lines = Vec::with_capacity(files.len() + CONTROLLERS.len());
    let mut before = "";
    for (row, file) in files.iter().enumerate() {
        if group(file) != before {
            before = group(file);
            lines.push(None);
        }
        lines.push(Some(row));
    }
    lines
}

/// Returns the row of the cursor.
pub fn place(cgroup: &CgroupRows, rows: &[&CgroupFile]) -> usize {
    let here = rows.iter().position(|it| Some(&it.file) == cgroup.cursor.as_ref());
    here.unwrap_or(cgroup.row).min(rows.len().saturating_sub(1))
}

/// One line of the network pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkLine<'a> {
    /// An interface with its figures, and its first address if there is room beside them.
    Interface(&'a Interface, Option<&'a str>),
    /// Another address of it.
    Address(&'a Interface, &'a str),
}

impl NetworkLine<'_> {
    /// Returns the line as it is searched.
    fn searched(&self) -> String {
        match self {
            Self::Interface(it, address) => format!("{} {}", it.name, address.unwrap_or_default()),
            Self::Address(it, address) => format!("{} {address}", it.name),
        }
    }
}

/// Returns the lines of the network pane of the open container.
pub fn network_lines(model: &Model) -> Vec<NetworkLine<'_>> {
    let beside = usize::from(model.size.0 >= layout::NARROW);
    let detail = model.current().and_then(|it| it.detail.as_ref());
    let mut lines = Vec::new();
    for it in detail.iter().flat_map(|it| &it.network) {
        let mut addresses = it.addresses.iter().map(String::as_str);
        let first = addresses.by_ref().take(beside).next();
        lines.push(NetworkLine::Interface(it, first));
        lines.extend(addresses.map(|address| NetworkLine::Address(it, address)));
    }
    lines
}

/// Returns how many lines the pane `tab` has to show.
pub fn line_count(model: &Model, tab: Tab) -> usize {
    let detail = model.current().and_then(|it| it.detail.as_ref());
    match tab {
        Tab::Log => log_lines(model).len(),
        Tab::Events => events_of_current(model).count(),
        Tab::Config => detail.and_then(|it| it.config.as_ref()).map_or(0, |it| it.lines().count()),
        Tab::Network => network_lines(model).len(),
        Tab::Mounts => detail.map_or(0, |it| it.mounts.len()),
        Tab::Overview | Tab::Processes | Tab::Cgroup | Tab::Console => 0,
    }
}

/// Returns the lines of the pane `tab` as they are searched.
fn lines(model: &Model, tab: Tab) -> Vec<String> {
    let detail = model.current().and_then(|it| it.detail.as_ref());
    match tab {
        Tab::Log => log_lines(model).into_iter().map(plain).collect(),
        Tab::Events => events_of_current(model).map(event_words).collect(),
        Tab::Config => detail
            .and_then(|it| it.config.as_ref())
            .map_or_else(Vec::new, |it| it.lines().map(str::to_owned).collect()),
        Tab::Network => network_lines(model).iter().map(NetworkLine::searched).collect(),
        Tab::Mounts => detail.map_or_else(Vec::new, |it| it.mounts.clone()),
        Tab::Overview | Tab::Processes | Tab::Cgroup | Tab::Console => Vec::new(),
    }
}

/// Returns the line of its configuration, counted from 0, that keeps the current container from
/// starting, if one is to blame.
pub fn blamed_line(model: &Model) -> Option<usize> {
    let container = model.current()?;
    let why = model.failures.get(&container.name).or(container.trouble.as_ref())?;
    let (_, place) = why.rsplit_once("(line ")?;
    let (number, file) = place.split_once(" of ")?;
    let own = format!("/{}/config)", container.name);
    file.ends_with(&own).then(|| number.parse::<usize>().ok()?.checked_sub(1))?
}

/// Returns the numbers of the lines that the search finds.
pub fn found(model: &Model) -> Vec<usize> {
    let Some(detail) = &model.detail else { return Vec::new() };
    let pattern = detail.search.as_ref().and_then(|it| it.pattern.as_ref());
    let Some(pattern) = pattern else { return Vec::new() };
    let lines = lines(model, detail.focus);
    let hits = lines.iter().enumerate().filter(|(_, it)| pattern.is_match(it));
    hits.map(|(at, _)| at).collect()
}

/// Strips a terminal's colours and cursor moves, which are not text.
pub fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(it) = rest.next() {
        match it {
            '\u{1b}' => {
                if rest.next() == Some('[') {
                    _ = rest.find(char::is_ascii_alphabetic);
                }
            }
            '\r' => (),
            '\t' => text.push_str("    "),
            other => text.push(other),
        }
    }
    text
}

/// Returns the lines of the log of the open container.
pub fn log_lines(model: &Model) -> Vec<&str> {
    let ours = |name: &_| model.current_name() == Some(name);
    match &model.log {
        Some((name, Ok(text))) if ours(name) => text.lines().collect(),
        Some((_, _)) | None => Vec::new(),
    }
}

/// Returns the events of the open container, oldest first.
pub fn events_of_current(model: &Model) -> impl Iterator<Item = &Event> {
    let name = model.current_name();
    model.events.iter().filter(move |it| Some(&it.name) == name)
}

/// Returns what happened in words.
pub fn event_words(event: &Event) -> String {
    match &event.what {
        What::State { from, to } => format!("{from} → {to}"),
        // The reason is clear without it.
        What::Exited { exit: exit @ (Exit::Unheard(_) | Exit::Unmoved(_) | Exit::Saved) } => {
            exit.to_string()
        }
        What::Exited { exit } => format!("init ended: {exit}"),
        What::Braked { restarts, wait_ms } => {
            let wait = format::duration_in_text(Duration::from_millis(*wait_ms));
            format!("restarted itself {restarts} times in a row; waits {wait} before the next")
        }
        What::Failed { reason } => format!("start failed: {reason}"),
        What::Warned { said } => format!("warning: {said}"),
        What::SupervisorKilled => "its supervisor was killed".to_owned(),
        What::Created => "created".to_owned(),
        What::Destroyed => "destroyed".to_owned(),
        What::Trashed => "moved to the trash".to_owned(),
        What::Restored => "restored from the trash".to_owned(),
        What::Cgroup { file, old, new } => {
            format!("{file} {} → {}", value::shown(file, old), value::shown(file, new))
        }
        What::LimitLost { file, was, .. } => {
            format!("{file} lost its limit {}", value::shown(file, was))
        }
        What::OomKill { count: 1, last: Some(last) } => {
            format!("out of memory: killed {}", victim(last, &event.name))
        }
        What::OomKill { count, last } => {
            let last = last.as_ref().map(|it| format!(", last {}", victim(it, &event.name)));
            format!("out of memory: {count} killed{}", last.unwrap_or_default())
        }
        What::Signal { pid, signal } => format!("signal {signal} to pid {pid}"),
    }
}

/// Names the process that the kernel killed in the container called `name` for lack of memory, and
/// the limit that it was at, with sizes as they are written on the screen; commands print them as
/// precisely as LXC's.
pub fn victim(kill: &OomKill, name: &Name) -> String {
    let held = kill.held_bytes.map(|it| format!(" with {}", format::bytes(it)));
    let whom = format!("{} (pid {}){}", kill.process, kill.pid, held.unwrap_or_default());
    let Some(group) = &kill.group else { return format!("{whom}, as the host was out of memory") };
    let at = match (&kill.limit_file, kill.limit_bytes) {
        (Some(file), Some(limit)) => format!("{file} {}", format::bytes(limit)),
        (_, _) => "the limit".to_owned(),
    };
    // Which container it is about is known already.
    let whose = if is_own(group, name) { String::new() } else { format!(" of {group}") };
    format!("{whom}, at {at}{whose}")
}

/// Returns whether `group` is the uppermost of the container called `name`, and not one above it or
/// inside it.
fn is_own(group: &str, name: &Name) -> bool {
    let own = group.rsplit('/').next().and_then(|it| it.strip_prefix("lxc.payload."));
    let number = own.and_then(|it| it.strip_prefix(name.as_str()));
    // LXC numbers the group if another has the name.
    number
        .is_some_and(|it| it.strip_prefix('-').unwrap_or(it).bytes().all(|it| it.is_ascii_digit()))
}

/// Returns why there is nothing to list about a stopped container.
pub fn nothing_runs(model: &Model, container: &Container) -> String {
    let start = Action::Act(Do::Start);
    let starts = model.refusal(start).is_none() && allowed::is_for(model, container, start);
    let advice = if starts { "; s starts it" } else { "" };
    format!("{} is {}{advice}", container.name, container.state)
}

/// Returns what an operator should know about a container beside its state, in the screen's words.
pub fn trouble(model: &Model, container: &Container) -> Option<String> {
    let action = Action::Act(Do::Again);
    let again =
        allowed::barred(model, action).is_none() && allowed::is_for(model, container, action);
    let advice = |what| again.then(|| format!("; {} restores {what}", action.key()));
    let advice = |what| advice(what).unwrap_or_default();
    match container.lost_limits.as_slice() {
        [] => container.trouble.clone(),
        [one] => Some(format!("lost its limit: {one}{}", advice("it"))),
        many => Some(format!("lost its limits: {}{}", many.join(", "), advice("them"))),
    }
}

/// Names the containers that are left to LXC, if any.
pub fn unmanaged(sample: &Sample) -> Option<String> {
    let named = |it: &Unmanaged| format!("\"{}\" {}", it.name, it.state);
    let all: Vec<String> = sample.unmanaged.iter().map(named).collect();
    let words = format!("left to LXC because of their names: {}", all.join(", "));
    (!all.is_empty()).then_some(words)
}
