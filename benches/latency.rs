//! How long the screen takes to show something: its first rows, what a key changes, and what happens
//! to a container by a command or without one.
//!
//! `cargo bench --bench latency -- [SIZE...] [rounds=20] [keys=200] [paints=10]`, with a SIZE such as
//! `500x1`: that many containers.

mod support;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::screen::Screen;
use support::table::{figure, head, row, share};
use support::words::{Size, Words};
use support::yard::Yard;
use support::{Failure, leftovers};

/// Until the screen has drawn what the start has brought.
const CALM: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    support::run(bench)
}

fn bench(yard: &Yard, words: &Words) -> Result<(), Failure> {
    head(&[
        "containers",
        "from, until it is on the screen",
        "n",
        "p50 ms",
        "p99 ms",
        "CPU ms each",
    ]);
    let mut up = 0;
    for size in words.sizes(&["100x1"])? {
        if up > size.containers {
            yard.down()?;
            up = 0;
        }
        yard.up(Size { containers: size.containers - up, ..size })?;
        up = size.containers;
        let scene = Scene { yard, size };
        scene.paints(words.number("paints", 10)?)?;
        if size.containers > 1 {
            scene.keys(words.number("keys", 200)?)?;
        }
        scene.events(words.number("rounds", 20)?)?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
struct Scene<'a> {
    yard: &'a Yard,
    size: Size,
}

impl Scene<'_> {
    fn told(&self, what: &str, taken: &[f64], cpu: f64) {
        row(&[
            self.size.containers.to_string(),
            what.to_owned(),
            taken.len().to_string(),
            figure(share(taken, 0.5)),
            figure(share(taken, 0.99)),
            figure(cpu),
        ]);
    }

    /// From the start of the program.
    fn paints(&self, rounds: usize) -> Result<(), Failure> {
        let first = self.yard.name(0);
        let (mut frames, mut rows, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let begun = Instant::now();
            let mut screen = Screen::open(self.yard.wharf(&[]))?;
            let frame =
                screen.until("a frame", |it| it.iter().any(|it| it.contains("Containers")))?;
            let row = screen.until("a row", |it| it.iter().any(|it| it.contains(&first)))?;
            cpu.push(screen.cpu_ms()?);
            frames.push(between(begun, frame));
            rows.push(between(begun, row));
        }
        self.told("its start to the first frame", &frames, f64::NAN);
        self.told("its start to the first rows", &rows, share(&cpu, 0.5));
        Ok(())
    }

    /// From a key to the moved cursor, down and up.
    fn keys(&self, rounds: usize) -> Result<(), Failure> {
        let mut screen = Screen::open(self.yard.wharf(&[]))?;
        screen.until("a cursor", |it| cursor(it).is_some())?;
        screen.watch(CALM)?;
        let before = screen.used()?;
        screen.watch(CALM)?;
        let idle = screen.used()?.since(&before).cpu_ms / 1e3;
        // As far down as there are containers and rows, and up again.
        let turn = self.size.containers.saturating_sub(1).clamp(1, 30);
        let mut taken = Vec::new();
        let (begun, spent) = (Instant::now(), screen.cpu_ms()?);
        for round in 0..rounds {
            screen.watch(pause(round, Duration::from_millis(100)))?;
            let row = cursor(&screen.rows());
            let pressed = Instant::now();
            screen.keys(if (round / turn).is_multiple_of(2) { "j" } else { "k" })?;
            taken.push(between(pressed, screen.until("a moved cursor", |it| cursor(it) != row)?));
        }
        let cpu = screen.cpu_ms()? - spent - idle * between(begun, Instant::now());
        self.told("a key to the moved cursor", &taken, cpu / rounds as f64);
        Ok(())
    }

    /// From the end of what has changed a container's state.
    fn events(&self, rounds: usize) -> Result<(), Failure> {
        let name = self.yard.name(0);
        let file = freezer(&name)?;
        let mut screen = Screen::open(self.yard.wharf(&[]))?;
        screen.until("a row", |it| state(it, &name, "RUNNING"))?;
        screen.watch(CALM)?;
        let mut all: Vec<(&str, Vec<f64>)> = Vec::new();
        let mut seen = |round: usize, screen: &mut Screen, event: &Event<'_>| {
            screen.watch(pause(round, Duration::from_secs(1)))?;
            let happened = event.happen(self.yard)?;
            let came = screen.until(event.label, |it| state(it, &name, event.shows))?;
            let taken = signed(happened, came);
            match all.iter_mut().find(|it| it.0 == event.label) {
                Some((_, all)) => all.push(taken),
                None => all.push((event.label, vec![taken])),
            }
            Ok::<_, Failure>(())
        };
        let (freeze, thaw) = file.words();
        let events = [
            Event::command("wharf freeze", "FROZEN", &["freeze", &name]),
            Event::command("wharf unfreeze", "RUNNING", &["unfreeze", &name]),
            Event::write("the freezer written by another", "FROZEN", &file.path, freeze),
            Event::write("the freezer written back", "RUNNING", &file.path, thaw),
            Event { label: "a kill of init", shows: "STOPPED", act: Act::Kill(&name) },
            Event::command("wharf start", "RUNNING", &["start", &name]),
        ];
        for round in 0..rounds {
            for (number, event) in events.iter().enumerate() {
                seen(round * events.len() + number, &mut screen, event)?;
            }
        }
        for (label, taken) in &all {
            self.told(label, taken, f64::NAN);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Event<'a> {
    label: &'static str,
    shows: &'static str,
    act: Act<'a>,
}

#[derive(Debug)]
enum Act<'a> {
    Command(Vec<&'a str>),
    Write(&'a PathBuf, &'static str),
    Kill(&'a str),
}

impl<'a> Event<'a> {
    fn command(label: &'static str, shows: &'static str, words: &[&'a str]) -> Self {
        Self { label, shows, act: Act::Command(words.to_vec()) }
    }

    const fn write(
        label: &'static str,
        shows: &'static str,
        path: &'a PathBuf,
        word: &'static str,
    ) -> Self {
        Self { label, shows, act: Act::Write(path, word) }
    }

    /// Returns when it was over.
    fn happen(&self, yard: &Yard) -> Result<Instant, Failure> {
        match &self.act {
            Act::Command(words) => {
                let status = yard.wharf(words).stdout(Stdio::null()).status()?;
                if !status.success() {
                    return Err(format!("wharf {words:?}: {status}").into());
                }
            }
            Act::Write(path, word) => std::fs::write(path, word)?,
            Act::Kill(name) => {
                let told = yard.wharf(&["info", "-p", "-H", name]);
                let init = output(told)?.trim().parse()?;
                kill(Pid::from_raw(init), Signal::SIGKILL)?;
            }
        }
        Ok(Instant::now())
    }
}

fn output(mut command: Command) -> Result<String, Failure> {
    Ok(support::text(&command.output()?.stdout))
}

/// The file that freezes a container.
#[derive(Debug)]
struct Freezer {
    path: PathBuf,
}

impl Freezer {
    fn words(&self) -> (&'static str, &'static str) {
        if self.path.ends_with("cgroup.freeze") { ("1", "0") } else { ("FROZEN", "THAWED") }
    }
}

fn freezer(name: &str) -> Result<Freezer, Failure> {
    let groups = leftovers::cgroups(&format!("lxc.payload.{name}"));
    let files = |file: &'static str| groups.iter().map(move |it| it.join(file));
    let path = files("freezer.state").chain(files("cgroup.freeze")).find(|it| it.exists());
    Ok(Freezer { path: path.ok_or("the container has no freezer")? })
}

/// Returns which row the cursor is on. The path in the header has the same mark.
fn cursor(rows: &[String]) -> Option<usize> {
    rows.iter().skip(1).position(|it| it.contains('▸'))
}

/// Returns whether the row of `name` shows `state`.
fn state(rows: &[String], name: &str, state: &str) -> bool {
    let shows = |row: &String| {
        let mut words = row.split_whitespace().skip_while(|it| *it != name);
        words.next().is_some() && words.next() == Some(state)
    };
    rows.iter().any(shows)
}

/// Returns pauses that are spread evenly over `time`, so that nothing keeps step with the screen's
/// own beat.
fn pause(round: usize, time: Duration) -> Duration {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    time.mul_f64((round as f64 * GOLDEN).fract()) + Duration::from_millis(50)
}

fn between(from: Instant, to: Instant) -> f64 {
    to.duration_since(from).as_secs_f64() * 1e3
}

/// The screen may be ahead of the end of a command.
fn signed(from: Instant, to: Instant) -> f64 {
    if to < from { -between(to, from) } else { between(from, to) }
}
