//! What a refresh costs: CPU time of one sample of many containers, and of the scan of `/proc`
//! that other monitors do instead, side by side on the same machine.
//!
//! It creates real cgroups and idle processes under a prefix of its own and removes them again,
//! also on failure. Without root it reports that and does nothing.
//!
//! `cargo bench --bench sampler -- [CONTAINERS [PROCESSES]]`

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

mod stage;

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;
use wharf::engine::Engine;
use wharf::engine::sampler::{CounterSet, DetailInterest, Interest, Sampler};

const ROUNDS: usize = 20;
/// Time between samples. Shorter than on the screen, which changes nothing in what is read.
const BEAT: Duration = Duration::from_millis(100);
/// Rows of a tall terminal.
const VISIBLE: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).filter_map(|it| it.parse::<usize>().ok());
    let containers = numbers.next().unwrap_or(100);
    let processes = numbers.next().unwrap_or(10);
    let Some(stage) = stage::Stage::set(containers, processes)? else { return Ok(()) };

    let engine = Engine::open(Some(stage.lxcpath()));
    let mut sampler = Sampler::new(&engine);
    let names = stage.names();
    let interest = Interest {
        visible: names.iter().take(VISIBLE).cloned().collect(),
        detail: names.first().map(|it| DetailInterest {
            name: it.clone(),
            processes: true,
            files: false,
        }),
        ..Interest::default()
    };
    let table = Interest { detail: None, ..interest.clone() };
    let all = Interest { others: CounterSet::ROW, ..interest.clone() };

    let first = sampler.sample(&interest);
    let seen = first.containers.iter().filter(|it| it.counters.cpu_total.is_some()).count();
    let shown = first.containers.iter().find_map(|it| it.detail.as_ref());
    println!("{containers} containers x {processes} processes");
    println!(
        "seen with counters: {seen}, processes in the open forest: {}",
        shown.map_or(0, |it| it.processes.len())
    );

    let rows = refresh(&mut sampler, &table)?;
    let open = refresh(&mut sampler, &interest)?;
    let sorted = refresh(&mut sampler, &all)?;
    let closed = refresh(&mut sampler, &Interest::default())?;
    println!("medians of {ROUNDS}, CPU ms a refresh, and of a scan of /proc just after each:");
    for (what, (own, scan)) in [
        ("states and CPU of all, no rows", closed),
        ("table of 40 rows", rows),
        ("the same and one open forest", open),
        ("rows of all, one forest", sorted),
    ] {
        println!("  {what:32} {own:8.3}   {scan:8.3}   1/{:.0}", scan / own);
    }
    Ok(())
}

/// Measures refreshes with one interest, interleaved with scans of `/proc`, so that other load on
/// the machine affects both alike.
fn refresh(
    sampler: &mut Sampler,
    interest: &Interest,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    // The first one opens files that the others keep.
    drop(sampler.sample(interest));
    let (mut own, mut scan) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(cpu_ms(|| drop(sampler.sample(interest))));
        scan.push(cpu_ms(scan_proc));
        _ = nix::poll::poll(&mut [], nix::poll::PollTimeout::try_from(BEAT)?);
    }
    Ok((median(own), median(scan)))
}

/// Reads what a process list needs about every process on the machine.
fn scan_proc() {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_pid = |it: &PathBuf| {
        it.file_name().and_then(|it| it.to_str()).is_some_and(|it| it.parse::<i32>().is_ok())
    };
    for dir in entries.map(|it| it.path()).filter(is_pid) {
        for file in ["stat", "statm", "cmdline", "cgroup"] {
            std::hint::black_box(std::fs::read(dir.join(file)).ok());
        }
    }
}

/// Measures by the thread's own clock: getrusage(2) only counts whole ticks.
fn cpu_ms(act: impl FnOnce()) -> f64 {
    let used = || ClockId::CLOCK_THREAD_CPUTIME_ID.now().map_or(0, |it| it.num_nanoseconds());
    let before = used();
    act();
    (used() - before) as f64 / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
