//! Turns valid settings into a [`Spec`], refusing what wharf does not support yet. Reads the file
//! that `lxc.mount.fstab` names and checks that the root directory exists; starts nothing.

use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigErrors, Reason};
use super::filter::{self, ProfileRead};
use super::keys::Support;
use super::meaning::{Auto, AutoGroup, Meaning, NONE};
use super::settings::{ConfigSettings, Setting, blame};
use super::{
    Config, apparmor, groups, hooks, idmap, include, log, mounts, namespaces, net, process, roots,
    selinux,
};
use crate::engine::host::links::Netlink;
use crate::engine::terms::nic::{Nic, NicKind};
use crate::engine::terms::rootfs::Storage;
use crate::engine::terms::signal;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{
    At, AutoCgroup, AutoMounts, Capabilities, CgroupSetting, ConfigPlace, ConsoleSpec, InitSpec,
    Mount, Namespaces, SignalSpec, Spec,
};

/// The default init.
const DEFAULT_INIT: &str = "/sbin/init";

/// Builds the description of what `config` asks for.
pub(super) fn spec(config: &Config) -> Result<Spec, ConfigErrors> {
    let settings = &config.settings;
    let unset = settings.entries.iter().filter(|it| it.meaning == Meaning::Unset);
    let unset = unset.map(|it| blame(it, Reason::NotInEnvironment));
    if let Some(errors) = ConfigErrors::of(unsupported(settings).chain(unset).collect()) {
        return Err(errors);
    }
    let rootfs = roots::rootfs(settings)?;
    let hooks = hooks::of(config, rootfs.as_ref().map(|it| &it.value));
    let mut process = process::spec(settings)?;
    let namespaces = namespaces::of(settings, process.clocks);
    let refused = namespaces::refused(settings, &namespaces, &config.name);
    ConfigErrors::of(refused).map_or(Ok(()), Err)?;
    process.clocks = namespaces.has_own(Space::Time).then(|| process.clocks.unwrap_or_default());
    let idmap = idmap::of(settings)?.filter(|_| !namespaces.keeps(Space::User));
    let nics = nics(settings, &namespaces)?;
    let capabilities = capabilities(settings);
    let ProfileRead { filter, notify, mut warnings } = filter::of(settings)?;
    warnings.extend(namespaces::warnings(settings, &namespaces));
    let confining = apparmor::of(settings, &config.name, &config.lxcpath)?;
    let (context, keyring_label) = selinux::of(settings);
    Ok(Spec {
        name: config.name.clone(),
        lxcpath: config.lxcpath.clone(),
        hostname: settings.last("lxc.uts.name").map(|it| it.value.clone()),
        mounts: mount_table(config, rootfs.as_ref().map(|it| &it.value.storage))?,
        auto: auto_mounts(settings),
        rootfs,
        groups: groups::of(settings, &config.name)?,
        cgroup_v1: cgroup(settings, "lxc.cgroup."),
        cgroup_v2: cgroup(settings, "lxc.cgroup2."),
        init: init(settings),
        tty_max: settings.number("lxc.tty.max"),
        tty_dir: tty_dir(settings)?,
        pty_max: settings.number("lxc.pty.max"),
        own_dev: settings.last("lxc.autodev").is_some_and(|it| it.meaning == Meaning::Number(0)),
        dev_bytes: settings.number("lxc.autodev.tmpfs.size"),
        console: console(settings),
        namespaces,
        nics,
        capabilities,
        label: confining.label.or(context),
        own_profile: confining.own,
        keyring_label,
        no_new_privs: settings.number("lxc.no_new_privs") != 0,
        filter,
        notify,
        warnings,
        ephemeral: settings.number("lxc.ephemeral") != 0,
        environment: environment(settings),
        signals: halt_signals(settings)?,
        log: log::of(settings),
        root_flags: root_flags(settings)?,
        root_users: idmap::of_root(settings)?,
        idmap,
        hooks,
        process,
    })
}

