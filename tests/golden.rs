//! Every screen as it was accepted: each scene at four sizes in five colour modes, stored in
//! `tests/golden/*.txt`. `WHARF_GOLDEN=accept` rewrites them; look at the pictures first, which
//! `WHARF_GOLDEN_PICTURES=DIR` draws into a directory as SVG. `WHARF_GOLDEN_SCENES=WORD` uses only
//! the scenes whose name contains the word. `WHARF_SCREENSHOTS=DIR` draws the pictures of
//! `screenshots/`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "golden/frame.rs"]
mod frame;
#[path = "golden/scenes.rs"]
mod scenes;
#[path = "golden/stage.rs"]
mod stage;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use frame::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use scenes::{SCENES, Scene};
use wharf::ui::message::Message;
use wharf::ui::model::Model;
use wharf::ui::pane::Pane;
use wharf::ui::screenshot::{Window, svg};
use wharf::ui::theme::{ColourDepth, Theme};
use wharf::ui::view::view;
use wharf::widgets::grid::Size;
use wharf::widgets::look::{Glyphs, Look};

/// Longest wait for the end of a program.
const PATIENCE: Duration = Duration::from_mins(1);

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 36), (200, 50)];

/// A way to show colours: its word, and what a terminal of that kind gets.
const MODES: [(&str, Theme, ColourDepth); 5] = [
    ("true", Theme::Dark, ColourDepth::True),
    ("256", Theme::Dark, ColourDepth::Deep),
    ("16", Theme::Dark, ColourDepth::Sixteen),
    ("none", Theme::Dark, ColourDepth::None),
    ("light", Theme::Light, ColourDepth::True),
];

/// A picture of `screenshots/`: its name, the scene, its size and how colours are shown.
type Screenshot = (&'static str, &'static str, (u16, u16), Theme, ColourDepth);

const SCREENSHOTS: [Screenshot; 16] = {
    use ColourDepth::{None, Sixteen, True};
    const MIDDLE: (u16, u16) = (120, 36);
    [
        ("list", "list", MIDDLE, Theme::Dark, True),
        ("list-wide", "list", (200, 50), Theme::Dark, True),
        ("list-80x24", "list", (80, 24), Theme::Dark, True),
        ("list-60x24", "list", (60, 24), Theme::Dark, True),
        ("list-light", "list", MIDDLE, Theme::Light, True),
        ("list-contrast", "list", MIDDLE, Theme::HighContrast, True),
        ("list-colour-blind", "list", MIDDLE, Theme::ColourBlind, True),
        ("list-16", "list", MIDDLE, Theme::Dark, Sixteen),
        ("list-mono-ascii", "list-ascii", MIDDLE, Theme::Mono, None),
        ("container", "container", MIDDLE, Theme::Dark, True),
        ("limit", "container-limit", MIDDLE, Theme::Dark, True),
        ("create", "create-filled", MIDDLE, Theme::Dark, True),
        ("help", "help", MIDDLE, Theme::Dark, True),
        ("palette", "palette", MIDDLE, Theme::Dark, True),
        ("keys", "keys-sort", MIDDLE, Theme::Dark, True),
        ("journal", "journal", MIDDLE, Theme::Dark, True),
    ]
};

#[test]
fn every_picture_is_of_a_scene() {
    let drawn = std::env::var_os("WHARF_SCREENSHOTS").map(PathBuf::from);
    for (name, scene, size, theme, depth) in SCREENSHOTS {
        let scene = SCENES.iter().find(|it| it.name == scene);
        let scene = scene.unwrap_or_else(|| panic!("no scene for {name}"));
        if let Some(directory) = &drawn {
            let buf = paint(scene, size, &theme.look(depth, scene.glyphs));
            write_svg(&directory.join(format!("{name}.svg")), &buf, theme);
        }
    }
}

