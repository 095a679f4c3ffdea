//! Turns valid settings into a [`Spec`], refusing what wharf cannot carry out yet. Reads the file
//! that `lxc.mount.fstab` names and looks whether the root directory is there; starts nothing.

use std::path::{Path, PathBuf};

use super::super::spec::{
    At, AutoMounts, Capabilities, CgroupSetting, ConsoleSpec, Init, Mount, Network, Place, Signals,
    Spec,
};
use super::error::{ConfigError, Reason};
use super::get::storage;
use super::keys::{Lsm, Support};
use super::settings::{Entry, NONE, Settings};
use super::{Config, caps, include, mounts, signals, values};

/// What init is when nothing says otherwise.
const DEFAULT_INIT: &str = "/sbin/init";
const SYS_ADMIN: u8 = 21;

/// Builds the description of what `config` asks for.
pub(super) fn spec(config: &Config) -> Result<Spec, ConfigError> {
    let settings = &config.settings;
    if let Some(error) = unsupported(settings).next() {
        return Err(error);
    }
    let rootfs = rootfs(settings)?;
    let capabilities = capabilities(settings);
    Ok(Spec {
        name: config.name.clone(),
        lxcpath: config.lxcpath.clone(),
        hostname: settings.last("lxc.uts.name").map(|it| it.value.clone()),
        mounts: mount_table(settings, rootfs.as_ref().map(|it| it.value.as_path()))?,
        auto: auto_mounts(settings, &capabilities)?,
        rootfs,
        cgroup_v1: cgroup(settings, "lxc.cgroup."),
        cgroup_v2: cgroup(settings, "lxc.cgroup2."),
        init: init(settings)?,
        tty_max: settings.number("lxc.tty.max"),
        pty_max: settings.number("lxc.pty.max"),
        console: console(settings),
        network: network(settings),
        capabilities,
        no_new_privs: settings.number::<u8>("lxc.no_new_privs") != 0,
        ephemeral: settings.number::<u8>("lxc.ephemeral") != 0,
        environment: environment(settings),
        signals: halt_signals(settings)?,
    })
}

/// Lists what refuses a start, in the order of the lines.
pub(super) fn unsupported(settings: &Settings) -> impl Iterator<Item = ConfigError> {
    let keys = settings.entries.iter().filter(|it| refuses(it)).map(not_yet);
    let storage = settings
        .entries
        .iter()
        .filter(|it| it.key.name == "lxc.rootfs.path" && storage(&it.value).0 != "dir");
    let interfaces = settings.interfaces.by_index.iter().filter_map(|(index, it)| {
        let kind = it.kind.filter(|it| !["none", "empty"].contains(it))?;
        let key = format!("lxc.net.{index}.type");
        Some(ConfigError::of(&key, kind, Reason::NotYet, it.place.as_ref()))
    });
    keys.chain(storage.map(not_yet)).chain(interfaces)
}

fn refuses(entry: &Entry) -> bool {
    match entry.key.support {
        Support::Now | Support::Harmless => false,
        Support::Only(values) => !values.contains(&entry.value.as_str()),
        Support::HostArch => entry.value != HOST_PERSONALITY,
        Support::Lsm(lsm) => {
            !["unconfined", "unchanged"].contains(&entry.value.as_str()) && present(lsm)
        }
        Support::Later => true,
    }
}

/// LXC's word for this machine's personality.
const HOST_PERSONALITY: &str = if cfg!(target_pointer_width = "64") { "x86_64" } else { "i686" };

fn present(lsm: Lsm) -> bool {
    let evidence = match lsm {
        Lsm::AppArmor => "/sys/kernel/security/apparmor",
        Lsm::SeLinux => "/sys/fs/selinux/enforce",
    };
    let module = match lsm {
        Lsm::AppArmor => "/sys/module/apparmor/parameters/enabled",
        Lsm::SeLinux => return Path::new(evidence).exists(),
    };
    Path::new(evidence).exists() || std::fs::read(module).is_ok_and(|it| it.starts_with(b"Y"))
}

