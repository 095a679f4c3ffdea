//! The screen's messages: facts from the terminal, the sampler, the journal and the workers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossterm::event::{KeyEvent, MouseEvent};

use super::effect::{Act, Outcome};
use crate::engine::create::{Create, StartingPoint};
use crate::engine::event::Event;
use crate::engine::progress::Reached;
use crate::engine::sample::Sample;
use crate::engine::snapshot::Snapshot;
use crate::engine::trash::InTrash;
use crate::engine::{Name, Verb};

/// Why an act failed, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActFailure {
    /// The engine's verb that failed, such as [`Verb::Start`] when a container was created and
    /// should have been started.
    pub verb: Verb,
    /// What failed, on what and why.
    pub whole: String,
    /// Only the reason, if it is obvious what failed.
    pub reason: String,
}

/// An act that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    pub name: Name,
    pub act: Act,
    /// Notes beside the outcome, such as what a new container was made from.
    pub notes: Vec<String>,
    pub outcome: Result<Outcome, ActFailure>,
    pub took: Duration,
}

/// One fact, with its time: the model never reads a clock.
#[derive(Clone, Debug)]
pub enum Message {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Resized(u16, u16),
    Sampled(Arc<Sample>),
    /// Time passes. Sent before every other fact, and alone when nothing else happens.
    Tick {
        now: SystemTime,
        /// How long ago the newest sample arrived, or the screen was opened.
        quiet: Duration,
    },
    Happened(Event),
    Done(Done),
    /// The text of a container's log, or why there is none.
    Log {
        name: Name,
        text: Result<String, String>,
    },
    /// The value of a limit of several containers.
    Limits {
        file: String,
        values: Vec<(Name, Result<Option<String>, String>)>,
    },
    /// What `create` would start from, or why it cannot be created.
    Start {
        create: Create,
        start: Result<StartingPoint, String>,
    },
    /// What is in the trash, the newest first, or why that cannot be read.
    Trash(Result<Vec<InTrash>, String>),
    /// The snapshots of a container, or why they cannot be read.
    Snapshots {
        name: Name,
        snapshots: Result<Vec<Snapshot>, String>,
    },
    /// How far a creation is.
    Reached {
        name: Name,
        reached: Reached,
    },
    /// The program in the pane wrote something, which its terminal has processed.
    PaneChanged,
    /// The program that was the `number`th in the pane ended, in words.
    PaneEnded {
        number: u64,
        how: String,
    },
    /// `C-z`, or a signal that means it.
    Suspend,
    /// This process was continued: the terminal no longer shows our screen.
    Continued,
    Quit,
}
