//! The messages between a process on its way into a container and its creator.
//!
//! The two share a socket pair. The process sends READY with its terminals and waits for GO; one
//! that enters a running container then sends BORN with a pidfd of the process that stays there. In
//! the end a program is executed, which closes the socket, or FAILED names the step. Meanwhile it can
//! ASK for a step that only its creator may carry out, and waits for GO or for the errno; LISTENS sends
//! where some of its system calls are decided. Whatever arrives may come from a container that took the process over: only its form is relied on.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv,
    recvmsg, send, sendmsg, socketpair,
};

use crate::engine::entry::plan::MAX_TTYS;
use crate::engine::sys;

const READY: u8 = 1;
const GO: u8 = 2;
const FAILED: u8 = 3;
const BORN: u8 = 4;
const ASK: u8 = 5;
const LISTENS: u8 = 6;
/// The errno, and the part of the step.
const REFUSAL: usize = 5;
/// ASK, three bytes of nothing, and the step's index.
const QUESTION: usize = 8;
/// FAILED, the part, two bytes of nothing, the step's index and the errno; then the name of an
/// interpreter.
const REPORT: usize = HEAD + NAME;
const HEAD: usize = 12;

/// Which part of a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum StepPart {
    Whole,
    Source,
    Target,
}

/// The step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct StepFailure {
    pub(in crate::engine) step: usize,
    pub(in crate::engine) part: StepPart,
    pub(in crate::engine) errno: Errno,
    /// What an existing program lacks.
    pub(in crate::engine) interpreter: Interpreter,
}

/// The longest name of an interpreter that is reported; a longer one is cut.
pub(in crate::engine) const NAME: usize = 64;

/// The name of an interpreter, padded with zeros for a report of fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Interpreter(pub(in crate::engine) [u8; NAME]);

impl Interpreter {
    /// Not a script, or one that cannot be read.
    pub(in crate::engine) const UNKNOWN: Self = Self([0; NAME]);

    /// Returns the name without its padding.
    pub(in crate::engine) fn name(&self) -> &[u8] {
        self.0.split(|it| *it == 0).next().unwrap_or_default()
    }

    /// Takes the name from the beginning of a script.
    pub(in crate::engine) fn of_script(start: &[u8]) -> Self {
        let line = start.strip_prefix(b"#!").and_then(|it| it.split(|it| *it == b'\n').next());
        let mut words = line.unwrap_or_default().split(|it| matches!(it, b' ' | b'\t'));
        let word = words.find(|it| !it.is_empty()).unwrap_or_default();
        let mut name = Self::UNKNOWN;
        name.0.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
        name
    }
}

/// What the process reported.
#[derive(Debug)]
pub(in crate::engine) enum ChildReport {
    Ready(Vec<OwnedFd>),
    /// With a pidfd.
    Born(OwnedFd),
    Failed(StepFailure),
    /// Where the calls are received that its filter leaves to others.
    Listens(OwnedFd),
    /// It asks for a step, about what it sends.
    Asks(usize, Option<OwnedFd>),
    /// The socket is closed: a program was executed, or the process has died.
    End,
}

/// Makes the two ends: the creator's and the process's.
pub(in crate::engine) fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Reports that the container is set up, sends `fds`, and waits for the message to go on.
pub(in crate::engine) fn ready(socket: BorrowedFd<'_>, fds: &[RawFd]) -> nix::Result<()> {
    report(socket, READY, fds)?;
    let mut word = [0_u8];
    let got = recv(socket.as_raw_fd(), &mut word, MsgFlags::empty())?;
    if got == 1 && word == [GO] { Ok(()) } else { Err(Errno::ECANCELED) }
}

/// Asks the creator for what the process may not do itself.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Asker<'a> {
    pub(in crate::engine) creator: BorrowedFd<'a>,
    /// The index of the step.
    pub(in crate::engine) step: usize,
}

impl Asker<'_> {
    /// Has the step carried out, about `fd` if given.
    pub(in crate::engine) fn ask(self, fd: Option<BorrowedFd<'_>>) -> nix::Result<()> {
        self.request(fd).map(drop).map_err(|(_, errno)| errno)
    }

    /// Has the step carried out, and returns what is made by it.
    pub(in crate::engine) fn fetch(self) -> Result<OwnedFd, (StepPart, Errno)> {
        self.request(None)?.ok_or((StepPart::Whole, Errno::EPROTO))
    }

    fn request(self, fd: Option<BorrowedFd<'_>>) -> Result<Option<OwnedFd>, (StepPart, Errno)> {
        let whole = |errno| (StepPart::Whole, errno);
        let [s0, s1, s2, s3] = (self.step as u32).to_ne_bytes();
        let question = [ASK, 0, 0, 0, s0, s1, s2, s3];
        let fds = fd.map(|it| it.as_raw_fd());
        send_with(self.creator, &question, fds.as_slice()).map_err(whole)?;
        answered(self.creator)
    }
}

