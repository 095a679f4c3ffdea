//! What a new container was made from, in words for its creator.

use std::path::PathBuf;

use super::root_init::RootInit;
use crate::engine::Name;
use crate::engine::terms::shown::{shown, shown_bytes};

/// What a new container was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub(super) basis: Basis,
    /// The lines that were left out, each with the reason.
    pub(super) left_out: Vec<String>,
    /// The init that its root has, but that cannot work as the container is confined.
    pub(super) hampered: Option<RootInit>,
    /// What the image has that the container has not.
    pub(super) notes: Vec<String>,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    Wharf,
    /// The host's own `default.conf`, with wharf's defaults for what it does not set.
    Host(PathBuf),
    /// The file that the operator gave.
    Named,
    /// The configuration of another container.
    Copy(Name),
}

impl Created {
    /// Describes what the operator did not request explicitly: the base, and what was left out.
    pub fn notes(&self) -> Vec<String> {
        let base = match &self.basis {
            Basis::Named => None,
            Basis::Copy(from) => Some(format!("made from the container {from}")),
            Basis::Wharf => Some("made from wharf's defaults".to_owned()),
            Basis::Host(file) => {
                let file = shown_bytes(file.as_os_str().as_encoded_bytes());
                Some(format!("made from {file}, with wharf's defaults for what it does not set"))
            }
        };
        base.into_iter().chain(self.remarks()).collect()
    }

    /// Describes what was left out, and what may surprise.
    pub fn remarks(&self) -> Vec<String> {
        let left_out = self.left_out.iter().map(|it| shown(it).into_owned());
        let system = self.hampered.map(|init| {
            format!("its root boots a system with {init}, which requires `wharf create --system`")
        });
        let notes = self.notes.iter().map(|it| shown(it).into_owned());
        left_out.chain(notes).chain(system).collect()
    }
}
