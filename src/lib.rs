//! wharf: watch and control Linux containers from one full-screen terminal.
//!
//! `engine` uses the kernel, `ui` decides, `widgets` paint, `cli` serves scripts, `command` is the
//! table of verbs that all of them read, and `format` writes numbers for people. Dependencies point
//! one way only: `cli` → `ui` → `engine`, `ui` → `widgets`; `widgets` know no containers, `engine`
//! no screen.

pub mod cli;
pub mod command;
pub mod engine;
pub mod format;
pub mod ui;
pub mod widgets;