/// Without an answer the start itself reports what is wrong.
fn host_interfaces() -> Vec<String> {
    Netlink::here().and_then(|it| it.names()).unwrap_or_default()
}

/// Lists why a start is refused, in the order of the lines.
pub(super) fn unsupported(settings: &ConfigSettings) -> impl Iterator<Item = ConfigError> {
    let unloadable =
        |it: &&Setting| it.key.support == Support::AppArmor && apparmor::lacks_parser(&it.value);
    let profiles = settings.entries.iter().filter(unloadable);
    profiles.map(|it| blame(it, Reason::NoParser)).chain(roots::refused(settings))
}

/// Returns the flags for the mount of the root.
fn root_flags(settings: &ConfigSettings) -> Result<Option<At<libc::c_ulong>>, ConfigError> {
    let Some(entry) = settings.last("lxc.rootfs.options") else { return Ok(None) };
    let options = mounts::alone(&entry.value).map_err(|reason| blame(entry, reason))?;
    Ok(Some(At { value: options.flags, place: entry.place.clone() }))
}

fn mount_table(config: &Config, root: Option<&Storage>) -> Result<Vec<At<Mount>>, ConfigError> {
    let settings = &config.settings;
    let mut table = Vec::new();
    if let Some(entry) = settings.last("lxc.mount.fstab") {
        let file = Path::new(&entry.value);
        let (content, _) = include::read(file).map_err(|reason| blame(entry, reason))?;
        let text = String::from_utf8(content).map_err(|_bytes| blame(entry, Reason::NotText))?;
        for (line, text) in mounts::table(&text) {
            let place = ConfigPlace { file: file.to_path_buf(), line };
            let value = mounts::entry(text)
                .and_then(|it| idmap::check(it.users.as_ref(), settings).map(|()| it))
                .map_err(|reason| ConfigError::of(text, "", reason, Some(&place)))?;
            table.push(At { value, place: Some(place) });
        }
    }
    for entry in settings.all("lxc.mount.entry") {
        if let Meaning::Mount(mount) = &entry.meaning {
            idmap::check(mount.users.as_ref(), settings).map_err(|reason| blame(entry, reason))?;
            table.push(At { value: Mount::clone(mount), place: entry.place.clone() });
        }
    }
    table.extend(mount_tunnel(settings)?);
    // Where LXC keeps a root, by which targets name one that is not a directory.
    let usual = config.lxcpath.join(config.name.as_str()).join("rootfs");
    let root = root.map(|it| it.directory().unwrap_or(&usual));
    for it in &mut table {
        it.value.target = mounts::below_root(&it.value.target, root);
    }
    Ok(table)
}

fn auto_mounts(settings: &ConfigSettings) -> AutoMounts {
    let mut mounts = AutoMounts::default();
    for entry in settings.all("lxc.mount.auto") {
        let Meaning::Auto(Auto { group, mode, force, reach }) = entry.meaning else { continue };
        match group {
            AutoGroup::Proc => mounts.proc = mode,
            AutoGroup::Sys => mounts.sys = mode,
            AutoGroup::Cgroup => {
                let value = AutoCgroup { reach, mode, forced: force };
                mounts.cgroup = Some(At { value, place: entry.place.clone() });
            }
            AutoGroup::Shmounts => (),
        }
    }
    mounts
}

/// `shmounts:HOST[:CONTAINER]`: what is mounted below HOST from then on appears in the container.
fn mount_tunnel(settings: &ConfigSettings) -> Result<Option<At<Mount>>, ConfigError> {
    const USUAL: &str = "/dev/.lxc-mounts";
    let mut all = settings.all("lxc.mount.auto");
    let Some(entry) = all.find(|it| it.meaning.auto_group() == Some(AutoGroup::Shmounts)) else {
        return Ok(None);
    };
    let paths = entry.value.split_once(':').map_or("", |(_, paths)| paths);
    let (host, inside) = paths.split_once(':').unwrap_or((paths, USUAL));
    if !host.starts_with('/') || !inside.starts_with('/') {
        return Err(blame(entry, Reason::Expected("shmounts:/HOST[:/CONTAINER]")));
    }
    let value = mounts::entry(&format!("{host} {inside} none bind,create=dir,rslave 0 0"));
    let value = value.map_err(|reason| blame(entry, reason))?;
    Ok(Some(At { value, place: entry.place.clone() }))
}

