//! The change to an AppArmor profile or an SELinux context. Pure.

use std::ffi::CString;
use std::fmt;

use super::{Payload, PlanError, Step, cstring, has_own_init};
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
    pub moment: LabelMoment,
}

/// When the process that executes the program gets its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum LabelMoment {
    /// At the next exec, whoever's that is.
    AtExec,
    /// By a step of its own before it, as the kernel clears the signal by which init dies with its
    /// supervisor at an exec that changes the label.
    BeforeExec {
        /// Asks whether it could have it.
        test: CString,
    },
}

/// Returns the step that has the container confined, if it is.
pub(super) fn step(spec: &Spec, payload: Payload) -> Result<Option<Step>, PlanError> {
    let keyring = spec.keyring_label.as_ref();
    let keyring = keyring.map(|it| cstring("lxc.selinux.context.keyring", it.as_bytes()));
    let keyring = keyring.transpose()?;
    let Some(label) = &spec.label else {
        let only =
            |_: &CString| Confinement { change: None, keyring: keyring.clone(), place: None };
        return Ok(keyring.as_ref().map(only).map(Step::Confine));
    };
    let mut confinement = Confinement::new(&label.value, label.place.clone())?;
    if let (true, Some(change)) = (is_taken_on(spec, payload), &mut confinement.change) {
        let test = cstring("the label", format!("permprofile {}", label.value.name).as_bytes())?;
        change.moment = LabelMoment::BeforeExec { test };
    }
    Ok(Some(Step::Confine(Confinement { keyring, ..confinement })))
}

/// Returns the step by which init takes its label on before it is executed, if it does.
pub(super) fn taken_on(spec: &Spec, payload: Payload) -> Option<Step> {
    let label = spec.label.as_ref().filter(|_| is_taken_on(spec, payload));
    label.map(|it| Step::TakeLabel { label: it.value.clone(), place: it.place.clone() })
}

/// SELinux's rules are about labels that an exec changes, and our own init executes nothing.
fn is_taken_on(spec: &Spec, payload: Payload) -> bool {
    let module = spec.label.as_ref().map(|it| it.value.module);
    module == Some(SecurityModule::AppArmor) && !has_own_init(spec, payload)
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
        let moment = LabelMoment::AtExec;
        let change = Some(LabelChange { label, on_exec, at_once, moment });
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
