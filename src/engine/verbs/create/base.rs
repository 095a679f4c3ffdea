//! What the configuration of a new container starts from: the given file or template, or the host's
//! own `default.conf` with wharf's hardening for what that does not set, or only wharf's.

use std::path::Path;

use nix::unistd::geteuid;

use super::{Basis, Create};
use crate::engine::Name;
use crate::engine::cgroup::Hierarchies;
use crate::engine::config::{
    self, Config, ConfigError, ConfigErrors, Given, Place, Purpose, Template, key_of,
};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::delegation;

/// The name of wharf's own configuration in errors.
const OWN_NAME: &str = "default.conf";
const LEFT_OUT: &str = "wharf does not support this yet";
const UNDELEGATED: &str = "no cgroup is delegated to you";

/// A configuration to start from.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) config: Config,
    pub(super) basis: Basis,
    /// What was left out of the host's file, each with the reason and its line.
    pub(super) left_out: Vec<String>,
}

impl Base {
    /// Uses what `create` names, or else what every container of this host starts from.
    pub(super) fn of(
        name: &Name,
        lxcpath: &Lxcpath,
        create: &Create,
    ) -> Result<Self, ConfigErrors> {
        match &create.config {
            None => Self::of_host(name, lxcpath, create),
            Some(file) => Self::named(name, lxcpath, file, create),
        }
    }

    /// Uses the given file as it is, unless it is to boot a system; a template with wharf's
    /// defaults.
    fn named(
        name: &Name,
        lxcpath: &Lxcpath,
        file: &Path,
        create: &Create,
    ) -> Result<Self, ConfigErrors> {
        let place = Place { name, lxcpath, file };
        let mut given = None;
        let content = if let Some(template) = Template::named(file) {
            config::of_template(place, template, create.purpose)?
        } else {
            let config = config::load(name, lxcpath, Some(file), &create.settings)?;
            if create.purpose == Purpose::Application {
                return Ok(Self { config, basis: Basis::Named, left_out: Vec::new() });
            }
            let from = file.display().to_string();
            let theirs = Given { content: given.insert(config).raw(), from: &from };
            config::compose(place, Some(theirs), create.purpose)?
        };
        let (content, left_out) = what_can_hold(lxcpath, content, given.as_ref());
        let config = config::parse(name, lxcpath, &content, file, &create.settings)?;
        Ok(Self { config, basis: Basis::Named, left_out: left_out.into_iter().collect() })
    }

    /// Uses what every container of this host starts from.
    fn of_host(name: &Name, lxcpath: &Lxcpath, create: &Create) -> Result<Self, ConfigErrors> {
        let settings = &create.settings;
        let parse =
            |content: &[u8], file: &Path| config::parse(name, lxcpath, content, file, settings);
        let file = config::default_config(lxcpath.host());
        if !file.exists() {
            let file = Path::new(OWN_NAME);
            let content = config::compose(Place { name, lxcpath, file }, None, create.purpose)?;
            let (content, left_out) = what_can_hold(lxcpath, content, None);
            let left_out = left_out.into_iter().collect();
            return Ok(Self { config: parse(&content, file)?, basis: Basis::Wharf, left_out });
        }
        let theirs = config::load(name, lxcpath, Some(&file), &[])?;
        // A request for isolation must not result in a container without it.
        let confining = theirs.unsupported().into_iter().filter(ConfigError::confines);
        if let Some(errors) = ConfigErrors::of(confining.collect()) {
            return Err(errors);
        }
        let (kept, mut left_out) = without_what_is_refused(&theirs);
        let from = file.display().to_string();
        let place = Place { name, lxcpath, file: &file };
        let theirs = Given { content: &kept, from: &from };
        let content = config::compose(place, Some(theirs), create.purpose)?;
        let (content, limits) = what_can_hold(lxcpath, content, None);
        left_out.extend(limits);
        Ok(Self { config: parse(&content, &file)?, basis: Basis::Host(file), left_out })
    }
}

