//! Which variables of an image may be seen by the programs of the host that a container's hooks run.
//! Pure.
//!
//! Hooks run as the host's root with `lxc.environment`, and the image would choose what they load
//! and run. `lxc.environment.runtime` is for the container's own programs, but LXC before 7.0
//! refuses a file with that key, so that only what a program could obey goes there. There is no list
//! of all names that some program reads. A variable is therefore harmless if neither its name is one
//! that loaders, shells, interpreters and the usual tools read, nor its value could be more than a
//! word, a number, an address or a path among the host's own files.

/// The key for what hooks have as well, and that for the container's own programs.
const EVERYWHERE: &str = "lxc.environment";
pub(super) const RUNTIME: &str = "lxc.environment.runtime";

/// Chooses the key for a variable.
pub(super) fn key_of(name: &str, value: &str) -> &'static str {
    if is_harmless(name, value) { EVERYWHERE } else { RUNTIME }
}

fn is_harmless(name: &str, value: &str) -> bool {
    // Scripts give their own variables names in lower case, and bash its functions other characters.
    let is_plain = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
    if !name.chars().all(is_plain) {
        return false;
    }
    if name == "PATH" {
        return value.split(':').all(has_programs_of_the_host);
    }
    if name == "HOME" {
        return matches!(value, "/" | "/root");
    }
    if WORDS.contains(&name) || name.starts_with("LC_") || is_version(name) {
        return value.chars().all(|it| is_data(it) && it != '/');
    }
    (name == "GOPATH" || !is_read(name)) && value.chars().all(is_data) && leads_to_the_host(value)
}

