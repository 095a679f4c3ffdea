//! The made-up host and containers of the scenes: every state, long names, trouble, an hour's load.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent};
use wharf::engine;
use wharf::engine::cgroup::Layout;
use wharf::engine::event::{Event, What};
use wharf::engine::exit::Exit;
use wharf::engine::oom::OomKill;
use wharf::engine::process::{Process, ProcessOrder, forest};
use wharf::engine::sample::{
    CgroupFile, Container, Counters, Detail, HostSample, Interface, Limit, Network, Psi, Root,
};
use wharf::engine::{Name, State};
use wharf::ui::keymap;
use wharf::ui::message::Message;
use wharf::ui::model::Model;
use wharf::ui::update::update;

mod made_up;

/// Seconds of history.
const WATCHED: u64 = 60;
/// Seconds of a history in which nothing happens.
pub(crate) const STILL: u64 = 600;
/// Seconds of history before that.
const EARLIER: u64 = 239;
/// The period of every load, in seconds.
const PERIOD: u64 = 2300;
const MIB: u64 = 1 << 20;
/// The 25th of September 2026, noon in London.
const START: Duration = Duration::from_hours(497_315);

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + START + Duration::from_secs(WATCHED)
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The usual containers after a minute.
pub(crate) fn watched(size: (u16, u16)) -> Model {
    of(size, containers)
}

/// The containers that `make` makes for each second, after a minute.
pub(crate) fn of(size: (u16, u16), make: impl Fn(u64) -> Vec<Container>) -> Model {
    let mut model = Model::new(size, now());
    for event in events() {
        _ = update(&mut model, Message::Happened(event));
    }
    // Wide graphs reach further back, and need only occasional samples.
    for before in (1..=EARLIER).rev().step_by(4) {
        let at = START.saturating_sub(Duration::from_secs(before));
        give(&mut model, sampled_at(at, PERIOD - before, make(PERIOD - before)));
    }
    for second in 0..=WATCHED {
        give(&mut model, sampled(second, make(second)));
    }
    model
}

/// Containers that have long been what they are, after the minutes that the widest graphs show.
pub(crate) fn still(size: (u16, u16)) -> Model {
    let mut model = Model::new(size, now());
    for second in 0..=STILL {
        give(&mut model, unchanged(second));
    }
    model
}

/// What the sampler finds at that second: the same as before.
pub(crate) fn unchanged(second: u64) -> Message {
    sampled_at(START + Duration::from_secs(second), 0, unchanging())
}

fn unchanging() -> Vec<Container> {
    let long = |it| Container { since: ago(900_000), ..it };
    containers(0).into_iter().map(long).collect()
}

pub(crate) fn give(model: &mut Model, message: Message) {
    _ = update(model, message);
}

/// Presses keys as the key map names them, with blanks between.
pub(crate) fn press(model: &mut Model, keys: &str) {
    for name in keys.split(' ') {
        give(model, Message::Key(keymap::key(name).unwrap()));
    }
}

/// Types `text` into the part that has the keyboard.
pub(crate) fn write(model: &mut Model, text: &str) {
    for it in text.chars() {
        give(model, Message::Key(KeyEvent::from(KeyCode::Char(it))));
    }
}

pub(crate) fn sampled(second: u64, containers: Vec<Container>) -> Message {
    sampled_at(START + Duration::from_secs(second), second, containers)
}

fn sampled_at(since_epoch: Duration, second: u64, containers: Vec<Container>) -> Message {
    let moving = wave(second, 5);
    let host = HostSample {
        hostname: "harbour".to_owned(),
        layout: Some(Layout::V2),
        cpus: Some(8),
        cpu_used: Some(1.2 + moving / 50.0),
        memory_bytes: Some(24_064 * MIB),
        memory_used_bytes: Some(9_310 * MIB),
        psi: Psi { cpu: Some(4.0), memory: Some(0.0), io: Some(12.0) },
        lacks: Vec::new(),
    };
    let taken = SystemTime::UNIX_EPOCH + since_epoch;
    Message::Sampled(Arc::new(made_up::sample(taken, host, containers)))
}

/// A load that rises and falls, 0 to 100, the same on every machine.
const fn wave(second: u64, seed: u64) -> f32 {
    let up = (second * (3 + seed % 5) + seed * 17) % 100;
    let steep = (second * 31 + seed * 7) % 23;
    (up.abs_diff(50) * 2).saturating_sub(steep) as f32
}

