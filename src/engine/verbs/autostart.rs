//! Which containers are started with the machine, and in which order: `lxc.start.*` and
//! `lxc.group`. Starts nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::config::{ConfigLine, Survey, survey};
use crate::engine::store::Store;
use crate::engine::terms::space::Space;
use crate::engine::terms::state::State;
use crate::engine::{Engine, Error, Name};

/// A container, and what its configuration says of its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autostart {
    pub name: Name,
    pub state: State,
    /// `lxc.start.auto`: it is started with the machine.
    pub is_auto: bool,
    /// Its place; a lower one comes earlier.
    pub order: i64,
    /// How long to wait after it.
    pub delay: Duration,
    pub groups: Vec<String>,
    /// The containers of which it has a namespace, without which it cannot start.
    pub needs: Vec<String>,
}

/// Which groups are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    Every,
    /// Those of each entry in turn; none stands for the containers that are in no group.
    These(Vec<Option<String>>),
}

/// Whether `lxc.start.auto` matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoRule {
    Required,
    Ignored,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartOrder {
    /// As for a start.
    Up,
    /// The other way round, as for a stop.
    Down,
}

impl Groups {
    /// Reads lists of groups as `-g` has them: an empty entry stands for no group.
    pub fn read<'a, I: Iterator<Item = &'a str>>(lists: I) -> Self {
        let entries = lists.flat_map(|it| it.split(','));
        let entry = |it: &str| (!it.is_empty()).then(|| it.to_owned());
        let entries: Vec<Option<String>> = entries.map(|it| entry(it.trim())).collect();
        Self::These(if entries.is_empty() { vec![None] } else { entries })
    }
}

impl Engine {
    /// Lists the containers that are meant, batch by batch: those of one batch have the same place
    /// in the order and need none of each other, so that they can be started at the same time.
    pub fn autostart(
        &self,
        groups: &Groups,
        rule: AutoRule,
        direction: StartOrder,
    ) -> Result<Vec<Vec<Autostart>>, Error> {
        let store = Store::new(&self.lxcpath);
        let mut all = Vec::new();
        for (name, state) in self.list()? {
            // Whoever removes it meanwhile wins. What is refused in it, its start reports.
            let Ok(text) = store.read_config(&name) else { continue };
            all.push(described(
                name.clone(),
                state,
                &survey(&text, &store.spelled(&name).join("config")),
            ));
        }
        all.retain(|it| rule == AutoRule::Ignored || it.is_auto);
        Ok(batches(all, groups, direction))
    }
}

fn described(name: Name, state: State, survey: &Survey) -> Autostart {
    let lines = survey.in_the_end();
    let values = |key: &str| -> Vec<&str> {
        let of_key = |it: &&ConfigLine| it.key == key;
        lines.iter().filter(of_key).map(|it| it.value.as_str()).collect()
    };
    let number = |key: &str| values(key).last().and_then(|it| it.parse::<i64>().ok()).unwrap_or(0);
    let share = |space: &Space| format!("lxc.namespace.share.{}", space.word());
    let needs = Space::ALL.iter().flat_map(|it| values(&share(it))).map(str::to_owned).collect();
    Autostart {
        is_auto: number("lxc.start.auto") == 1,
        order: number("lxc.start.order"),
        // Nobody waits for longer than a day, and a clock must not overflow.
        delay: Duration::from_secs(number("lxc.start.delay").clamp(0, 86_400).unsigned_abs()),
        groups: values("lxc.group").into_iter().map(str::to_owned).collect(),
        needs,
        name,
        state,
    }
}

/// Each entry of the groups is one pass over all; a container is in the first that has it.
fn batches(mut all: Vec<Autostart>, groups: &Groups, direction: StartOrder) -> Vec<Vec<Autostart>> {
    all.sort_by(|a, b| a.order.cmp(&b.order).then_with(|| a.name.cmp(&b.name)));
    if direction == StartOrder::Down {
        all.reverse();
    }
    let passes: Vec<Option<&Option<String>>> = match groups {
        Groups::Every => vec![None],
        Groups::These(entries) => entries.iter().map(Some).collect(),
    };
    let mut batches = Vec::new();
    for pass in passes {
        let has = |it: &Autostart| match pass {
            None => true,
            Some(None) => it.groups.is_empty(),
            Some(Some(group)) => it.groups.contains(group),
        };
        let (chosen, left): (Vec<_>, Vec<_>) = all.into_iter().partition(has);
        all = left;
        batches.extend(in_batches(chosen, direction));
    }
    batches
}

