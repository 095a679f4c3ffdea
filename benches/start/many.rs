//! Many containers, started one after another and then stopped one after another.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::wait::{WaitPidFlag, waitpid};

use super::support::Failure;
use super::support::peers::{bundle, found, lxc, oci};
use super::support::price::{self, Price, ms, pay};
use super::support::table::{figure, head, in_turn, median, row};
use super::support::words::Size;
use super::{Place, floor};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Engine {
    Floor,
    Wharf,
    Lxc,
    Crun,
    Runc,
}

const ENGINES: [(&str, Engine); 5] = [
    ("floor", Engine::Floor),
    ("wharf", Engine::Wharf),
    ("lxc-start", Engine::Lxc),
    ("crun", Engine::Crun),
    ("runc", Engine::Runc),
];

/// What one round of one engine was, in ms and KiB.
#[derive(Clone, Debug, Default)]
struct Round {
    start: f64,
    start_cpu: f64,
    /// Of a supervisor until all had been started.
    own_cpu: f64,
    stop: f64,
    stop_cpu: f64,
    pss: f64,
    private: f64,
}

/// Runs all engines in turn, as often as `rounds` says.
pub(super) fn compare(place: &Place<'_>, size: Size, rounds: usize) -> Result<(), Failure> {
    let mut engines: Vec<(&str, Engine)> = ENGINES
        .into_iter()
        .filter(|(program, it)| {
            matches!(it, Engine::Floor | Engine::Wharf) || found(program).is_some()
        })
        .collect();
    let mut seen: BTreeMap<Engine, Vec<Round>> = BTreeMap::new();
    for round in 0..rounds {
        for (_, engine) in in_turn(&mut engines, round) {
            seen.entry(*engine).or_default().push(one(place, *engine, size)?);
        }
    }
    let usual = |engine: Engine, part: fn(&Round) -> f64| {
        let rounds = seen.get(&engine).map_or(&[][..], Vec::as_slice);
        median(&rounds.iter().map(part).collect::<Vec<_>>())
    };
    let lxc = usual(Engine::Lxc, |it| it.start);
    let title = format!("{size}, one by one");
    head(&[
        &title,
        "start, s",
        "of LXC's",
        "stop -k, s",
        "CPU ms a start",
        "a supervisor's own",
        "CPU ms a stop",
        "PSS KiB",
        "private KiB",
    ]);
    for (label, it) in engines {
        let figures = [
            usual(it, |it| it.start) / 1e3,
            usual(it, |it| it.start) / lxc,
            usual(it, |it| it.stop) / 1e3,
            usual(it, |it| it.start_cpu),
            usual(it, |it| it.own_cpu),
            usual(it, |it| it.stop_cpu),
            usual(it, |it| it.pss),
            usual(it, |it| it.private),
        ];
        row(&[vec![label.to_owned()], figures.map(figure).to_vec()].concat());
    }
    Ok(())
}

fn one(place: &Place<'_>, engine: Engine, size: Size) -> Result<Round, Failure> {
    let yard = place.yard;
    let names: Vec<String> = (0..size.containers).map(|it| yard.name(it)).collect();
    for name in &names {
        yard.define(&yard.lxcpath(), name, size.processes)?;
    }
    let init = yard.idle(size.processes)?;
    let count = size.containers as f64;
    if engine == Engine::Floor {
        return alone(place, &names, &init, count);
    }
    let bundle = bundle(yard, "stays", &init)?;
    let mut seen = Round::default();
    let begun = Instant::now();
    for name in &names {
        seen.start_cpu += run(place, engine, name, Some(&bundle))?.cpu / count;
    }
    seen.start = ms(begun);
    if matches!(engine, Engine::Wharf | Engine::Lxc) {
        let supervisors: Vec<Supervisor> =
            children()?.iter().filter_map(|it| Supervisor::read(it)).collect();
        let each = |part: fn(&Supervisor) -> f64| {
            median(&supervisors.iter().map(part).collect::<Vec<_>>())
        };
        if supervisors.len() != names.len() {
            return Err(format!("{} supervisors of {}", supervisors.len(), names.len()).into());
        }
        seen.own_cpu = each(|it| it.cpu);
        seen.pss = each(|it| it.pss);
        seen.private = each(|it| it.private);
    } else {
        (seen.own_cpu, seen.pss, seen.private) = (f64::NAN, f64::NAN, f64::NAN);
    }
    let (before, begun) = (price::cpu(), Instant::now());
    for name in &names {
        run(place, engine, name, None)?;
    }
    seen.stop = ms(begun);
    // Until there is no child left; what supervisors have used before is not the stop's.
    while waitpid(None, None::<WaitPidFlag>).is_ok() {}
    let own = if seen.own_cpu.is_nan() { 0.0 } else { seen.own_cpu };
    seen.stop_cpu = (price::cpu() - before) / count - own;
    yard.down()?;
    Ok(seen)
}