/// Comments out the lines that wharf does not support yet, and interfaces for whose link the host
/// has nothing: a container that does not start is of no use. An included file with such lines is
/// left out completely.
fn without_what_is_refused(config: &Config) -> (Vec<u8>, Vec<String>) {
    let missing = config.missing_links();
    let lacks = |line: &[u8]| {
        let of_line =
            |it: &&ConfigError| it.interface().is_some_and(|index| speaks_of(line, index));
        missing.iter().find(of_line).and_then(ConfigError::missing_link)
    };
    let mut faults = config.unsupported();
    faults.extend(config.missing_links());
    let is_refused = |at: usize, line: &[u8]| {
        let mut own =
            faults.iter().filter_map(|it| it.place.as_ref()).filter(|it| it.file == config.file());
        let included =
            faults.iter().filter_map(|it| it.place.as_ref()).any(|it| it.file != config.file());
        own.any(|it| it.line == at)
            || faults.iter().filter_map(ConfigError::interface).any(|it| speaks_of(line, it))
            || included && key_of(line).is_some_and(|it| it == "lxc.include")
    };
    let mut kept = Vec::new();
    let mut left_out = Vec::new();
    for (line, at) in config.raw().split_inclusive(|it| *it == b'\n').zip(1..) {
        if is_refused(at, line) {
            let (comment, reason) = match lacks(line) {
                Some(link) => {
                    let lack = format!("this host has no {link}");
                    (lack.clone(), format!("as {lack}"))
                }
                None => (LEFT_OUT.to_owned(), "not supported yet".to_owned()),
            };
            let text = String::from_utf8_lossy(line);
            kept.extend_from_slice(format!("# {comment}: ").as_bytes());
            left_out.push(format!("left out, {reason}: {} (line {at})", text.trim()));
        }
        kept.extend_from_slice(line);
    }
    (kept, left_out)
}

/// Comments out the limits that nothing would enforce, for an ordinary user to whom no group is
/// delegated: with them the container would not start. Those of the `given` file were asked for.
/// Returns what to tell that user as well.
fn what_can_hold(
    lxcpath: &Lxcpath,
    content: Vec<u8>,
    given: Option<&Config>,
) -> (Vec<u8>, Option<String>) {
    let hierarchies = || Hierarchies::discover(lxcpath.host()).unwrap_or_default();
    if geteuid().is_root() || delegation::is_to_be_had(&hierarchies()) {
        return (content, None);
    }
    without_limits(&content, |key| given.is_some_and(|it| it.speaks_of(key)))
}

