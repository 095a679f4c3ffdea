//! Asks many supervisors at once, with one deadline: those that do not answer cost the time of one,
//! however many they are.

use std::collections::VecDeque;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::UnixCredentials;

use super::address::{Address, dial};
use super::error::SocketError;
use super::exchange::{refuse, send, speak};
use super::holder;
use super::trust::{Judge, Speaker};
use super::wire::{self, Response, SocketCommand};
use crate::engine::sys;

/// How many connections are open at a time; a process may have 1024 descriptors.
const MOST: usize = 256;

/// What to ask.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Question {
    pub(in crate::engine) what: &'static str,
    pub(in crate::engine) command: SocketCommand,
    pub(in crate::engine) payload: Vec<u8>,
}

/// Whom to ask what.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) address: Address,
    pub(super) judge: Judge,
    pub(super) questions: Vec<Question>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Heard {
    /// Who answered, and the number of the state in the answer; or why nobody did.
    pub(super) speaker: Result<(Speaker, u64), SocketError>,
    /// One for each question; none for those that could not be asked any more.
    pub(super) answers: Vec<Option<AnswerResult>>,
}

/// An answer: its head and what followed.
pub(super) type AnswerResult = Result<(Response, Vec<u8>), SocketError>;

/// Asks all of `subjects` and returns their answers up to the `deadline`.
pub(super) fn ask_all(subjects: &[Subject], deadline: Instant) -> Vec<Heard> {
    let heard = subjects.iter().map(|it| Heard {
        speaker: Err(SocketError::Silent),
        answers: it.questions.iter().map(|_| None).collect(),
    });
    let mut chorus = Chorus {
        subjects,
        heard: heard.collect(),
        pending: (0..subjects.len()).map(|subject| (subject, Topic::Introduction)).collect(),
        exchanges: Vec::new(),
    };
    chorus.sing(deadline);
    let mut heard = chorus.heard;
    name_strangers(subjects, &mut heard);
    heard
}

/// Finds the strangers among those that did not answer.
fn name_strangers(subjects: &[Subject], heard: &mut [Heard]) {
    let silent = |it: &Heard| matches!(it.speaker, Err(SocketError::Silent));
    let asked: Vec<_> = subjects.iter().zip(&*heard).filter(|it| silent(it.1)).collect();
    let asked: Vec<_> = asked.into_iter().map(|(it, _)| (&it.address, &it.judge)).collect();
    // If that cannot be found out, they only count as silent.
    let found = holder::strangers(&asked).unwrap_or_default();
    for (heard, found) in heard.iter_mut().filter(|it| silent(it)).zip(found) {
        if let Some(stranger) = found {
            heard.speaker = Err(stranger.into());
        }
    }
}

/// What is being asked on one connection.
#[derive(Clone, Copy, Debug)]
enum Topic {
    /// The state, whose answer identifies the sender.
    Introduction,
    Question(usize),
}

/// One connection.
#[derive(Debug)]
struct Exchange {
    subject: usize,
    topic: Topic,
    stream: UnixStream,
    head: Option<(Response, Option<UnixCredentials>)>,
    payload: Vec<u8>,
}

struct Chorus<'a> {
    subjects: &'a [Subject],
    heard: Vec<Heard>,
    pending: VecDeque<(usize, Topic)>,
    exchanges: Vec<Exchange>,
}

