//! What reads bytes that others wrote, one function for each fuzz target in `fuzz/`: each panics if
//! a promise is broken. Compiled for fuzzing and for tests alone.
#![allow(clippy::expect_used, reason = "a broken promise panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest as _, Sha256};

use crate::engine::Name;
use crate::engine::config::{self, Document};
use crate::engine::image::{self, Image};
use crate::engine::running::command_socket::wire;
use crate::engine::running::event::Event;
use crate::engine::seccomp::{self, Machine};
use crate::engine::sys::filter::FilterInstruction as Instruction;
use crate::engine::terms::progress::Progress;
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

/// A map of ids, a range on each line, is read or refused.
pub fn id_map(lines: &[u8]) {
    let mut content = Vec::new();
    for line in lines.split(|it| *it == b'\n') {
        content.extend(b"lxc.idmap = ");
        content.extend(line);
        content.push(b'\n');
    }
    configuration(&content);
}

/// A layer of an image changes nothing outside of the root that it is unpacked into.
pub fn image_layer(archive: &[u8]) {
    let digest =
        Sha256::digest(archive).iter().fold(String::new(), |hex, it| format!("{hex}{it:02x}"));
    let place = UnpackPlace::new();
    place.write("image/layer.tar", archive);
    let config = format!(r#"{{"rootfs": {{"diff_ids": ["sha256:{digest}"]}}}}"#);
    place.write("image/config.json", config.as_bytes());
    let manifest = br#"[{"Config": "config.json", "Layers": ["layer.tar"]}]"#;
    place.write("image/manifest.json", manifest);
    place.unpack("image");
    // A file of a root, not of a layer.
    place.write("image/layer.tar", archive);
    place.unpack("image/layer.tar");
}

/// The manifests of an image, separated by NUL bytes, are read or refused.
pub fn image_manifest(bytes: &[u8]) {
    let place = UnpackPlace::new();
    let mut texts = bytes.split(|it| *it == 0);
    place.write("image/oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#);
    for file in ["index.json", "manifest.json", "config.json", "layer.tar"] {
        if let Some(text) = texts.next() {
            place.write(&format!("image/{file}"), text);
        }
    }
    place.unpack("image");
    _ = fs::remove_file(place.0.join("image/index.json"));
    place.unpack("image");
}

/// A directory with an image, a root to unpack it into, and what must not change.
struct UnpackPlace(PathBuf);

impl UnpackPlace {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = format!("wharf-fuzz-{}-{count}", std::process::id());
        let place = Self(std::env::temp_dir().join(dir));
        for dir in ["image", "spare", "outside"] {
            fs::create_dir_all(place.0.join(dir)).expect("a directory for the trial");
        }
        place.write("outside/victim", b"host");
        place
    }

    fn write(&self, file: &str, content: &[u8]) {
        fs::write(self.0.join(file), content).expect("a file for the trial");
    }

    fn unpack(&self, image: &str) {
        let (root, spare) = (self.0.join("root"), self.0.join("spare"));
        fs::create_dir(&root).expect("a root for the trial");
        let image = Image { path: &self.0.join(image), tag: None, spare: &spare };
        if let Err(error) = image::unpack(image, &root, &Progress::default()) {
            can_be_shown(&error.to_string());
        }
        let names = |dir: &Path| {
            let names = fs::read_dir(dir).expect("a directory").flatten();
            let mut names: Vec<_> = names.map(|it| it.file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&self.0), ["image", "outside", "root", "spare"]);
        assert_eq!(names(&self.0.join("outside")), ["victim"]);
        assert_eq!(fs::read(self.0.join("outside/victim")).expect("the victim"), b"host");
        fs::remove_dir_all(root).expect("the root can be removed");
    }
}

impl Drop for UnpackPlace {
    fn drop(&mut self) {
        // What is left in the directory for temporary files harms nobody.
        _ = fs::remove_dir_all(&self.0);
    }
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
            for target in [
                configuration, mount_entry, id_map, command_socket, journal_line, foreign_text,
            ] {
                target(&bytes);
            }
        }

        #[test]
        fn no_map_breaks_a_promise(text in "([ugb] [0-9-]{1,11} [0-9]{1,11} [0-9]{1,11}\n){0,4}") {
            id_map(text.as_bytes());
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

    proptest! {
        // Each makes its files.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_manifest_breaks_a_promise(
            name in "(\\.\\./){0,2}(outside/victim|layer.tar|config.json|[a-z]{0,3})",
            digest in "(sha256:)?[0-9a-f]{0,3}(\\.\\./){0,2}",
            bytes in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let index = format!(r#"{{"manifests": [{{"digest": "{digest}"}}]}}"#);
            let manifest = format!(r#"[{{"Config": "config.json", "Layers": ["{name}"]}}]"#);
            let config = format!(r#"{{"rootfs": {{"diff_ids": ["{digest}"]}}}}"#);
            image_manifest(&[index.as_bytes(), manifest.as_bytes(), config.as_bytes(), &bytes].join(&0));
            image_layer(&bytes);
        }
    }
}
