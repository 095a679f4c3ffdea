//! LXC's command socket: how wharf speaks to supervisors, its own and LXC's alike.
//!
//! A supervisor listens on an abstract socket named after its container; a client sends one
//! request and reads one response. Two requests keep the connection for more: a tty is held as
//! long as it stays open, and a state client is told of one change on it. wharf adds a third, the
//! console view, under a number that LXC does not know. This module never decides who may ask.

pub mod address;
mod client;
mod console_view;
mod error;
mod find;
pub mod wire;

pub use address::listen;
pub use client::{Client, ConsoleLog, StateClient, StateWatch, Tty};
pub use console_view::ConsoleView;
pub use error::SocketError;
pub use find::running;
