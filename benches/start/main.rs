//! What a container costs: time from start to exit of a program that does nothing, compared with
//! the kernel's minimum for the same and, if it is installed, with `lxc-execute`; and the memory of
//! a supervisor.
//!
//! Runs are interleaved and medians are reported. Without root it reports that and does nothing.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

mod floor;
mod program;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use wharf::engine::{Engine, Name};

type Failure = Box<dyn std::error::Error>;

const ROUNDS: usize = 31;
/// How many supervisors are measured.
const SUPERVISORS: u64 = 10;
const WHARF: &str = env!("CARGO_BIN_EXE_wharf");
const LIMITS: &str = "\
lxc.cgroup.memory.limit_in_bytes = 268435456
lxc.cgroup.pids.max = 64
lxc.cgroup.cpu.shares = 512
lxc.cgroup2.memory.max = 268435456
lxc.cgroup2.pids.max = 64
lxc.cgroup2.cpu.weight = 50
";

fn main() -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() || !cfg!(target_arch = "x86_64") {
        println!("skipped: it needs root and an x86_64 machine");
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    let rootfs = home.path().join("rootfs");
    for dir in ["proc", "sys", "dev", "sbin"] {
        std::fs::create_dir_all(rootfs.join(dir))?;
    }
    program::write(&rootfs.join("exit"), &program::EXIT)?;
    program::write(&rootfs.join("pause"), &program::PAUSE)?;
    // LXC's own place for this does not exist if LXC was unpacked rather than installed.
    std::fs::create_dir(home.path().join("mount"))?;
    let lxcpath = home.path().join("lxc");
    let name: Name = format!("bench-{}", std::process::id()).parse()?;
    define(&lxcpath, &name, &rootfs)?;

    starts(&lxcpath, &name, &rootfs)?;
    weigh(&lxcpath, &name, &rootfs)
}

fn define(lxcpath: &Path, name: &Name, rootfs: &Path) -> Result<(), Failure> {
    let dir = lxcpath.join(name.as_str());
    std::fs::create_dir_all(&dir)?;
    let config = format!(
        "lxc.rootfs.path = dir:{}\nlxc.rootfs.mount = {}\nlxc.uts.name = bench\nlxc.net.0.type = empty\n\
         lxc.init.cmd = /pause\n{LIMITS}",
        rootfs.display(),
        rootfs.with_file_name("mount").display()
    );
    Ok(std::fs::write(dir.join("config"), config)?)
}

fn starts(lxcpath: &Path, name: &Name, rootfs: &Path) -> Result<(), Failure> {
    let floor = floor::Floor::new(name, &rootfs.join("exit"))?;
    let lxc = found("lxc-execute");
    let (mut floors, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        floor.run()?;
        floors.push(ms(begun));
        ours.push(execute(Path::new(WHARF), &["execute"], lxcpath, name)?);
        if let Some(lxc) = &lxc {
            theirs.push(execute(lxc, &[], lxcpath, name)?);
        }
    }
    let floor = median(floors);
    println!("start to exit in ms, medians of {ROUNDS}:");
    println!("  floor: clone, four cgroups with limits, exec {floor:8.2}");
    let ours = median(ours);
    println!("  wharf execute                                {ours:8.2}   {:.2} x", ours / floor);
    if lxc.is_some() {
        let theirs = median(theirs);
        println!(
            "  lxc-execute                                  {theirs:8.2}   {:.2} x",
            theirs / floor
        );
    } else {
        println!("  lxc-execute                                  not installed");
    }
    Ok(())
}

/// Runs the program that does nothing and returns how long it took.
fn execute(tool: &Path, verb: &[&str], lxcpath: &Path, name: &Name) -> Result<f64, Failure> {
    let begun = Instant::now();
    let status = Command::new(tool)
        .args(verb)
        .args(["-P".as_ref(), lxcpath.as_os_str()])
        .args(["-n", name.as_str(), "--", "/exit"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    let took = ms(begun);
    if status.success() {
        Ok(took)
    } else {
        Err(format!("{} failed: {status}", tool.display()).into())
    }
}

/// Starts containers in the background and reads how much memory a supervisor takes: among
/// several, since they share the program's text.
fn weigh(lxcpath: &Path, name: &Name, rootfs: &Path) -> Result<(), Failure> {
    let wharf = |verb: &[&str], name: &Name| {
        let mut command = Command::new(WHARF);
        command.args(verb).args(["-P".as_ref(), lxcpath.as_os_str()]).args(["-n", name.as_str()]);
        command.status()
    };
    let mut names = Vec::new();
    for number in 0..SUPERVISORS {
        let name: Name = format!("{name}-{number}").parse()?;
        define(lxcpath, &name, rootfs)?;
        if !wharf(&["start"], &name)?.success() {
            return Err("a container did not start".into());
        }
        names.push(name);
    }
    let engine = Engine::open(Some(lxcpath));
    let init = |it: &Name| engine.info(it).ok().and_then(|it| it.init_pid);
    let weights: Vec<(u64, u64)> = names.iter().filter_map(|it| supervisor(init(it)?)).collect();
    for name in &names {
        wharf(&["stop", "-k"], name)?;
    }
    if weights.len() < names.len() {
        return Err("a supervisor was not found".into());
    }
    let mean = |part: fn(&(u64, u64)) -> u64| weights.iter().map(part).sum::<u64>() / SUPERVISORS;
    println!(
        "a supervisor among {SUPERVISORS}, KiB: {} PSS, of which private {}",
        mean(|it| it.0),
        mean(|it| it.1)
    );
    Ok(())
}

/// Returns proportional and private memory of the parent of `init`.
fn supervisor(init: i32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{init}/status")).ok()?;
    let parent = status.lines().find_map(|it| it.strip_prefix("PPid:"))?.trim();
    let memory = std::fs::read_to_string(format!("/proc/{parent}/smaps_rollup")).ok()?;
    let kib = |key: &str| {
        let line = memory.lines().find_map(|it| it.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some((kib("Pss:")?, kib("Private_Clean:")? + kib("Private_Dirty:")?))
}

fn found(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|it| it.join(tool)).find(|it| it.is_file())
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
