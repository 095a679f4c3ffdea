//! Which steps a start has, and in which order.

use std::path::PathBuf;

use nix::sys::resource::Resource;

use super::*;
use crate::engine::terms::hook::Hook;
use crate::engine::terms::label::{Label, SecurityModule};
use crate::engine::terms::rootfs::{Rootfs, Stage, Storage};
use crate::engine::terms::spec::{
    AutoCgroup, AutoMounts, Belonging, CgroupReach, ConsoleSpec, GroupNames, Hooks, InitSpec,
    KernelSetting, LogSpec, MountedHierarchy, Namespaces, ProcessSpec, ResourceLimit,
};

fn spec(rootfs: Option<&str>) -> Spec {
    Spec {
        name: "web".parse().unwrap(),
        lxcpath: PathBuf::from("/var/lib/lxc"),
        hostname: Some("web".to_owned()),
        rootfs: rootfs.map(|it| At { value: Rootfs::directory(it), place: None }),
        mounts: Vec::new(),
        auto: AutoMounts::default(),
        groups: GroupNames {
            payload: At { value: "lxc.payload.web".to_owned(), place: None },
            monitor: At { value: "lxc.monitor.web".to_owned(), place: None },
            inner: None,
            exact: false,
            relative: false,
        },
        cgroup_v1: Vec::new(),
        cgroup_v2: Vec::new(),
        init: InitSpec {
            argv: vec!["true".to_owned()],
            tended: false,
            cwd: "/".into(),
            uid: 0,
            gid: 0,
        },
        tty_dir: None,
        tty_max: 0,
        pty_max: 0,
        own_dev: false,
        dev_bytes: 0,
        console: ConsoleSpec::default(),
        namespaces: Namespaces::default(),
        nics: Vec::new(),
        capabilities: Capabilities::Keep(vec![0, 1]),
        label: Some(At {
            value: Label { module: SecurityModule::AppArmor, name: "lxc".to_owned() },
            place: None,
        }),
        own_profile: None,
        keyring_label: None,
        no_new_privs: true,
        filter: None,
        notify: None,
        ephemeral: false,
        environment: vec![("PATH".to_owned(), "/bin:/opt".to_owned())],
        root_flags: None,
        root_users: None,
        idmap: None,
        hooks: Hooks::default(),
        process: ProcessSpec::default(),
        warnings: Vec::new(),
        log: LogSpec::default(),
        signals: SignalSpec { halt: None, reboot: 2, stop: 9, parent_death: 9 },
    }
}

fn texts(spec: &Spec, payload: Payload) -> Vec<String> {
    start(spec, payload, &TerminalInfo::default()).unwrap().iter().map(Step::to_string).collect()
}

fn position(texts: &[String], text: &str) -> usize {
    texts.iter().position(|it| it == text).unwrap_or_else(|| panic!("no step {text:?}"))
}

#[test]
fn init_has_a_terminal_of_its_own_where_the_console_is_off_but_somebody_watches() {
    let console = ConsoleSpec { off: true, ..ConsoleSpec::default() };
    let spec = Spec { console, ..spec(None) };
    let terminals = |attended| {
        let terminal = TerminalInfo { attended, ..TerminalInfo::default() };
        let steps = start(&spec, Payload::System, &terminal).unwrap().into_iter();
        steps.filter(|it| matches!(it, Step::Console { .. })).collect::<Vec<_>>()
    };
    assert_eq!(terminals(false), []);
    assert_eq!(terminals(true), [Step::Console { owner: 0, size: None, shown: false }]);
}

#[test]
fn a_shared_root_is_never_pivoted_away() {
    assert!(!texts(&spec(None), Payload::System).contains(&Step::Pivot.to_string()));
    let texts = texts(&spec(Some("/srv/web")), Payload::System);
    assert!(position(&texts, "lxc.rootfs.path /srv/web") < position(&texts, "make /dev"));
    assert!(position(&texts, "make /dev") < position(&texts, &Step::Pivot.to_string()));
}

#[test]
fn only_execute_brings_an_init_and_proc() {
    let system = texts(&spec(None), Payload::System);
    assert!(!system.contains(&"become init".to_owned()));
    assert!(!system.contains(&"mount proc on /proc".to_owned()));
    let application = texts(&spec(None), Payload::Application);
    assert!(position(&application, "become init") < position(&application, "exec true"));
    position(&application, "mount proc on /proc");
}

