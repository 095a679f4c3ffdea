//! What the commands cost while many containers run, beside those of other engines that do the same,
//! interleaved; and how long it takes to freeze very many processes, beside the kernel alone.
//!
//! `cargo bench --bench commands -- [SIZE] [rounds=21] [frozen=1000]`, with a SIZE such as `100x10`:
//! that many containers of wharf, and as many of LXC.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

mod support;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use support::peers::{Aside, bundle, found, lxc, oci};
use support::price::{Price, ms, pay, usual};
use support::table::{figure, head, row};
use support::words::{Size, Words};
use support::yard::Yard;
use support::{Failure, leftovers};

fn main() -> ExitCode {
    support::run(bench)
}

/// What wharf is asked, by what is compared, and what LXC is asked for the same.
const ASKED: [(&str, &[&str], &[&str]); 13] = [
    ("version", &["version"], &[]),
    ("ls -1", &["ls", "-1"], &["lxc-ls"]),
    ("ls, 4 columns", &["ls", "-F", "name,state,ram,cpu"], &[]),
    ("ls, all columns", &["ls", "-F", ALL], &["lxc-ls", "-f"]),
    ("ps of one", &["ps", "NAME"], &[]),
    ("ps of all", &["ps", "--forest"], &[]),
    ("info -s", &["info", "-s", "NAME"], &["lxc-info", "-s", "-n", "NAME"]),
    ("info", &["info", "NAME"], &["lxc-info", "-n", "NAME"]),
    (
        "wait, is so already",
        &["wait", "NAME", "-s", "RUNNING"],
        &["lxc-wait", "-n", "NAME", "-s", "RUNNING"],
    ),
    ("a limit", &["cgroup", "NAME", "pids.max"], &["lxc-cgroup", "-n", "NAME", "pids.max"]),
    (
        "attach, true",
        &["attach", "NAME", "--", "/exit"],
        &["lxc-attach", "-n", "NAME", "--", "/exit"],
    ),
    ("freeze", &["freeze", "NAME"], &["lxc-freeze", "-n", "NAME"]),
    ("unfreeze", &["unfreeze", "NAME"], &["lxc-unfreeze", "-n", "NAME"]),
];

const ALL: &str =
    "name,state,since,pid,cpu,ram,max,pids,exit,rootfs,ipv4,ipv6,interface,origin,trouble";

fn bench(yard: &Yard, words: &Words) -> Result<(), Failure> {
    let rounds = words.number("rounds", 21)?;
    let peers = yard.home().join("peers");
    std::fs::create_dir(&peers)?;
    let has_lxc = found("lxc-start").is_some();
    if !has_lxc {
        println!("skipped: no lxc-start on this machine");
    }
    for size in words.sizes(&["100x10"])? {
        yard.up(size)?;
        if has_lxc {
            start_peers(yard, &peers, size)?;
        }
        ask(yard, has_lxc.then_some(&*peers), size, rounds)?;
        for number in (0..size.containers).filter(|_| has_lxc) {
            pay(lxc("lxc-stop", &peers, &peer_name(yard, number)).arg("-k"))?;
        }
        yard.down()?;
    }
    freeze(yard, has_lxc.then_some(&*peers), words.number("frozen", 1000)?, rounds)
}

fn peer_name(yard: &Yard, number: usize) -> String {
    yard.name(number).replacen('-', "-lxc", 1)
}

fn start_peers(yard: &Yard, lxcpath: &Path, size: Size) -> Result<(), Failure> {
    for number in 0..size.containers {
        let name = peer_name(yard, number);
        yard.define(lxcpath, &name, size.processes)?;
        pay(lxc("lxc-start", lxcpath, &name).arg("-d"))?;
    }
    Ok(())
}

/// Asks each in turn, wharf and LXC one after the other.
fn ask(yard: &Yard, peers: Option<&Path>, size: Size, rounds: usize) -> Result<(), Failure> {
    let number = size.containers / 2;
    let (name, peer) = (yard.name(number), peer_name(yard, number));
    let mut seen: Vec<(Vec<Price>, Vec<Price>)> = vec![Default::default(); ASKED.len()];
    // In the first round nothing is in the caches.
    for _ in 0..=rounds {
        for ((_, ours, theirs), (own, other)) in ASKED.iter().zip(&mut seen) {
            own.push(pay(yard.wharf(&[]).args(named(ours, &name)))?);
            if let (Some(lxcpath), [program, words @ ..]) = (peers, *theirs) {
                let mut command = Command::new(program);
                other.push(pay(command.arg("-P").arg(lxcpath).args(named(words, &peer)))?);
            }
        }
    }
    for (own, other) in &mut seen {
        own.drain(..1);
        other.drain(..1.min(other.len()));
    }
    let title = format!("with {size}");
    head(&[&title, "wharf ms", "CPU ms", "LXC ms", "CPU ms", "of LXC's ms", "of its CPU"]);
    for ((label, ..), (own, other)) in ASKED.iter().zip(&seen) {
        let (own, other) = (usual(own), usual(other));
        let figures =
            [own.wall, own.cpu, other.wall, other.cpu, own.wall / other.wall, own.cpu / other.cpu];
        row(&[vec![(*label).to_owned()], figures.map(figure).to_vec()].concat());
    }
    Ok(())
}

