//! Strangers on command sockets: other users, and root of a container that shares the host's
//! network. Their answers are ignored, nothing waits for them, and they cannot prevent starting,
//! finding and destroying a container.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

use wharf::engine::State;
use wharf::engine::command_socket::wire::{self, HEAD, Request, Response, SocketCommand};

use crate::support::imposter::{Imposter, Lies, Manner};
use crate::support::nobody::NOBODY;
use crate::support::screen::Screen;
use crate::support::{self, Lxcpath, can_run_containers, finish, text, told, wait_until};

/// A stopped container whose socket a stranger has, and a running one, whose init and group the
/// stranger reports.
struct Scene {
    lxcpath: Lxcpath,
    web: String,
    victim: String,
    socket: String,
    init: i32,
    cgroup: String,
}

impl Scene {
    fn new() -> Option<Self> {
        if !can_run_containers() {
            return None;
        }
        let lxcpath = Lxcpath::new();
        let web = lxcpath.name("web");
        lxcpath.ok(&["create", &web]);
        let victim = lxcpath.start_sleeper("victim");
        let told: serde_json::Value =
            serde_json::from_str(&lxcpath.ok(&["info", "--json", &victim])).unwrap();
        let init = told["init_pid"].as_i64().unwrap() as i32;
        let cgroup = told["cgroup"].as_str().unwrap().to_owned();
        let socket = lxcpath.path().join(&web).join("command");
        let socket = socket.to_str().unwrap().to_owned();
        Some(Self { lxcpath, web, victim, socket, init, cgroup })
    }

    fn lies(&self) -> Lies<'_> {
        Lies { socket: &self.socket, init: self.init, cgroup: &self.cgroup }
    }

    /// Runs an imposter as root of a container that shares the host's network.
    fn in_a_container(&self, manner: Manner) -> Imposter {
        let inside = self.lxcpath.name("inside");
        // The container outlives a process that only listens and leaves the rest to a child.
        let stays = "\"$0\" \"$@\"; exec sleep 1000";
        let mut args = vec!["execute", &inside, "-s", "lxc.net.0.type=none", "--"];
        args.extend(["/bin/sh", "-c", stays]);
        let argv = Imposter::argv(manner, &self.lies());
        args.extend(argv.iter().map(String::as_str));
        Imposter::by(self.lxcpath.command(&args))
    }

    /// Ends the container of [`Self::in_a_container`], and waits until its name is free.
    fn end_the_container(&self) {
        self.lxcpath.ok(&["stop", "-k", &self.lxcpath.name("inside")]);
    }

    /// Runs every command that asks a supervisor, and checks that each names the stranger, that
    /// nothing happens to the victim, and that nothing runs on the host.
    fn nothing_is_done(&self, who: &str) {
        let mark = self.lxcpath.path().join("ran-on-the-host");
        let touch = format!("touch {}", mark.display());
        let web = self.web.as_str();
        let cases: &[(&[&str], i32)] = &[
            (&["stop", "-W", web], 2),
            (&["stop", "-t", "1", web], 2),
            (&["stop", "-k", web], 2),
            (&["freeze", web], 1),
            (&["unfreeze", web], 1),
            (&["cgroup", web, "pids.max"], 1),
            (&["cgroup", web, "pids.max", "5"], 1),
            (&["cgroup", "--keep", web, "pids.max", "5"], 1),
            (&["attach", web, "--", "/bin/sh", "-c", &touch], 1),
            (&["console", "-t", "0", web], 1),
        ];
        for (args, code) in cases {
            let message = self.lxcpath.refused(args, *code);
            let named = format!("a stranger holds the socket of {web} ({who}");
            assert!(message.contains(&named), "{args:?}: {message}");
        }
        assert!(!mark.exists(), "attach ran its command on the host");
        self.is_seen_as_stopped(who);
        let limit = self.lxcpath.ok(&["cgroup", &self.victim, "pids.max"]);
        assert_ne!(limit.trim(), "5");
        assert_eq!(self.lxcpath.state(&self.victim), "RUNNING");
    }

    fn is_seen_as_stopped(&self, who: &str) {
        let web = self.web.as_str();
        assert_eq!(self.lxcpath.state(web), "STOPPED");
        let info = self.lxcpath.ok(&["info", web]);
        assert!(info.contains(who) && !info.contains("PID:"), "{info}");
        let shown = self.lxcpath.ok(&["ls", "-F", "name,state,pid,trouble"]);
        let row = shown.lines().find(|it| it.starts_with(web)).unwrap();
        assert!(row.contains("STOPPED") && row.contains("a stranger"), "{shown}");
        let waited = self.lxcpath.wharf(&["wait", "-s", "RUNNING", "-t", "0", web]);
        assert_eq!(waited.status.code(), Some(1), "{}", told(&waited));
        let mut screen = Screen::spawn(self.lxcpath.command(&[]), 160, 36);
        screen.wait_for(web);
        // The last, once the list is in its order.
        screen.keys_until("G", "a stranger holds");
        assert!(!screen.framed().contains("2 running"), "{}", screen.framed());
    }

    /// Runs the container in spite of the stranger, and checks that every command finds it.
    fn it_lives_all_the_same(&self) {
        let web = self.web.as_str();
        self.lxcpath.ok(&["start", web, "--", "/bin/sleep", "1000"]);
        assert_eq!(self.lxcpath.state(web), "RUNNING");
        assert!(self.lxcpath.ok(&["info", web]).contains("LXC's tools cannot reach it"));
        let again = self.lxcpath.refused(&["start", web, "--", "/bin/sleep", "1"], 1);
        assert!(again.contains("already"), "{again}");
        assert!(self.lxcpath.refused(&["destroy", web], 1).contains("is running"));
        let inside = self.lxcpath.ok(&["attach", web, "--", "/bin/hostname"]);
        assert_eq!(inside.trim(), web);
        self.lxcpath.ok(&["freeze", web]);
        assert_eq!(self.lxcpath.state(web), "FROZEN");
        self.lxcpath.ok(&["unfreeze", web]);
        self.lxcpath.ok(&["cgroup", web, "pids.max", "77"]);
        assert_eq!(self.lxcpath.ok(&["cgroup", web, "pids.max"]).trim(), "77");
        self.lxcpath.ok(&["stop", "-k", web]);
        assert_eq!(self.lxcpath.state(web), "STOPPED");
        self.lxcpath.refused(&["stop", web], 2);
        self.lxcpath.ok(&["destroy", web]);
        self.lxcpath.ok(&["create", web]);
    }
}