#[test]
fn create_uses_an_init_that_can_be_asked_and_execute_does_not() {
    let mut spec = spec(None);
    spec.init.tended = true;
    let has = |spec: &Spec, payload, asked| {
        let step = Step::BecomeInit { mask: kept(&spec.capabilities), asked };
        start(spec, payload, &TerminalInfo::default()).unwrap().contains(&step)
    };
    let asked = ShutdownSignals { halt: libc::SIGPWR, reboot: 2 };
    assert!(has(&spec, Payload::System, Some(asked)));
    assert!(has(&spec, Payload::Application, None));
    spec.signals.halt = Some(10);
    assert!(has(&spec, Payload::System, Some(ShutdownSignals { halt: 10, ..asked })));
}

fn ramfs(target: &str) -> Mount {
    Mount {
        source: "ramfs".to_owned(),
        target: target.into(),
        fstype: "ramfs".to_owned(),
        flags: 0,
        propagation: 0,
        data: String::new(),
        optional: false,
        create: None,
        relative: false,
        users: None,
    }
}

#[test]
fn cgroups_are_mounted_for_who_cannot_do_it() {
    let able = Capabilities::Drop(Vec::new());
    let mounted = |forced, reach, capabilities: &Capabilities, v1: &[&str]| {
        let value = AutoCgroup { reach, mode: None, forced };
        let of_v1 = v1.iter().map(|it| ((*it).into(), Some((*it).to_owned())));
        let all = of_v1.chain([(PathBuf::from("unified"), None)]);
        let hierarchies = all.map(|(name, v1)| MountedHierarchy { name, v1 }).collect();
        let cgroup = Some(At { value, place: None });
        let auto = AutoMounts { cgroup, hierarchies, ..AutoMounts::default() };
        let spec = Spec { auto, capabilities: capabilities.clone(), ..spec(None) };
        let all = texts(&spec, Payload::System).into_iter();
        all.filter(|it| it.contains("sys/fs/cgroup")).collect::<Vec<_>>()
    };
    let all = [
        "mount a tmpfs on /sys/fs/cgroup",
        "mount a cgroup on /sys/fs/cgroup/cpu",
        "mount a cgroup2 on /sys/fs/cgroup/unified",
    ];
    assert_eq!(mounted(false, CgroupReach::All, &able, &["cpu"]), [""; 0]);
    assert_eq!(mounted(true, CgroupReach::All, &able, &["cpu"]), all);
    let unable = Capabilities::Keep(Vec::new());
    assert_eq!(mounted(false, CgroupReach::All, &unable, &["cpu"]), all);
    let unified = ["mount a cgroup2 on /sys/fs/cgroup"];
    assert_eq!(mounted(true, CgroupReach::Unified, &able, &["cpu"]), unified);
    assert_eq!(mounted(false, CgroupReach::Unified, &able, &["cpu"]), [""; 0]);
    assert_eq!(mounted(false, CgroupReach::All, &able, &[]), unified);
}

#[test]
fn what_the_configuration_mounts_is_not_mounted_twice() {
    let own = DevStep::SharedMemory.to_string();
    let with = |change: fn(&mut Mount)| {
        let mut mount = ramfs("dev/shm");
        change(&mut mount);
        let mounts = vec![At { value: mount, place: None }];
        texts(&Spec { mounts, ..spec(None) }, Payload::System).contains(&own)
    };
    assert!(texts(&spec(None), Payload::System).contains(&own));
    assert!(!with(|_| ()));
    assert!(!with(|it| it.optional = true));
    assert!(!with(|it| it.flags = libc::MS_BIND));
    // These may mount nothing there.
    assert!(with(|it| (it.flags, it.optional) = (libc::MS_BIND, true)));
    assert!(with(|it| it.flags |= libc::MS_REMOUNT));
    assert!(with(|it| it.target = "dev/mqueue".into()));
}

#[test]
fn privileges_go_before_the_program_and_the_program_comes_last() {
    let texts = texts(&spec(None), Payload::System);
    assert!(position(&texts, "drop capabilities") < position(&texts, "become uid 0, gid 0"));
    assert_eq!(texts.last().unwrap(), "exec true");
}

#[test]
fn a_profile_is_asked_for_while_proc_is_the_hosts() {
    let texts = texts(&spec(Some("/srv/web")), Payload::System);
    let confined = position(&texts, "confine it with the AppArmor profile lxc");
    assert!(confined < position(&texts, &Step::Pivot.to_string()));
    assert!(confined < position(&texts, "lxc.rootfs.path /srv/web"));
}

#[test]
fn init_has_its_profile_before_it_is_tied_to_its_supervisor() {
    let spec = spec(Some("/srv/web"));
    let system = texts(&spec, Payload::System);
    let tied = system.iter().rposition(|it| *it == Step::DieWithSupervisor.to_string()).unwrap();
    let changed = position(&system, "change to the AppArmor profile lxc");
    assert!(position(&system, "become uid 0, gid 0") < changed && changed < tied, "{system:?}");
    // Our own init takes it on without a step.
    let application = texts(&spec, Payload::Application);
    assert!(!application.iter().any(|it| it.starts_with("change to ")), "{application:?}");
}

