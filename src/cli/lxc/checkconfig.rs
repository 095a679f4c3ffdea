//! `lxc-checkconfig`: what the configuration of the kernel has for containers, in the shape of LXC's
//! program. `wharf checkconfig` tries each feature instead.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flate2::read::GzDecoder;

use crate::engine::shown::shown;

const RUNNING: &str = "/proc/config.gz";
/// Colours as LXC has them.
const GREEN: &str = "\u{1b}[1;32m";
const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";
const NORMAL: &str = "\u{1b}[0;39m";

/// What is listed after the groups: the label, the option and the module; none: it is no module.
const MISC: [(&str, &str, Option<&str>); 9] = [
    ("Veth pair device", "VETH", Some("veth")),
    ("Macvlan", "MACVLAN", Some("macvlan")),
    ("Vlan", "VLAN_8021Q", Some("8021q")),
    ("Bridges", "BRIDGE", Some("bridge")),
    ("Advanced netfilter", "NETFILTER_ADVANCED", Some("nf_tables")),
    ("CONFIG_IP_NF_TARGET_MASQUERADE", "IP_NF_TARGET_MASQUERADE", Some("nf_nat_masquerade_ipv4")),
    ("CONFIG_IP6_NF_TARGET_MASQUERADE", "IP6_NF_TARGET_MASQUERADE", Some("nf_nat_masquerade_ipv6")),
    ("CONFIG_NETFILTER_XT_TARGET_CHECKSUM", "NETFILTER_XT_TARGET_CHECKSUM", Some("xt_CHECKSUM")),
    ("CONFIG_NETFILTER_XT_MATCH_COMMENT", "NETFILTER_XT_MATCH_COMMENT", Some("xt_comment")),
];
const CHECKPOINT: [(&str, &str); 8] = [
    ("checkpoint restore", "CHECKPOINT_RESTORE"),
    ("CONFIG_FHANDLE", "FHANDLE"),
    ("CONFIG_EVENTFD", "EVENTFD"),
    ("CONFIG_EPOLL", "EPOLL"),
    ("CONFIG_UNIX_DIAG", "UNIX_DIAG"),
    ("CONFIG_INET_DIAG", "INET_DIAG"),
    ("CONFIG_PACKET_DIAG", "PACKET_DIAG"),
    ("CONFIG_NETLINK_DIAG", "NETLINK_DIAG"),
];

/// The configuration of a kernel, and the text about it.
struct KernelReport {
    config: String,
    /// The kernel's version, as far as it is known.
    version: (u32, u32),
    modules: Option<String>,
    colours: bool,
    text: String,
}

/// Prints what the kernel's configuration has.
pub(super) fn run(program: &str, _words: &[OsString]) -> ExitCode {
    let mut text = format!("LXC version {}\n", super::VERSION);
    let asked = std::env::var_os("CONFIG").filter(|it| !it.is_empty());
    let asked = asked.map_or_else(|| PathBuf::from(RUNNING), PathBuf::from);
    let mut file = asked.clone();
    if !asked.is_file() {
        // Writing to a String cannot fail.
        _ = writeln!(
            text,
            "Kernel configuration not found at {}; searching...",
            shown(&asked.to_string_lossy())
        );
        let Some(found) = elsewhere() else {
            print(&text);
            return lacking(program);
        };
        _ = writeln!(text, "Kernel configuration found at {}", found.display());
        file = found;
    }
    let config = match read(&file) {
        Ok(config) => config,
        Err(why) => {
            print(&text);
            super::say(&format!("{}: {}: {why}\n", shown(program), shown(&file.to_string_lossy())));
            return ExitCode::FAILURE;
        }
    };
    let version = version(&config);
    if version.is_none() {
        text += "WARNING: Unable to detect version from configuration, assuming latest\n\n";
    }
    let report = KernelReport {
        version: version.unwrap_or((100, 0)),
        config,
        modules: std::fs::read_to_string("/proc/modules").ok(),
        colours: io::stdout().is_terminal(),
        text,
    };
    print(&report.whole(program))
}

