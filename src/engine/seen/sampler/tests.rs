//! The sampler on a made-up machine.

use super::*;
use crate::engine::host::made_up::{INIT, MadeUp, SUPERVISOR};
use crate::engine::seen::sample::{Limit, Network};

fn name() -> Name {
    "web".parse().unwrap()
}

/// A running container with some usage.
fn running(machine: &MadeUp) {
    machine.define(&name());
    machine.process(SUPERVISOR);
    machine.process(INIT);
    machine.group(
        &name(),
        &[
            ("cgroup.events", "populated 1\nfrozen 0\n"),
            ("cgroup.freeze", "0\n"),
            ("cgroup.procs", "78\n"),
            ("cpu.stat", "usage_usec 5000000\n"),
            ("memory.current", "1048576\n"),
            ("memory.stat", "inactive_file 4096\n"),
            ("memory.max", "max\n"),
            ("pids.current", "3\n"),
            ("pids.max", "10\n"),
        ],
    );
    machine.record(&name(), State::Running).write(&machine.host).unwrap();
}

fn watching(machine: &MadeUp) -> Sampler {
    Sampler::of(&machine.lxcpath, Members::new(&machine.lxcpath), Files::new())
}

fn detail() -> DetailInterest {
    DetailInterest { name: name(), processes: true, files: false }
}

fn look(sampler: &mut Sampler) -> Container {
    let interest = Interest { detail: Some(detail()), ..Interest::default() };
    let sample = sampler.sample(&interest);
    assert_eq!(sample.trouble, None);
    sample.containers.into_iter().next().unwrap()
}

#[test]
fn a_container_is_read_from_its_record_its_group_and_its_processes() {
    let machine = MadeUp::new();
    running(&machine);
    let seen = look(&mut watching(&machine));
    assert_eq!((seen.state, seen.init_pid), (State::Running, Some(INIT)));
    assert_eq!(seen.counters.cpu_total, Some(Duration::from_secs(5)));
    assert_eq!(seen.counters.memory_bytes, Some(1_048_576 - 4096));
    assert_eq!(seen.counters.memory_max_bytes, Some(Limit::Max));
    assert_eq!((seen.counters.pids, seen.counters.pids_max), (Some(3), Some(Limit::At(10))));
    let detail = seen.detail.unwrap();
    assert_eq!(detail.processes.iter().map(|it| it.pid).collect::<Vec<_>>(), [INIT]);
    assert_eq!(detail.cgroup, Some("/lxc.payload.web".into()));
}

#[test]
fn the_network_of_a_row_is_seen_where_it_is_its_own_and_was_asked_for() {
    let machine = MadeUp::new();
    running(&machine);
    machine.write(
        &format!("proc/{INIT}/net/fib_trie"),
        "Main:\n     |-- 10.0.3.11\n        /32 host LOCAL\n",
    );
    for (process, namespace) in [("self".to_owned(), "net:[1]"), (INIT.to_string(), "net:[2]")] {
        let link = machine.path(&format!("proc/{process}/ns/net"));
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(namespace, link).unwrap();
    }
    let mut sampler = watching(&machine);
    let mut seen = |networks| {
        let interest = Interest { visible: vec![name()], networks, ..Interest::default() };
        sampler.sample(&interest).containers.remove(0).network
    };
    assert_eq!(seen(false), Network::Unknown);
    let address = Some(std::net::IpAddr::from([10, 0, 3, 11]));
    let of_one_reading = Network::Own { address, received_per_second: None, sent_per_second: None };
    assert_eq!(seen(true), of_one_reading);
    std::fs::remove_file(machine.path(&format!("proc/{INIT}/ns/net"))).unwrap();
    assert_eq!(seen(false), Network::Unknown);
    assert_eq!(seen(true), Network::Unknown, "its owner is not visible");
}

#[test]
fn a_spelling_that_does_not_count_on_this_machine_is_told_from_one_that_does() {
    let machine = MadeUp::new();
    let both = "lxc.cgroup.memory.limit_in_bytes = 64M\nlxc.cgroup2.memory.max = 128M\n\
                lxc.cgroup2.io.max = 8:0 wbps=1\n";
    machine.define(&name());
    machine.write(&format!("lx/{}/config", name()), both);
    let files = look(&mut watching(&machine)).detail.unwrap().files;
    let applies = |key: &str| files.iter().find(|it| it.file == key).map(|it| it.applies);
    assert_eq!(applies("lxc.cgroup.memory.limit_in_bytes"), Some(false));
    assert_eq!(applies("lxc.cgroup2.memory.max"), Some(true));
    assert_eq!(applies("lxc.cgroup2.io.max"), Some(true), "no version has it here");
}