/// Writes the container's name where `NAME` is.
fn named<'a>(words: &[&'a str], name: &'a str) -> Vec<&'a str> {
    words.iter().map(|it| if *it == "NAME" { name } else { it }).collect()
}

/// Freezes and thaws a container of very many processes.
fn freeze(
    yard: &Yard,
    peers: Option<&Path>,
    processes: usize,
    rounds: usize,
) -> Result<(), Failure> {
    let aside = Aside::open()?;
    let crun = found("crun").map(|_| yard.name(2));
    yard.up(Size { containers: 1, processes })?;
    let name = yard.name(0);
    let peer = peer_name(yard, 1);
    if let Some(lxcpath) = peers {
        yard.define(lxcpath, &peer, processes)?;
        pay(lxc("lxc-start", lxcpath, &peer).arg("-d"))?;
    }
    if let Some(id) = &crun {
        let bundle = bundle(yard, "frozen", &yard.idle(processes)?)?;
        aside.pay(oci("crun", yard, &["run", "-d", "-b", &bundle, id]))?;
    }
    for name in [Some(&name), peers.map(|_| &peer), crun.as_ref()].into_iter().flatten() {
        settle(name, processes)?;
    }
    let file = Freezer::of(&name)?;
    let mut seen: Vec<(&str, Vec<Price>)> =
        ["the kernel alone", "wharf", "LXC", "crun"].map(|it| (it, Vec::new())).into();
    for _ in 0..rounds {
        let prices = [
            Some(file.freeze()?),
            Some(both(|words| pay(yard.wharf(&[words.0]).arg(&name)))?),
            peers.map(|it| both(|words| pay(&mut lxc(words.1, it, &peer)))).transpose()?,
            crun.as_ref()
                .map(|id| both(|words| aside.pay(oci("crun", yard, &[words.2, id]))))
                .transpose()?,
        ];
        for ((_, all), price) in seen.iter_mut().zip(prices) {
            all.extend(price);
        }
    }
    if let Some(id) = &crun {
        aside.pay(oci("crun", yard, &["delete", "-f", id]))?;
    }
    let title = format!("freeze of {processes} processes");
    head(&[&title, "ms", "CPU ms"]);
    for (label, prices) in &seen {
        let Price { wall, cpu } = usual(prices);
        row(&[(*label).to_owned(), figure(wall), figure(cpu)]);
    }
    Ok(())
}

/// Freezes and thaws, and returns the price of the first.
fn both(
    mut pay: impl FnMut((&str, &str, &str)) -> Result<Price, Failure>,
) -> Result<Price, Failure> {
    let price = pay(("freeze", "lxc-freeze", "pause"))?;
    pay(("unfreeze", "lxc-unfreeze", "resume"))?;
    Ok(price)
}

/// Waits until the processes are there.
fn settle(name: &str, processes: usize) -> Result<(), Failure> {
    let group = leftovers::cgroups(name)
        .into_iter()
        .find(|it| it.ends_with(format!("lxc.payload.{name}")) || it.ends_with(name));
    let file = group.ok_or_else(|| format!("{name} has no group"))?.join("cgroup.procs");
    let begun = Instant::now();
    while std::fs::read_to_string(&file)?.lines().count() < processes {
        if ms(begun) > 60_000.0 {
            return Err(format!("{name} has not {processes} processes").into());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// How the kernel freezes a group.
#[derive(Debug)]
struct Freezer {
    /// What is written, and what then says that it is done.
    write: PathBuf,
    read: PathBuf,
    words: [(&'static str, &'static str); 2],
}

impl Freezer {
    fn of(name: &str) -> Result<Self, Failure> {
        let groups = leftovers::cgroups(&format!("lxc.payload.{name}"));
        let has = |file: &str| groups.iter().map(|it| it.join(file)).find(|it| it.exists());
        if let Some(write) = has("freezer.state") {
            let words = [("FROZEN", "FROZEN"), ("THAWED", "THAWED")];
            return Ok(Self { read: write.clone(), write, words });
        }
        let write = has("cgroup.freeze").ok_or("the container has no freezer")?;
        let words = [("1", "frozen 1"), ("0", "frozen 0")];
        Ok(Self { read: write.with_file_name("cgroup.events"), write, words })
    }

    fn freeze(&self) -> Result<Price, Failure> {
        let begun = Instant::now();
        let [frozen, thawed] = self.words;
        self.change(frozen)?;
        let wall = ms(begun);
        self.change(thawed)?;
        Ok(Price { wall, cpu: f64::NAN })
    }

    /// v1 reports nothing: its file is read until it says so.
    fn change(&self, (word, done): (&str, &str)) -> Result<(), Failure> {
        std::fs::write(&self.write, word)?;
        let file = OpenOptions::new().read(true).open(&self.read)?;
        let mut buffer = [0; 256];
        loop {
            let count = file.read_at(&mut buffer, 0)?;
            let text = support::text(buffer.get(..count).unwrap_or_default());
            if text.contains(done) {
                return Ok(());
            }
        }
    }
}
