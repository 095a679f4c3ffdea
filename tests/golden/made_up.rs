//! Made-up containers, for tests of the screen and for its benchmark. Nothing runs, and nothing is
//! read. Whoever includes this file has `engine` in scope.

use std::time::SystemTime;

use super::engine::process::Process;
use super::engine::sample::{CgroupFile, Container, Counters, HostSample, Network, Origin, Sample};
use super::engine::{Name, State};

/// A container of wharf's in `state`, of which nothing else is known.
pub(crate) fn container(name: Name, state: State) -> Container {
    Container {
        name,
        lxcpath: "/var/lib/lxc".into(),
        origin: Origin::Wharf,
        defined: true,
        state,
        since: None,
        trouble: None,
        hidden: false,
        restarts_at: None,
        faulty: false,
        lost_limits: Vec::new(),
        init_pid: None,
        last_exit: None,
        died_of_memory: false,
        last_memory_max_bytes: None,
        oom_last: None,
        counters: Counters::default(),
        network: Network::Unknown,
        detail: None,
    }
}

/// A process that sleeps.
pub(crate) fn process(pid: i32, command: &str) -> Process {
    Process { pid, state: 'S', command: command.to_owned(), ..Process::default() }
}

/// A limit as cgroup v2 has it.
pub(crate) fn file(controller: &str, file: &str, value: &str) -> CgroupFile {
    CgroupFile {
        controller: controller.to_owned(),
        version: 2,
        file: file.to_owned(),
        value: Some(value.to_owned()),
        writable: true,
        applies: true,
    }
}

pub(crate) const fn sample(
    taken: SystemTime,
    host: HostSample,
    containers: Vec<Container>,
) -> Sample {
    Sample { taken, host, containers, unmanaged: Vec::new(), trouble: None }
}
