//! Why an action cannot be done to a container as it is, in words with advice. The verb's row of
//! the table decides; this only says it. Knows no screen.

use crate::command::{self, Action, Verb, When};
use crate::engine::snapshot::Container;
use crate::engine::state::State;

/// Tells why `action` cannot be done to `container` as it is; none: it can.
pub fn reason(container: &Container, action: Action) -> Option<String> {
    let (name, state) = (&container.name, container.state);
    let command = action.verb().and_then(command::of)?;
    if !container.defined && state == State::Stopped {
        if command.verb == Verb::Start {
            return Some(format!("{name} has no configuration to start from"));
        }
        if command.verb == Verb::Destroy {
            return Some(format!("{name} has no files to destroy"));
        }
    }
    // One key freezes what runs and thaws what is frozen.
    let when = if action == Action::Freeze { When::Alive } else { command.when };
    when.allows(state).err()?;
    let advice = match when {
        When::Stopped if command.verb == Verb::Destroy => ": stop it first (S)",
        When::Running | When::Alive if state == State::Frozen => ": thaw it first (f)",
        When::Running | When::Alive => ": start it first (s)",
        When::Frozen | When::Anytime => "",
        When::Stopped | When::Active => " already",
    };
    Some(format!("{name} is {state}{advice}"))
}
