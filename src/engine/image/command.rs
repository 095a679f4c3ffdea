//! What an image runs: its command, environment, user and directory, as settings of a container. And
//! the program that fetches images from registries.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::ImageError;
use super::environment::{self, RUNTIME};
use super::root::{NewRoot, parts};
use crate::engine::terms::feature;
use crate::engine::terms::progress::Progress;
use crate::engine::terms::shown::{shown, shown_bytes};

/// Longest /etc/passwd and /etc/group that are read.
const MAX_ACCOUNTS: u64 = 1 << 20;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The part of an image's configuration that says what runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ImageConfig {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
}

/// Returns the settings that run what the image runs.
pub(super) fn settings(
    config: &ImageConfig,
    root: &NewRoot,
    notes: &mut Vec<String>,
) -> Result<Vec<(String, String)>, String> {
    let mut settings = Vec::new();
    let mut set = |key: &str, value: String| settings.push((key.to_owned(), value));
    let mut unread = Vec::new();
    let is_line = |it: &str| !it.chars().any(char::is_control);
    for variable in config.env.iter().flatten() {
        let parts = variable.split_once('=').filter(|(name, _)| !name.is_empty());
        let Some((name, value)) = parts.filter(|_| is_line(variable)) else {
            notes.push(format!("left out a variable of the image: {}", shown(variable)));
            continue;
        };
        let key = environment::key_of(name, value);
        if key == RUNTIME {
            unread.push(shown(name));
        }
        set(key, variable.clone());
    }
    if !unread.is_empty() {
        notes.push(format!(
            "LXC before 7.0 cannot start it: {} could change what hooks run as the host's root, and \
             so is in {RUNTIME}, which it does not know; for that LXC remove the line, or write \
             lxc.environment in it if no hook of the container runs a program of the host",
            unread.join(", ")
        ));
    }
    let mut argv: Vec<String> = config.entrypoint.iter().flatten().cloned().collect();
    argv.extend(config.cmd.iter().flatten().cloned());
    if let Some(command) = command(&argv, config.env.as_deref().unwrap_or_default(), root) {
        // Of both keys with one value the program runs under wharf's own init.
        set("lxc.execute.cmd", command.clone());
        set("lxc.init.cmd", command);
    } else if !argv.is_empty() {
        notes.push(format!("left out the image's command: {}", shown(&argv.join(" "))));
    }
    if let Some(dir) = config.working_dir.as_deref().filter(|it| !it.is_empty()) {
        if !dir.starts_with('/') || !is_line(dir) {
            return Err(format!("its working directory {} is not absolute", shown(dir)));
        }
        let parts = parts(dir.as_bytes()).map_err(|fault| format!("{}: {fault}", shown(dir)))?;
        root.make_dir(&parts).map_err(|error| error.to_string())?;
        set("lxc.init.cwd", dir.to_owned());
    }
    let user = config.user.as_deref().filter(|it| !it.is_empty() && *it != "root" && *it != "0");
    if let Some(user) = user {
        let account = Account::of(user, root)?;
        set("lxc.init.uid", account.uid.to_string());
        set("lxc.init.gid", account.gid.to_string());
        if !account.groups.is_empty() {
            let groups: Vec<String> = account.groups.iter().map(u32::to_string).collect();
            set("lxc.init.groups", groups.join(","));
        }
    }
    Ok(settings)
}

/// Writes a command so that it is read as the same words; none: there is none, or it cannot be.
fn command(argv: &[String], environment: &[String], root: &NewRoot) -> Option<String> {
    let (program, arguments) = argv.split_first()?;
    let path = environment.iter().find_map(|it| it.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let program = if program.starts_with('/') {
        program.clone()
    } else if program.contains('/') {
        return None;
    } else {
        let mut found = path.split(':').map(|it| format!("{it}/{program}"));
        found.find(|it| it.starts_with('/') && root.is_program(it))?
    };
    // The key wants an absolute path first, so that one cannot be quoted.
    if program.contains(|it: char| it.is_whitespace() || it == '"' || it == '\'') {
        return None;
    }
    let mut words = vec![program];
    words.extend(arguments.iter().map(|it| quoted(it)));
    Some(words.join(" ")).filter(|it| !it.chars().any(char::is_control))
}

/// Quotes a word for `lxc.execute.cmd`, which knows no escapes but that quotes of one kind hold the
/// other.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| !matches!(it, ' ' | '\t' | '"' | '\'');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let piece = |it: &str| format!("'{it}'");
    word.split('\'').map(piece).collect::<Vec<_>>().join("\"'\"")
}

