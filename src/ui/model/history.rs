//! The last minutes of one container's counters, for its graphs. Remembers values, draws nothing.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::engine::sample::Counters;

/// How far back a graph reaches, unless there is room for more.
pub const LEAST_SPAN: Duration = Duration::from_mins(1);
/// How far back the widest graph reaches, in minutes.
const MOST_MINUTES: u64 = 5;
const MOST_SPAN: Duration = Duration::from_mins(MOST_MINUTES);
/// Values older than [`LEAST_SPAN`] are kept as means over this time: a graph that shows them has
/// no room for more, and a thousand containers are remembered.
const STEP_MS: u64 = 5_000;

/// One remembered instant, or the mean of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    at_ms: u64,
    cpu_percent: Option<f32>,
    memory_bytes: Option<f32>,
}

/// The values of one container, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    steps: VecDeque<Point>,
    /// Over how many points the newest step is the mean.
    merged: u16,
    points: VecDeque<Point>,
}

/// Returns how far back a graph of `slots` values reaches: a value for a second, in whole minutes.
pub fn span(slots: usize) -> Duration {
    let minutes =
        u64::try_from(slots).unwrap_or(MOST_MINUTES) * 1000 / LEAST_SPAN.as_millis() as u64;
    Duration::from_mins(minutes.clamp(1, MOST_MINUTES))
}

impl History {
    /// Adds the values at `at` and drops those older than any graph shows.
    pub fn add(&mut self, at: SystemTime, counters: &Counters) {
        let at_ms = since_epoch_ms(at);
        // The clock was set back: earlier values no longer fit.
        if self.points.back().is_some_and(|it| it.at_ms > at_ms) {
            *self = Self::default();
        }
        let older = |it: &Point, than: Duration| at_ms - it.at_ms > than.as_millis() as u64;
        while self.points.front().is_some_and(|it| older(it, LEAST_SPAN)) {
            if let Some(point) = self.points.pop_front() {
                self.merge(point);
            }
        }
        while self.steps.front().is_some_and(|it| older(it, MOST_SPAN)) {
            self.steps.pop_front();
        }
        self.points.push_back(Point {
            at_ms,
            cpu_percent: counters.cpu_percent,
            memory_bytes: counters.memory_bytes.map(|it| it as f32),
        });
    }

    /// Adds a point to the step that it belongs to.
    fn merge(&mut self, point: Point) {
        let step = self.steps.back_mut().filter(|it| it.at_ms / STEP_MS == point.at_ms / STEP_MS);
        let Some(step) = step else {
            self.merged = 1;
            return self.steps.push_back(point);
        };
        let many = f32::from(self.merged);
        let mean = |old: Option<f32>, new: Option<f32>| match (old, new) {
            (Some(old), Some(new)) => Some((old * many + new) / (many + 1.0)),
            (one, other) => one.or(other),
        };
        step.cpu_percent = mean(step.cpu_percent, point.cpu_percent);
        step.memory_bytes = mean(step.memory_bytes, point.memory_bytes);
        self.merged = self.merged.saturating_add(1);
    }

    fn all(&self) -> impl Iterator<Item = &Point> {
        self.steps.iter().chain(&self.points)
    }

    /// Returns `count` values of CPU use that divide the last `span` evenly, oldest first.
    pub fn cpu(&self, now: SystemTime, count: usize, span: Duration) -> Vec<Option<f32>> {
        self.resample(now, count, span, |it| it.cpu_percent)
    }

    /// The same for memory, in bytes.
    pub fn memory(&self, now: SystemTime, count: usize, span: Duration) -> Vec<Option<f32>> {
        self.resample(now, count, span, |it| it.memory_bytes)
    }

    /// Returns the highest CPU use of the last `span`.
    pub fn cpu_peak(&self, now: SystemTime, span: Duration) -> f32 {
        let from = since_epoch_ms(now).saturating_sub(span.as_millis() as u64);
        let seen = self.all().filter(|it| it.at_ms >= from);
        seen.filter_map(|it| it.cpu_percent).fold(0.0, f32::max)
    }

