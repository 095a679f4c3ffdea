//! Profiles of system calls, in LXC's language: read, and compiled to the program by which the
//! kernel decides. Pure: it reads no file and makes no system call.
//!
//! A profile means what it means to LXC, which uses libseccomp, with one exception: if two rules
//! about one call overlap, the first of them decides.

mod machine;
mod profile;
mod program;
mod table;

pub(in crate::engine) use machine::Machine;
use profile::{CallAction, ProfileError, ProfileFault};

use crate::engine::sys::filter::FilterInstruction;
use crate::engine::terms::shown::shown;
use table::CallTable;

/// A profile, ready for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Compiled {
    pub program: Vec<FilterInstruction>,
    /// Some calls are decided by who listens.
    pub notifies: bool,
    /// What has no effect in the profile, each with its line.
    pub warnings: Vec<(usize, String)>,
}

/// Compiles the profile `text` for a kernel on `machine`.
pub(in crate::engine) fn compile(text: &str, machine: Machine) -> Result<Compiled, ProfileError> {
    let profile = profile::read(text, machine)?;
    let mut warnings = Vec::new();
    let abis = machine.abis().iter().take(if profile.native_only { 1 } else { usize::MAX });
    let mut tables: Vec<_> = abis.map(|it| (*it, CallTable::default())).collect();
    for rule in &profile.rules {
        let mut known = false;
        for (abi, table) in &mut tables {
            known |= table.add(*abi, rule, &mut warnings);
        }
        // A call that only other machines have is not a mistake.
        if !known && machine::Abi::ALL.iter().all(|it| it.number(&rule.name).is_none()) {
            let name = shown(&rule.name).into_owned();
            warnings.push((rule.line, format!("unknown system call {name}; the rule is ignored")));
        }
    }
    let program = program::of(&tables, profile.default);
    if program.len() > libc::BPF_MAXINSNS as usize {
        return Err(ProfileError::whole(ProfileFault::TooLong(program.len())));
    }
    let mut actions = profile.rules.iter().map(|it| it.action);
    let notifies =
        profile.default == CallAction::Notify || actions.any(|it| it == CallAction::Notify);
    Ok(Compiled { program, notifies, warnings })
}

#[cfg(test)]
mod tests;