#[test]
fn nothing_is_done_on_the_word_of_another_user() {
    let Some(scene) = Scene::new() else { return };
    let imposter = Imposter::of_user(NOBODY, Manner::Lies, &scene.lies());
    scene.nothing_is_done(&format!("pid {}, user {NOBODY})", imposter.pid()));
    scene.it_lives_all_the_same();
}

#[test]
fn nothing_is_done_on_the_word_of_root_in_a_container() {
    let Some(scene) = Scene::new() else { return };
    for manner in [Manner::Lies, Manner::LiesByAChild] {
        let _imposter = scene.in_a_container(manner);
        scene.nothing_is_done("pid ");
        scene.it_lives_all_the_same();
        scene.end_the_container();
    }
}

#[test]
fn a_name_that_is_only_bound_does_not_prevent_a_start() {
    let Some(scene) = Scene::new() else { return };
    for manner in [Manner::Silent, Manner::Full, Manner::Deaf] {
        let _imposter = Imposter::of_user(NOBODY, manner, &scene.lies());
        assert_eq!(scene.lxcpath.state(&scene.web), "STOPPED", "{manner:?}");
        scene.lxcpath.refused(&["stop", "-k", &scene.web], 2);
        scene.it_lives_all_the_same();
    }
    // A process of root's, but not in the host's pid namespace.
    let _imposter = scene.in_a_container(Manner::Silent);
    scene.it_lives_all_the_same();
    scene.end_the_container();
}

