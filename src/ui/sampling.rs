//! The sampler's thread: samples at an interval, or when told to. Draws nothing.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::message::Message;
use crate::engine::Engine;
use crate::engine::sampler::{Interest, Sampler};

/// The minimum time between two samples, however often it is told to sample: rates need time.
const REST: Duration = Duration::from_millis(50);

/// The thread's commands.
#[derive(Debug)]
pub(super) enum SamplerCommand {
    Look(Interest),
    Now,
    Hold(bool),
}

/// The channel to the thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Sampling(Sender<SamplerCommand>);

impl Sampling {
    /// Starts the thread; its first sample comes at once.
    pub(super) fn spawn(
        engine: Engine,
        sender: Sender<Message>,
        interval: Duration,
    ) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let work = move || run(&engine, &sender, &inbox, interval);
        thread::Builder::new().name("sampler".to_owned()).spawn(work)?;
        Ok(Self(commands))
    }

    /// Sends the thread a command. It runs as long as the screen, so none can be lost.
    pub(super) fn send(&self, command: SamplerCommand) {
        _ = self.0.send(command);
    }
}

fn run(
    engine: &Engine,
    sender: &Sender<Message>,
    inbox: &Receiver<SamplerCommand>,
    interval: Duration,
) {
    let mut assignment = Assignment { interest: Interest::default(), held: false };
    let mut sampler = Sampler::new(engine);
    loop {
        let sampled = Instant::now();
        let sample = Arc::new(sampler.sample(&assignment.interest));
        let soonest = sampled + REST.max(sampled.elapsed());
        let events = sampler.foreign_events().into_iter().map(Message::Happened);
        let mut news = events.chain([Message::Sampled(sample)]);
        let sent = news.all(|it| sender.send(it).is_ok());
        if !sent || !assignment.wait(inbox, sampled + interval, soonest) {
            return;
        }
    }
}

/// The thread's latest settings.
struct Assignment {
    interest: Interest,
    held: bool,
}

impl Assignment {
    /// Waits until `due`, or until a command requests a sample as soon as possible; false at the
    /// end.
    fn wait(
        &mut self,
        inbox: &Receiver<SamplerCommand>,
        mut due: Instant,
        soonest: Instant,
    ) -> bool {
        loop {
            let command = if self.held {
                inbox.recv().map_err(RecvTimeoutError::from)
            } else {
                inbox.recv_timeout(due.saturating_duration_since(Instant::now()))
            };
            match command {
                Ok(command) => due = if self.takes(command) { due.min(soonest) } else { due },
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Processes a command; returns whether the next sample must not wait for the end of the
    /// interval.
    fn takes(&mut self, command: SamplerCommand) -> bool {
        match command {
            SamplerCommand::Now => true,
            SamplerCommand::Hold(held) => {
                self.held = held;
                true
            }
            SamplerCommand::Look(interest) => {
                let before = std::mem::replace(&mut self.interest, interest);
                let now = &self.interest;
                // A row that comes into sight has no figures yet.
                !now.visible.iter().all(|it| before.visible.contains(it))
                    || now.files != before.files
                    || now.networks != before.networks
                    || now.detail != before.detail
                    || now.order != before.order
            }
        }
    }
}