/// Starts a container of the bundle, or of its configuration; stops it without one.
fn run(
    place: &Place<'_>,
    engine: Engine,
    name: &str,
    bundle: Option<&str>,
) -> Result<Price, Failure> {
    let (yard, lxcpath) = (place.yard, place.yard.lxcpath());
    let oci = |program| match bundle {
        Some(bundle) => oci(program, yard, &["run", "-d", "-b", bundle, name]),
        None => oci(program, yard, &["delete", "-f", name]),
    };
    match (engine, bundle) {
        (Engine::Floor, _) => Err("it has no command".into()),
        (Engine::Wharf, Some(_)) => pay(&mut yard.wharf(&["start", name])),
        (Engine::Wharf, None) => pay(&mut yard.wharf(&["stop", "-k", name])),
        (Engine::Lxc, Some(_)) => pay(lxc("lxc-start", &lxcpath, name).arg("-d")),
        (Engine::Lxc, None) => pay(lxc("lxc-stop", &lxcpath, name).arg("-k")),
        (Engine::Crun, _) => place.aside.pay(oci("crun")),
        (Engine::Runc, _) => pay(&mut oci("runc")),
    }
}

/// The same by the kernel alone.
fn alone(place: &Place<'_>, names: &[String], init: &str, count: f64) -> Result<Round, Failure> {
    let mut seen =
        Round { own_cpu: f64::NAN, pss: f64::NAN, private: f64::NAN, ..Round::default() };
    let mut running = Vec::new();
    let (before, begun) = (price::own_cpu(), Instant::now());
    for name in names {
        running.push(place.floor.start(name, init)?);
    }
    seen.start = ms(begun);
    seen.start_cpu = (price::own_cpu() - before) / count;
    let (before, begun) = (price::own_cpu(), Instant::now());
    running.into_iter().try_for_each(floor::Running::kill)?;
    seen.stop = ms(begun);
    seen.stop_cpu = (price::own_cpu() - before) / count;
    place.yard.down()?;
    Ok(seen)
}

/// What a supervisor has used, in ms and KiB.
#[derive(Clone, Copy, Debug)]
struct Supervisor {
    cpu: f64,
    pss: f64,
    private: f64,
}

impl Supervisor {
    fn read(process: &Path) -> Option<Self> {
        let memory = fs::read_to_string(process.join("smaps_rollup")).ok()?;
        let kib = |key: &str| {
            let line = memory.lines().find_map(|it| it.strip_prefix(key))?;
            line.trim().strip_suffix(" kB")?.parse::<f64>().ok()
        };
        let cpu = fs::read_to_string(process.join("schedstat")).ok()?;
        Some(Self {
            cpu: cpu.split(' ').next()?.parse::<f64>().ok()? / 1e6,
            pss: kib("Pss:")?,
            private: kib("Private_Clean:")? + kib("Private_Dirty:")?,
        })
    }
}

/// Returns the processes that this one has adopted.
fn children() -> Result<Vec<PathBuf>, Failure> {
    let parent = format!("PPid:\t{}", std::process::id());
    let is_child = |it: &PathBuf| {
        let status = fs::read_to_string(it.join("status")).unwrap_or_default();
        status.lines().any(|it| it == parent)
    };
    Ok(fs::read_dir("/proc")?.flatten().map(|it| it.path()).filter(is_child).collect())
}
