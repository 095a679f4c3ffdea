//! The threads beside the screen: input, signals, sampler, events, and one for each act in
//! progress. They report only by messages.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event};

use super::effect::{self, Act, Effect};
use super::message::{ActFailure, Done, Message};
use super::model::KEPT;
use super::pane::Pane;
use super::sampling::{SamplerCommand, Sampling};
use super::terminal::{Signal, SignalQueue};
use crate::engine::create::Create;
use crate::engine::progress::Progress;
use crate::engine::{Engine, Name};
use crate::widgets::grid::Size;

/// How many threads may read logs at a time, plus one for the workers: a file system may not
/// answer.
const MOST_READING: usize = 5;

/// The threads, and the program in the pane.
#[derive(Debug)]
pub(super) struct Workers {
    engine: Engine,
    sender: Sender<Message>,
    sampling: Sampling,
    /// With a token, so that late messages of a closed pane are ignored.
    pane: Option<(Pane, Arc<()>)>,
    /// Referenced by each thread that reads a log.
    reading: Arc<()>,
    /// The creations in progress, and maybe some that have ended.
    creations: Vec<CreationThread>,
}

/// A thread that creates a container.
#[derive(Debug)]
struct CreationThread {
    name: Name,
    progress: Progress,
    thread: JoinHandle<()>,
}

impl Drop for Workers {
    /// What is being created does not outlive the screen, and neither does any of its files.
    fn drop(&mut self) {
        self.creations.iter().for_each(|it| it.progress.cancel());
        for it in self.creations.drain(..) {
            // A panic has been reported.
            _ = it.thread.join();
        }
    }
}

impl Workers {
    /// Starts the threads that run as long as the screen.
    pub(super) fn spawn(
        engine: &Engine,
        sender: &Sender<Message>,
        interval: Duration,
    ) -> io::Result<Self> {
        let signals = SignalQueue::catch()?;
        forward_signals(signals, sender.clone())?;
        forward_input(sender.clone())?;
        follow_events(engine.clone(), sender.clone())?;
        let sampling = Sampling::spawn(engine.clone(), sender.clone(), interval)?;
        Ok(Self {
            engine: engine.clone(),
            sender: sender.clone(),
            sampling,
            pane: None,
            reading: Arc::default(),
            creations: Vec::new(),
        })
    }

    /// Returns the terminal of the program in the pane.
    pub(super) const fn pane(&self) -> Option<&Pane> {
        match &self.pane {
            Some((pane, _)) => Some(pane),
            None => None,
        }
    }