    /// The mean of each slot; an empty slot takes the value before it, also one from before `span`.
    fn resample(
        &self,
        now: SystemTime,
        count: usize,
        span: Duration,
        value: impl Fn(&Point) -> Option<f32>,
    ) -> Vec<Option<f32>> {
        let mut sums = vec![(0.0_f32, 0_u16); count];
        let slot_ms = (span.as_millis() as u64 / count.max(1) as u64).max(1);
        let now_ms = since_epoch_ms(now);
        let mut before = None;
        for point in self.all() {
            let age_ms = now_ms.saturating_sub(point.at_ms);
            let slot = count.checked_sub((age_ms / slot_ms) as usize + 1);
            match (slot.and_then(|it| sums.get_mut(it)), value(point)) {
                (Some(slot), Some(value)) => {
                    slot.0 += value;
                    slot.1 += 1;
                }
                (Some(_), None) => (),
                (None, value) => before = value,
            }
        }
        let mut values: Vec<Option<f32>> = sums
            .into_iter()
            .map(|(sum, many)| {
                before = (many > 0).then(|| sum / f32::from(many)).or(before);
                before
            })
            .collect();
        values.truncate(count);
        values
    }
}

fn since_epoch_ms(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(cpu: f32) -> Counters {
        Counters { cpu_percent: Some(cpu), ..Counters::default() }
    }

    #[test]
    fn a_clock_that_was_set_back_begins_anew() {
        let mut history = History::default();
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let tomorrow = now + Duration::from_hours(24);
        for at in [tomorrow, tomorrow, now, now] {
            history.add(at, &Counters::default());
        }
        assert_eq!(history.points.len(), 2);
    }

    #[test]
    fn a_minute_is_divided_evenly() {
        let start = SystemTime::UNIX_EPOCH;
        let mut history = History::default();
        for second in 1..=60 {
            history.add(start + Duration::from_secs(second), &seen(second as f32));
        }
        let values = history.cpu(start + Duration::from_mins(1), 2, LEAST_SPAN);
        assert_eq!(values, [Some(15.5), Some(45.5)]);
    }

    #[test]
    fn what_was_not_seen_is_unknown_and_not_zero() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let mut history = History::default();
        history.add(now, &seen(5.0));
        assert_eq!(history.cpu(now, 3, LEAST_SPAN), [None, None, Some(5.0)]);
    }

    #[test]
    fn a_graph_begins_with_what_was_before_it() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let at = |second| start + Duration::from_secs(second);
        let mut history = History::default();
        for second in 0..100 {
            history.add(at(second), &seen(7.0));
            let values = history.cpu(at(second), 60, LEAST_SPAN);
            let gaps = values.iter().filter(|it| it.is_none()).count() as u64;
            assert_eq!(gaps, 59_u64.saturating_sub(second), "after {second} s");
        }
    }

    #[test]
    fn wide_graphs_reach_further_back_by_whole_minutes() {
        let minutes = |slots| span(slots).as_secs() / 60;
        assert_eq!([0, 60, 119, 120, 200, 4000].map(minutes), [1, 1, 1, 2, 3, 5]);
    }

    #[test]
    fn five_minutes_are_kept_the_older_ones_as_means() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let mut history = History::default();
        for second in 0..=400 {
            let cpu = if second < 205 { (second % 5) as f32 } else { 7.0 };
            history.add(start + Duration::from_secs(second), &seen(cpu));
        }
        let now = start + Duration::from_secs(400);
        assert!(history.steps.len() + history.points.len() < 120, "{}", history.steps.len());
        assert_eq!(history.cpu(now, 3, MOST_SPAN), [Some(2.0), Some(7.0), Some(7.0)]);
        assert!((history.cpu_peak(now, LEAST_SPAN) - 7.0).abs() < 0.1);
        assert_eq!(history.cpu(now, 4, LEAST_SPAN), [Some(7.0); 4]);
    }
}