#[test]
fn a_program_is_looked_for_along_the_containers_path() {
    let steps = start(&spec(None), Payload::System, &TerminalInfo::default()).unwrap();
    let Some(Step::Exec(program)) = steps.last() else { panic!("no program") };
    assert_eq!(program.paths, [c"/bin/true".to_owned(), c"/opt/true".to_owned()]);
    assert!(program.environment.contains(&c"container=lxc".to_owned()));
    assert!(program.environment.contains(&c"PATH=/bin:/opt".to_owned()));
}

#[test]
fn only_who_administers_a_network_may_change_its_settings() {
    let open = |capabilities| {
        network_settings(&Spec { capabilities, ..spec(None) }) == NetworkSettings::Open
    };
    assert!(open(Capabilities::Keep(vec![NET_ADMIN])));
    assert!(!open(Capabilities::Keep(vec![0])));
    assert!(!open(Capabilities::Drop(vec![NET_ADMIN])));
}

#[test]
fn an_init_leaves_the_console_to_its_shells() {
    let free = |argv: &[&str], own_init| {
        let argv: Vec<String> = argv.iter().map(|it| (*it).to_owned()).collect();
        session_terminal(&argv, own_init) == SessionTerminal::Free
    };
    for argv in [&["/sbin/init"][..], &["/lib/systemd/systemd"], &["/bin/busybox", "init"]] {
        assert!(free(argv, false), "{argv:?}");
        assert!(!free(argv, true), "{argv:?}");
    }
    for argv in [&["/bin/sh"][..], &["/bin/busybox", "sh"], &["sleep", "init"], &[]] {
        assert!(!free(argv, false), "{argv:?}");
    }
}

#[test]
fn of_two_variables_with_one_name_the_last_counts() {
    let twice = [("A", "1"), ("B", "2"), ("A", "3")];
    let twice = twice.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let found = environment(&twice, 0, None);
    let values: Vec<&str> =
        found.iter().filter(|(key, _)| key == "A").map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["3"]);
}

#[test]
fn kept_and_dropped_capabilities_make_masks() {
    assert_eq!(kept(&Capabilities::Keep(vec![0, 5])), 0b10_0001);
    assert_eq!(kept(&Capabilities::Drop(vec![0])), !1);
}

#[test]
fn an_empty_command_never_reaches_the_kernel() {
    let mut spec = spec(None);
    spec.init.argv.clear();
    assert!(matches!(
        start(&spec, Payload::System, &TerminalInfo::default()),
        Err(PlanError::NoCommand)
    ));
}

#[test]
fn the_kernels_settings_are_opened_early_and_written_once_the_network_is_there() {
    let mut spec = spec(Some("/srv/web"));
    let setting = |name: &str| {
        let (name, value) = (name.to_owned(), "1".to_owned());
        At { value: KernelSetting { name, value }, place: None }
    };
    spec.process.sysctls.push(setting("net.ipv4.ip_forward"));
    spec.process.proc_files.push(setting("oom_score_adj"));
    spec.root_flags = Some(At { value: libc::MS_RDONLY, place: None });
    let texts = texts(&spec, Payload::System);
    let root = position(&texts, "lxc.rootfs.path /srv/web");
    assert!(position(&texts, "open the kernel's settings") < root);
    assert!(position(&texts, "lxc.proc.oom_score_adj = 1") < root);
    let written = position(&texts, "lxc.sysctl.net.ipv4.ip_forward = 1");
    assert!(position(&texts, &Step::HandOver.to_string()) < written);
    // All that is made in the root is there before it is read-only.
    let pivot = position(&texts, &Step::Pivot.to_string());
    assert_eq!(position(&texts, "lxc.rootfs.options") + 1, pivot);
}

#[test]
fn a_limit_is_set_while_the_process_may_raise_it() {
    let mut spec = spec(None);
    let setting = KernelSetting { name: "x".to_owned(), value: "1".to_owned() };
    let value = ResourceLimit { resource: Resource::RLIMIT_NOFILE, setting, soft: 1, hard: 1 };
    spec.process.limits.push(At { value, place: None });
    let texts = texts(&spec, Payload::System);
    assert!(position(&texts, "lxc.prlimit.x = 1") < position(&texts, "limit capabilities"));
}

#[test]
fn a_filter_is_loaded_last_but_before_what_lacks_the_capability_or_parts() {
    let filter = Some(At { value: Vec::new(), place: None });
    let spec = Spec { filter, no_new_privs: false, ..spec(None) };
    let load = "load the seccomp profile";
    let system = texts(&spec, Payload::System);
    assert!(position(&system, "open a session") < position(&system, load));
    assert!(position(&system, load) < position(&system, "become uid 0, gid 0"));
    let application = texts(&spec, Payload::Application);
    assert!(position(&application, load) < position(&application, "become init"));
}