fn without_limits(content: &[u8], stays: impl Fn(&str) -> bool) -> (Vec<u8>, Option<String>) {
    let mut kept = Vec::new();
    let mut keys: Vec<&str> = Vec::new();
    let mut is_said = false;
    for line in content.split_inclusive(|it| *it == b'\n') {
        let limit = key_of(line).filter(|it| is_limit(it) && !stays(it));
        if let Some(key) = limit {
            if !is_said {
                kept.extend_from_slice(format!("# As {UNDELEGATED}, not:\n").as_bytes());
            }
            kept.extend_from_slice(b"# ");
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        is_said = limit.is_some();
        kept.extend_from_slice(line);
    }
    let told = (!keys.is_empty()).then(|| {
        format!(
            "left out, as {UNDELEGATED} and nothing would enforce them: {}; to have them, log in \
             where systemd runs a user manager with cgroup v2 (`loginctl enable-linger` keeps it \
             without a login), and uncomment their lines in its configuration",
            keys.join(", ")
        )
    });
    (kept, told)
}

/// Returns whether a key asks for a limit: rules for devices never prevent a start.
fn is_limit(key: &str) -> bool {
    let file = ["lxc.cgroup.", "lxc.cgroup2."].iter().find_map(|it| key.strip_prefix(it));
    file.is_some_and(|it| !it.starts_with("devices.") && !it.starts_with("dir") && it != "relative")
}

/// Returns whether a line belongs to the network interface `index`; without numbers, to any.
fn speaks_of(line: &[u8], index: u32) -> bool {
    let Some(key) = key_of(line) else { return false };
    let rest = key.strip_prefix("lxc.network.").or_else(|| key.strip_prefix("lxc.net."));
    let first = rest.and_then(|it| it.split('.').next());
    let any = key.starts_with("lxc.network.");
    first.is_some_and(|it| it.parse::<u32>().map_or(any, |it| it == index))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::engine::Host;
    use crate::engine::terms::space::Space;
    use crate::engine::terms::spec::{Capabilities, Namespaces};

    /// Makes the base on a host whose `default.conf` contains `content`.
    fn on_host_with(content: &[u8]) -> Base {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::keeping_in(dir.path());
        fs::create_dir_all(config::default_config(&host).parent().unwrap()).unwrap();
        fs::write(config::default_config(&host), content).unwrap();
        let lxcpath = Lxcpath::open(&host, dir.path());
        Base::of(&"web".parse().unwrap(), &lxcpath, &Create::default()).unwrap()
    }

    #[test]
    fn what_is_not_supported_is_left_out_and_listed() {
        let base = on_host_with(
            b"lxc.net.0.type = veth\nlxc.net.0.link = nolinkhere\nlxc.net.0.flags = up\n\
              lxc.tty.max = 3\nlxc.rootfs.path = nbd:/a\n",
        );
        assert_eq!(
            base.left_out,
            [
                "left out, as this host has no nolinkhere: lxc.net.0.type = veth (line 1)",
                "left out, as this host has no nolinkhere: lxc.net.0.link = nolinkhere (line 2)",
                "left out, as this host has no nolinkhere: lxc.net.0.flags = up (line 3)",
                "left out, not supported yet: lxc.rootfs.path = nbd:/a (line 5)",
            ]
        );
        let raw = String::from_utf8_lossy(base.config.raw());
        assert!(raw.contains("\n# this host has no nolinkhere: lxc.net.0.type = veth\n"), "{raw}");
        let spec = base.config.spec().unwrap();
        assert_eq!((spec.namespaces, spec.tty_max), (Namespaces::default(), 3));
    }

    #[test]
    fn the_host_decides_and_wharf_hardens_the_rest() {
        let base = on_host_with(b"lxc.cap.drop = sys_module\nlxc.net.0.type = none");
        assert!(base.left_out.is_empty());
        let spec = base.config.spec().unwrap();
        assert!(!spec.namespaces.has_own(Space::Net));
        assert_eq!(spec.capabilities, Capabilities::Drop(vec![16]));
        assert!(spec.no_new_privs);
        assert!(spec.mounts.iter().any(|it| it.value.target == Path::new("proc/kcore")));
        assert!(base.config.raw().starts_with(b"# The configuration that wharf gives"));
    }

    #[test]
    fn devices_are_the_hosts_or_wharfs_never_both() {
        let base = on_host_with(b"lxc.cgroup2.devices.deny = a\n");
        let devices = |base: &Base| {
            let spec = base.config.spec().unwrap();
            let both = spec.cgroup_v1.into_iter().chain(spec.cgroup_v2);
            both.filter(|it| it.value.file.starts_with("devices.")).count()
        };
        assert_eq!(devices(&base), 1);
        assert!(devices(&on_host_with(b"")) > 10);
    }

    #[test]
    fn limits_that_nothing_would_enforce_become_comments() {
        let text = b"# Few:\nlxc.cgroup2.pids.max = 9\nlxc.cgroup2.memory.max = 9\n\
                     lxc.cgroup2.devices.deny = a\nlxc.cgroup.dir = x\nlxc.cgroup.pids.max=9\nlxc.prlimit.nofile = 9";
        let (kept, told) = without_limits(text, |_| false);
        let kept = String::from_utf8(kept).unwrap();
        assert_eq!(
            kept,
            "# Few:\n# As no cgroup is delegated to you, not:\n# lxc.cgroup2.pids.max = 9\n\
             # lxc.cgroup2.memory.max = 9\nlxc.cgroup2.devices.deny = a\nlxc.cgroup.dir = x\n\
             # As no cgroup is delegated to you, not:\n# lxc.cgroup.pids.max=9\n\
             lxc.prlimit.nofile = 9"
        );
        let told = told.unwrap();
        assert!(told.contains(", lxc.cgroup2.memory.max, lxc.cgroup.pids.max; to have"), "{told}");
        let (kept, told) = without_limits(text, |_| true);
        assert_eq!((kept.as_slice(), told), (text.as_slice(), None));
    }

    #[test]
    fn a_file_with_an_error_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::keeping_in(dir.path());
        fs::create_dir_all(config::default_config(&host).parent().unwrap()).unwrap();
        let lxcpath = Lxcpath::open(&host, dir.path());
        fs::write(config::default_config(&host), "lxc.bogus = 1").unwrap();
        let base = Base::of(&"web".parse().unwrap(), &lxcpath, &Create::default());
        let said = base.unwrap_err().to_string();
        assert!(said.contains("line 1 of") && said.contains("default.conf"), "{said}");
    }
}