fn not_yet(entry: &Entry) -> ConfigError {
    blame(entry, Reason::NotYet)
}

fn blame(entry: &Entry, reason: Reason) -> ConfigError {
    let key = format!("{}{}", entry.key.name, entry.free);
    ConfigError::of(&key, &entry.value, reason, entry.place.as_ref())
}

fn rootfs(settings: &Settings) -> Result<Option<At<PathBuf>>, ConfigError> {
    let Some(entry) = settings.last("lxc.rootfs.path") else { return Ok(None) };
    let path = PathBuf::from(storage(&entry.value).1);
    if !path.is_absolute() {
        return Err(blame(entry, Reason::Expected("an absolute path")));
    }
    match std::fs::metadata(&path) {
        Err(error) => Err(blame(entry, Reason::Io(error))),
        Ok(meta) if !meta.is_dir() => Err(blame(entry, Reason::NotDirectory)),
        // Sharing the host's root is what no root of one's own means.
        Ok(_) if path == Path::new("/") => Ok(None),
        Ok(_) => Ok(Some(At { value: path, place: entry.place.clone() })),
    }
}

fn mount_table(settings: &Settings, rootfs: Option<&Path>) -> Result<Vec<At<Mount>>, ConfigError> {
    let mut table = Vec::new();
    if let Some(entry) = settings.last("lxc.mount.fstab") {
        let file = Path::new(&entry.value);
        let (text, _) = include::read(file).map_err(|reason| blame(entry, reason))?;
        for (line, text) in mounts::table(&text) {
            let place = Place { file: file.to_path_buf(), line };
            let value = mounts::entry(text, rootfs)
                .map_err(|reason| ConfigError::of(text, "", reason, Some(&place)))?;
            table.push(At { value, place: Some(place) });
        }
    }
    for entry in settings.all("lxc.mount.entry") {
        let value = mounts::entry(&entry.value, rootfs).map_err(|reason| blame(entry, reason))?;
        table.push(At { value, place: entry.place.clone() });
    }
    Ok(table)
}

fn auto_mounts(settings: &Settings, kept: &Capabilities) -> Result<AutoMounts, ConfigError> {
    let admin = match kept {
        Capabilities::Drop(list) => !list.contains(&SYS_ADMIN),
        Capabilities::Keep(list) => list.contains(&SYS_ADMIN),
    };
    let words = settings.all("lxc.mount.auto").map(|it| it.value.as_str());
    mounts::auto(words, admin).map_err(|word| {
        let entry = settings.all("lxc.mount.auto").find(|it| it.value == word);
        let place = entry.and_then(|it| it.place.as_ref());
        ConfigError::of("lxc.mount.auto", word, Reason::NotYet, place)
    })
}

fn cgroup(settings: &Settings, prefix: &str) -> Vec<At<CgroupSetting>> {
    let entries = settings.all(prefix).map(|it| At {
        value: CgroupSetting { file: it.free.clone(), value: it.value.clone() },
        place: it.place.clone(),
    });
    entries.collect()
}

fn init(settings: &Settings) -> Result<Init, ConfigError> {
    let argv = match settings.last("lxc.init.cmd") {
        Some(entry) => values::words(&entry.value).map_err(|reason| blame(entry, reason))?,
        None => vec![DEFAULT_INIT.to_owned()],
    };
    let cwd = settings.last("lxc.init.cwd").map_or("/", |it| it.value.as_str());
    Ok(Init {
        argv,
        cwd: PathBuf::from(cwd),
        uid: settings.number("lxc.init.uid"),
        gid: settings.number("lxc.init.gid"),
    })
}

/// What a console may write into its log before it is rotated, where nobody said how much: a
/// container must not fill the host's disk.
const LOG_BYTES: u64 = 16 * 1024 * 1024;

