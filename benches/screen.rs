//! What the whole screen costs while it is watched, beside the monitors that people have: processor
//! time of all threads, bytes to the terminal, memory, on real containers that idle.
//!
//! `cargo bench --bench screen -- [SIZE...] [views=list,open,…] [peers=htop,…] [seconds=5]
//! [rounds=1]`, with a SIZE such as `1000x10`: 1000 containers of 10 processes.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use support::Failure;
use support::peers::found;
use support::screen::{Rate, Screen};
use support::table::{figure, head, in_turn, median, row};
use support::words::{Size, Words};
use support::yard::Yard;

/// The name of a view, the keys that lead there, and what is on the screen then.
const VIEWS: [(&str, &str, &str); 4] = [
    ("list", "", "Containers"),
    ("open", "\r", "Overview"),
    ("processes", "\r2", "2 Processes]"),
    ("log", "\r5", "5 Log]"),
];

/// The others, with a refresh of a second as the screen has.
const PEERS: [(&str, &[&str]); 4] = [
    ("htop", &["-d", "10"]),
    ("btop", &["--utf-force"]),
    ("top", &["-d", "1"]),
    ("systemd-cgtop", &["-d", "1", "--depth=10"]),
];

/// Until a program has read everything once and its graphs have a beginning.
const WARM_UP: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    support::run(bench)
}

fn bench(yard: &Yard, words: &Words) -> Result<(), Failure> {
    head(&["containers", "program", "CPU ms/s", "of it", "bytes/s", "PSS MiB", "of best peer"]);
    let mut up = 0;
    for size in words.sizes(&["0", "100x10"])? {
        if up > size.containers {
            yard.down()?;
            up = 0;
        }
        yard.up(Size { containers: size.containers - up, ..size })?;
        up = size.containers;
        measure(yard, size, words)?;
    }
    Ok(())
}

/// What is run: a view of wharf, or a peer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Program {
    View { name: &'static str, keys: &'static str, shows: &'static str },
    Peer { name: &'static str, args: &'static [&'static str] },
}

/// Watches each program in turn, and then all of them again.
fn measure(yard: &Yard, size: Size, words: &Words) -> Result<(), Failure> {
    let mut programs = programs(size, words);
    let rounds = words.number("rounds", 1)?;
    let time = Duration::from_secs(words.number("seconds", 5)? as u64);
    let mut seen: BTreeMap<Program, Vec<(Rate, f64)>> = BTreeMap::new();
    for round in 0..rounds {
        for program in in_turn(&mut programs, round) {
            let rate = watch(yard, size, *program, time)?;
            seen.entry(*program).or_default().push(rate);
        }
    }
    let cpu =
        |rates: &[(Rate, f64)]| median(&rates.iter().map(|it| it.0.cpu_ms).collect::<Vec<_>>());
    let peers = seen.iter().filter(|(it, _)| matches!(it, Program::Peer { .. }));
    let best = peers.map(|(_, rates)| cpu(rates)).fold(f64::NAN, f64::min);
    for program in programs {
        let Some(rates) = seen.get(&program) else { continue };
        let each =
            |part: fn(&(Rate, f64)) -> f64| median(&rates.iter().map(part).collect::<Vec<_>>());
        let (name, ratio) = match program {
            Program::View { name, .. } => (format!("wharf, {name}"), figure(cpu(rates) / best)),
            Program::Peer { name, .. } => (name.to_owned(), String::new()),
        };
        row(&[
            size.to_string(),
            name,
            figure(cpu(rates)),
            threads(rates),
            format!("{:.0}", each(|it| it.0.bytes)),
            figure(each(|it| it.1)),
            ratio,
        ]);
    }
    for (name, _) in PEERS.iter().filter(|(it, _)| words.chosen("peers", it) && found(it).is_none())
    {
        row(&[size.to_string(), (*name).to_owned(), "not installed".to_owned()]);
    }
    Ok(())
}

/// Returns what was asked for and is there. Without a container there is none to open.
fn programs(size: Size, words: &Words) -> Vec<Program> {
    let views = VIEWS.iter().filter(|(name, ..)| words.chosen("views", name));
    let usual = |it: &&(&str, &str, &str)| words.has("views") || ["list", "open"].contains(&it.0);
    let views = views.filter(usual).filter(|it| it.1.is_empty() || size.containers > 0);
    let peers =
        PEERS.iter().filter(|(name, _)| words.chosen("peers", name) && found(name).is_some());
    views
        .map(|&(name, keys, shows)| Program::View { name, keys, shows })
        .chain(peers.map(|&(name, args)| Program::Peer { name, args }))
        .collect()
}

fn watch(
    yard: &Yard,
    size: Size,
    program: Program,
    time: Duration,
) -> Result<(Rate, f64), Failure> {
    let mut screen = match program {
        Program::View { keys, shows, .. } => {
            let mut screen = Screen::open(yard.wharf(&[]))?;
            let first = yard.name(0);
            let shown = |rows: &[String]| rows.iter().any(|it| it.contains(&first));
            screen.until("a row", |rows| size.containers == 0 || shown(rows))?;
            for key in keys.chars() {
                screen.watch(Duration::from_millis(300))?;
                screen.keys(&key.to_string())?;
            }
            screen.until(shows, |rows| rows.iter().any(|it| it.contains(shows)))?;
            screen
        }
        Program::Peer { name, args } => Screen::open(peer(yard.home(), name, args)?)?,
    };
    screen.watch(WARM_UP)?;
    let before = screen.used()?;
    screen.watch(time)?;
    let rate = screen.used()?.since(&before);
    Ok((rate, screen.memory()?))
}

/// Prepares a peer with a configuration of its own.
fn peer(home: &Path, name: &str, args: &[&str]) -> Result<Command, Failure> {
    let config = home.join("config/btop");
    std::fs::create_dir_all(&config)?;
    std::fs::write(config.join("btop.conf"), "update_ms = 1000\n")?;
    let mut command = Command::new(name);
    command.args(args).env("HOME", home).env("XDG_CONFIG_HOME", home.join("config"));
    Ok(command)
}

/// Names the threads that use the most, with their share in ms.
fn threads(rates: &[(Rate, f64)]) -> String {
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (rate, _) in rates {
        for (name, spent) in &rate.threads {
            all.entry(name).or_default().push(*spent);
        }
    }
    let mut all: Vec<(&str, f64)> = all.iter().map(|(name, it)| (*name, median(it))).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let worth = all.iter().filter(|it| it.1 > 0.05).take(3);
    worth.map(|(name, it)| format!("{name} {}", figure(*it))).collect::<Vec<_>>().join(", ")
}
