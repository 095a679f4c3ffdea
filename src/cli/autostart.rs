//! Starts, restarts or stops containers batch by batch, for `wharf autostart` and `lxc-autostart`.
//! One that fails does not keep others from their turn, and none is waited for without end.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::autostart::{Autostart, StartOrder};
use crate::engine::start::Start;
use crate::engine::stop::Stop;
use crate::engine::{Engine, Error, ErrorKind, Name, State, Verb};

/// How many are worked on at the same time.
const AT_A_TIME: usize = 8;
/// How long killing may take, beyond the time in which a container may halt.
const KILLING: Duration = Duration::from_secs(30);
/// The pause between two tries of a command inside.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// The pause between two looks at whether a command has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is done to each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Start(Option<ReadySign>),
    Stop(Stop),
}

/// By what a container shows that the next ones can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReadySign {
    State(State),
    /// A command of a shell inside, which succeeds then.
    Command(String),
}

impl ReadySign {
    /// Reads a state's name in any case, or a command.
    pub(super) fn read(word: &str) -> Self {
        let state = word.parse::<State>();
        state.map_or_else(|_not_one| Self::Command(word.to_owned()), Self::State)
    }
}

impl Turn {
    const fn verb(&self) -> Verb {
        match self {
            Self::Start(_) => Verb::Start,
            Self::Stop(_) => Verb::Stop,
        }
    }

    pub(super) const fn direction(&self) -> StartOrder {
        match self {
            Self::Stop(Stop::Ask | Stop::Gently { .. } | Stop::Kill) => StartOrder::Down,
            Self::Start(_) | Self::Stop(Stop::AskToReboot | Stop::Reboot { .. }) => StartOrder::Up,
        }
    }

    /// Returns whether a container in `state` is concerned.
    pub(super) const fn concerns(&self, state: State) -> bool {
        match self {
            Self::Start(_) => !state.is_active(),
            Self::Stop(_) => state.is_active(),
        }
    }
}

/// How many had their turn, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) tried: usize,
    pub(super) failed: usize,
}

/// The longest turn, so that no clock overflows.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// Gives each its turn, at most `patience` long, and hands failures to `report`.
pub(super) fn run(
    engine: &Engine,
    batches: &[Vec<Autostart>],
    (turn, patience): (&Turn, Duration),
    report: &mut dyn FnMut(Error),
) -> Tally {
    let mut tally = Tally::default();
    for batch in batches {
        let batch: Vec<&Autostart> = batch.iter().filter(|it| turn.concerns(it.state)).collect();
        // Whoever has a delay is followed by it, so that nothing begins together with the next.
        let waits = |it: &&Autostart| turn.direction() == StartOrder::Up && !it.delay.is_zero();
        for part in batch.split_inclusive(waits).flat_map(|it| it.chunks(AT_A_TIME)) {
            let errors = together(engine, part, (turn, patience));
            tally.tried += part.len();
            tally.failed += errors.len();
            let last = part.last().filter(|it| waits(it));
            let failed =
                |it: &Autostart| errors.iter().any(|error| error.object == it.name.as_str());
            let delay = last.filter(|it| !failed(it)).map_or(Duration::ZERO, |it| it.delay);
            errors.into_iter().for_each(&mut *report);
            pause(delay);
        }
    }
    tally
}

/// Gives these their turn at the same time, and returns what failed.
fn together(
    engine: &Engine,
    part: &[&Autostart],
    (turn, patience): (&Turn, Duration),
) -> Vec<Error> {
    let begin = |it: &&Autostart| begin(engine, &it.name, turn, patience);
    let turns: Vec<_> = part.iter().map(begin).collect();
    let patience = patience.min(LONGEST);
    let limit = Instant::now() + patience + KILLING;
    let results = part.iter().zip(turns);
    results.filter_map(|(it, result)| ended(&result, limit, &it.name, turn).err()).collect()
}

/// Lets time pass.
fn pause(time: Duration) {
    let (_open, nothing) = channel::<()>();
    _ = nothing.recv_timeout(time);
}

