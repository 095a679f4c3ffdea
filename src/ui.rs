//! The screen: a model, the messages that change it, and a pure view of it. This file is the
//! shell around them: threads, one channel, and a draw after each drained batch.

pub mod allowed;
pub mod command_line;
pub mod diagnosis;
pub mod effect;
pub mod focus;
pub mod footer;
pub mod gallery;
pub mod hints;
pub mod keymap;
pub mod layers;
pub mod layout;
pub mod marks;
pub mod message;
pub mod model;
mod notice;
pub mod pane;
pub mod preferences;
pub mod prompts;
mod sampling;
pub mod screenshot;
pub mod status;
pub mod terminal;
pub mod texts;
pub mod theme;
pub mod update;
pub mod value;
pub mod view;
mod workers;

use std::io::IsTerminal as _;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;

use crate::engine::Engine;
use crate::widgets::look::{Glyphs, Look};
use effect::Effect;
use message::Message;
use model::Model;
use preferences::Preferences;
use terminal::{MouseCapture, TerminalGuard};
use theme::ColourDepth;
use workers::Workers;

/// No more than 60 frames a second: more is not seen.
const FRAME: Duration = Duration::from_micros(16_667);

/// How long messages that come without a pause are processed before the screen is drawn.
const FLOOD: Duration = Duration::from_millis(100);

/// The screen is redrawn even when nothing happens: after the usual interval between samples and a
/// little more, so that it is drawn once a second and not twice.
const TICK: Duration = Duration::from_millis(1100);

/// What may be done from the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    Full,
    ReadOnly,
}

/// Shows the screen over `engine` until the operator quits. Containers keep running.
pub fn run(engine: &Engine, rights: Rights) -> anyhow::Result<()> {
    anyhow::ensure!(
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        "the screen needs a terminal; `wharf ls`, `wharf info NAME`, `wharf monitor` and \
         `wharf help` do not"
    );
    let variable = |name: &str| std::env::var_os(name);
    anyhow::ensure!(
        !theme::cannot_draw(variable),
        "the screen cannot be drawn on this terminal (TERM=dumb); `wharf ls`, `wharf info NAME`, \
         `wharf monitor` and `wharf help` write plain lines"
    );
    let preferences = Preferences::load(variable)?;
    let look = look(&preferences, variable);
    let size = TerminalGuard::size().context("cannot read the size of the terminal")?;
    let (sender, inbox) = mpsc::channel();
    let refresh = preferences.interval();
    let workers = Workers::spawn(engine, &sender, refresh)?;
    let guard = TerminalGuard::take().context("cannot set up the terminal")?;
    let program = program(engine);
    let glyphs = look.glyphs;
    let model = Model { refresh, rights, program, glyphs, ..Model::new(size, SystemTime::now()) };
    let sampled = Instant::now();
    Shell { model, look, guard, workers, sampled, leaving: false }.run(&inbox)
}

/// Returns how to call this program in a shell for the containers of `engine`.
fn program(engine: &Engine) -> String {
    if engine.lxcpath() == Engine::open(None).lxcpath() {
        return "wharf".to_owned();
    }
    format!("wharf -P {}", command_line::quoted(&engine.lxcpath().to_string_lossy()))
}

fn look(preferences: &Preferences, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Look {
    let ascii = preferences.ascii.unwrap_or_else(|| !theme::draws_unicode(&variable));
    let glyphs = if ascii { &Glyphs::ASCII } else { &Glyphs::UNICODE };
    preferences.theme.unwrap_or_default().look(ColourDepth::of(&variable), glyphs)
}

/// What exists as long as the screen.
struct Shell {
    model: Model,
    look: Look,
    guard: TerminalGuard,
    workers: Workers,
    /// When the newest sample came.
    sampled: Instant,
    leaving: bool,
}

impl Shell {
    fn run(mut self, inbox: &Receiver<Message>) -> anyhow::Result<()> {
        self.draw()?;
        let mut drawn = Instant::now();
        loop {
            let message = match inbox.recv_timeout(TICK) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            self.tick()?;
            message.map_or(Ok(()), |it| self.take(it))?;
            let begun = Instant::now();
            // A flood of messages must not prevent drawing.
            while begun.elapsed() < FLOOD {
                let left = FRAME.saturating_sub(drawn.elapsed());
                match inbox.recv_timeout(left) {
                    Ok(message) => self.take(message)?,
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
            if self.leaving {
                return Ok(());
            }
            self.draw()?;
            drawn = Instant::now();
        }
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let (model, look, pane) = (&self.model, &self.look, self.workers.pane());
        self.guard.draw(|frame| view::view(model, pane, look, frame.buffer_mut()))?;
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        if self.model.held {
            // Sampling is paused by the operator.
            self.sampled = Instant::now();
        }
        self.take(Message::Tick { now: SystemTime::now(), quiet: self.sampled.elapsed() })?;
        self.workers.reached().into_iter().try_for_each(|it| self.take(it))
    }

    fn take(&mut self, message: Message) -> anyhow::Result<()> {
        if matches!(message, Message::Sampled(_)) {
            self.sampled = Instant::now();
        }
        for effect in update::update(&mut self.model, message) {
            self.carry_out(effect)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> anyhow::Result<()> {
        match effect {
            Effect::Quit => self.leaving = true,
            Effect::Suspend => self.guard.suspend()?,
            Effect::Redraw => self.guard.redraw_all()?,
            Effect::Copy(text) => TerminalGuard::copy(&text)?,
            Effect::CaptureMouse(true) => self.guard.capture_mouse(MouseCapture::On)?,
            Effect::CaptureMouse(false) => self.guard.capture_mouse(MouseCapture::Off)?,
            Effect::Act { .. }
            | Effect::Cancel(_)
            | Effect::ReadLog(_)
            | Effect::ReadTrash
            | Effect::ReadSnapshots(_)
            | Effect::ReadLimits { .. }
            | Effect::ReadStart { .. }
            | Effect::Look(_)
            | Effect::SampleNow
            | Effect::Hold(_)
            | Effect::OpenPane { .. }
            | Effect::TypeInPane(_)
            | Effect::PasteInPane(_)
            | Effect::MouseInPane(_)
            | Effect::ResizePane { .. }
            | Effect::ClosePane => self.workers.carry_out(effect),
        }
        Ok(())
    }
}
