//! Takes the project's pictures: the real screen over real containers under real load, driven by
//! the keys an operator would press, drawn into frames instead of a terminal.

mod fixture;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::keymap;
use super::message::Message;
use super::model::{Model, REFRESH};
use super::screenshot::{Window, svg};
use super::theme::{ColourDepth, Theme};
use super::update;
use super::view::view;
use super::workers::Workers;
use crate::engine::Engine;
use crate::engine::state::State;
use crate::widgets::look::{Glyphs, Look};
use fixture::Fixture;

/// The wait before the first picture, so that the graph of the last minute is full.
const HISTORY: Duration = Duration::from_secs(62);
/// Longest wait for anything on the screen.
const PATIENCE: Duration = Duration::from_secs(90);
/// The wait for things without a visible condition, such as a prompt.
const MOMENT: Duration = Duration::from_secs(2);
/// The picture's size in the README.
const USUAL: (u16, u16) = (120, 36);

/// Starts the containers, takes every picture into `dir`, and removes the containers again.
pub fn run(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let fixture = Fixture::set()?;
    let mut screen = Screen::open(&fixture.engine, dir)?;
    screen.wait("every container started", |it| {
        let all = it.containers();
        all.len() == fixture.names.len()
            && all.iter().filter(|it| it.state == State::Running).count() >= 6
    })?;
    fixture.act()?;
    list(&mut screen)?;
    detail(&mut screen)?;
    layers(&mut screen)?;
    sizes(&mut screen)
}

fn list(screen: &mut Screen<'_>) -> anyhow::Result<()> {
    screen.press("g c o c Home")?;
    screen.pass(HISTORY)?;
    screen.press("Home Spc Down Spc Up")?;
    screen.pass(MOMENT)?;
    screen.take("list")?;
    screen.press("Esc")
}

fn detail(screen: &mut Screen<'_>) -> anyhow::Result<()> {
    screen.press("/")?;
    screen.type_line("web-01")?;
    screen.press("Home Enter")?;
    screen.wait("its processes", |it| {
        it.current().and_then(|it| it.detail.as_ref()).is_some_and(|it| it.processes.len() > 3)
    })?;
    screen.press("x")?;
    screen.rub_out()?;
    screen.type_line("/bin/sh")?;
    screen.pass(MOMENT)?;
    screen.type_line("uname -sr; id -un; ls --color=always /usr | head -4")?;
    screen.pass(MOMENT)?;
    screen.press("C-] c")?;
    screen.take("container")?;
    screen.press("3 Home Enter")?;
    screen.type_text("60%")?;
    screen.take("limit")?;
    screen.press("Enter")?;
    screen.pass(MOMENT)?;
    screen.press("Esc")
}

fn layers(screen: &mut Screen<'_>) -> anyhow::Result<()> {
    screen.press("Esc Esc g c Esc n")?;
    screen.type_text("web-03")?;
    screen.press("Tab Tab")?;
    screen.type_text("/usr/bin/python3 -m http.server")?;
    screen.press("Tab")?;
    screen.type_text("512M")?;
    screen.press("Tab")?;
    screen.type_text("50%")?;
    screen.take("create")?;
    screen.press("Esc ?")?;
    screen.take("help")?;
    screen.press("Esc :")?;
    screen.type_text("fr")?;
    screen.take("palette")?;
    screen.press("Esc o")?;
    screen.take("keys")?;
    screen.press("Esc Esc f")?;
    screen.pass(MOMENT)?;
    screen.press("f")?;
    screen.pass(MOMENT)?;
    screen.press("J")?;
    screen.take("journal")?;
    screen.press("Esc")
}