/// Sorted by name, as the sampler has them.
pub(crate) fn containers(second: u64) -> Vec<Container> {
    let busy = |text: &str, seed: u64, scale: f32| {
        let mut it = running(text, seed);
        it.counters.cpu_percent = Some(wave(second, seed) * scale);
        it.counters.memory_bytes =
            Some((90 + seed * 37) * MIB + (wave(second, seed) as u64) * MIB / 2);
        it
    };
    let mut all = vec![
        limited(busy("api-gateway", 1, 0.6), 256),
        Container {
            state: State::Frozen,
            since: ago(11 * 60),
            counters: Counters { cpu_percent: Some(0.0), ..running("batch-night", 0).counters },
            ..limited(running("batch-night", 2), 96)
        },
        stopped("build-cache", Some(Exit::Code(0)), 86_400),
        limited(busy("db-primary", 3, 1.9), 2048),
        busy("mail", 2, 0.05),
        Container {
            died_of_memory: true,
            oom_last: Some(oom()),
            last_memory_max_bytes: Some(64 << 20),
            ..stopped("migrate-2026-09-customers", Some(Exit::Signal(9)), 200)
        },
        stopped("old-import", None, 0),
        stopped("report", Some(Exit::Code(3)), 4000),
        limited(busy("very-long-name-of-a-container-in-the-production-cluster-01", 4, 0.2), 512),
        limited(busy("very-long-name-of-a-container-in-the-production-cluster-02", 6, 0.3), 512),
        limited(busy("web-01", 5, 1.0), 320),
        limited(busy("web-02", 7, 0.9), 512),
        Container {
            lost_limits: vec!["memory.max".to_owned()],
            trouble: Some("lost its limit: memory.max; `wharf cgroup --again web-03` restores it".to_owned()),
            ..busy("web-03", 8, 0.4)
        },
        Container {
            trouble: Some("its configuration cannot be used: unknown key lxc.bogus (line 12 of /var/lib/lxc/worker/config)".to_owned()),
            faulty: true,
            ..stopped("worker", None, 0)
        },
    ];
    let [.., web, _, _, _] = all.as_mut_slice() else { panic!("too few containers") };
    web.detail = Some(detail(second));
    all
}

pub(crate) fn oom() -> OomKill {
    OomKill {
        at_ms: START.as_millis() as u64 - 140_000,
        pid: 48_812,
        process: "psql".to_owned(),
        held_bytes: Some(61 * MIB),
        group: Some("/lxc.payload.migrate-2026-09-customers".to_owned()),
        limit_file: Some("memory.max".to_owned()),
        limit_bytes: Some(64 * MIB),
    }
}

fn ago(seconds: u64) -> Option<SystemTime> {
    now().checked_sub(Duration::from_secs(seconds))
}

pub(crate) fn running(text: &str, seed: u64) -> Container {
    Container {
        since: ago(40_000 * (seed + 1)),
        init_pid: Some(4200 + seed as i32 * 311),
        counters: Counters {
            cpu_percent: Some(1.5),
            cpu_total: Some(Duration::from_secs(7000 * (seed + 1))),
            memory_bytes: Some(61 * MIB),
            memory_cache_bytes: Some(12 * MIB),
            memory_max_bytes: Some(Limit::Max),
            memory_peak_bytes: Some((210 + seed * 40) * MIB),
            oom_kills: Some(0),
            memory_hits: Some(seed),
            pids: Some(4 + seed * 5),
            pids_max: Some(Limit::At(4096)),
            io_read_per_second: Some(seed as f64 * 41_000.0),
            io_write_per_second: Some(seed as f64 * 260_000.0),
            psi: Psi {
                cpu: Some(seed as f32),
                memory: Some(if seed == 5 { 31.0 } else { 0.0 }),
                io: Some(0.0),
            },
            ..Counters::default()
        },
        network: network(seed),
        ..made_up::container(name(text), State::Running)
    }
}

/// Some share the host's network, one has an IPv6 address, one has none yet.
fn network(seed: u64) -> Network {
    let address = match seed {
        2 | 8 => return Network::OfHost,
        4 => Some("2001:db8:0:3::4:11".parse().unwrap()),
        6 => None,
        _ => Some(IpAddr::from([10, 0, 3, 6 + seed as u8])),
    };
    Network::Own {
        address,
        received_per_second: Some(seed as f64 * 61_000.0),
        sent_per_second: Some(if seed == 7 { 0.0 } else { seed as f64 * 9_000.0 }),
    }
}

