//! The screen: a model, the messages that change it, and a pure view of it.

pub mod format;
pub mod settings;
pub mod terminal;
pub mod theme;
