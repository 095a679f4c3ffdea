//! Hooks that the new process runs on its way. Pure.

use super::{DEFAULT_PATH, PlanError, Program, Step};
use crate::engine::entry::script::{SHELL, Script};
use crate::engine::sys::filter::FilterInstruction;
use crate::engine::terms::hook::{Hook, Moment};
use crate::engine::terms::spec::{At, ConfigPlace, Spec};

/// A command of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct HookStep {
    /// Its environment is added to the caller's, unless it is the container's own program.
    pub program: Program,
    pub moment: Moment,
    /// The container's filter, for a hook that is the container's own program.
    pub filter: Option<Vec<FilterInstruction>>,
    pub text: String,
    pub place: Option<ConfigPlace>,
}

/// Returns the hooks of one moment.
pub(super) fn at(spec: &Spec, moment: Moment) -> Result<Vec<Step>, PlanError> {
    let all = spec.hooks.all.iter().filter(|it| it.value.moment == moment);
    let step = |it: &At<Hook>| {
        let script = Script::of_hook(&it.value, spec.name.as_str(), &spec.hooks);
        let argv = [SHELL.to_owned(), "-c".to_owned(), script.line()];
        let mut environment = spec.hooks.own.clone();
        environment.extend(script.environment.iter().cloned());
        if moment == Moment::Start {
            environment.insert(0, ("PATH".to_owned(), DEFAULT_PATH.to_owned()));
        }
        let program = Program::new(&argv, &environment)?;
        let (text, place) = (script.to_string(), it.place.clone());
        let filter = spec.filter.as_ref().filter(|_| moment == Moment::Start);
        let filter = filter.map(|it| it.value.clone());
        Ok(Step::Hook(HookStep { program, moment, filter, text, place }))
    };
    all.map(step).collect()
}

/// Returns whether hooks run while the host's root is still there: they are not confined.
pub(super) fn before_pivot(spec: &Spec) -> bool {
    let early = [Moment::PreMount, Moment::Mount, Moment::Autodev];
    spec.hooks.all.iter().any(|it| early.contains(&it.value.moment))
}