const fn limited(mut it: Container, mib: u64) -> Container {
    it.counters.memory_max_bytes = Some(Limit::At(mib * MIB));
    it.counters.cpu_quota_percent = Some(200.0);
    it.counters.periods = Some(71_000);
    it.counters.throttled_periods = Some(312);
    it
}

pub(crate) fn stopped(text: &str, last_exit: Option<Exit>, since: u64) -> Container {
    Container {
        state: State::Stopped,
        since: if since == 0 { None } else { ago(since) },
        init_pid: None,
        last_exit,
        counters: Counters::default(),
        network: Network::Unknown,
        ..running(text, 0)
    }
}

fn detail(second: u64) -> Detail {
    let process = |pid: i32, parent: i32, command: &str, state: char, share: f32| Process {
        parent,
        inner_pid: Some(pid - 5754),
        state,
        threads: 1,
        uid: Some(0),
        cpu_percent: Some(wave(second, 5) * share),
        rss_bytes: Some(pid as u64 % 61 * MIB),
        ..made_up::process(pid, command)
    };
    let mut processes = vec![
        process(5755, 1, "/sbin/init", 'S', 0.0),
        process(5790, 5755, "/usr/lib/systemd/systemd-journald", 'S', 0.01),
        process(5821, 5755, "nginx: master process /usr/sbin/nginx -g daemon off;", 'S', 0.01),
        process(5822, 5821, "nginx: worker process", 'R', 0.4),
        process(5823, 5821, "nginx: worker process", 'S', 0.2),
        process(5824, 5821, "nginx: cache manager process", 'D', 0.0),
        process(
            5900,
            5755,
            "/usr/bin/python3 /srv/app/manage.py runserver --workers 8 0.0.0.0:8000",
            'R',
            0.35,
        ),
        process(5960, 5755, "[defunct-helper]", 'Z', 0.0),
    ];
    // A chain that is deeper than a screen is wide.
    processes.extend((0..12).map(|it| {
        process(6001 + it, if it == 0 { 5900 } else { 6000 + it }, "sh -c deeper", 'S', 0.0)
    }));
    Detail {
        processes: forest(processes, ProcessOrder::Pid),
        files: files(),
        rootfs: Some(Root::Own("/var/lib/lxc/web-01/rootfs".into())),
        namespaces: vec!["mnt", "uts", "ipc", "pid", "net", "cgroup"],
        cgroup: Some("/lxc.payload.web-01".into()),
        limit_cgroup: None,
        config: Some(CONFIG.to_owned()),
        mounts: MOUNTS.map(str::to_owned).to_vec(),
        network: vec![
            Interface {
                name: "lo".to_owned(),
                addresses: vec!["127.0.0.1/8".to_owned(), "::1/128".to_owned()],
                rx_bytes: Some(91_000),
                tx_bytes: Some(91_000),
            },
            Interface {
                name: "eth0".to_owned(),
                addresses: vec![
                    "10.0.3.11/24".to_owned(),
                    "fe80::216:3eff:fe5a:9d01/64".to_owned(),
                ],
                rx_bytes: Some(4_812_000_000),
                tx_bytes: Some(391_000_000),
            },
        ],
    }
}

fn files() -> Vec<CgroupFile> {
    let file = |controller: &str, file: &str, value: &str, writable| CgroupFile {
        writable,
        ..made_up::file(controller, file, value)
    };
    vec![
        file("cpu", "cpu.max", "200000 100000", true),
        file("cpu", "cpu.weight", "100", true),
        file("cpu", "cpu.stat", "usage_usec 38021\nuser_usec 21000\nsystem_usec 17021", false),
        file("memory", "memory.max", "335544320", true),
        file("memory", "memory.high", "max", true),
        file("memory", "memory.low", "0", true),
        file("memory", "memory.swap.max", "max", true),
        file("memory", "memory.current", "299892736", false),
        file("memory", "memory.peak", "322122547", false),
        file("memory", "memory.events", "low 0\nhigh 0\nmax 5\noom 0\noom_kill 0", false),
        file("memory", "memory.oom.group", "0", true),
        file("memory", "memory.swap.current", "4194304", false),
        file("pids", "pids.max", "4096", true),
        file("pids", "pids.current", "29", false),
        file("cpuset", "cpuset.cpus", "0-3", true),
        file("io", "io.max", "", true),
        file("io", "io.weight", "default 100", true),
        file("cgroup", "cgroup.freeze", "0", true),
        file("cgroup", "cgroup.max.depth", "max", true),
    ]
}

