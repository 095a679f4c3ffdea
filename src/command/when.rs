//! In which states a command can act on a container, and the reason when it cannot. Command line
//! and screen give the same reason, and both name the verb that helps.

use super::Verb;
use crate::engine::State;

/// The states in which a command makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Anytime,
    /// No process of the container exists, so that it can be started.
    Stopped,
    /// No process of the container exists, so that it can be removed.
    Dead,
    /// Its processes run and respond.
    Awake,
    /// It has been started and is not being stopped. Freezing a frozen container or thawing a
    /// running one changes nothing, and is not a failure.
    Alive,
    /// There is something left to stop.
    Active,
}

/// Why a command cannot act on a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What follows "it" or the container's name.
    pub why: &'static str,
    /// The verb that makes it possible.
    pub first: Option<Verb>,
}

impl Refusal {
    /// Words it for a container that was named before.
    pub fn sentence(self) -> String {
        format!("it {}", self.why)
    }
}

impl When {
    /// Returns whether a container in `state` allows it, or why not and what to do first.
    pub const fn allows(self, state: State) -> Result<(), Refusal> {
        match (self, state) {
            (Self::Anytime, _)
            | (Self::Stopped | Self::Dead, State::Stopped)
            | (Self::Awake, State::Running | State::Thawed)
            | (Self::Alive, State::Running | State::Freezing | State::Frozen | State::Thawed)
            | (
                Self::Active,
                State::Starting
                | State::Running
                | State::Stopping
                | State::Aborting
                | State::Freezing
                | State::Frozen
                | State::Thawed,
            ) => Ok(()),
            (Self::Stopped, State::Running | State::Thawed) => refused("is already running", None),
            (Self::Stopped, State::Freezing | State::Frozen) => {
                refused("is already running, and frozen", Some(Verb::Unfreeze))
            }
            (Self::Stopped, State::Starting) => refused("is already starting", None),
            (Self::Dead, State::Running | State::Thawed) => refused("is running", Some(Verb::Stop)),
            (Self::Dead | Self::Awake, State::Freezing | State::Frozen) => {
                let first = if matches!(self, Self::Dead) { Verb::Stop } else { Verb::Unfreeze };
                refused("is frozen", Some(first))
            }
            (Self::Active, State::Stopped) => refused("is not running", None),
            (Self::Awake | Self::Alive, State::Stopped) => {
                refused("is not running", Some(Verb::Start))
            }
            (_, State::Starting) => refused("is starting; wait until it runs", None),
            (_, State::Stopping) => refused("is stopping; wait until it has stopped", None),
            (_, State::Aborting) => refused("failed to start, and is stopping", None),
        }
    }
}

const fn refused(why: &'static str, first: Option<Verb>) -> Result<(), Refusal> {
    Err(Refusal { why, first })
}

#[cfg(test)]
mod tests {
    use super::super::{COMMANDS, CommandSpec};
    use super::*;

    const YES: &str = "yes";

    /// Whether a verb is allowed in each state, in the order of `State::ALL`: STOPPED, STARTING,
    /// RUNNING, STOPPING, ABORTING, FREEZING, FROZEN, THAWED.
    fn expected(verb: Verb) -> [&'static str; 8] {
        const SOON: &str = "is starting; wait until it runs";
        const OVER: &str = "is stopping; wait until it has stopped";
        const FAILED: &str = "failed to start, and is stopping";
        const RUNS: &str = "is already running";
        const STANDS: &str = "is already running, and frozen, first unfreeze";
        const NOT: &str = "is not running, first start";
        const ICE: &str = "is frozen, first unfreeze";
        const STOP: &str = "is frozen, first stop";
        match verb {
            Verb::List
            | Verb::Info
            | Verb::Look
            | Verb::ReadConsole
            | Verb::Create
            | Verb::Monitor
            | Verb::Wait
            | Verb::CheckConfig
            | Verb::ReadConfig
            | Verb::Autostart
            | Verb::Configure
            | Verb::LinkNames
            | Verb::Complete
            | Verb::WriteManual
            | Verb::RestoreTrashed
            | Verb::EmptyTrash
            | Verb::Top => [YES; 8],
            Verb::Start | Verb::Execute | Verb::Restore => {
                [YES, "is already starting", RUNS, OVER, FAILED, STANDS, STANDS, RUNS]
            }
            Verb::Destroy | Verb::Clone | Verb::Rename | Verb::Snapshot => [
                YES,
                SOON,
                "is running, first stop",
                OVER,
                FAILED,
                STOP,
                STOP,
                "is running, first stop",
            ],
            Verb::Stop | Verb::Processes => ["is not running", YES, YES, YES, YES, YES, YES, YES],
            Verb::Attach | Verb::Checkpoint => [NOT, SOON, YES, OVER, FAILED, ICE, ICE, YES],
            Verb::Restart
            | Verb::Freeze
            | Verb::Unfreeze
            | Verb::Console
            | Verb::EditCgroup
            | Verb::ReadCgroup
            | Verb::SetCgroup
            | Verb::KeepLimit
            | Verb::AddDevice
            | Verb::RemoveDevice
            | Verb::Signal => [NOT, SOON, YES, OVER, FAILED, YES, YES, YES],
        }
    }

    fn told(command: &CommandSpec, state: State) -> String {
        match command.allowed(state) {
            Ok(()) => YES.to_owned(),
            Err(Refusal { why, first: None }) => why.to_owned(),
            Err(Refusal { why, first: Some(verb) }) => {
                format!("{why}, first {}", super::super::of(verb).unwrap().name)
            }
        }
    }

    #[test]
    fn every_verb_in_every_state_does_or_says_what_is_written_here() {
        for command in COMMANDS {
            for (state, expected) in State::ALL.into_iter().zip(expected(command.verb)) {
                assert_eq!(told(command, state), expected, "{} × {state}", command.name);
            }
        }
    }

    #[test]
    fn what_is_to_be_done_first_is_possible() {
        for command in COMMANDS {
            for state in State::ALL {
                let first = command.allowed(state).err().and_then(|it| it.first);
                let possible = first.and_then(super::super::of).map(|it| it.allowed(state));
                assert!(matches!(possible, None | Some(Ok(()))), "{} × {state}", command.name);
            }
        }
    }
}