/// Answers a process that has asked.
pub(in crate::engine) fn answer(
    socket: BorrowedFd<'_>,
    outcome: Result<Option<OwnedFd>, (StepPart, Errno)>,
) -> nix::Result<()> {
    match outcome {
        Ok(None) => go(socket),
        Ok(Some(fd)) => report(socket, GO, &[fd.as_raw_fd()]),
        Err((part, errno)) => {
            let [e0, e1, e2, e3] = (errno as i32).to_ne_bytes();
            send_with(socket, &[e0, e1, e2, e3, number_of(part)], &[])
        }
    }
}

/// Waits for an answer.
pub(in crate::engine) fn answered(
    socket: BorrowedFd<'_>,
) -> Result<Option<OwnedFd>, (StepPart, Errno)> {
    let whole = |errno| (StepPart::Whole, errno);
    let mut answer = [0_u8; REFUSAL];
    let mut received = sys::receive_signed(socket, &mut answer).map_err(whole)?;
    match (received.count, answer) {
        (1, [GO, ..]) => Ok(received.fds.pop()),
        (REFUSAL, [e0, e1, e2, e3, part]) => {
            let errno = Errno::from_raw(i32::from_ne_bytes([e0, e1, e2, e3]));
            Err((part_of(part), errno))
        }
        _ => Err(whole(Errno::ECANCELED)),
    }
}

const fn number_of(part: StepPart) -> u8 {
    match part {
        StepPart::Whole => 0,
        StepPart::Source => 1,
        StepPart::Target => 2,
    }
}

const fn part_of(number: u8) -> StepPart {
    match number {
        1 => StepPart::Source,
        2 => StepPart::Target,
        _ => StepPart::Whole,
    }
}

