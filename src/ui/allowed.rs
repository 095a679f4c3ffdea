//! Which action fits which container, and in words why another does not. Knows no screen.

use crate::command::Action;
use crate::engine::snapshot::Container;
use crate::engine::state::State;

/// Tells why `action` cannot be done to `container` as it is; none: it can.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other actions are alike here")]
pub fn reason(container: &Container, action: Action) -> Option<String> {
    let name = &container.name;
    let state = container.state;
    let alive = matches!(state, State::Running | State::Freezing | State::Frozen | State::Thawed);
    let not_running = || Some(format!("{name} is {state}: start it first (s)"));
    match action {
        Action::Start if state != State::Stopped => Some(format!("{name} is {state} already")),
        Action::Start if !container.defined => {
            Some(format!("{name} has no configuration to start from"))
        }
        Action::Stop if state == State::Stopped => Some(format!("{name} is STOPPED already")),
        Action::Freeze
        | Action::Console
        | Action::Restart
        | Action::Exec
        | Action::Signal
        | Action::Edit
            if !alive =>
        {
            not_running()
        }
        Action::Exec if state == State::Frozen => {
            Some(format!("{name} is FROZEN: thaw it first (f)"))
        }
        Action::Destroy if state != State::Stopped => {
            Some(format!("{name} is {state}: stop it first (S)"))
        }
        Action::Destroy if !container.defined => Some(format!("{name} has no files to destroy")),
        _ => None,
    }
}