#[test]
fn a_user_is_believed_about_what_is_his_alone() {
    let Some(scene) = Scene::new() else { return };
    // The lxcpath and its containers are that user's, who may listen for them, and report his own
    // processes.
    std::os::unix::fs::chown(scene.lxcpath.path(), Some(NOBODY), None).unwrap();
    fs::set_permissions(scene.lxcpath.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let _imposter = Imposter::of_user(NOBODY, Manner::Lies, &scene.lies());
    let web = scene.web.as_str();
    let message = scene.lxcpath.refused(&["stop", "-W", web], 1);
    assert!(message.contains("not one of its processes"), "{message}");
    let message = scene.lxcpath.refused(&["freeze", web], 1);
    assert!(message.contains("cgroup") || message.contains("control group"), "{message}");
    let message = scene.lxcpath.refused(&["attach", web, "--", "/bin/true"], 1);
    assert!(message.contains("not one of its processes"), "{message}");
    scene.lxcpath.refused(&["cgroup", web, "pids.max", "5"], 1);
    scene.lxcpath.refused(&["stop", "-k", web], 1);
    assert!(!scene.lxcpath.ok(&["info", web]).contains(&scene.init.to_string()));
    assert_eq!(scene.lxcpath.state(&scene.victim), "RUNNING");
}

/// Binds abstract names as this user, who is trusted, and does not answer on them.
fn silent(names: impl Iterator<Item = String>) -> Vec<UnixListener> {
    let bind =
        |it: String| UnixListener::bind_addr(&SocketAddr::from_abstract_name(it).unwrap()).unwrap();
    names.map(bind).collect()
}

#[test]
fn sockets_that_never_answer_cost_the_time_of_one() {
    let Some(scene) = Scene::new() else { return };
    let dir = scene.lxcpath.path().display().to_string();
    let mut held = silent((0..20).map(|it| format!("lxc/{:016x}/command", 4_711_000 + it)));
    held.extend(silent((0..20).map(|it| format!("{dir}/silent{it}/command"))));
    for args in [&["ls"][..], &["ls", "-F", "name,trouble"], &["info", &scene.victim]] {
        let begun = Instant::now();
        let shown = scene.lxcpath.ok(args);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{args:?} took {took:?}");
        assert!(shown.contains("RUNNING") || args.len() == 3 || args[0] == "info", "{shown}");
    }
    assert!(scene.lxcpath.ok(&["ls", "-F", "name,trouble"]).contains("does not answer"));
    let begun = Instant::now();
    let waited = scene.lxcpath.wharf(&["wait", "-s", "STOPPED", "-t", "1", &scene.victim]);
    assert_eq!(waited.status.code(), Some(1), "{}", told(&waited));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(held);
}

#[test]
fn other_users_cost_ls_no_time() {
    let Some(scene) = Scene::new() else { return };
    let dir = scene.lxcpath.path().display().to_string();
    let lies = |socket| Lies { socket, init: 1, cgroup: "/" };
    let names: Vec<String> = (0..4)
        .map(|it| format!("lxc/{:016x}/command", 815_000_000 + it))
        .chain((0..4).map(|it| format!("{dir}/quiet{it}/command")))
        .collect();
    let _held: Vec<Imposter> = names
        .iter()
        .zip([Manner::Silent, Manner::Full].into_iter().cycle())
        .map(|(it, manner)| Imposter::of_user(NOBODY, manner, &lies(it)))
        .collect();
    let begun = Instant::now();
    let shown = scene.lxcpath.ok(&["ls"]);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}: {shown}", begun.elapsed());
    assert!(!shown.contains("quiet"), "{shown}");
}

#[test]
fn stopping_what_is_just_ending_is_a_success() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("ending");
    lxcpath.ok(&["create", &name]);
    let ways: &[&[&str]] =
        &[&["stop"], &["stop", "-k"], &["stop", "-W"], &["stop", "-t", "5"], &["stop", "-k"]];
    for round in 0..12 {
        let seconds = format!("0.0{}", round % 6);
        lxcpath.ok(&["start", &name, "--", "/bin/sleep", &seconds]);
        let stops = ways.iter().map(|way| {
            let mut command = lxcpath.command(way);
            command.arg(&name);
            std::thread::spawn(move || finish(command))
        });
        let stops: Vec<_> = stops.collect();
        for stop in stops {
            let output = stop.join().unwrap();
            let code = output.status.code();
            // One that is alive and does not answer is not a success either.
            let deaf = text(&output.stderr).contains("asking it has no effect");
            assert!(matches!(code, Some(0 | 2)) || deaf, "round {round}: {}", told(&output));
        }
        wait_until("the end", || lxcpath.state(&name) == "STOPPED");
    }
}

/// Writes `pid` into the root of every hierarchy.
fn move_to_the_roots(pid: &str) {
    for mount in support::leftovers::cgroup_mounts() {
        _ = fs::write(mount.join("cgroup.procs"), pid);
    }
}