#[test]
fn every_screen_looks_as_it_was_accepted() {
    let wanted = std::env::var("WHARF_GOLDEN_SCENES").unwrap_or_default();
    let accept = std::env::var("WHARF_GOLDEN").is_ok_and(|it| it == "accept");
    let pictures = std::env::var_os("WHARF_GOLDEN_PICTURES").map(PathBuf::from);
    let mut complaints = Vec::new();
    for scene in SCENES.iter().filter(|it| it.name.contains(&wanted)) {
        let drawn: Vec<Frame> = SIZES.iter().map(|size| draw(scene, *size)).collect();
        if let Some(directory) = &pictures {
            picture(scene, directory);
        }
        let file = file(scene);
        if accept {
            let text: Vec<String> = drawn.iter().map(Frame::write).collect();
            fs::write(&file, text.join("\n")).unwrap();
            continue;
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        let accepted = Frame::read_all(&text);
        for (size, now) in SIZES.iter().zip(&drawn) {
            let title = format!("{} {}x{}", scene.name, size.0, size.1);
            match accepted.iter().find(|it| it.size == *size) {
                None => complaints.push(format!("{title}: no accepted frame")),
                Some(then) => complaints.extend(then.differs(now, &title)),
            }
        }
    }
    assert!(
        complaints.is_empty(),
        "{}\n{} frames do not look as accepted; if they should: WHARF_GOLDEN=accept cargo test --test golden",
        complaints.join("\n"),
        complaints.len()
    );
}

#[test]
fn a_second_in_which_nothing_changes_writes_the_clock_alone() {
    let look = Theme::Dark.look(ColourDepth::True, UNICODE);
    for (keys, bound) in [(None, 80), (Some("Enter"), 80)] {
        let size = SIZES[3];
        let mut model = stage::still(size);
        if let Some(keys) = keys {
            stage::press(&mut model, keys);
        }
        let written = Written::default();
        let viewport = Viewport::Fixed(Rect::new(0, 0, size.0, size.1));
        let backend = CrosstermBackend::new(written.clone());
        let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport }).unwrap();
        for second in 1..=5 {
            stage::give(&mut model, stage::unchanged(stage::STILL + second));
            terminal.draw(|frame| view(&model, None, &look, frame.buffer_mut())).unwrap();
            let bytes = std::mem::take(&mut *written.0.lock().unwrap());
            let text = String::from_utf8_lossy(&bytes).escape_debug().to_string();
            // The first frame is drawn whole.
            assert!(second == 1 || bytes.len() <= bound, "{keys:?}: {} bytes: {text}", bytes.len());
        }
    }
}

/// Keeps what is written to a terminal.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_accepted_frame_is_of_a_scene_that_is_gone() {
    for it in fs::read_dir(directory()).unwrap() {
        let path = it.unwrap().path();
        if path.extension().is_some_and(|it| it == "txt") {
            let known = SCENES.iter().any(|scene| file(scene) == path);
            assert!(known, "{} belongs to no scene", path.display());
        }
    }
}

fn draw(scene: &Scene, size: (u16, u16)) -> Frame {
    let bufs: Vec<Buffer> = MODES
        .iter()
        .map(|(_, theme, depth)| paint(scene, size, &theme.look(*depth, scene.glyphs)))
        .collect();
    Frame::of(size, &MODES.map(|(word, ..)| word), &bufs)
}

fn paint(scene: &Scene, size: (u16, u16), look: &Look) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    let model = (scene.model)(size);
    let pane = scene.output.map(|it| pane_with(&model, it));
    view(&model, pane.as_ref(), look, &mut buf);
    buf
}

/// The pane of `model` after a program has written there what `script` writes, and has ended.
fn pane_with(model: &Model, script: &str) -> Pane {
    let (rows, columns) = model.pane.as_ref().unwrap().size;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    let (sender, inbox) = mpsc::channel();
    let pane = Pane::start(command, Size { columns, rows }, 1, move |it| sender.send(it).is_ok());
    let pane = pane.unwrap();
    let mut messages = std::iter::from_fn(|| inbox.recv_timeout(PATIENCE).ok());
    assert!(messages.any(|it| matches!(it, Message::PaneEnded { .. })), "{script} does not end");
    pane
}

fn picture(scene: &Scene, directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    for size in SIZES {
        for (word, theme, depth) in MODES {
            let buf = paint(scene, size, &theme.look(depth, scene.glyphs));
            let name = format!("{}-{}x{}-{word}.svg", scene.name, size.0, size.1);
            write_svg(&directory.join(name), &buf, theme);
        }
    }
}

fn write_svg(path: &Path, buf: &Buffer, theme: Theme) {
    let window = if theme == Theme::Light { Window::LIGHT } else { Window::DARK };
    fs::write(path, svg(buf, window)).unwrap();
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn file(scene: &Scene) -> PathBuf {
    directory().join(format!("{}.txt", scene.name))
}

/// The default signs of a scene.
const UNICODE: &Glyphs = &Glyphs::UNICODE;
