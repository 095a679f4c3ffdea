//! What users see: the real binary with real containers, through its command line and a pty. Most
//! of it needs root; a test that this machine cannot run says so in a line that begins with
//! "skipped".
//!
//! One program for all subjects, since each program links the whole of wharf. `cargo test --test
//! containers limits::` runs those of one subject.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests tell their reader")]

mod support;

mod attach;
mod autostart;
mod btrfs;
mod checkpoint;
mod cli;
mod completion;
mod configuration;
mod console;
mod contention;
mod copies;
mod costs;
mod debian;
mod differential;
mod distributions;
mod edit;
mod environment;
mod escape;
mod features;
mod groups;
mod halt;
mod hooks;
mod hostile;
mod identity;
mod idmap;
mod images;
mod json;
mod kept;
mod keys;
mod life;
mod limits;
mod losses;
mod lxc;
mod lxc_names;
mod lxc_options;
mod lxc_suite;
mod manual;
mod memory;
mod mission;
mod nested;
mod net;
mod outline;
mod package;
mod protocol;
mod pty;
mod ptys;
mod reboot;
mod recovery;
mod remains;
mod robust;
mod roots;
mod seccomp;
mod security;
mod several;
mod sharing;
mod spaces;
mod stale;
mod stranger;
mod system;
mod systemd;
mod templates;
mod timeouts;
mod trash;
mod trouble;
mod units;
mod unprivileged;
mod verbs;
mod words;
