//! Reads that may never return, on threads of their own: a container can block the reader of its
//! command line for ever, and so can a file system that has lost its server. The sampler waits only
//! briefly, and only once.

use std::fmt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread;
use std::time::Duration;

/// How long to wait for an answer, which usually takes microseconds.
const PATIENCE: Duration = Duration::from_millis(200);
/// How many threads may be waiting; beyond that nothing is read until one of them is done.
const MOST: usize = 8;

type Work<T> = Box<dyn FnOnce() -> T + Send>;

/// Answers `T` to questions about `K`.
pub(super) struct Aside<K, T> {
    idle: Option<ReaderThread<T>>,
    late: Vec<(K, ReaderThread<T>)>,
}

impl<K: PartialEq, T: Send + 'static> Aside<K, T> {
    pub(super) const fn new() -> Self {
        Self { idle: None, late: Vec::new() }
    }

    /// Does `work`, whose result is about `about`. None: it is not done yet. A later call returns
    /// the result of the delayed work, once that is done.
    pub(super) fn ask(&mut self, about: K, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let mut known = None;
        let mut asked = false;
        for (of, reader) in std::mem::take(&mut self.late) {
            let is_this = of == about;
            match reader.answers.try_recv() {
                Ok(answer) => {
                    known = Some(answer).filter(|_| is_this).or(known);
                    self.idle = Some(reader);
                }
                Err(TryRecvError::Empty) => {
                    asked |= is_this;
                    self.late.push((of, reader));
                }
                // It cannot continue.
                Err(TryRecvError::Disconnected) => (),
            }
        }
        if known.is_some() || asked || self.late.len() >= MOST {
            return known;
        }
        let reader = self.idle.take().or_else(ReaderThread::spawn)?;
        reader.work.send(Box::new(work)).ok()?;
        match reader.answers.recv_timeout(PATIENCE) {
            Ok(answer) => {
                self.idle = Some(reader);
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.late.push((about, reader));
                None
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}

impl<K, T> fmt::Debug for Aside<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").field("late", &self.late.len()).finish_non_exhaustive()
    }
}

/// A thread that ends when this is dropped and its work is done.
struct ReaderThread<T> {
    work: Sender<Work<T>>,
    answers: Receiver<T>,
}

impl<T: Send + 'static> ReaderThread<T> {
    fn spawn() -> Option<Self> {
        let (work, orders) = mpsc::channel::<Work<T>>();
        let (sender, answers) = mpsc::channel();
        let run = move || while orders.recv().is_ok_and(|it| sender.send(it()).is_ok()) {};
        thread::Builder::new().name("reader".to_owned()).spawn(run).ok()?;
        Some(Self { work, answers })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_blocked_read_delays_nothing_else_and_is_waited_for_once() {
        let mut aside = Aside::new();
        assert_eq!(aside.ask("a", || 1), Some(1));
        let (end, wait) = mpsc::channel();
        assert_eq!(aside.ask("b", move || wait.recv().unwrap()), None);
        let begun = Instant::now();
        for _ in 0..9 {
            assert_eq!(aside.ask("b", || 0), None);
        }
        assert!(begun.elapsed() < PATIENCE, "it was waited for again");
        assert_eq!(aside.ask("a", || 2), Some(2));
        end.send(3).unwrap();
        let late = std::iter::repeat_with(|| aside.ask("b", || 0)).flatten().next();
        assert_eq!(late, Some(3));
        assert_eq!(aside.ask("b", || 4), Some(4));
    }

    #[test]
    fn only_so_many_are_waited_for() {
        let mut aside = Aside::new();
        let (_end, wait) = mpsc::channel::<()>();
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        for it in 0..MOST {
            let wait = std::sync::Arc::clone(&wait);
            assert_eq!(aside.ask(it, move || wait.lock().unwrap().recv().is_ok()), None);
        }
        assert_eq!(aside.ask(MOST, || true), None);
    }
}
