//! What a new container would start from, for whoever is about to create one. Changes nothing.

use std::path::PathBuf;

use super::base::Base;
use super::{Basis, Create};
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

/// What a new container starts from, beyond what its creator asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartingPoint {
    /// The host's file that it is made from; none: a template or wharf's defaults alone.
    pub file: Option<PathBuf>,
    /// Its networks, each in a few words.
    pub networks: Vec<String>,
    /// The lines of the file that are left out, each with the reason.
    pub left_out: Vec<String>,
}

impl Engine {
    /// Returns what `create` would start from, or why its configuration cannot be used.
    pub fn starting_point(&self, name: &Name, create: &Create) -> Result<StartingPoint, Error> {
        let base = Base::of(name, &self.lxcpath, create)
            .map_err(|error| Error::new(Verb::Create, name, ErrorKind::Invalid, error))?;
        let networks = base.config.networks();
        let file = match base.basis {
            Basis::Host(file) => Some(file),
            Basis::Wharf | Basis::Named | Basis::Copy(_) => None,
        };
        Ok(StartingPoint { file, networks, left_out: base.left_out })
    }
}