fn print(text: &str) -> ExitCode {
    let written = io::stdout().write_all(text.as_bytes());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns where the configuration of the running kernel may be besides.
fn elsewhere() -> Option<PathBuf> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let release = release.trim();
    let places =
        [format!("/boot/config-{release}"), format!("/lib/modules/{release}/build/.config")];
    places.into_iter().map(PathBuf::from).find(|it| it.is_file())
}

fn lacking(program: &str) -> ExitCode {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let name = shown(&name);
    super::say(&format!(
        "{name}: unable to retrieve kernel configuration\n\n\
         Try recompiling with IKCONFIG_PROC, installing the kernel headers,\n\
         or specifying the kernel configuration path with:\n  CONFIG=<path> {name}\n\
         `wharf checkconfig` tries what the kernel has instead.\n"
    ));
    ExitCode::FAILURE
}

/// Reads a configuration, which may be compressed.
fn read(file: &Path) -> io::Result<String> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let bytes = std::fs::read(file)?;
    let mut text = String::new();
    if bytes.starts_with(&GZIP) {
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
    } else {
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    Ok(text)
}

/// Reads the kernel's version from a line such as `# Linux/x86 6.1.0 Kernel Configuration`.
fn version(config: &str) -> Option<(u32, u32)> {
    let head = |it: &&str| it.starts_with("# Linux") && it.contains("Kernel Configuration");
    let line = config.lines().find(head)?;
    line.split(' ').find_map(|word| {
        let mut parts = word.split(['.', '-']).map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    })
}

impl KernelReport {
    fn whole(mut self, program: &str) -> String {
        self.text += "\n--- Namespaces ---\n";
        self.required("Namespaces", "NAMESPACES");
        self.option("Utsname namespace", "UTS_NS");
        self.required("Ipc namespace", "IPC_NS");
        self.required("Pid namespace", "PID_NS");
        self.option("User namespace", "USER_NS");
        if self.has("USER_NS") {
            self.text += &[map_program("newuidmap"), map_program("newgidmap")].concat();
        }
        self.option("Network namespace", "NET_NS");
        if self.version < (4, 7) {
            self.option("Multiple /dev/pts instances", "DEVPTS_MULTIPLE_INSTANCES");
        }
        self.text += "\n--- Control groups ---\n";
        self.groups();
        self.text += "\n--- Misc ---\n";
        for (label, option, module) in MISC {
            self.module(label, option, module);
        }
        self.module("FUSE (for use with lxcfs)", "FUSE_FS", Some("fuse"));
        self.text += "\n--- Checkpoint/Restore ---\n";
        for (label, option) in CHECKPOINT {
            self.option(label, option);
        }
        self.line("File capabilities", "enabled", GREEN, "");
        self.text += "\nNote : Before booting a new kernel, you can check its configuration\n";
        // Writing to a String cannot fail.
        _ = writeln!(self.text, "usage : CONFIG=/path/to/config {}\n", shown(program));
        self.text
    }

    fn groups(&mut self) {
        self.option("Cgroups", "CGROUPS");
        let namespace = Path::new("/proc/self/ns/cgroup").exists();
        self.found("Cgroup namespace", namespace);
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let of = |kind: &str| -> Vec<String> {
            let fields = mounts.lines().map(|it| it.split(' ').collect::<Vec<_>>());
            let right = fields.filter(|it| it.get(2) == Some(&kind));
            right.filter_map(|it| it.get(1).map(|it| (*it).to_owned())).collect()
        };
        let (first, second) = (of("cgroup"), of("cgroup2"));
        for (version, places) in [("v1", &first), ("v2", &second)] {
            // Writing to a String cannot fail.
            _ = writeln!(self.text, "Cgroup {version} mount points: ");
            self.text.extend(places.iter().map(|it| format!(" - {}\n", shown(it))));
        }
        if second != ["/sys/fs/cgroup"] {
            let has =
                |controller: &&str| first.iter().any(|it| it.contains(&format!("/{controller}")));
            for controller in ["systemd", "freezer"].into_iter().filter(|it| !has(it)) {
                self.line(&format!("Cgroup v1 {controller} controller"), "missing", RED, "");
            }
            let flag = first.first().map(|it| Path::new(it).join("cgroup.clone_children"));
            if flag.is_some_and(|it| it.is_file()) {
                self.line("Cgroup v1 clone_children flag", "enabled", GREEN, "");
            }
        }
        self.option("Cgroup device", "CGROUP_DEVICE");
        self.option("Cgroup sched", "CGROUP_SCHED");
        self.option("Cgroup cpu account", "CGROUP_CPUACCT");
        let memory = if self.version >= (3, 6) { "MEMCG" } else { "CGROUP_MEM_RES_CTLR" };
        self.option("Cgroup memory controller", memory);
        if self.has("SMP") {
            self.option("Cgroup cpuset", "CPUSETS");
        }
    }