/// Variables whose value selects something by its name, which a path could replace.
const WORDS: [&str; 6] =
    ["LANG", "TERM", "DEBIAN_FRONTEND", "NODE_ENV", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"];

/// The ends of names that say what an image contains: no program obeys `PYTHON_VERSION`.
const CONTENTS: [&str; 4] = ["_VERSION", "_MAJOR", "_SHA256", "_SHA512"];

fn is_version(name: &str) -> bool {
    !name.starts_with("LXC_") && CONTENTS.iter().any(|it| name.ends_with(it))
}

/// No character by which a shell could read more than one word in it, should a script evaluate it.
fn is_data(it: char) -> bool {
    it.is_ascii_alphanumeric() || " _-.,:@+%/=".contains(it)
}

/// Returns whether a directory holds programs that the host's root has installed.
fn has_programs_of_the_host(dir: &str) -> bool {
    let tops = ["bin", "sbin", "usr", "opt"];
    let top = dir.strip_prefix('/').and_then(|it| it.split('/').next());
    top.is_some_and(|it| tops.contains(&it)) && is_beside_containers(dir)
}

/// Returns whether every path in `value` leads beside the files of containers, and of users.
fn leads_to_the_host(value: &str) -> bool {
    let value =
        ["https://", "http://"].iter().find_map(|it| value.strip_prefix(it)).unwrap_or(value);
    let words = value.split([' ', ',', ':', '=', '%', '@']);
    words.filter(|it| it.contains('/')).all(is_beside_containers)
}

/// Where other users can write, or what leads elsewhere: at the beginning of a path, and anywhere.
const OPEN: [&str; 9] = ["dev", "home", "media", "mnt", "proc", "run", "srv", "sys", "tmp"];
const OPEN_ANYWHERE: [&str; 6] = ["crash", "lock", "run", "tmp", ".", ".."];
/// Below one of these is what an image brings: LXC's directory and its place for a mounted root, the
/// root of every container that is made from an image, and what its copies change.
const OF_CONTAINERS: [&str; 3] = ["lxc", "overlay", "rootfs"];

fn is_beside_containers(path: &str) -> bool {
    let mut parts = path.split('/').filter(|it| !it.is_empty()).peekable();
    // A relative path begins anywhere, mostly at `/`.
    let is_open = parts.peek().is_some_and(|it| OPEN.contains(it));
    !is_open && parts.all(|it| !OPEN_ANYWHERE.contains(&it) && !OF_CONTAINERS.contains(&it))
}

/// Returns whether the usual programs of a host read a variable of this name.
fn is_read(name: &str) -> bool {
    let among = |lists: &'static [&str]| lists.iter().flat_map(|it| it.split_ascii_whitespace());
    among(&NAMES).any(|it| name == it)
        || among(&BEGINNINGS).any(|it| name.starts_with(it))
        || among(&ENDS).any(|it| name.ends_with(it))
}

/// Whole names, of shells, the C library, programs that call others, and Go.
const NAMES: [&str; 4] = [
    "CDPATH COLUMNS ENV EUID EXECIGNORE FCEDIT FIGNORE GLOBIGNORE HOSTFILE IFS INPUTRC LINES MAIL \
     OLDPWD PPID PWD REPLY SHELL SHELLOPTS SHLVL TMOUT UID",
    "HOSTALIASES LANGUAGE LOCALDOMAIN TEMP TMP",
    "BROWSER EDITOR PAGER VISUAL",
    "GOCOVERDIR GODEBUG GOFLAGS GOROOT GOTRACEBACK",
];

/// Beginnings: of the loader and the C library, shells, interpreters and runtimes, what manages
/// containers, services and desktops, terminals, and of tools for disks, packages, archives, the
/// network and encryption.
const BEGINNINGS: [&str; 6] = [
    "GCONV GETCONF GLIBC LD_ LIBC_ MALLOC MEMUSAGE NSS_ PCPROFILE RES_ RESOLV SEGFAULT TMPDIR \
     TZDIR",
    "BASH FPATH FUNC HIST KSH OPT POSIX PROMPT PS READLINE TIMEFORMAT ZDOTDIR",
    "AWK BUNDLE_ CORECLR DOTNET ERL GAWK GEM_ GUILE LUA MAKE MONO_ NODE NPM_ PERL PHPRC \
     PHP_INI_SCAN PYTHON RUBY R_ TCL",
    "CREDENTIALS DBUS DISPLAY DOCKER GIO_ GTK G_ LISTEN_ LXC NOTIFY_ NVIDIA QT_ SYSTEMD UDEV \
     WATCHDOG WHARF XDG_",
    "LESS MAN NCURSES TERM TMUX VIM",
    "APT BLKID BTRFS BZIP CURL DEB DM_ DPKG E2FS GIT GNUPG GREP_ GZIP IPROUTE IPTABLES KRB5 LIB \
     LOOPDEV LVM MKE2FS MKFS MODPROBE OPENSSL RSYNC SSH SSL SUDO TAR_ TC_ WGET XTABLES XZ_ ZFS ZPOOL",
];

/// Ends of names by which programs are told what to load, run or ask.
const ENDS: [&str; 1] = [
    "PATH _CMD _COMMAND _CONF _CONFIG _EDITOR _EXEC _HOOKS _INIT _OPT _OPTIONS _OPTS _PLUGINS _PROXY \
     _RC _SHELL",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn key(variable: &str) -> &'static str {
        let (name, value) = variable.split_once('=').unwrap();
        key_of(name, value)
    }

    #[test]
    fn what_official_images_set_can_be_read_by_every_lxc() {
        let harmless = [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PATH=/usr/lib/postgresql/16/bin:/opt/java/openjdk/bin:/usr/bin:/bin",
            "LANG=C.UTF-8",
            "LC_ALL=de_DE.UTF-8@euro",
            "TZ=Europe/Berlin",
            "HOME=/root",
            "PYTHON_VERSION=3.13.1",
            "PYTHON_SHA256=9cf9427bee9e2242e3877dd0f6b641c1853ca461",
            "PYTHONUNBUFFERED=1",
            "GPG_KEYS=AFD8691FDAEDF03BDF6E460563F15A9B715376CA 1198C0117593497A5EC5C1",
            "NODE_VERSION=22.12.0",
            "NODE_ENV=production",
            "PGDATA=/var/lib/postgresql/data",
            "JAVA_HOME=/opt/java/openjdk",
            "GOPATH=/go",
            "REDIS_DOWNLOAD_URL=http://download.redis.io/releases/redis-7.4.1.tar.gz",
            "PHP_INI_DIR=/usr/local/etc/php",
            "PHP_LDFLAGS=-Wl,-O1 -pie",
            "HTTPD_PATCHES=",
            "PORT=8080",
        ];
        for variable in harmless {
            assert_eq!(key(variable), EVERYWHERE, "{variable}");
        }
    }

    #[test]
    fn a_variable_that_could_change_a_program_of_the_host_is_not_for_hooks() {
        let others = [
            "PATH=/usr/bin:/app",
            "PATH=",
            "PATH=/usr/bin:",
            "PATH=/usr/bin:bin",
            "PATH=/usr/../tmp/bin",
            "PATH=/usr/lib/x86_64-linux-gnu/lxc/rootfs/bin:/usr/bin",
            "PATH=/usr/local/lib/lxc/rootfs/bin:/usr/bin",
            "LD_PRELOAD=/x.so",
            "LD_LIBRARY_PATH=/usr/local/nvidia/lib",
            "LD_VERSION=/x",
            "GLIBC_TUNABLES=glibc.malloc.check=1",
            "GCONV_PATH=/x",
            "LOCPATH=/x",
            "TMPDIR=/var/cache",
            "LANG=../x",
            "LC_ALL=/usr/share/x",
            "HOME=/app",
            "BASH_ENV=x",
            "BASH_FUNC_mount%%=() { id; }",
            "ENV=x",
            "IFS=/",
            "PS4=x",
            "PYTHONPATH=/usr/lib",
            "PERL5OPT=-Mx",
            "RUBYOPT=-rx",
            "NODE_OPTIONS=--require=x",
            "JAVA_TOOL_OPTIONS=-javaagent",
            "LXC_ROOTFS_MOUNT=/",
            "LXC_HOOK_VERSION=0",
            "HTTPS_PROXY=http://10.0.0.1:3128",
            "https_proxy=x",
            "dir=x",
            "MY CLASS=x",
            "WORD=$(id)",
            "WORD=a;b",
            "WORD=a 'b'",
            "WORD=/var/lib/lxc/web/rootfs/x",
            "WORD=x,/tmp/y",
            "WORD=/proc/self/cwd",
            "WORD=../x",
            "WORD=/var/run/user/1000/x",
            "WORD=/var/lock/x",
            "TC_LIB_DIR=/usr/lib/tc",
            "WORD=é",
        ];
        for variable in others {
            assert_eq!(key(variable), RUNTIME, "{variable}");
        }
    }
}
