//! LXC's command socket, by which wharf talks to its own supervisors and LXC's.
//!
//! A supervisor listens on an abstract socket named after its container; a client sends one request
//! and reads one response. Two requests keep the connection open: a tty is held as long as it stays
//! open, and a state client gets one change on it. wharf adds a third, the console view, under a
//! number that LXC does not know. Its own supervisors also listen where no other user can, and any
//! other listener is checked before it is trusted.

pub mod address;
mod chorus;
mod client;
mod console_view;
mod error;
mod exchange;
mod find;
mod holder;
mod interview;
mod seat;
mod state_client;
mod trust;
mod unmanaged;
pub mod wire;

pub use client::{Client, ConsoleLog, Init, Tty};
pub use console_view::ConsoleView;
pub use error::{SocketError, Stranger};
pub use find::{Finder, ListenerInodes};
pub(in crate::engine) use interview::{CONFIGURED, Interview, interview};
pub use seat::{Seat, SeatError};
pub use state_client::{StateClient, StateWatch, Wished};
pub use unmanaged::unmanaged;
