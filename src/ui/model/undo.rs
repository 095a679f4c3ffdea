//! What undoes acts, and how that is worded. Does nothing itself.

use super::{Model, UndoStep, Way};
use crate::ui::effect::{Act, Outcome};
use crate::ui::value;

impl Model {
    /// Returns the steps that undo or redo the last act: those of one batch.
    pub fn steps(&self, way: Way) -> &[UndoStep] {
        let all = match way {
            Way::Back => &self.undo,
            Way::Anew | Way::Again => &self.redo,
        };
        let batch = all.last().map(|it| it.batch);
        let first = all.iter().rposition(|it| Some(it.batch) != batch).map_or(0, |it| it + 1);
        all.get(first..).unwrap_or_default()
    }
}

/// Describes what `steps` do: `thaw web`, `set memory.max 64M of db`.
pub fn words(steps: &[UndoStep]) -> String {
    let Some(UndoStep { act, name, .. }) = steps.first() else { return String::new() };
    let whose = match steps.len() {
        1 => name.to_string(),
        many => format!("{many} containers"),
    };
    match act {
        Act::Set { file, value } => {
            let same = steps.iter().all(|it| it.act == *act);
            let shown = value::shown(file, value);
            let value = if same { format!(" {shown}") } else { String::new() };
            format!("set {file}{value} of {whose}")
        }
        Act::Keep { file, value: Some(value) } => {
            format!("set {file} {} in the configuration of {whose}", value::shown(file, value))
        }
        Act::BringBack(_) => format!("bring {whose} back"),
        Act::Rename { to } if steps.len() == 1 => format!("call {name} {to}"),
        Act::Rename { .. } => format!("rename {whose}"),
        Act::Keep { file, value: None } => {
            format!("take {file} out of the configuration of {whose}")
        }
        Act::Start
        | Act::Stop
        | Act::Kill
        | Act::Restart
        | Act::Freeze
        | Act::Thaw
        | Act::Destroy
        | Act::Clone { .. }
        | Act::Snapshot
        | Act::Replace { .. }
        | Act::RemoveTrashed(_)
        | Act::DeleteSnapshot { .. }
        | Act::Again
        | Act::Signal { .. }
        | Act::Create { .. } => format!("{} {whose}", act.word()),
    }
}

/// Returns what undoes `act`, now that it is done.
pub fn inverse(act: &Act, outcome: &Outcome) -> Option<Act> {
    match (act, outcome) {
        (Act::Destroy, Outcome::Trashed(id)) => Some(Act::BringBack(id.clone())),
        (Act::BringBack(_), _) => Some(Act::Destroy),
        (Act::Freeze, _) => Some(Act::Thaw),
        (Act::Thaw, _) => Some(Act::Freeze),
        (Act::Set { file, .. }, Outcome::Changed(change)) if change.old != change.new => {
            Some(Act::Set { file: file.clone(), value: change.old.trim().to_owned() })
        }
        (Act::Keep { file, .. }, Outcome::Kept(kept)) if kept.reversible => {
            Some(Act::Keep { file: file.clone(), value: kept.old.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_called_by_what_they_do() {
        let step = |name: &str, act| UndoStep { batch: 1, name: name.parse().unwrap(), act };
        let set = |value: &str| Act::Set { file: "memory.max".into(), value: value.into() };
        assert_eq!(words(&[step("web", Act::Thaw)]), "thaw web");
        assert_eq!(words(&[step("web", Act::Thaw), step("db", Act::Thaw)]), "thaw 2 containers");
        assert_eq!(words(&[step("db", set("67108864"))]), "set memory.max 64M of db");
        let two = [step("db", set("67108864")), step("web", set("max"))];
        assert_eq!(words(&two), "set memory.max of 2 containers");
    }
}