/// Who a command runs as.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl Account {
    /// Reads `USER[:GROUP]`, each a name or a number, with the image's own lists of both.
    fn of(text: &str, root: &NewRoot) -> Result<Self, String> {
        let (user, group) =
            text.split_once(':').map_or((text, None), |(user, it)| (user, Some(it)));
        let lines = |path| root.read(path, MAX_ACCOUNTS).unwrap_or_default();
        let (passwd, groups) = (lines("etc/passwd"), lines("etc/group"));
        let number = |it: &str| it.parse::<u32>().ok().filter(|it| *it != u32::MAX);
        let entry = fields(&passwd).find(|it| match number(user) {
            Some(uid) => it.get(2).and_then(|it| number(it)) == Some(uid),
            None => it.first().is_some_and(|it| it == user),
        });
        let of_entry = |at: usize| entry.as_ref().and_then(|it| number(it.get(at)?));
        let unknown = |what: &str, name: &str| {
            format!("runs as the {what} {}, which it does not have", shown(name))
        };
        let uid = number(user).or_else(|| of_entry(2)).ok_or_else(|| unknown("user", user))?;
        let gid = match group {
            None => of_entry(3).unwrap_or(0),
            Some(group) => match number(group) {
                Some(gid) => gid,
                None => fields(&groups)
                    .find(|it| it.first().is_some_and(|it| it == group))
                    .and_then(|it| number(it.get(2)?))
                    .ok_or_else(|| unknown("group", group))?,
            },
        };
        let name = entry.as_ref().and_then(|it| it.first().cloned());
        let is_member = |it: &Vec<String>| {
            let members = it.get(3).map(String::as_str).unwrap_or_default();
            name.as_ref().is_some_and(|name| members.split(',').any(|it| it == name))
        };
        let groups = fields(&groups).filter(is_member).filter_map(|it| number(it.get(2)?));
        let groups = if group.is_none() { groups.collect() } else { Vec::new() };
        Ok(Self { uid, gid, groups })
    }
}

/// Returns the fields of each line of an /etc/passwd or /etc/group.
fn fields(text: &[u8]) -> impl Iterator<Item = Vec<String>> {
    let lines = text.split(|it| *it == b'\n').map(|it| String::from_utf8_lossy(it).into_owned());
    lines.map(|it| it.split(':').map(str::to_owned).collect())
}

/// Opens a file only if it is a regular one: nothing else ends, or answers at all.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

/// Fetches an image from a registry into the layout `to`.
pub(super) fn fetch(reference: &str, to: &Path, progress: &Progress) -> Result<(), ImageError> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    /// How often to check whether it was cancelled, in milliseconds.
    const LOOK: u16 = 100;
    progress.begin("fetching", 0);
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--quiet", "--"]).arg(reference);
    skopeo.arg(format!("oci:{}:image", to.display()));
    skopeo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let failed = |reason: String| ImageError::Skopeo(reason);
    let mut child = skopeo.spawn().map_err(|error| {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        failed(if is_missing {
            feature::REGISTRIES.refusal()
        } else {
            format!("run skopeo: {error}")
        })
    })?;
    let mut said = Vec::new();
    if let Some(mut output) = child.stderr.take() {
        loop {
            if progress.is_cancelled() {
                // It may have ended meanwhile.
                _ = child.kill();
                _ = child.wait();
                return Err(ImageError::Cancelled);
            }
            let mut ready = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::from(LOOK)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
                Ok(_) => (),
                Err(errno) => return Err(failed(format!("watch skopeo: {}", errno.desc()))),
            }
            let mut piece = [0; 4096];
            let count = io::Read::read(&mut output, &mut piece)
                .map_err(|error| failed(format!("read what skopeo says: {error}")))?;
            if count == 0 {
                break;
            }
            said.extend_from_slice(piece.get(..count).unwrap_or_default());
        }
    }
    let status = child.wait().map_err(|error| failed(format!("wait for skopeo: {error}")))?;
    if status.success() {
        return Ok(());
    }
    let line = said.split(|it| *it == b'\n').rfind(|it| !it.is_empty()).unwrap_or_default();
    Err(failed(format!("skopeo failed ({status}): {}", message(&shown_bytes(line)))))
}

/// Returns the message in a line of skopeo's log: `time="…" level=fatal msg="…"`.
fn message(line: &str) -> String {
    let quoted = line.split_once("msg=\"").and_then(|(_, it)| it.strip_suffix('"'));
    quoted.map_or_else(|| line.to_owned(), |it| it.replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_user_is_looked_up_in_the_image() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd = "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n";
        std::fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(dir.path().join("etc/group"), "ssl:x:50:web,db\nadm:x:4:\n").unwrap();
        let root = NewRoot::open(dir.path()).unwrap();
        let account = |text| Account::of(text, &root).map(|it| (it.uid, it.gid, it.groups));
        assert_eq!(account("web").unwrap(), (33, 34, vec![50]));
        assert_eq!(account("33").unwrap(), (33, 34, vec![50]));
        assert_eq!(account("7").unwrap(), (7, 0, vec![]));
        assert_eq!(account("web:adm").unwrap(), (33, 4, vec![]));
        assert_eq!(account("7:8").unwrap(), (7, 8, vec![]));
        for text in ["nobody", "web:nobody", "4294967295", "-1", "99999999999"] {
            assert!(account(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_message_of_skopeo_is_shown() {
        let line = r#"time="2026-11-26T23:12:17Z" level=fatal msg="reading \"web\": unknown""#;
        assert_eq!(message(line), "reading \"web\": unknown");
        assert_eq!(message("no such image"), "no such image");
    }

    proptest! {
        #[test]
        fn a_quoted_word_is_read_back(words in prop::collection::vec("[a-z '\"\\\\=]{0,9}", 0..5)) {
            let line: Vec<String> = words.iter().map(|it| quoted(it)).collect();
            let read = crate::engine::config::command_words(&line.join(" ")).unwrap();
            prop_assert_eq!(read, words);
        }
    }
}