/// Parts a sorted pass where the place in the order changes, or one needs another.
fn in_batches(chosen: Vec<Autostart>, direction: StartOrder) -> Vec<Vec<Autostart>> {
    let mut batches = Vec::new();
    let mut left = chosen;
    while let Some(order) = left.first().map(|it| it.order) {
        let (here, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|it| it.order == order);
        left = later;
        let mut rest = here;
        let mut levels = Vec::new();
        while !rest.is_empty() {
            let names: BTreeSet<String> = rest.iter().map(|it| it.name.to_string()).collect();
            let waits = |it: &Autostart| it.needs.iter().any(|it| names.contains(it));
            let (held, free): (Vec<_>, Vec<_>) = rest.into_iter().partition(waits);
            // Those that need each other in a circle cannot start; their starts say so.
            let (free, held) = if free.is_empty() { (held, free) } else { (free, held) };
            levels.push(free);
            rest = held;
        }
        if direction == StartOrder::Down {
            levels.reverse();
        }
        batches.extend(levels);
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn one(name: &str, config: &str) -> Autostart {
        let survey = survey(config.as_bytes(), Path::new("c"));
        described(name.parse().unwrap(), State::Stopped, &survey)
    }

    fn names(batches: &[Vec<Autostart>]) -> String {
        let batch = |it: &Vec<Autostart>| {
            it.iter().map(|it| it.name.to_string()).collect::<Vec<_>>().join(" ")
        };
        batches.iter().map(batch).collect::<Vec<_>>().join("|")
    }

    fn some() -> Vec<Autostart> {
        vec![
            one("a", "lxc.start.order = 0x2\nlxc.start.delay = 5\nlxc.start.auto = 1"),
            one("b", "lxc.group = onboot\nlxc.group = x y"),
            one("c", "lxc.start.order = -1\nlxc.group = on"),
            one("d", "lxc.namespace.share.net = e\nlxc.start.order = 2"),
            one("e", "lxc.start.order = 2"),
            one("f", "lxc.group = onboot\nlxc.start.order = 9"),
        ]
    }

    #[test]
    fn a_configuration_says_how_it_is_started() {
        let a = one("a", "lxc.bogus\nlxc.start.auto = 1\nlxc.start.order = 0x10\nlxc.group = a b");
        assert_eq!((a.is_auto, a.order, a.groups.len()), (true, 16, 2));
        assert_eq!(some().first().unwrap().delay, Duration::from_secs(5));
    }

    #[test]
    fn batches_follow_the_order_and_what_needs_another_comes_after_it() {
        let of = |lists: &[&str], direction| {
            names(&batches(some(), &Groups::read(lists.iter().copied()), direction))
        };
        assert_eq!(of(&[], StartOrder::Up), "a e|d");
        assert_eq!(of(&[], StartOrder::Down), "d|e a");
        assert_eq!(of(&["onboot,"], StartOrder::Up), "b|f|a e|d");
        assert_eq!(of(&[",onboot"], StartOrder::Up), "a e|d|b|f");
        // A name is the whole name, and what comes after another entry counts, too.
        assert_eq!(of(&["on,onboot"], StartOrder::Up), "c|b|f");
        assert_eq!(of(&["x", "onboot"], StartOrder::Down), "b|f");
        let every = names(&batches(some(), &Groups::Every, StartOrder::Down));
        assert_eq!(every, "f|d|e a|b|c");
    }

    #[test]
    fn a_circle_of_needs_ends() {
        let circle =
            vec![one("a", "lxc.namespace.share.net = b"), one("b", "lxc.namespace.share.ipc = a")];
        assert_eq!(names(&batches(circle, &Groups::Every, StartOrder::Up)), "a b");
    }
}