    /// Carries out an effect; those that require a terminal do nothing here.
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Act { name, act } => self.act(name, act),
            Effect::Cancel(name) => {
                let all = self.creations.iter().filter(|it| it.name == name);
                all.for_each(|it| it.progress.cancel());
            }
            Effect::ReadLog(name) => self.read_log(name),
            Effect::ReadTrash => {
                self.read("trash", |engine| Message::Trash(effect::read_trash(engine)));
            }
            Effect::ReadSnapshots(name) => self.read("snapshots", move |engine| {
                let snapshots = effect::read_snapshots(engine, &name);
                Message::Snapshots { name, snapshots }
            }),
            Effect::ReadLimits { file, names } => self.read_limits(file, names),
            Effect::ReadStart { name, create } => self.read_start(name, create),
            Effect::Look(look) => self.sampling.send(SamplerCommand::Look(look)),
            Effect::SampleNow => self.sampling.send(SamplerCommand::Now),
            Effect::Hold(held) => self.sampling.send(SamplerCommand::Hold(held)),
            Effect::OpenPane { number, args, rows, columns } => {
                self.open_pane(number, &args, Size { columns, rows });
            }
            Effect::TypeInPane(key) => _ = self.pane().map(|it| it.press(key)),
            Effect::PasteInPane(text) => _ = self.pane().map(|it| it.paste(&text)),
            Effect::MouseInPane(event) => _ = self.pane().map(|it| it.mouse(event)),
            Effect::ResizePane { rows, columns } => {
                _ = self.pane().map(|it| it.resize(rows, columns));
            }
            Effect::ClosePane => self.pane = None,
            Effect::Copy(_)
            | Effect::CaptureMouse(_)
            | Effect::Redraw
            | Effect::Suspend
            | Effect::Quit => (),
        }
    }

    /// Returns how far each creation is.
    pub(super) fn reached(&mut self) -> Vec<Message> {
        self.creations.retain(|it| !it.thread.is_finished());
        let all = self.creations.iter();
        all.map(|it| Message::Reached { name: it.name.clone(), reached: it.progress.reached() })
            .collect()
    }

    fn act(&mut self, name: Name, act: Act) {
        let engine = self.engine.clone();
        let sender = self.sender.clone();
        let begun = Instant::now();
        let copies = (name.clone(), act.clone());
        let progress = Progress::default();
        let watched = progress.clone();
        let work = move || {
            let mut notes = Vec::new();
            let outcome = effect::run(&engine, &name, &act, &watched, &mut notes);
            let outcome = outcome.map_err(|it| {
                let it = engine.explain(it);
                ActFailure { verb: it.verb, whole: format!("{it:#}"), reason: it.reason() }
            });
            // The screen may be gone before its last act ends.
            let took = begun.elapsed();
            _ = sender.send(Message::Done(Done { name, act, notes, outcome, took }));
        };
        let (name, act) = copies;
        match thread::Builder::new().name("act".to_owned()).spawn(work) {
            Ok(thread) if act.copies() => {
                self.creations.push(CreationThread { name, progress, thread });
            }
            Ok(_) => (),
            Err(error) => {
                let reason = format!("cannot create a thread: {error}");
                let whole = format!("{name}: cannot {}: {reason}", act.word());
                let outcome = Err(ActFailure { verb: act.verb(), whole, reason });
                let (notes, took) = (Vec::new(), begun.elapsed());
                _ = self.sender.send(Message::Done(Done { name, act, notes, outcome, took }));
            }
        }
    }

    fn read_log(&self, name: Name) {
        let reading = Arc::clone(&self.reading);
        if Arc::strong_count(&reading) > MOST_READING {
            return;
        }
        let engine = self.engine.clone();
        let sender = self.sender.clone();
        let work = move || {
            let text = effect::read_log(&engine, &name);
            _ = sender.send(Message::Log { name, text });
            drop(reading);
        };
        // Without a thread the log is read with the next sample.
        _ = thread::Builder::new().name("log".to_owned()).spawn(work);
    }

    fn read(&self, what: &str, read: impl FnOnce(&Engine) -> Message + Send + 'static) {
        let engine = self.engine.clone();
        let sender = self.sender.clone();
        let work = move || _ = sender.send(read(&engine));
        // Without a thread the layer stays empty, and is opened again.
        _ = thread::Builder::new().name(what.to_owned()).spawn(work);
    }

    fn read_limits(&self, file: String, names: Vec<Name>) {
        let engine = self.engine.clone();
        let sender = self.sender.clone();
        let work = move || {
            let read = |name: Name| {
                let value = effect::read_limit(&engine, &name, &file);
                (name, value)
            };
            let values = names.into_iter().map(read).collect();
            _ = sender.send(Message::Limits { file, values });
        };
        // Without a thread the values stay unknown, which the question then shows.
        _ = thread::Builder::new().name("limits".to_owned()).spawn(work);
    }

    fn read_start(&self, name: Name, create: Create) {
        let engine = self.engine.clone();
        let sender = self.sender.clone();
        let work = move || {
            let start = effect::read_start(&engine, &name, &create);
            _ = sender.send(Message::Start { create, start });
        };
        // Without a thread the form does not say it.
        _ = thread::Builder::new().name("start".to_owned()).spawn(work);
    }

    fn open_pane(&mut self, number: u64, args: &[String], size: Size) {
        let sender = self.sender.clone();
        let lxcpath = self.engine.lxcpath();
        let token = Arc::new(());
        let open = Arc::downgrade(&token);
        let send = move |message| open.strong_count() > 0 && sender.send(message).is_ok();
        match Pane::open(lxcpath, args, size, number, send) {
            Ok(pane) => self.pane = Some((pane, token)),
            Err(error) => {
                let how = format!("cannot open it: {error}");
                _ = self.sender.send(Message::PaneEnded { number, how });
            }
        }
    }
}

fn forward_signals(signals: SignalQueue, sender: Sender<Message>) -> io::Result<()> {
    let send = move |signal| match signal {
        Signal::Quit => sender.send(Message::Quit).is_ok(),
        Signal::Suspend => sender.send(Message::Suspend).is_ok(),
        Signal::Continue => sender.send(Message::Continued).is_ok(),
        // The terminal's input reports it too.
        Signal::Resize => true,
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || signals.forward(send))?;
    Ok(())
}

fn forward_input(sender: Sender<Message>) -> io::Result<()> {
    let work = move || {
        while let Ok(event) = event::read() {
            let message = match event {
                Event::Key(key) => Message::Key(key),
                Event::Paste(text) => Message::Paste(text),
                Event::Resize(width, height) => Message::Resized(width, height),
                Event::Mouse(mouse) => Message::Mouse(mouse),
                Event::FocusGained | Event::FocusLost => continue,
            };
            if sender.send(message).is_err() {
                return;
            }
        }
        // The terminal is gone, so nothing can be shown.
        _ = sender.send(Message::Quit);
    };
    thread::Builder::new().name("input".to_owned()).spawn(work)?;
    Ok(())
}

fn follow_events(engine: Engine, sender: Sender<Message>) -> io::Result<()> {
    let work = move || {
        let mut each = |event: &crate::engine::event::Event| {
            sender.send(Message::Happened(event.clone())).is_ok()
        };
        // Without events the screen still samples; the operator cannot do anything about it.
        _ = engine.follow_journal(KEPT, &mut each);
    };
    thread::Builder::new().name("events".to_owned()).spawn(work)?;
    Ok(())
}
