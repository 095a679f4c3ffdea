//! What reads bytes that others wrote, one function for each fuzz target in `fuzz/`: each panics if
//! a promise is broken. Compiled for fuzzing and for tests alone.
#![allow(clippy::expect_used, reason = "a broken promise panics")]

use std::path::Path;

use crate::engine::Name;
use crate::engine::config::{self, Document};
use crate::engine::running::command_socket::wire;
use crate::engine::running::event::Event;
use crate::engine::seccomp::{self, Machine};
use crate::engine::sys::filter::FilterInstruction as Instruction;
use crate::engine::terms::shown::{shown, shown_bytes};

/// A key with one value, whatever else a file says.
const KEY: &str = "lxc.init.cwd";
const FILE: &str = "/lxc/web/config";

/// A configuration is read or refused with one line for people, and changed in one place alone.
pub fn configuration(content: &[u8]) {
    let read = |content: &[u8]| {
        let name: Name = "web".parse().expect("a valid name");
        config::parse(&name, Path::new("/lxc"), content, Path::new(FILE), &[])
    };
    match read(content) {
        Ok(config) => _ = config.get(KEY),
        Err(errors) => can_be_shown(&errors.to_string()),
    }
    let mut document = Document::parse(content);
    assert_eq!(document.to_bytes(), content, "what is not changed stays");
    document.set(KEY, "/srv").expect("a valid setting");
    assert_eq!(document.values(KEY).collect::<Vec<_>>(), ["/srv"]);
    document.unset(KEY);
    assert_eq!(document.values(KEY).count(), 0);
}

/// A line of a mount table is read or refused, and no mount leaves the container's root.
pub fn mount_entry(line: &[u8]) {
    let mut content = b"lxc.mount.entry = ".to_vec();
    content.extend(line.iter().filter(|it| **it != b'\n'));
    configuration(&content);
}

/// A profile of system calls is refused or becomes a program that the kernel accepts.
pub fn seccomp_profile(text: &str) {
    for machine in [Machine::X86_64, Machine::Arm64] {
        match seccomp::compile(text, machine) {
            Ok(compiled) => is_whole(&compiled.program),
            Err(error) => can_be_shown(&error.to_string()),
        }
    }
}

/// Every path through the program ends with a verdict: it only jumps forward, and within itself.
fn is_whole(program: &[Instruction]) {
    for (at, it) in program.iter().enumerate() {
        let next = at + 1;
        let targets = match it.code {
            Instruction::RETURN => continue,
            Instruction::JUMP => [next + it.value as usize; 2],
            _ => [it.yes, it.no].map(|skipped| next + usize::from(skipped)),
        };
        assert!(targets.iter().all(|it| *it < program.len()), "{at}: {it:?}");
    }
}

/// What comes over a command socket is refused or means one thing.
pub fn command_socket(bytes: &[u8]) {
    if let Some(head) = bytes.first_chunk() {
        assert_eq!(wire::Request::decode(head).encode(), *head);
        assert_eq!(wire::Response::decode(head).encode(), *head);
    }
    if let Some(event) = bytes.first_chunk() {
        _ = wire::decode_state_event(event);
    }
    if let Some(text) = wire::decode_text(bytes) {
        assert_eq!(wire::encode_text(text), bytes);
    }
    _ = wire::decode_wanted(bytes);
    if let Some(request) = wire::LogRequest::decode(bytes) {
        assert_eq!(wire::LogRequest::decode(&request.encode()), Some(request));
    }
    let mut rest = bytes.to_vec();
    loop {
        let before = rest.len();
        let Ok(Some(_)) = wire::take_frame(&mut rest) else { break };
        assert!(rest.len() < before, "a frame has bytes");
    }
}

/// A line of the journal is passed over, or is an event that is written and read alike.
pub fn journal_line(line: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Event>(line) else { return };
    let written = serde_json::to_string(&event).expect("an event can be written");
    let again: Event = serde_json::from_str(&written).expect("it can be read again");
    assert_eq!(again, event);
}

/// Foreign text cannot control a terminal.
pub fn foreign_text(bytes: &[u8]) {
    can_be_shown(&shown_bytes(bytes));
    can_be_shown(&shown(&String::from_utf8_lossy(bytes)));
}

fn can_be_shown(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_break_a_promise(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for target in [configuration, mount_entry, command_socket, journal_line, foreign_text] {
                target(&bytes);
            }
        }

        #[test]
        fn no_configuration_breaks_a_promise(text in "(lxc\\.(net\\.[0-9]\\.)?[a-z.0\\x1b]{1,12} ?= ?.{0,20}\n){0,5}") {
            configuration(text.as_bytes());
        }

        #[test]
        fn no_profile_breaks_a_promise(
            rules in "((read|write|clone|[a-z]{1,5})( errno [0-9]{1,3})?( \\[[0-7],[0-9x]{1,4},(==|>|&=)\\])?\n){0,6}"
        ) {
            seccomp_profile(&format!("2\ndenylist\n{rules}"));
            seccomp_profile(&rules);
        }
    }
}