fn cgroup(settings: &ConfigSettings, prefix: &str) -> Vec<At<CgroupSetting>> {
    let entries = settings.all(prefix).map(|it| At {
        value: CgroupSetting { file: it.free.clone(), value: it.value.clone(), given: None },
        place: it.place.clone(),
    });
    entries.collect()
}

fn init(settings: &ConfigSettings) -> InitSpec {
    let words = |entry: &Setting| {
        if let Meaning::Command(words) = &entry.meaning { Some(words.clone()) } else { None }
    };
    let (init, execute) = (settings.last("lxc.init.cmd"), settings.last("lxc.execute.cmd"));
    // One key names the command that runs under an init, the other what `start` runs.
    let tended = execute.filter(|it| init.is_some_and(|init| init.value == it.value));
    let argv = tended.or(init).and_then(words).unwrap_or_else(|| vec![DEFAULT_INIT.to_owned()]);
    let cwd = settings.last("lxc.init.cwd").map_or("/", |it| it.value.as_str());
    InitSpec {
        argv,
        tended: tended.is_some(),
        cwd: PathBuf::from(cwd),
        uid: settings.number("lxc.init.uid"),
        gid: settings.number("lxc.init.gid"),
    }
}

/// Accepts only one name below `/dev`; LXC would follow a path that leaves it.
fn tty_dir(settings: &ConfigSettings) -> Result<Option<String>, ConfigError> {
    let Some(entry) = settings.last("lxc.tty.dir") else { return Ok(None) };
    if entry.value.contains('/')
        || [".", "..", "pts", "shm", "mqueue"].contains(&entry.value.as_str())
    {
        return Err(blame(entry, Reason::Expected("the name of a directory to make in /dev")));
    }
    Ok(Some(entry.value.clone()))
}

/// The default size at which a console's log is rotated: a container must not fill the host's disk.
const LOG_BYTES: u64 = 16 * 1024 * 1024;

fn console(settings: &ConfigSettings) -> ConsoleSpec {
    let sized = settings.last("lxc.console.size").is_some();
    let rotate = settings.last("lxc.console.rotate").map(|it| it.meaning != Meaning::Number(0));
    let path = settings.last("lxc.console.path").map(|it| it.value.as_str());
    ConsoleSpec {
        off: path == Some(NONE),
        path: path.filter(|it| *it != NONE).map(PathBuf::from),
        logfile: settings.last("lxc.console.logfile").map(|it| PathBuf::from(&it.value)),
        buffer_bytes: settings.bytes("lxc.console.buffer.size"),
        log_bytes: if sized { settings.bytes("lxc.console.size") } else { LOG_BYTES },
        rotate: rotate.unwrap_or(!sized),
    }
}

/// A network that is not the container's own gets no interfaces.
fn nics(settings: &ConfigSettings, namespaces: &Namespaces) -> Result<Vec<At<Nic>>, ConfigErrors> {
    let nics = net::nics(&settings.interfaces, host_interfaces)?;
    if !namespaces.has_own(Space::Net) {
        return Ok(Vec::new());
    }
    ConfigErrors::of(net::missing(&settings.interfaces)).map_or(Ok(()), Err)?;
    // After a kill nobody could give the interface back: its network would be held in a mount
    // namespace that is gone.
    let lent = nics.iter().any(|it| it.value.kind == NicKind::Phys);
    match settings.last("lxc.monitor.unshare").filter(|it| lent && it.meaning.number() != Some(0)) {
        Some(entry) => Err(blame(entry, Reason::Conflict("lxc.net.N.type = phys")).into()),
        None => Ok(nics),
    }
}

