//! The last minute of one container's counters, for its graphs. Remembers values, draws nothing.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::engine::sample::Counters;

/// How far back the graphs reach.
pub const SPAN_SECONDS: u64 = 60;

/// One remembered instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub at: SystemTime,
    pub cpu_percent: Option<f32>,
    pub memory_bytes: Option<u64>,
}

/// What was seen of one container, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    points: VecDeque<Point>,
}

impl History {
    /// Adds what was seen at `at` and forgets what is older than the span.
    pub fn add(&mut self, at: SystemTime, counters: &Counters) {
        // The clock was set back: what was seen before has no place on it any more.
        if self.points.back().is_some_and(|it| it.at > at) {
            self.points.clear();
        }
        let age = |it: &Point| at.duration_since(it.at).map_or(0, |it| it.as_secs());
        while self.points.front().is_some_and(|it| age(it) > SPAN_SECONDS) {
            self.points.pop_front();
        }
        self.points.push_back(Point {
            at,
            cpu_percent: counters.cpu_percent,
            memory_bytes: counters.memory_bytes,
        });
    }

    /// Returns `count` values of CPU use that divide the last minute evenly, oldest first.
    pub fn cpu(&self, now: SystemTime, count: usize) -> Vec<Option<f32>> {
        self.resample(now, count, |it| it.cpu_percent)
    }

    /// The same for memory, in bytes.
    pub fn memory(&self, now: SystemTime, count: usize) -> Vec<Option<f32>> {
        self.resample(now, count, |it| it.memory_bytes.map(|it| it as f32))
    }

    /// Returns the highest CPU use of the span.
    pub fn cpu_peak(&self) -> f32 {
        self.points.iter().filter_map(|it| it.cpu_percent).fold(0.0, f32::max)
    }

    /// The mean of each slot; an empty slot between samples takes the value before it.
    fn resample(
        &self,
        now: SystemTime,
        count: usize,
        value: impl Fn(&Point) -> Option<f32>,
    ) -> Vec<Option<f32>> {
        let mut sums = vec![(0.0_f32, 0_u16); count];
        let slot_ms = (SPAN_SECONDS * 1000 / count.max(1) as u64).max(1);
        for point in &self.points {
            let age_ms = now.duration_since(point.at).map_or(0, |it| it.as_millis() as u64);
            let slot = count.checked_sub((age_ms / slot_ms) as usize + 1);
            let slot = slot.and_then(|it| sums.get_mut(it));
            if let (Some(slot), Some(value)) = (slot, value(point)) {
                slot.0 += value;
                slot.1 += 1;
            }
        }
        let mut before = None;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let values = history.cpu(start + Duration::from_mins(1), 2);
        assert_eq!(values, [Some(15.5), Some(45.5)]);
    }

    #[test]
    fn what_was_not_seen_is_unknown_and_not_zero() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let mut history = History::default();
        history.add(now, &seen(5.0));
        assert_eq!(history.cpu(now, 3), [None, None, Some(5.0)]);
    }
}
