//! What a security module confines a container by, as its configuration asks for it. Plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose rules they are; a kernel carries out those of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityModule {
    AppArmor,
    SeLinux,
}

/// An AppArmor profile, or an SELinux context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub module: SecurityModule,
    pub name: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.module {
            SecurityModule::AppArmor => write!(f, "the AppArmor profile {}", self.name),
            SecurityModule::SeLinux => write!(f, "the SELinux context {}", self.name),
        }
    }
}

/// An AppArmor profile that a container has for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnProfile {
    pub name: String,
    /// Where the container can load profiles of its own; none: this kernel cannot stack them.
    pub namespace: Option<String>,
    /// Its rules, which only loading needs.
    #[serde(skip)]
    pub text: String,
}

impl OwnProfile {
    /// Returns the profile by which the container is confined.
    pub fn label(&self) -> Label {
        let name = match &self.namespace {
            Some(namespace) => format!("{}//&:{namespace}:", self.name),
            None => self.name.clone(),
        };
        Label { module: SecurityModule::AppArmor, name }
    }
}