fn begin(
    engine: &Engine,
    name: &Name,
    turn: &Turn,
    patience: Duration,
) -> Receiver<Result<(), Error>> {
    let (sender, receiver) = channel();
    let (engine, name, turn) = (engine.clone(), name.clone(), turn.clone());
    let unmade = (sender.clone(), turn.verb(), name.clone());
    // Nobody waits for a thread that is stuck; it ends with the program.
    let work = move || _ = sender.send(take(&engine, &name, &turn, patience));
    if let Err(source) = thread::Builder::new().spawn(work) {
        let (sender, verb, name) = unmade;
        let source = std::io::Error::new(source.kind(), format!("make a thread: {source}"));
        // The receiver is here.
        _ = sender.send(Err(Error::new(verb, name, ErrorKind::Failed, source)));
    }
    receiver
}

fn ended(
    result: &Receiver<Result<(), Error>>,
    limit: Instant,
    name: &Name,
    turn: &Turn,
) -> Result<(), Error> {
    let failed = |kind, why: &str| Err(Error::new(turn.verb(), name, kind, why.to_owned()));
    match result.recv_timeout(limit.saturating_duration_since(Instant::now())) {
        Ok(done) => done,
        Err(RecvTimeoutError::Timeout) => {
            failed(ErrorKind::TimedOut, "it has not ended in time; it is left to itself")
        }
        Err(RecvTimeoutError::Disconnected) => failed(ErrorKind::Failed, "it broke off"),
    }
}

fn take(engine: &Engine, name: &Name, turn: &Turn, patience: Duration) -> Result<(), Error> {
    let until = Instant::now().checked_add(patience);
    match turn {
        Turn::Start(sign) => match engine.start(name, &Start::default()) {
            // Somebody else was faster.
            Err(error) if error.kind == ErrorKind::Running => Ok(()),
            Err(error) => Err(engine.explain(error)),
            Ok(()) => sign.as_ref().map_or(Ok(()), |it| ready(engine, name, it, until)),
        },
        Turn::Stop(way) => match engine.stop(name, *way) {
            Err(error) if error.kind == ErrorKind::NotRunning => Ok(()),
            other => other.map_err(|error| engine.explain(error)),
        },
    }
}

/// Waits until a container shows that it is ready.
fn ready(
    engine: &Engine,
    name: &Name,
    sign: &ReadySign,
    until: Option<Instant>,
) -> Result<(), Error> {
    let left = || until.map(|it| it.saturating_duration_since(Instant::now()));
    let what = match sign {
        ReadySign::State(state) if engine.wait(name, &[*state], left())? => return Ok(()),
        ReadySign::State(state) => state.word().to_owned(),
        ReadySign::Command(command) => {
            loop {
                if succeeds(engine, name, command, until) {
                    return Ok(());
                }
                if left().is_some_and(|it| it.is_zero()) {
                    break;
                }
                pause(TRY_AGAIN);
            }
            format!("ready: `{command}` inside has not succeeded")
        }
    };
    let why = format!("it was started, and is not {what} in time");
    Err(Error::new(Verb::Wait, name, ErrorKind::TimedOut, why))
}

fn succeeds(engine: &Engine, name: &Name, command: &str, until: Option<Instant>) -> bool {
    // Attaching forks, which a program with threads does not.
    let mut attach = Command::new("/proc/self/exe");
    attach.arg("-P").arg(engine.lxcpath().dir()).args(["attach", name.as_str(), "--"]);
    attach.args(["/bin/sh", "-c", command]);
    attach.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    attach.spawn().is_ok_and(|mut it| has_succeeded(&mut it, until))
}

fn has_succeeded(child: &mut Child, until: Option<Instant>) -> bool {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if until.is_none_or(|it| Instant::now() < it) => pause(LOOK_AGAIN),
            Ok(None) | Err(_) => {
                // It may have ended just now.
                _ = child.kill();
                _ = child.wait();
                return false;
            }
        }
    }
}
