//! What reaches the screen: facts from the terminal, the sampler, the journal and the workers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossterm::event::{KeyEvent, MouseEvent};

use super::effect::{Act, Outcome};
use crate::engine::event::Event;
use crate::engine::sample::Sample;
use crate::engine::{Name, Verb};

/// Why an act failed, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActFailure {
    /// The verb of the engine that failed, such as [`Verb::Start`] when a container was to be created and
    /// started.
    pub verb: Verb,
    /// What failed, on what and why.
    pub whole: String,
    /// Why alone, where it is plain what failed.
    pub reason: String,
}

/// An act that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    pub name: Name,
    pub act: Act,
    /// What is to be said beside the outcome, such as what a new container was made from.
    pub notes: Vec<String>,
    pub outcome: Result<Outcome, ActFailure>,
    pub took: Duration,
}

/// One fact. The time of a fact comes with it: the model never asks a clock.
#[derive(Clone, Debug)]
pub enum Message {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Resized(u16, u16),
    Sampled(Arc<Sample>),
    /// Time passes. Comes before every other fact, and alone when nothing else comes.
    Tick {
        now: SystemTime,
        /// How long ago the newest sample came, or the screen was opened.
        quiet: Duration,
    },
    Happened(Event),
    Done(Done),
    /// The text of a container's log, or why there is none.
    Log {
        name: Name,
        text: Result<String, String>,
    },
    /// What a limit of several containers is.
    Limits {
        file: String,
        values: Vec<(Name, Result<Option<String>, String>)>,
    },
    /// The program in the pane wrote something; its terminal has taken it in.
    PaneChanged,
    /// The program in the pane ended, in words.
    PaneEnded(String),
    /// `C-z`, or a signal that means it.
    Suspend,
    /// Someone continued us: what the terminal shows is not ours any more.
    Continued,
    Quit,
}