impl Chorus<'_> {
    fn sing(&mut self, deadline: Instant) {
        loop {
            while self.exchanges.len() < MOST
                && let Some((subject, topic)) = self.pending.pop_front()
            {
                self.open(subject, topic);
            }
            if self.exchanges.is_empty() || !self.listen(deadline) {
                return;
            }
        }
    }

    /// Connects and sends one request.
    fn open(&mut self, subject: usize, topic: Topic) {
        let Some(asked) = self.subjects.get(subject) else { return };
        let (command, payload) = match topic {
            Topic::Introduction => (SocketCommand::GetState, &[][..]),
            Topic::Question(index) => match asked.questions.get(index) {
                Some(question) => (question.command, question.payload.as_slice()),
                None => return,
            },
        };
        let opened = dial(&asked.address, Duration::ZERO).and_then(|stream| {
            let stream = stream.ok_or(SocketError::Closed)?;
            asked.judge.admit(&stream)?;
            match send(&stream, command, 0, payload) {
                // A refusal may have been sent before the question, and can still be read.
                Ok(_) | Err(SocketError::Closed) => Ok(stream),
                Err(error) => Err(error),
            }
        });
        match opened {
            Ok(stream) => {
                self.exchanges.push(Exchange {
                    subject,
                    topic,
                    stream,
                    head: None,
                    payload: Vec::new(),
                });
            }
            Err(error) => self.end(subject, topic, Err(error)),
        }
    }

    /// Waits for answers and takes the available ones; false at the deadline.
    fn listen(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let left = PollTimeout::try_from(left + Duration::from_millis(1));
        let fds = self.exchanges.iter().map(|it| PollFd::new(it.stream.as_fd(), PollFlags::POLLIN));
        let mut fds: Vec<PollFd<'_>> = fds.collect();
        if poll(&mut fds, left.unwrap_or(PollTimeout::MAX)).is_err_and(|it| it != Errno::EINTR) {
            return false;
        }
        let ready: Vec<bool> =
            fds.iter().map(|it| it.revents().is_some_and(|it| !it.is_empty())).collect();
        let (mut waiting, mut done) = (Vec::new(), Vec::new());
        for (mut exchange, ready) in self.exchanges.drain(..).zip(ready) {
            match if ready { exchange.take() } else { None } {
                Some(answer) => done.push((exchange.subject, exchange.topic, answer)),
                None => waiting.push(exchange),
            }
        }
        self.exchanges = waiting;
        for (subject, topic, answer) in done {
            self.end(subject, topic, answer);
        }
        true
    }

    /// Records the result of one request, and sends the next.
    fn end(&mut self, subject: usize, topic: Topic, answer: Result<SignedAnswer, SocketError>) {
        let (Some(asked), Some(heard)) = (self.subjects.get(subject), self.heard.get_mut(subject))
        else {
            return;
        };
        match topic {
            Topic::Introduction => {
                heard.speaker = answer.and_then(|it| {
                    let speaker = asked.judge.identify(it.sender)?;
                    Ok((speaker, refuse("the state", it.head)?.data))
                });
                if heard.speaker.is_ok() {
                    let questions = 0..asked.questions.len();
                    self.pending.extend(questions.map(|it| (subject, Topic::Question(it))));
                }
            }
            Topic::Question(index) => {
                let what = asked.questions.get(index).map_or("a question", |it| it.what);
                let speaker = heard.speaker.as_ref().ok().map(|it| it.0);
                let answer = answer.and_then(|it| {
                    speaker.map_or(Ok(()), |who| asked.judge.confirm(who, it.sender))?;
                    Ok((refuse(what, it.head)?, it.payload))
                });
                if let Some(place) = heard.answers.get_mut(index) {
                    *place = Some(answer);
                }
            }
        }
    }
}

struct SignedAnswer {
    head: Response,
    payload: Vec<u8>,
    sender: Option<UnixCredentials>,
}

impl Exchange {
    /// Reads the available bytes; returns the answer once it is complete.
    fn take(&mut self) -> Option<Result<SignedAnswer, SocketError>> {
        if self.head.is_none() {
            let mut bytes = [0; wire::HEAD];
            let received = sys::receive_signed(self.stream.as_fd(), &mut bytes);
            return match received {
                Ok(it) if it.count == wire::HEAD => {
                    self.head = Some((Response::decode(&bytes), it.sender));
                    self.finished()
                }
                Ok(_) | Err(Errno::ECONNRESET) => Some(Err(SocketError::Closed)),
                Err(Errno::EINTR | Errno::EAGAIN) => None,
                Err(errno) => Some(Err(speak(errno.into()))),
            };
        }
        let mut piece = [0; wire::MAX_PAYLOAD];
        match self.stream.read(&mut piece) {
            Ok(0) => Some(Err(SocketError::Closed)),
            Ok(count) => {
                self.payload.extend_from_slice(piece.get(..count).unwrap_or_default());
                self.finished()
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => None,
            Err(error) => Some(Err(speak(error))),
        }
    }

    fn finished(&mut self) -> Option<Result<SignedAnswer, SocketError>> {
        let (head, sender) = self.head?;
        let wanted = if head.result < 0 { 0 } else { head.payload_len };
        let wanted = usize::try_from(wanted).ok().filter(|it| *it <= wire::MAX_PAYLOAD);
        let Some(wanted) = wanted else {
            return Some(Err(SocketError::Nonsense { what: "a question" }));
        };
        let payload = std::mem::take(&mut self.payload);
        if payload.len() < wanted {
            self.payload = payload;
            return None;
        }
        Some(Ok(SignedAnswer { head, payload, sender }))
    }
}