/// Sends where the calls are received that the process's filter leaves to others.
pub(in crate::engine) fn listens(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> nix::Result<()> {
    report(socket, LISTENS, &[fd.as_raw_fd()])
}

/// Reports which process is the one that stays.
pub(in crate::engine) fn born(socket: BorrowedFd<'_>, pidfd: BorrowedFd<'_>) -> nix::Result<()> {
    report(socket, BORN, &[pidfd.as_raw_fd()])
}

fn report(socket: BorrowedFd<'_>, word: u8, fds: &[RawFd]) -> nix::Result<()> {
    send_with(socket, &[word], fds)
}

fn send_with(socket: BorrowedFd<'_>, message: &[u8], fds: &[RawFd]) -> nix::Result<()> {
    let rights = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &[][..] } else { &rights[..] };
    let payload = [IoSlice::new(message)];
    sendmsg::<()>(socket.as_raw_fd(), &payload, control, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// Lets the process continue.
pub(in crate::engine) fn go(socket: BorrowedFd<'_>) -> nix::Result<()> {
    send(socket.as_raw_fd(), &[GO], MsgFlags::MSG_NOSIGNAL).map(drop)
}

/// Reports which step failed; the other side sees a closed socket if this cannot be sent.
pub(in crate::engine) fn failed(socket: BorrowedFd<'_>, failure: StepFailure) {
    _ = send(socket.as_raw_fd(), &encode(failure), MsgFlags::MSG_NOSIGNAL);
}

/// Waits for the next report.
pub(in crate::engine) fn receive(socket: BorrowedFd<'_>) -> nix::Result<ChildReport> {
    let mut bytes = [0_u8; REPORT];
    let mut space = nix::cmsg_space!([RawFd; MAX_TTYS as usize + 2]);
    let (got, mut fds) = loop {
        let mut payload = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut payload, Some(&mut space), flags) {
            Ok(message) => {
                let fds: Vec<OwnedFd> = message.cmsgs()?.flat_map(rights).collect();
                break (message.bytes, fds);
            }
            Err(Errno::EINTR) => (),
            // A process that dies before it has read our message resets the connection.
            Err(Errno::ECONNRESET) => break (0, Vec::new()),
            Err(errno) => return Err(errno),
        }
    };
    match (got, bytes) {
        (0, _) => Ok(ChildReport::End),
        (1, [READY, ..]) => Ok(ChildReport::Ready(fds)),
        (1, [BORN, ..]) => fds.pop().map(ChildReport::Born).ok_or(Errno::EPROTO),
        (1, [LISTENS, ..]) => fds.pop().map(ChildReport::Listens).ok_or(Errno::EPROTO),
        (QUESTION, [ASK, 0, 0, 0, s0, s1, s2, s3, ..]) => {
            Ok(ChildReport::Asks(u32::from_ne_bytes([s0, s1, s2, s3]) as usize, fds.pop()))
        }
        (REPORT, [FAILED, ..]) => Ok(ChildReport::Failed(decode(bytes))),
        _ => Err(Errno::EPROTO),
    }
}

fn rights(message: ControlMessageOwned) -> Vec<OwnedFd> {
    let ControlMessageOwned::ScmRights(fds) = message else { return Vec::new() };
    fds.into_iter().map(sys::own_fd).collect()
}

fn encode(failure: StepFailure) -> [u8; REPORT] {
    let part = number_of(failure.part);
    let [s0, s1, s2, s3] = (failure.step as u32).to_ne_bytes();
    let [e0, e1, e2, e3] = (failure.errno as i32).to_ne_bytes();
    let head: [u8; HEAD] = [FAILED, part, 0, 0, s0, s1, s2, s3, e0, e1, e2, e3];
    let mut report = [0; REPORT];
    let bytes = head.into_iter().chain(failure.interpreter.0);
    report.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    report
}

const fn decode(bytes: [u8; REPORT]) -> StepFailure {
    let [_, part, _, _, s0, s1, s2, s3, e0, e1, e2, e3, name @ ..] = bytes;
    StepFailure {
        step: u32::from_ne_bytes([s0, s1, s2, s3]) as usize,
        part: part_of(part),
        errno: Errno::from_raw(i32::from_ne_bytes([e0, e1, e2, e3])),
        interpreter: Interpreter(name),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_report_survives_the_wire() {
        let failure = StepFailure {
            step: 7,
            part: StepPart::Target,
            errno: Errno::ENOENT,
            interpreter: Interpreter([b'x'; NAME]),
        };
        assert_eq!(decode(encode(failure)), failure);
    }

    #[test]
    fn the_interpreter_stands_in_the_first_line() {
        let name = |start: &[u8]| Interpreter::of_script(start).name().to_vec();
        assert_eq!(name(b"#!/bin/sh\necho"), b"/bin/sh");
        assert_eq!(name(b"#! \t/usr/bin/env -S python3\n"), b"/usr/bin/env");
        assert_eq!(name(b"#!/bin/bash\r\n"), b"/bin/bash\r");
        assert_eq!(name(b"\x7fELF"), b"");
        assert_eq!(name(b"#!"), b"");
        assert_eq!(name(&[b"#!", [b'x'; 200].as_slice()].concat()).len(), NAME);
    }

    #[test]
    fn a_word_of_another_form_is_refused() {
        let (ours, theirs) = pair().unwrap();
        for word in [&[READY, 0][..], &[BORN], &[LISTENS], &[FAILED], &[9], &[0; 64]] {
            send(theirs.as_raw_fd(), word, MsgFlags::empty()).unwrap();
            assert_eq!(receive(ours.as_fd()).unwrap_err(), Errno::EPROTO, "{word:?}");
        }
        drop(theirs);
        assert!(matches!(receive(ours.as_fd()), Ok(ChildReport::End)));
    }

    #[test]
    fn a_question_gets_its_answer() {
        let (ours, theirs) = pair().unwrap();
        // They are read in this order, whoever waits.
        answer(ours.as_fd(), Ok(None)).unwrap();
        answer(ours.as_fd(), Err((StepPart::Source, Errno::EPERM))).unwrap();
        answer(ours.as_fd(), Err((StepPart::Source, Errno::EPERM))).unwrap();
        answer(ours.as_fd(), Ok(Some(theirs.try_clone().unwrap()))).unwrap();
        let asker = Asker { creator: theirs.as_fd(), step: 300 };
        assert_eq!(asker.ask(None), Ok(()));
        assert_eq!(asker.ask(Some(ours.as_fd())), Err(Errno::EPERM));
        assert_eq!(asker.fetch().unwrap_err(), (StepPart::Source, Errno::EPERM));
        asker.fetch().unwrap();
        assert!(matches!(receive(ours.as_fd()), Ok(ChildReport::Asks(300, None))));
        assert!(matches!(receive(ours.as_fd()), Ok(ChildReport::Asks(300, Some(_)))));
    }
}