    /// Returns whether an option is built in or a module.
    fn has(&self, option: &str) -> bool {
        let (built_in, module) = (format!("CONFIG_{option}=y"), format!("CONFIG_{option}=m"));
        self.config.lines().any(|it| it == built_in || it == module)
    }

    fn option(&mut self, label: &str, option: &str) {
        self.found(label, self.has(option));
    }

    fn required(&mut self, label: &str, option: &str) {
        if self.has(option) {
            self.line(label, "enabled", GREEN, "");
        } else {
            self.line(label, "required", RED, "");
        }
    }

    fn found(&mut self, label: &str, has: bool) {
        let (word, colour) = if has { ("enabled", GREEN) } else { ("missing", YELLOW) };
        self.line(label, word, colour, "");
    }

    fn module(&mut self, label: &str, option: &str, module: Option<&str>) {
        let (Some(modules), Some(module), true) = (&self.modules, module, self.has(option)) else {
            return self.option(label, option);
        };
        let is_loaded = modules.lines().any(|it| it.split(' ').next() == Some(module));
        let state = if is_loaded { ", loaded" } else { ", not loaded" };
        self.line(label, "enabled", GREEN, state);
    }

    fn line(&mut self, label: &str, word: &str, colour: &str, rest: &str) {
        let (on, off) = if self.colours { (colour, NORMAL) } else { ("", "") };
        // Writing to a String cannot fail.
        _ = writeln!(self.text, "{label}: {on}{word}{off}{rest}");
    }
}

/// Returns what is wrong with a program that maps users; nothing if it can.
fn map_program(name: &str) -> String {
    const SETUID: u32 = 0o4000;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|it| it.join(name)).find(|it| it.is_file());
    match found.and_then(|it| it.metadata().ok()) {
        None => format!("{name} is not installed\n"),
        Some(meta) if meta.permissions().mode() & SETUID == 0 => {
            format!("Warning: {name} is not setuid-root\n")
        }
        Some(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_the_version_are_read() {
        let config = "#\n# Linux/x86 6.1.0-2 Kernel Configuration\nCONFIG_VETH=m\nCONFIG_NET_NS=y\n\
                      # CONFIG_MACVLAN is not set\nCONFIG_BRIDGE_X=y\n";
        assert_eq!(version(config), Some((6, 1)));
        assert_eq!(version("CONFIG_A=y"), None);
        let modules = Some("veth 40960 0 - Live 0x0\n".to_owned());
        let (config, version, text) = (config.to_owned(), (6, 1), String::new());
        let mut it = KernelReport { config, version, modules, colours: false, text };
        it.module("Veth pair device", "VETH", Some("veth"));
        it.module("Bridges", "BRIDGE", Some("bridge"));
        it.required("Pid namespace", "PID_NS");
        it.colours = true;
        it.option("Macvlan", "MACVLAN");
        it.option("Network namespace", "NET_NS");
        let expected = "Veth pair device: enabled, loaded\nBridges: missing\nPid namespace: required\n\
                        Macvlan: \u{1b}[1;33mmissing\u{1b}[0;39m\n\
                        Network namespace: \u{1b}[1;32menabled\u{1b}[0;39m\n";
        assert_eq!(it.text, expected);
    }
}