fn sizes(screen: &mut Screen<'_>) -> anyhow::Result<()> {
    screen.press("Home")?;
    for (name, size, theme, depth, glyphs) in [
        ("list-wide", (190, 50), Theme::Dark, ColourDepth::True, &Glyphs::UNICODE),
        ("list-80x24", (80, 24), Theme::Dark, ColourDepth::True, &Glyphs::UNICODE),
        ("list-60x24", (60, 24), Theme::Dark, ColourDepth::True, &Glyphs::UNICODE),
        ("list-light", USUAL, Theme::Light, ColourDepth::True, &Glyphs::UNICODE),
        ("list-contrast", USUAL, Theme::HighContrast, ColourDepth::True, &Glyphs::UNICODE),
        ("list-colour-blind", USUAL, Theme::ColourBlind, ColourDepth::True, &Glyphs::UNICODE),
        ("list-16", USUAL, Theme::Dark, ColourDepth::Sixteen, &Glyphs::UNICODE),
        ("list-mono-ascii", USUAL, Theme::Mono, ColourDepth::None, &Glyphs::ASCII),
    ] {
        screen.look = theme.look(depth, glyphs);
        screen.window = if theme == Theme::Light { Window::LIGHT } else { Window::DARK };
        screen.give(Message::Resized(size.0, size.1));
        screen.pass(MOMENT)?;
        screen.take(name)?;
    }
    Ok(())
}

/// The screen without a terminal.
struct Screen<'d> {
    dir: &'d Path,
    model: Model,
    look: Look,
    window: Window,
    workers: Workers,
    inbox: Receiver<Message>,
}

impl<'d> Screen<'d> {
    fn open(engine: &Engine, dir: &'d Path) -> anyhow::Result<Self> {
        let (sender, inbox) = mpsc::channel();
        let workers = Workers::spawn(engine, &sender, REFRESH)?;
        let model = Model::new(USUAL, SystemTime::now());
        let look = Theme::Dark.look(ColourDepth::True, &Glyphs::UNICODE);
        Ok(Self { dir, model, look, window: Window::DARK, workers, inbox })
    }

    fn give(&mut self, message: Message) {
        for effect in update::update(&mut self.model, message) {
            self.workers.carry_out(effect);
        }
    }

    /// Runs until `done`, or fails after a long time.
    fn wait(&mut self, what: &str, done: impl Fn(&Model) -> bool) -> anyhow::Result<()> {
        let start = Instant::now();
        while !done(&self.model) {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let message = self.inbox.recv_timeout(left);
            self.give(message.with_context(|| format!("waited in vain for {what}"))?);
        }
        Ok(())
    }

    /// Runs for a while.
    fn pass(&mut self, time: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            match self.inbox.recv_timeout(time.saturating_sub(start.elapsed())) {
                Ok(message) => self.give(message),
                Err(mpsc::RecvTimeoutError::Timeout) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Presses keys, named as the key map names them.
    fn press(&mut self, keys: &str) -> anyhow::Result<()> {
        for name in keys.split(' ') {
            let key = keymap::key(name).with_context(|| format!("no key is called {name}"))?;
            self.give(Message::Key(key));
        }
        Ok(())
    }

    fn type_text(&mut self, text: &str) -> anyhow::Result<()> {
        for it in text.chars() {
            let name = if it == ' ' { "Spc".to_owned() } else { it.to_string() };
            self.press(&name)?;
        }
        Ok(())
    }

    fn type_line(&mut self, text: &str) -> anyhow::Result<()> {
        self.type_text(text)?;
        self.press("Enter")
    }

    /// Empties the line under edit.
    fn rub_out(&mut self) -> anyhow::Result<()> {
        self.press("C-u")
    }

    /// Draws the current frame as SVG, and as PNG if there is a program for it.
    fn take(&self, name: &str) -> anyhow::Result<()> {
        let (width, height) = self.model.size;
        let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
        view(&self.model, self.workers.pane(), &self.look, &mut buf);
        let picture = self.dir.join(format!("{name}.svg"));
        std::fs::write(&picture, svg(&buf, self.window))
            .with_context(|| format!("write {}", picture.display()))?;
        let mut command = Command::new("rsvg-convert");
        command.arg("-o").arg(picture.with_extension("png")).arg(&picture);
        // Without the program there is only the SVG.
        _ = command.stdin(Stdio::null()).status();
        Ok(())
    }
}