#[test]
fn a_source_that_never_answers_delays_nothing_else() {
    use nix::sys::stat::Mode;
    let machine = MadeUp::new();
    running(&machine);
    // Opening a fifo blocks until another process opens it for writing.
    for file in [format!("{INIT}/cmdline"), "meminfo".to_owned()] {
        let file = machine.host.proc().join(file);
        _ = std::fs::remove_file(&file);
        nix::unistd::mkfifo(&file, Mode::S_IRWXU).unwrap();
    }
    let mut sampler = watching(&machine);
    let begun = Instant::now();
    for _ in 0..20 {
        let seen = look(&mut sampler);
        assert_eq!(seen.counters.cpu_total, Some(Duration::from_secs(5)));
        let processes = seen.detail.unwrap().processes;
        assert_eq!(processes.iter().map(|it| it.pid).collect::<Vec<_>>(), [INIT]);
        assert!(processes.iter().all(|it| it.command.ends_with(" …")), "{processes:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "each was waited for more than once");
}

#[test]
fn the_freezer_knows_better_than_the_record() {
    let machine = MadeUp::new();
    running(&machine);
    let mut sampler = watching(&machine);
    assert_eq!(look(&mut sampler).state, State::Running);
    machine
        .group(&name(), &[("cgroup.freeze", "1\n"), ("cgroup.events", "populated 1\nfrozen 1\n")]);
    assert_eq!(look(&mut sampler).state, State::Frozen);
    machine
        .group(&name(), &[("cgroup.freeze", "0\n"), ("cgroup.events", "populated 1\nfrozen 0\n")]);
    assert_eq!(look(&mut sampler).state, State::Running);
}

#[test]
fn a_container_that_outlives_its_supervisor_is_reported_and_others_are_stopped() {
    let machine = MadeUp::new();
    running(&machine);
    let gone = machine.path(&format!("proc/{SUPERVISOR}"));
    std::fs::remove_dir_all(&gone).unwrap();
    let seen = look(&mut watching(&machine));
    assert_eq!(seen.state, State::Running);
    assert!(seen.trouble.unwrap().contains("its supervisor is gone"));

    // Its pid went to another process, its init is dead and its group is empty.
    machine.write(
        &format!("proc/{SUPERVISOR}/stat"),
        "77 (other) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9999 4096 2 0\n",
    );
    std::fs::remove_dir_all(machine.path(&format!("proc/{INIT}"))).unwrap();
    machine.group(&name(), &[("cgroup.events", "populated 0\nfrozen 0\n"), ("cgroup.procs", "")]);
    let seen = look(&mut watching(&machine));
    assert_eq!(seen.state, State::Stopped);
    assert!(seen.trouble.unwrap().contains("its supervisor was killed"));
}

#[test]
fn a_machine_without_cgroups_still_has_containers() {
    let machine = MadeUp::new();
    machine.define(&name());
    machine.write("proc/self/mountinfo", "");
    let seen = look(&mut watching(&machine));
    assert_eq!((seen.state, seen.defined), (State::Stopped, true));
    assert_eq!(seen.counters.memory_bytes, None);
}

#[test]
fn only_what_came_into_sight_is_sampled_again() {
    let machine = MadeUp::new();
    running(&machine);
    let mut sampler = watching(&machine);
    let before = Interest::default();
    let last = sampler.sample(&before);
    machine
        .group(&name(), &[("memory.current", "2097152\n"), ("cpu.stat", "usage_usec 6000000\n")]);
    let same = sampler.sample_news(&last, &before, &before);
    assert_eq!(same.containers[0].counters, last.containers[0].counters);
    let now = Interest { visible: vec![name()], ..Interest::default() };
    let news = sampler.sample_news(&last, &before, &now);
    assert_eq!(news.containers[0].counters.memory_bytes, Some(2_097_152 - 4096));
    assert!(news.containers[0].detail.is_none());
    let open = Interest { detail: Some(detail()), ..now.clone() };
    let detailed = sampler.sample_news(&news, &now, &open);
    assert!(detailed.containers[0].detail.is_some());
    let closed = sampler.sample_news(&detailed, &open, &now);
    assert!(closed.containers[0].detail.is_none(), "it is not in detail any more");
}

#[test]
fn what_nothing_has_changed_is_not_read_at_each_look() {
    let machine = MadeUp::new();
    running(&machine);
    let mut sampler = watching(&machine);
    let row = Interest { visible: vec![name()], ..Interest::default() };
    let mut memory = |interest: &Interest| {
        let counters = &sampler.sample(interest).containers[0].counters;
        (counters.memory_bytes.map(|it| it + 4096), counters.pids)
    };
    assert_eq!(memory(&row), (Some(1_048_576), Some(3)));
    // The kernel reclaims memory of a container that does not run.
    machine.group(&name(), &[("memory.current", "524288\n")]);
    let looks: Vec<_> = (0..LIMIT_LOOKS).map(|_| memory(&row).0).collect();
    assert_eq!(looks[0], Some(1_048_576));
    assert_eq!(looks.last(), Some(&Some(524_288)), "it is read now and then");
    machine.group(&name(), &[("memory.current", "262144\n"), ("pids.current", "2\n")]);
    let opened = Interest { detail: Some(detail()), ..row.clone() };
    assert_eq!(memory(&opened), (Some(262_144), Some(2)), "all is fresh in detail");
    machine.group(&name(), &[("memory.current", "131072\n"), ("cpu.stat", "usage_usec 5000001\n")]);
    assert_eq!(memory(&row), (Some(131_072), Some(2)), "it has run");
}
