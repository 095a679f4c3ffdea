//! The sampler's thread: samples at an interval, or when told to. Draws nothing.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::message::Message;
use crate::engine::Engine;
use crate::engine::sample::Sample;
use crate::engine::sampler::{Interest, Sampler};

/// The least time between two samples, however often it is told to sample.
const REST: Duration = Duration::from_millis(10);
/// Sampling may take one part in so many of the time, the samples at the interval not counted.
const SHARE: u32 = 5;

/// The thread's commands.
#[derive(Debug)]
pub(super) enum SamplerCommand {
    Look(Interest),
    Now,
    Hold(bool),
    End,
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
        let own = commands.clone();
        let work = move || run(&engine, &sender, &own, &inbox, interval);
        thread::Builder::new().name("sampler".to_owned()).spawn(work)?;
        Ok(Self(commands))
    }

    /// Sends the thread a command. It runs as long as the screen, so none can be lost.
    pub(super) fn send(&self, command: SamplerCommand) {
        _ = self.0.send(command);
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        self.send(SamplerCommand::End);
    }
}

fn run(
    engine: &Engine,
    sender: &Sender<Message>,
    commands: &Sender<SamplerCommand>,
    inbox: &Receiver<SamplerCommand>,
    interval: Duration,
) {
    let mut assignment = Assignment { interest: Interest::default(), held: false };
    let mut sampler = Sampler::new(engine);
    if let Some(changes) = sampler.freezer_changes() {
        // Without it a freeze by another program is shown with the next sample.
        _ = follow_freezers(changes, commands.clone());
    }
    let mut last: Option<Arc<Sample>> = None;
    let mut next = NextSample::Whole;
    let mut due = Instant::now();
    loop {
        let begun = Instant::now();
        let sample = match (&next, &last) {
            (NextSample::News(before), Some(last)) => {
                sampler.sample_news(last, before, &assignment.interest)
            }
            (NextSample::News(_), None) | (NextSample::Whole, _) => {
                due = begun + interval;
                sampler.sample(&assignment.interest)
            }
        };
        let sample = Arc::new(sample);
        last = Some(Arc::clone(&sample));
        let soonest = Instant::now() + REST.max(begun.elapsed() * (SHARE - 1));
        let events = sampler.foreign_events().into_iter().map(Message::Happened);
        let mut messages = events.chain([Message::Sampled(sample)]);
        let sent = messages.all(|it| sender.send(it).is_ok());
        match assignment.wait(inbox, due, soonest) {
            Some(it) if sent => next = it,
            _ => return,
        }
    }
}

/// Has the sampler take a sample when the kernel reports that somebody froze or thawed a container.
fn follow_freezers(changes: OwnedFd, commands: Sender<SamplerCommand>) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    // Once for each change: the sampler reads them in its own time.
    epoll.add(&changes, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0))?;
    let work = move || {
        let _open = changes;
        loop {
            match epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE) {
                Ok(_) if commands.send(SamplerCommand::Now).is_ok() => (),
                Err(Errno::EINTR) => (),
                Ok(_) | Err(_) => return,
            }
        }
    };
    thread::Builder::new().name("freezers".to_owned()).spawn(work)?;
    Ok(())
}

/// What is sampled next.
#[derive(Debug)]
enum NextSample {
    Whole,
    /// What was not of interest before.
    News(Interest),
}

/// The thread's latest settings.
struct Assignment {
    interest: Interest,
    held: bool,
}

impl Assignment {
    /// Waits until `due`, or until a command requests a sample as soon as possible; none at the end.
    fn wait(
        &mut self,
        inbox: &Receiver<SamplerCommand>,
        due: Instant,
        soonest: Instant,
    ) -> Option<NextSample> {
        let mut next: Option<NextSample> = None;
        loop {
            let at = next.as_ref().map_or(due, |_| due.min(soonest));
            let command = if self.held {
                inbox.recv().map_err(RecvTimeoutError::from)
            } else {
                inbox.recv_timeout(at.saturating_duration_since(Instant::now()))
            };
            match command {
                Ok(SamplerCommand::End) | Err(RecvTimeoutError::Disconnected) => return None,
                Ok(command) => next = self.takes(command, next),
                Err(RecvTimeoutError::Timeout) if due <= soonest => return Some(NextSample::Whole),
                Err(RecvTimeoutError::Timeout) => return next.or(Some(NextSample::Whole)),
            }
        }
    }

    /// Processes a command; returns what must be sampled without waiting for the end of the interval,
    /// if `next` had to be before.
    fn takes(&mut self, command: SamplerCommand, next: Option<NextSample>) -> Option<NextSample> {
        match command {
            SamplerCommand::Now | SamplerCommand::End => Some(NextSample::Whole),
            SamplerCommand::Hold(held) => {
                self.held = held;
                Some(NextSample::Whole)
            }
            SamplerCommand::Look(interest) => {
                let before = std::mem::replace(&mut self.interest, interest);
                let now = &self.interest;
                // A row that comes into sight has no figures yet.
                let news = !now.visible.iter().all(|it| before.visible.contains(it))
                    || now.networks != before.networks
                    || now.detail != before.detail
                    || now.order != before.order;
                match next {
                    None if news => Some(NextSample::News(before)),
                    earlier => earlier,
                }
            }
        }
    }
}
