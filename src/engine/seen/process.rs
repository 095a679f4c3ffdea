//! A process of a container, and the forest that a list of them forms. Pure: it parses what others
//! read.

use std::collections::HashMap;

use crate::engine::host::identity::Identity;

/// One process as `/proc` showed it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// In the host's pid namespace.
    pub pid: i32,
    pub parent: i32,
    /// In the container's own pid namespace.
    pub inner_pid: Option<i32>,
    /// Clock ticks after boot; with `pid` it identifies the process.
    pub start_time: u64,
    /// The state letter of proc_pid_stat(5): R, S, D, Z, T ….
    pub state: char,
    pub threads: u32,
    pub uid: Option<u32>,
    /// Percent of one processor since the sample before.
    pub cpu_percent: Option<f32>,
    /// Time on a processor since its start, in clock ticks.
    pub cpu_ticks: u64,
    pub rss_bytes: Option<u64>,
    /// The command line, or else the name in brackets. Not safe to print as it is.
    pub command: String,
    /// Depth in the forest, 0 for a root.
    pub depth: u16,
    /// For each level down to this one: is there a later sibling? Draws the tree's lines.
    pub later_siblings: Vec<bool>,
}

impl Process {
    /// Returns what distinguishes this process from a later one with the same pid.
    pub const fn identity(&self) -> Identity {
        Identity { pid: self.pid, start_time: self.start_time }
    }
}

/// How siblings are ordered in a forest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProcessOrder {
    /// The lowest pid first.
    #[default]
    Pid,
    /// The busiest first, equals by pid.
    Cpu,
    /// The one with the most memory first, equals by pid.
    Memory,
}

/// Puts `processes` in depth-first order and fills in their places in the tree. A process whose
/// parent is not in the list is a root.
pub fn forest(mut processes: Vec<Process>, order: ProcessOrder) -> Vec<Process> {
    match order {
        ProcessOrder::Pid => processes.sort_by_key(|it| it.pid),
        ProcessOrder::Cpu => processes.sort_by(|a, b| {
            let cpu = |it: &Process| it.cpu_percent.unwrap_or(0.0);
            cpu(b).total_cmp(&cpu(a)).then(a.pid.cmp(&b.pid))
        }),
        ProcessOrder::Memory => {
            processes.sort_by(|a, b| b.rss_bytes.cmp(&a.rss_bytes).then(a.pid.cmp(&b.pid)));
        }
    }
    let indexes: HashMap<i32, usize> =
        processes.iter().enumerate().map(|(index, it)| (it.pid, index)).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); processes.len()];
    let mut roots = Vec::new();
    for (index, process) in processes.iter().enumerate() {
        match indexes.get(&process.parent).and_then(|&it| children.get_mut(it)) {
            Some(siblings) => siblings.push(index),
            None => roots.push(index),
        }
    }
    break_loops(&mut roots, &mut children);
    flatten(processes, &roots, &children)
}

/// Makes one member of every loop of parents a root. The kernel creates no such loop, but a list
/// that was read piece by piece can contain one if a pid was reused meanwhile.
fn break_loops(roots: &mut Vec<usize>, children: &mut [Vec<usize>]) {
    let mut reached = vec![false; children.len()];
    let mut stack = roots.clone();
    for index in 0..=children.len() {
        while let Some(it) = stack.pop() {
            if let Some(reached) = reached.get_mut(it).filter(|it| !**it) {
                *reached = true;
                stack.extend(children.get(it).into_iter().flatten());
            }
        }
        if reached.get(index) == Some(&false) {
            roots.push(index);
            for siblings in children.iter_mut() {
                siblings.retain(|&it| it != index);
            }
            stack.push(index);
        }
    }
}