fn capabilities(settings: &ConfigSettings) -> Capabilities {
    let numbers = |name| -> Vec<u8> {
        // `none`, which stands for no capability, is not counted.
        let listed = settings.all(name).filter_map(|it| it.meaning.capability());
        listed.collect()
    };
    if settings.last("lxc.cap.keep").is_some() {
        Capabilities::Keep(numbers("lxc.cap.keep"))
    } else {
        Capabilities::Drop(numbers("lxc.cap.drop"))
    }
}

/// Of two lines for one variable the last counts, as with LXC.
fn environment(settings: &ConfigSettings) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for name in ["lxc.environment", "lxc.environment.runtime"] {
        for entry in settings.all(name) {
            let Meaning::Variable { name, value } = &entry.meaning else { continue };
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone(), value.clone()));
        }
    }
    variables
}

const PARENT_DEATH: &str = "lxc.monitor.signal.pdeath";

fn halt_signals(settings: &ConfigSettings) -> Result<SignalSpec, ConfigError> {
    let signal = |name| -> Result<Option<i32>, ConfigError> {
        let Some(entry) = settings.last(name) else { return Ok(None) };
        let Meaning::Signal(number) = entry.meaning else { return Ok(None) };
        match number {
            0 => Ok(None),
            1..=signal::MAX => Ok(Some(number)),
            _ => Err(blame(entry, Reason::Expected("a signal from 1 to 64"))),
        }
    };
    Ok(SignalSpec {
        halt: signal("lxc.signal.halt")?,
        reboot: signal("lxc.signal.reboot")?.unwrap_or(libc::SIGINT),
        stop: signal("lxc.signal.stop")?.unwrap_or(libc::SIGKILL),
        parent_death: match settings.last(PARENT_DEATH) {
            Some(_) => signal(PARENT_DEATH)?.unwrap_or(0),
            None => libc::SIGKILL,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Spec, ConfigErrors> {
        let name = "web".parse().unwrap();
        super::super::parse(
            &name,
            Path::new("/lxc"),
            text.as_bytes(),
            Path::new("/lxc/web/config"),
            &[],
        )?
        .spec()
    }

    #[test]
    fn a_quote_in_the_command_is_a_character_as_with_lxc() {
        let spec = read("lxc.init.cmd = /bin/sh -c  \"a b\" it's\n").unwrap();
        assert_eq!(spec.init.argv, ["/bin/sh", "-c", "\"a", "b\"", "it's"]);
        // A command that runs as `execute` runs it is split as the value of that key is.
        let both = |it| read(&format!("lxc.init.cmd = /bin/a 'b c'\nlxc.execute.cmd = {it}\n"));
        let init = both("/bin/a 'b c'").unwrap().init;
        assert!(init.tended && init.argv == ["/bin/a", "b c"]);
        let init = both("/bin/a").unwrap().init;
        assert!(!init.tended && init.argv == ["/bin/a", "'b", "c'"]);
    }

    #[test]
    fn the_default_configuration_is_accepted_whole() {
        let spec = read(super::super::template::DEFAULT).unwrap();
        assert!(spec.no_new_privs);
        assert_eq!(spec.namespaces, Namespaces::default());
        let Capabilities::Drop(dropped) = spec.capabilities else { panic!("some are kept") };
        let left: Vec<&str> = (0_u8..)
            .zip(super::super::caps::NAMES)
            .filter(|(number, _)| !dropped.contains(number))
            .map(|(_, name)| name)
            .collect();
        assert_eq!(
            left.join(" "),
            "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service \
             sys_chroot setfcap"
        );
        assert_eq!(spec.cgroup_v1.len(), spec.cgroup_v2.len());
        assert!(spec.mounts.iter().all(|it| it.value.optional));
    }

    #[test]
    fn a_variable_that_is_not_set_stops_a_start_alone() {
        let text = b"lxc.environment = WHARF_TEST_VARIABLE_THAT_IS_UNSET";
        let name = "web".parse().unwrap();
        let file = Path::new("/lxc/web/config");
        let config = super::super::parse(&name, Path::new("/lxc"), text, file, &[]).unwrap();
        let said = config.spec().unwrap_err().to_string();
        assert!(said.contains("line 1 of"), "{said}");
    }

    #[test]
    fn everything_that_is_refused_is_listed_at_once() {
        let text = "lxc.bogus = 1\nlxc.tty.max = x\n";
        let said = read(text).unwrap_err().to_string();
        assert!(said.contains("line 1 of") && said.contains("line 2 of"), "{said}");
    }

    #[test]
    fn the_directory_of_the_ttys_is_one_name_below_dev() {
        assert_eq!(read("lxc.devttydir = lxc").unwrap().tty_dir.as_deref(), Some("lxc"));
        assert_eq!(read("lxc.tty.dir =").unwrap().tty_dir, None);
        for value in ["../etc", "/lxc", "..", "pts"] {
            assert!(read(&format!("lxc.tty.dir = {value}")).is_err(), "{value} was accepted");
        }
    }

    #[test]
    fn a_tunnel_for_mounts_is_a_mount() {
        let tunnel = |text: &str| read(&format!("lxc.mount.auto = {text}"));
        let mount = tunnel("proc shmounts:/srv/shared").unwrap().mounts.remove(0).value;
        let target = Path::new("dev/.lxc-mounts");
        assert_eq!((mount.source.as_str(), mount.target.as_path()), ("/srv/shared", target));
        assert_ne!(mount.propagation & libc::MS_SLAVE, 0);
        let mount = tunnel("shmounts:/srv/shared:/mnt").unwrap().mounts.remove(0).value;
        assert_eq!(mount.target, Path::new("mnt"));
        for text in ["shmounts:", "shmounts:srv", "shmounts:/srv:mnt"] {
            assert!(tunnel(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn a_missing_root_is_told_with_its_line() {
        let error = read("lxc.rootfs.path = /srv/none\n").unwrap_err().to_string();
        let expected =
            "lxc.rootfs.path /srv/none: No such file or directory (line 1 of /lxc/web/config)";
        assert_eq!(error, expected);
    }

    #[test]
    fn the_network_is_shared_only_if_every_interface_says_so() {
        let own = |text| read(text).unwrap().namespaces.has_own(Space::Net);
        assert!(own(""));
        assert!(!own("lxc.network.type = none"));
        assert!(own("lxc.net.0.type = none\nlxc.net.1.type = empty"));
    }

    #[test]
    fn signals_default_to_lxcs() {
        let signals = read("lxc.haltsignal = SIGUSR1").unwrap().signals;
        assert_eq!((signals.halt, signals.reboot), (Some(libc::SIGUSR1), libc::SIGINT));
        assert!(read("lxc.signal.halt = 999").is_err());
        let parent_death = |text: &str| read(text).unwrap().signals.parent_death;
        assert_eq!(parent_death(""), libc::SIGKILL);
        assert_eq!(parent_death("lxc.monitor.signal.pdeath = 0"), 0);
        assert_eq!(parent_death("lxc.monitor.signal.pdeath = SIGTERM"), libc::SIGTERM);
    }

    #[test]
    fn a_log_has_a_size_unless_another_is_given() {
        let log = |text: &str| {
            let console = read(text).unwrap().console;
            (console.log_bytes, console.rotate)
        };
        assert_eq!(log("lxc.console.logfile = /log"), (LOG_BYTES, true));
        assert_eq!(log("lxc.console.rotate = 0"), (LOG_BYTES, false));
        assert_eq!(log("lxc.console.size = 64KB"), (64 * 1024, false));
        assert_eq!(log("lxc.console.size = 64KB\nlxc.console.rotate = 1"), (64 * 1024, true));
    }
}