fn console(settings: &Settings) -> ConsoleSpec {
    let sized = settings.last("lxc.console.size").is_some();
    let rotate = settings.last("lxc.console.rotate").map(|it| it.value != "0");
    let path = settings.last("lxc.console.path").map(|it| it.value.as_str());
    ConsoleSpec {
        off: path == Some(NONE),
        path: path.filter(|it| *it != NONE).map(PathBuf::from),
        logfile: settings.last("lxc.console.logfile").map(|it| PathBuf::from(&it.value)),
        buffer_bytes: settings.number("lxc.console.buffer.size"),
        log_bytes: if sized { settings.number("lxc.console.size") } else { LOG_BYTES },
        rotate: rotate.unwrap_or(!sized),
    }
}

/// The host's network is shared only if every interface says so, as in LXC since 1.0.
fn network(settings: &Settings) -> Network {
    let interfaces = &settings.interfaces.by_index;
    if !interfaces.is_empty() && interfaces.values().all(|it| it.kind == Some("none")) {
        Network::Host
    } else {
        Network::Empty
    }
}

fn capabilities(settings: &Settings) -> Capabilities {
    let numbers = |name| -> Vec<u8> {
        settings.all(name).filter_map(|it| caps::number(&it.value).ok()).collect()
    };
    if settings.last("lxc.cap.keep").is_some() {
        Capabilities::Keep(numbers("lxc.cap.keep"))
    } else {
        Capabilities::Drop(numbers("lxc.cap.drop"))
    }
}

fn environment(settings: &Settings) -> Vec<(String, String)> {
    settings
        .entries
        .iter()
        .filter(|it| ["lxc.environment", "lxc.environment.runtime"].contains(&it.key.name))
        .filter_map(|it| it.value.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn halt_signals(settings: &Settings) -> Result<Signals, ConfigError> {
    let signal = |name| -> Result<Option<i32>, ConfigError> {
        let Some(entry) = settings.last(name) else { return Ok(None) };
        match entry.value.parse() {
            Ok(0) => Ok(None),
            Ok(number) if number <= signals::MAX => Ok(Some(number)),
            _ => Err(blame(entry, Reason::Expected("a signal from 1 to 64"))),
        }
    };
    Ok(Signals {
        halt: signal("lxc.signal.halt")?,
        reboot: signal("lxc.signal.reboot")?.unwrap_or(libc::SIGINT),
        stop: signal("lxc.signal.stop")?.unwrap_or(libc::SIGKILL),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Spec, ConfigError> {
        let name = "web".parse().unwrap();
        super::super::parse(&name, Path::new("/lxc"), text, Path::new("/lxc/web/config"), &[])?
            .spec()
    }

    #[test]
    fn the_default_configuration_is_accepted_whole() {
        let spec = read(super::super::DEFAULT).unwrap();
        assert!(spec.no_new_privs);
        assert_eq!(spec.network, Network::Empty);
        let Capabilities::Drop(dropped) = spec.capabilities else { panic!("some are kept") };
        let left: Vec<&str> = (0_u8..)
            .zip(caps::NAMES)
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
    fn what_is_not_supported_names_its_line() {
        let error = read("# a\nlxc.idmap = u 0 100000 65536\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "lxc.idmap u 0 100000 65536: is not supported yet (line 2 of /lxc/web/config); \
             remove the line to start without it"
        );
        for line in [
            "lxc.seccomp.profile = /x",
            "lxc.hook.start = /x",
            "lxc.net.0.type = veth",
            "lxc.rootfs.path = overlay:/a:/b",
            "lxc.autodev = 0",
            "lxc.mount.auto = cgroup2",
            "lxc.prlimit.nofile = 1",
        ] {
            assert!(matches!(read(line).unwrap_err().reason, Reason::NotYet), "{line}");
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
        assert_eq!(read("").unwrap().network, Network::Empty);
        assert_eq!(read("lxc.network.type = none").unwrap().network, Network::Host);
        let mixed = "lxc.net.0.type = none\nlxc.net.1.type = empty";
        assert_eq!(read(mixed).unwrap().network, Network::Empty);
    }

    #[test]
    fn signals_default_to_lxcs() {
        let signals = read("lxc.haltsignal = SIGUSR1").unwrap().signals;
        assert_eq!((signals.halt, signals.reboot), (Some(libc::SIGUSR1), libc::SIGINT));
        assert!(read("lxc.signal.halt = 999").is_err());
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