fn flatten(processes: Vec<Process>, roots: &[usize], children: &[Vec<usize>]) -> Vec<Process> {
    let mut slots: Vec<Option<Process>> = processes.into_iter().map(Some).collect();
    let mut flat = Vec::with_capacity(slots.len());
    // Remaining indexes, with the lines to draw; the next one is last.
    let mut stack: Vec<(usize, Vec<bool>)> = pending(roots, None);
    while let Some((index, later_siblings)) = stack.pop() {
        let Some(mut process) = slots.get_mut(index).and_then(Option::take) else { continue };
        let below = children.get(index).map(Vec::as_slice).unwrap_or_default();
        stack.append(&mut pending(below, Some(&later_siblings)));
        process.depth = later_siblings.len().saturating_sub(1) as u16;
        process.later_siblings = later_siblings;
        flat.push(process);
    }
    flat
}

fn pending(siblings: &[usize], above: Option<&Vec<bool>>) -> Vec<(usize, Vec<bool>)> {
    let last = siblings.len().saturating_sub(1);
    let lines = |position| {
        let mut lines = above.cloned().unwrap_or_default();
        lines.push(position < last);
        lines
    };
    siblings.iter().enumerate().rev().map(|(position, &it)| (it, lines(position))).collect()
}

impl Process {
    /// Returns the percentage of one processor that it used from its start to `now`, in clock ticks
    /// since boot.
    pub fn mean_cpu_percent(&self, now: u64) -> Option<f32> {
        let lived = now.checked_sub(self.start_time).filter(|it| *it > 0)?;
        Some((self.cpu_ticks as f64 * 100.0 / lived as f64) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process { pid, parent, ..Process::default() }
    }

    #[track_caller]
    fn check(list: &[(i32, i32)], expected: &[&str]) {
        let list = list.iter().map(|&(pid, parent)| process(pid, parent)).collect();
        let drawn: Vec<String> = forest(list, ProcessOrder::Pid)
            .iter()
            .map(|it| {
                let lines = it.later_siblings.iter().map(|&it| if it { '|' } else { '.' });
                assert_eq!(usize::from(it.depth) + 1, it.later_siblings.len());
                format!("{}{}", lines.collect::<String>(), it.pid)
            })
            .collect();
        assert_eq!(drawn, expected);
    }

    #[test]
    fn children_follow_their_parent_and_orphans_are_roots() {
        check(&[(9, 4), (4, 1), (5, 4), (20, 5), (7, 777)], &["|4", "||5", "||.20", "|.9", ".7"]);
    }

    #[test]
    fn nothing_is_lost_in_a_loop() {
        check(&[(1, 2), (2, 1), (3, 2), (4, 4)], &["|1", "|.2", "|..3", ".4"]);
    }

    #[test]
    fn the_mean_use_of_cpu_is_over_a_life() {
        let one = Process { start_time: 100, cpu_ticks: 50, ..Process::default() };
        assert_eq!(one.mean_cpu_percent(300), Some(25.0));
        assert_eq!(one.mean_cpu_percent(100), None);
    }

    #[test]
    fn the_busiest_sibling_comes_first() {
        let mut list = vec![process(1, 0), process(2, 1), process(3, 1)];
        list[2].cpu_percent = Some(5.0);
        let pids: Vec<i32> = forest(list, ProcessOrder::Cpu).iter().map(|it| it.pid).collect();
        assert_eq!(pids, [1, 3, 2]);
    }

    #[test]
    fn a_deep_line_takes_no_stack() {
        let list = (1..5000).map(|pid| process(pid, pid - 1)).collect();
        assert_eq!(forest(list, ProcessOrder::Pid).last().unwrap().depth, 4998);
    }

    proptest::proptest! {
        #[test]
        fn every_process_appears_once(parents in proptest::collection::vec(0..12, 0..12)) {
            let list: Vec<Process> =
                parents.iter().zip(1..).map(|(&parent, pid)| process(pid, parent)).collect();
            let mut pids: Vec<i32> =
                forest(list, ProcessOrder::Cpu).iter().map(|it| it.pid).collect();
            pids.sort_unstable();
            proptest::prop_assert_eq!(pids, (1..).take(parents.len()).collect::<Vec<_>>());
        }
    }
}