#[test]
fn an_init_that_left_its_groups_is_killed() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("moved");
    let init = lxcpath.ok(&["info", "-p", "-H", &name]).trim().to_owned();
    move_to_the_roots(&init);
    lxcpath.ok(&["stop", "-k", &name]);
    assert!(!fs::exists(format!("/proc/{init}")).unwrap(), "init lives");
    assert_eq!(lxcpath.state(&name), "STOPPED");
    lxcpath.refused(&["stop", "-k", &name], 2);

    // Its groups are gone as well, and so is its supervisor.
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let told: serde_json::Value =
        serde_json::from_str(&lxcpath.ok(&["info", "--json", &name])).unwrap();
    let init = told["init_pid"].as_i64().unwrap().to_string();
    let status = fs::read_to_string(format!("/proc/{init}/status")).unwrap();
    let supervisor = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap().trim();
    move_to_the_roots(&init);
    let cgroup = told["cgroup"].as_str().unwrap().trim_start_matches('/');
    for mount in support::leftovers::cgroup_mounts() {
        _ = fs::remove_dir(mount.join(cgroup));
    }
    let killed = Command::new("kill").args(["-9", supervisor]).status().unwrap();
    assert!(killed.success());
    wait_until("the supervisor's end", || !fs::exists(format!("/proc/{supervisor}")).unwrap());
    // It dies with its supervisor, before or after the check of stop.
    let output = lxcpath.wharf(&["stop", "-k", &name]);
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", told_of(&output));
    assert!(!fs::exists(format!("/proc/{init}")).unwrap(), "init lives");
}

fn told_of(output: &std::process::Output) -> String {
    text(&output.stderr)
}

/// Asks a supervisor for `command` with the payload, and returns the connection with the answer's
/// result; none if it was closed without one.
fn ask(socket: &str, command: i32, payload: &[u8]) -> (UnixStream, Option<i32>) {
    let address = SocketAddr::from_abstract_name(socket).unwrap();
    let mut stream = UnixStream::connect_addr(&address).unwrap();
    let head = Request { command, payload_len: payload.len() as i32, data: 0 };
    _ = stream.write_all(&head.encode()).and_then(|()| stream.write_all(payload));
    let mut answer = [0; HEAD];
    let answered = stream.read_exact(&mut answer).is_ok();
    (stream, answered.then(|| Response::decode(&answer).result))
}

#[test]
fn clients_that_stay_leave_room_for_those_that_act() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("crowded");
    let socket = format!("{}/{name}/command", lxcpath.path().display());
    // Some clients that connect and send nothing.
    let address = SocketAddr::from_abstract_name(&socket).unwrap();
    let idle: Vec<_> = (0..100).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
    assert_eq!(ask(&socket, SocketCommand::GetState as i32, &[]).1, Some(0));
    drop(idle);
    let views: Vec<_> = (0..64)
        .map(|_| ask(&socket, SocketCommand::ConsoleView as i32, &[]))
        .inspect(|(_, result)| assert_eq!(*result, Some(0)))
        .collect();
    let (_, refused) = ask(&socket, SocketCommand::ConsoleView as i32, &[]);
    assert_eq!(refused, Some(-libc::EUSERS));
    let told = lxcpath.refused(&["console", "-t", "0", &name], 1);
    assert!(told.contains("as many clients as it can"), "{told}");
    // Waiting clients may use the reserve, and exhaust it.
    let stopped = wire::encode_wanted(&[State::Stopped]);
    let waits: Vec<_> = (0..16)
        .map(|_| ask(&socket, SocketCommand::AddStateClient as i32, &stopped))
        .inspect(|(_, result)| assert_eq!(*result, Some(8)))
        .collect();
    assert_eq!(lxcpath.state(&name), "RUNNING");
    lxcpath.ok(&["freeze", &name]);
    lxcpath.ok(&["unfreeze", &name]);
    lxcpath.ok(&["stop", "-k", &name]);
    assert_eq!(lxcpath.state(&name), "STOPPED");
    drop((views, waits));
}

#[test]
fn clients_that_come_at_once_are_all_answered() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("flood");
    let init = lxcpath.ok(&["info", "-p", "-H", &name]);
    let status = fs::read_to_string(format!("/proc/{}/status", init.trim())).unwrap();
    let supervisor = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap().trim();
    let signal = |signal: &str| {
        assert!(Command::new("kill").args([signal, supervisor]).status().unwrap().success());
    };
    let address =
        SocketAddr::from_abstract_name(format!("{}/{name}/command", lxcpath.path().display()));
    let address = address.unwrap();
    let head = Request { command: SocketCommand::GetState as i32, payload_len: 0, data: 0 };
    // It was busy for a moment, and now all of them have arrived.
    signal("-STOP");
    let ask = || {
        let mut stream = UnixStream::connect_addr(&address).unwrap();
        stream.write_all(&head.encode()).unwrap();
        stream
    };
    let clients: Vec<_> = (0..100).map(|_| ask()).collect();
    signal("-CONT");
    let answered = clients.into_iter().filter_map(|mut stream| {
        let mut answer = [0; HEAD];
        stream.read_exact(&mut answer).ok()
    });
    assert_eq!(answered.count(), 100);
    lxcpath.ok(&["stop", "-k", &name]);
}