/// The limits of a configuration that was written for both versions of cgroups.
pub(crate) fn configured() -> Vec<CgroupFile> {
    let row = |version, key: &str, value: Option<&str>| CgroupFile {
        controller: String::new(),
        version,
        file: key.to_owned(),
        value: value.map(str::to_owned),
        writable: true,
        applies: version == 2,
    };
    let unset =
        ["cpu.max", "cpu.weight", "cpuset.cpus", "memory.high", "memory.swap.max", "io.max"];
    let unset = unset.map(|it| row(2, &format!("lxc.cgroup2.{it}"), None));
    let set = [
        row(1, "lxc.cgroup.memory.limit_in_bytes", Some("64M")),
        row(2, "lxc.cgroup2.memory.max", Some("64M")),
        row(2, "lxc.cgroup2.pids.max", Some("512")),
    ];
    set.into_iter().chain(unset).collect()
}

const CONFIG: &str = "\
# The web server of the shop, see the run book.
lxc.uts.name = web-01
lxc.rootfs.path = dir:/var/lib/lxc/web-01/rootfs
lxc.net.0.type = veth
lxc.net.0.link = lxcbr0
lxc.net.0.flags = up
lxc.net.0.ipv4.address = 10.0.3.11/24
lxc.cgroup2.memory.max = 320M
lxc.cgroup2.cpu.max = 200000 100000
lxc.mount.entry = /srv/shop srv/shop none bind,ro,create=dir 0 0
";

const MOUNTS: [&str; 5] = [
    "/ ext4 /dev/vda1 rw,relatime",
    "/proc proc proc rw,nosuid,nodev,noexec,relatime",
    "/sys sysfs sysfs ro,nosuid,nodev,noexec,relatime",
    "/dev tmpfs none rw,relatime",
    "/srv/shop ext4 /dev/vda1 ro,relatime",
];

/// A log of forty lines, colours and alarms among them.
pub(crate) fn log() -> Message {
    let line = |at: u64| match at % 8 {
        0 => format!("[  OK  ] Reached target step {at} - \u{1b}[32mNetwork\u{1b}[0m is online."),
        3 => format!(
            "10.0.3.1 - - \"GET /shop/item/{at} HTTP/1.1\" 200 {} \"Mozilla/5.0 (X11; Linux x86_64) a long agent string\"",
            at * 311
        ),
        5 => "nginx: [warn] 1024 worker_connections exceed open file resource limit".to_owned(),
        6 => "app: error: connection to db-primary refused, retrying in 2 s".to_owned(),
        _ => format!("app: request {at} served in {} ms", at * 7 % 90),
    };
    let text: Vec<String> = (0..40).map(line).collect();
    Message::Log { name: name("web-01"), text: Ok(text.join("\n")) }
}

/// The last words of the container `text`.
pub(crate) fn last_words(text: &str, words: &str) -> Message {
    Message::Log { name: name(text), text: Ok(words.to_owned()) }
}

fn events() -> Vec<Event> {
    let event = |before: u64, text: &str, what: What| Event {
        at_ms: START.as_millis() as u64 + WATCHED * 1000 - before * 1000,
        lxcpath: "/var/lib/lxc".into(),
        name: name(text),
        what,
    };
    let state = |from, to| What::State { from, to };
    vec![
        event(97_000, "old-import", What::Created),
        event(3600, "web-01", What::Created),
        event(3599, "web-01", state(State::Stopped, State::Starting)),
        event(3598, "web-01", state(State::Starting, State::Running)),
        event(2400, "worker", What::Failed { reason: "its configuration cannot be used: unknown key lxc.bogus (line 12 of /var/lib/lxc/worker/config)".to_owned() }),
        event(900, "web-01", What::Cgroup { file: "memory.max".to_owned(), old: "268435456".to_owned(), new: "335544320".to_owned() }),
        event(700, "batch-night", state(State::Running, State::Frozen)),
        event(201, "migrate-2026-09-customers", What::OomKill { count: 1, last: Some(oom()) }),
        event(200, "migrate-2026-09-customers", What::Exited { exit: Exit::Signal(9) }),
        event(199, "migrate-2026-09-customers", state(State::Stopping, State::Stopped)),
        event(90, "web-01", What::Signal { pid: 5822, signal: 1 }),
        event(30, "web-03", What::LimitLost { file: "memory.max".to_owned(), was: "536870912".to_owned(), now: "max".to_owned() }),
    ]
}
