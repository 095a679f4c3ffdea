//! What a container has used since its start, as `lxc-top` counts it.

use crate::engine::sample::Container;
use crate::engine::sampler::{CounterSet, Interest};
use crate::engine::{Engine, Name};

/// Microseconds in a tick of `USER_HZ`, which is 100 everywhere.
const TICK_US: u64 = 10_000;

/// Sums since the container started; 0 where no controller counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) name: String,
    /// Nanoseconds.
    pub(super) cpu_ns: u64,
    /// Of that in the kernel, and in programs, in ticks of `USER_HZ`.
    pub(super) system_ticks: u64,
    pub(super) user_ticks: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
    /// Reads and writes.
    pub(super) io_operations: u64,
    /// Bytes, with the page cache.
    pub(super) memory: u64,
    pub(super) memory_and_swap: u64,
    pub(super) kernel_memory: u64,
}

impl Used {
    /// Reads it of every active container.
    pub(super) fn of_all(engine: &Engine) -> Vec<Self> {
        let others = CounterSet::CPU.with(CounterSet::MEMORY);
        let sample = engine.look(&Interest { others, ..Interest::in_states() });
        let all = sample.map(|it| it.containers).unwrap_or_default();
        all.iter().filter(|it| it.state.is_active()).map(|it| Self::of(engine, it)).collect()
    }

    fn of(engine: &Engine, it: &Container) -> Self {
        let files = CounterFiles { engine, name: &it.name };
        let counters = &it.counters;
        let memory = counters.memory_bytes.unwrap_or(0);
        let memory = memory.saturating_add(counters.memory_cache_bytes.unwrap_or(0));
        let cpu_ns = counters.cpu_total.map_or(0, |it| it.as_nanos() as u64);
        let used = Self { name: it.name.to_string(), cpu_ns, memory, ..Self::default() };
        if let Some(of_v2) = files.text("cpu.stat").filter(|it| it.contains("user_usec")) {
            return Self {
                system_ticks: field(&of_v2, "system_usec") / TICK_US,
                user_ticks: field(&of_v2, "user_usec") / TICK_US,
                ..files.of_v2(used)
            };
        }
        files.of_v1(used)
    }

    pub(super) const fn io_bytes(&self) -> u64 {
        self.read_bytes.saturating_add(self.written_bytes)
    }

    /// Adds all up.
    pub(super) fn total(all: &[Self]) -> Self {
        let sum = |of: fn(&Self) -> u64| all.iter().map(of).fold(0, u64::saturating_add);
        Self {
            name: String::new(),
            cpu_ns: sum(|it| it.cpu_ns),
            system_ticks: sum(|it| it.system_ticks),
            user_ticks: sum(|it| it.user_ticks),
            read_bytes: sum(|it| it.read_bytes),
            written_bytes: sum(|it| it.written_bytes),
            io_operations: sum(|it| it.io_operations),
            memory: sum(|it| it.memory),
            memory_and_swap: sum(|it| it.memory_and_swap),
            kernel_memory: sum(|it| it.kernel_memory),
        }
    }
}

/// The cgroup files of one container.
struct CounterFiles<'a> {
    engine: &'a Engine,
    name: &'a Name,
}

impl CounterFiles<'_> {
    fn text(&self, file: &str) -> Option<String> {
        self.engine.cgroup_get(self.name, file).ok()
    }

    fn number(&self, file: &str) -> u64 {
        self.text(file).and_then(|it| it.trim().parse().ok()).unwrap_or(0)
    }

    fn of_v1(&self, used: Used) -> Used {
        let cpu = self.text("cpuacct.stat").unwrap_or_default();
        let bytes = self.text("blkio.throttle.io_service_bytes").unwrap_or_default();
        let operations = self.text("blkio.throttle.io_serviced").unwrap_or_default();
        Used {
            system_ticks: field(&cpu, "system"),
            user_ticks: field(&cpu, "user"),
            read_bytes: of_devices(&bytes, "Read"),
            written_bytes: of_devices(&bytes, "Write"),
            io_operations: of_devices(&operations, "Read") + of_devices(&operations, "Write"),
            memory_and_swap: self.number("memory.memsw.usage_in_bytes"),
            kernel_memory: self.number("memory.kmem.usage_in_bytes"),
            ..used
        }
    }

    fn of_v2(&self, used: Used) -> Used {
        let io = self.text("io.stat").unwrap_or_default();
        let stat = self.text("memory.stat").unwrap_or_default();
        Used {
            read_bytes: of_pairs(&io, "rbytes="),
            written_bytes: of_pairs(&io, "wbytes="),
            io_operations: of_pairs(&io, "rios=") + of_pairs(&io, "wios="),
            memory_and_swap: used.memory.saturating_add(self.number("memory.swap.current")),
            kernel_memory: field(&stat, "kernel"),
            ..used
        }
    }
}

/// Reads the number after a word at the beginning of a line.
fn field(text: &str, word: &str) -> u64 {
    let of_line = |line: &str| line.strip_prefix(word)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(of_line).unwrap_or(0)
}

/// Adds up lines such as `8:0 Read 4096`.
fn of_devices(text: &str, word: &str) -> u64 {
    let of_line = |line: &str| {
        let mut words = line.split(' ').skip(1);
        (words.next()? == word).then(|| words.next()?.parse::<u64>().ok()).flatten()
    };
    text.lines().filter_map(of_line).fold(0, u64::saturating_add)
}

/// Adds up the pairs of lines such as `8:0 rbytes=4096 wbytes=0`.
fn of_pairs(text: &str, key: &str) -> u64 {
    let pairs = text.split_ascii_whitespace().filter_map(|it| it.strip_prefix(key)?.parse().ok());
    pairs.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_both_versions_are_read() {
        assert_eq!(field("user 12\nsystem 7\n", "system"), 7);
        assert_eq!(field("kernel_stack 1\nkernel 9\n", "kernel"), 9);
        let v1 = "8:0 Read 4096\n8:0 Write 1\n8:16 Read 4\n8:0 Total 4097\nTotal 4101\n";
        assert_eq!((of_devices(v1, "Read"), of_devices(v1, "Write")), (4100, 1));
        let v2 = "8:0 rbytes=10 wbytes=20 rios=1 wios=2\n8:16 rbytes=5 wbytes=0 rios=1 wios=0\n";
        assert_eq!((of_pairs(v2, "rbytes="), of_pairs(v2, "wios=")), (15, 2));
    }
}
