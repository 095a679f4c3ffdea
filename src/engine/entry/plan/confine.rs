//! The change to an AppArmor profile or an SELinux context. Pure.

use std::ffi::CString;
use std::fmt;

use super::{PlanError, Step, cstring};
use crate::engine::terms::label::{Label, SecurityModule};
use crate::engine::terms::spec::{ConfigPlace, Spec};

/// What is requested from the kernel. It is requested while /proc is the host's: the container's
/// may be anything (CVE-2019-16884).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Confinement {
    /// None: only the keyring has a context.
    pub change: Option<LabelChange>,
    /// The SELinux context of keyrings that the process makes.
    pub keyring: Option<CString>,
    pub place: Option<ConfigPlace>,
}

/// A label, and the words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct LabelChange {
    pub label: Label,
    /// At the next exec.
    pub on_exec: CString,
    /// Immediately.
    pub at_once: CString,
}

/// Returns the step that has the container confined, if it is.
pub(super) fn step(spec: &Spec) -> Result<Option<Step>, PlanError> {
    let keyring = spec.keyring_label.as_ref();
    let keyring = keyring.map(|it| cstring("lxc.selinux.context.keyring", it.as_bytes()));
    let keyring = keyring.transpose()?;
    let Some(label) = &spec.label else {
        let only =
            |_: &CString| Confinement { change: None, keyring: keyring.clone(), place: None };
        return Ok(keyring.as_ref().map(only).map(Step::Confine));
    };
    let confinement = Confinement::new(&label.value, label.place.clone())?;
    Ok(Some(Step::Confine(Confinement { keyring, ..confinement })))
}

impl Confinement {
    pub(super) fn new(label: &Label, place: Option<ConfigPlace>) -> Result<Self, PlanError> {
        let name = &label.name;
        let (on_exec, at_once) = match label.module {
            SecurityModule::AppArmor => (format!("exec {name}"), format!("changeprofile {name}")),
            SecurityModule::SeLinux => (name.clone(), name.clone()),
        };
        let word = |text: String| cstring("the label", text.as_bytes());
        let (label, on_exec, at_once) = (label.clone(), word(on_exec)?, word(at_once)?);
        let change = Some(LabelChange { label, on_exec, at_once });
        Ok(Self { change, keyring: None, place })
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Some(change) => write!(f, "confine it with {}", change.label),
            None => write!(f, "give its keyring an SELinux context"),
        }
    }
}