#[test]
fn hooks_run_at_their_moments_and_are_not_confined_while_the_hosts_root_is_there() {
    let mut spec = spec(Some("/srv/web"));
    for moment in Moment::ALL {
        let hook = Hook { moment, command: format!("/{}", moment.word()) };
        spec.hooks.all.push(At { value: hook, place: None });
    }
    let texts = texts(&spec, Payload::System);
    let at = |it: &str| position(&texts, it);
    let order = [
        at("lxc.hook.pre-mount /pre-mount"),
        at("lxc.rootfs.path /srv/web"),
        at("lxc.hook.mount /mount"),
        at("lxc.hook.autodev /autodev"),
        at("confine it with the AppArmor profile lxc"),
        at(&Step::Pivot.to_string()),
        at("lxc.hook.start /start"),
        at("exec true"),
    ];
    assert!(order.is_sorted(), "{texts:?}");
    // The host's are not the new process's.
    assert_eq!(texts.iter().filter(|it| it.starts_with("lxc.hook.")).count(), 4);
}

/// Keeps or shares some namespaces of a container that has no root of its own.
fn without(of_others: &[Space], shared: Option<Space>) -> Spec {
    let belonging = |space| match space {
        _ if shared == Some(space) => Belonging::Shared(At { value: "db".to_owned(), place: None }),
        Space::User | Space::Time => Belonging::Kept,
        _ if of_others.contains(&space) => Belonging::Kept,
        Space::Mnt | Space::Pid | Space::Uts | Space::Ipc | Space::Net | Space::Cgroup => {
            Belonging::Own
        }
    };
    Spec { namespaces: Namespaces::of(belonging), ..spec(None) }
}

#[test]
fn what_is_not_the_containers_own_is_left_alone() {
    let own = texts(&spec(None), Payload::System);
    let kept = texts(&without(&[Space::Uts, Space::Net, Space::Cgroup], None), Payload::System);
    for step in
        ["set the host name to web", "bring the loopback interface up", "make a cgroup namespace"]
    {
        assert!(own.contains(&step.to_owned()) && !kept.contains(&step.to_owned()), "{step}");
    }
    let flags = without(&[Space::Uts, Space::Net], Some(Space::Pid)).namespaces.flags();
    let made = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWCGROUP;
    assert_eq!(flags, made as u64);
}

#[test]
fn nothing_is_mounted_where_others_would_see_it() {
    let all = texts(&without(&[], Some(Space::Mnt)), Payload::Application);
    position(&all, "enter the mnt namespace of db");
    let about = |it: &&String| ["mount", "/dev", "root"].iter().any(|word| it.contains(word));
    assert_eq!(all.iter().filter(about).count(), 0, "{all:?}");
}

#[test]
fn no_init_of_ours_is_in_a_pid_namespace_of_others() {
    for spec in [without(&[Space::Pid], None), without(&[], Some(Space::Pid))] {
        let all = texts(&spec, Payload::Application);
        assert!(!all.contains(&"become init".to_owned()), "{all:?}");
    }
}

#[test]
fn a_typed_root_is_mounted_once_at_its_stage() {
    let mut spec = spec(Some("/srv/web"));
    let root = &mut spec.rootfs.as_mut().unwrap().value;
    root.storage = Storage::of_type("overlay", "/a:/b:/c/up").unwrap();
    root.stage = Stage::Ours("/stage".into());
    root.data = "metacopy=on".to_owned();
    spec.root_flags = Some(At { value: libc::MS_RDONLY | libc::MS_NOSUID, place: None });
    let steps = start(&spec, Payload::System, &TerminalInfo::default()).unwrap();
    let roots: Vec<_> = steps
        .iter()
        .filter_map(|it| if let Step::Root { root, .. } = it { Some(root) } else { None })
        .collect();
    let [RootStep::Mounted(mount)] = roots.as_slice() else { panic!("{roots:?}") };
    let RootSource::Overlay { lower, upper, work } = &mount.source else { panic!("{mount:?}") };
    assert_eq!(lower.as_slice(), [c"/a", c"/b"]);
    assert_eq!((upper.as_c_str(), work.as_c_str()), (c"/c/up", c"/c/up.work"));
    assert_eq!(mount.options, [(c"metacopy".to_owned(), Some(c"on".to_owned()))]);
    assert!(mount.read_only && mount.stage_is_ours);
    assert!(steps.iter().any(|it| it.to_string() == "lxc.rootfs.options"));
}
