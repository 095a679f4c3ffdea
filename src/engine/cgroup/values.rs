//! Reading and writing single cgroup files by their exact names.

use std::fs::{DirEntry, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::file::controller_of;
use super::hand_down::enable;
use super::knob::{self, KnobKind};
use super::value::{self, Whole};
use super::{Cgroup, CgroupError, Group, Version, words};
use crate::engine::host::short::read_short;

/// A value that was written, as the kernel kept it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    pub file: String,
    /// What the file held before; empty for a write-only file.
    pub old: String,
    /// What the file holds now, read back.
    pub new: String,
}

/// One file of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupFile {
    pub controller: String,
    /// 1 or 2.
    pub version: u8,
    pub file: String,
    /// Its content without the last newline; None: not readable.
    pub value: Option<String>,
    pub writable: bool,
    /// It applies on this host: a line of a configuration may be for the other version of cgroups.
    pub applies: bool,
}

/// No cgroup file worth showing is larger.
const LONGEST: u64 = 1 << 20;
const WRITABLE: u32 = 0o222;
const READABLE: u32 = 0o444;

impl Cgroup {
    /// Reads `file`, its last newline kept.
    pub fn get(&self, file: &str) -> Result<String, CgroupError> {
        check_name(file)?;
        let found = self.open_file(file, File::options().read(true));
        let (dir, opened) = found.ok_or_else(|| self.no_file(file))?;
        let text = opened.and_then(read_open);
        text.map_err(|errno| CgroupError::Read { path: dir.join(file), errno })
    }

    /// Writes `typed` as the kernel wants it, such as `512M`, `1.5G` or `25%` of the host's, and
    /// reads back what the kernel kept.
    pub fn set(&self, file: &str, typed: &str) -> Result<Change, CgroupError> {
        check_name(file)?;
        self.bring_back(file);
        let dir = self.dir_of(file).ok_or_else(|| self.no_file(file))?;
        let content = || read(&dir.join(file)).map(|it| it.trim_end().to_owned());
        let refused = |why| CgroupError::Value { file: file.into(), value: typed.into(), why };
        let wanted = self.parse(file, typed).map_err(refused)?;
        // A write-only file, such as cgroup.kill, cannot be read.
        let old = content().unwrap_or_default();
        self.write(file, typed, &wanted)?;
        let new = content().unwrap_or_default();
        if wanted == "\n" && !new.is_empty() {
            return Err(refused(format!("the kernel did not clear it: it is still {new}")));
        }
        Ok(Change { file: file.to_owned(), old, new })
    }

    /// Turns `typed` into what the kernel takes for `file`, or says what is wrong.
    pub(in crate::engine) fn parse(&self, file: &str, typed: &str) -> Result<String, String> {
        let is_quota = matches!(knob::of(file).value, KnobKind::Quota | KnobKind::QuotaUs);
        let period = if is_quota { self.dir_of(file).and_then(period) } else { None };
        value::parse(file, typed, Whole { period, ..Whole::of_host(typed) })
    }

    /// Enables the controller of `file` again, if it was disabled.
    pub(super) fn bring_back(&self, file: &str) {
        if self.dir_of(file).is_none()
            && let Some(unified) = self.unified()
            && let Some(parent) = unified.dir.parent()
        {
            enable(parent);
        }
    }

    /// Returns which version of cgroups has `file`.
    pub(in crate::engine) fn version_of(&self, file: &str) -> Result<Version, CgroupError> {
        check_name(file)?;
        let dir = self.dir_of(file).ok_or_else(|| self.no_file(file))?;
        let group = self.groups.iter().find(|it| it.dir == dir);
        group.map(|it| it.hierarchy.version).ok_or_else(|| self.no_file(file))
    }

    /// Lists every file of the group in every hierarchy, with its value.
    pub fn files(&self) -> Vec<CgroupFile> {
        self.list_files().read()
    }

    /// Lists every file of the group in every hierarchy.
    pub(in crate::engine) fn list_files(&self) -> FileList {
        let mut files: Vec<_> = self.groups.iter().flat_map(files_of).collect();
        files.sort_by(|(_, a), (_, b)| {
            (&a.controller, &a.file, a.version).cmp(&(&b.controller, &b.file, b.version))
        });
        // Each v1 hierarchy has its own `tasks`, `cgroup.procs` …; one of each is enough.
        files.dedup_by(|(_, a), (_, b)| (a.version, &a.file) == (b.version, &b.file));
        FileList(files)
    }

    /// Writes `value`, which is what the kernel takes for `typed`, to `file`, whose name is checked.
    pub(super) fn write(&self, file: &str, typed: &str, value: &str) -> Result<(), CgroupError> {
        let (dir, opened) = self.open_to_write(file)?;
        let written = opened.and_then(|mut it| it.write_all(value.as_bytes()));
        written.map_err(|errno| refused(dir, file, (typed, value), errno))
    }

    /// Opens `file`, whose name is checked, and returns its directory, too.
    pub(super) fn open_to_write(
        &self,
        file: &str,
    ) -> Result<(&Path, io::Result<File>), CgroupError> {
        self.open_file(file, File::options().write(true)).ok_or_else(|| self.no_file(file))
    }

    /// Explains why there is no `file`: another version's name, a controller that is not enabled,
    /// or a typing error.
    fn no_file(&self, file: &str) -> CgroupError {
        let names: Vec<String> = self.groups.iter().flat_map(|it| names_in(&it.dir)).collect();
        let here = knob::counterpart(file).filter(|it| names.iter().any(|name| name == it));
        let controller = controller_of(file);
        let unified = self.unified().filter(|it| it.hierarchy.controls(controller));
        let advice = here
            .map(|it| format!("; on this host it is {it}"))
            .or_else(|| words::not_enabled(&unified?.dir, controller))
            .unwrap_or_else(|| words::nearest(file, &names));
        CgroupError::NoFile { file: file.to_owned(), advice }
    }
}

/// The files of a group without their values, and from where those are read.
#[derive(Debug)]
pub(in crate::engine) struct FileList(Vec<(Option<PathBuf>, CgroupFile)>);

impl FileList {
    /// Returns the files with their values.
    pub(in crate::engine) fn read(&self) -> Vec<CgroupFile> {
        let valued = |(path, file): &(Option<PathBuf>, CgroupFile)| {
            let value = path.as_ref().and_then(|it| read(it).ok());
            let value = value.map(|it| it.strip_suffix('\n').unwrap_or(&it).to_owned());
            CgroupFile { value, ..file.clone() }
        };
        self.0.iter().map(valued).collect()
    }
}

/// Says why the kernel did not take `value`, for what was typed, in a `file` of `dir`.
pub(super) fn refused(
    dir: &Path,
    file: &str,
    (typed, value): (&str, &str),
    errno: io::Error,
) -> CgroupError {
    CgroupError::Write {
        file: file.to_owned(),
        typed: typed.trim().to_owned(),
        value: value.trim_end().to_owned(),
        reason: words::refusal(file, &errno, &|it| read(&dir.join(it)).ok()),
        errno,
    }
}

/// Refuses a name that could lead out of the group's directory.
pub(in crate::engine) fn check_name(file: &str) -> Result<(), CgroupError> {
    let plain = !file.is_empty() && !file.starts_with('.') && !file.contains(['/', '\0']);
    if plain { Ok(()) } else { Err(CgroupError::FileName(file.to_owned())) }
}

/// Lists the files without their values, and from where those are read.
fn files_of(group: &Group) -> Vec<(Option<PathBuf>, CgroupFile)> {
    let version = if group.hierarchy.version == Version::V1 { 1 } else { 2 };
    let entries = std::fs::read_dir(&group.dir).into_iter().flatten().flatten();
    entries.filter_map(|it| file_of(&it, version)).collect()
}

/// Describes one file; none for a directory.
fn file_of(entry: &DirEntry, version: u8) -> Option<(Option<PathBuf>, CgroupFile)> {
    let mode = entry.metadata().ok().filter(Metadata::is_file)?.permissions().mode();
    let file = entry.file_name().into_string().ok()?;
    let path = (mode & READABLE != 0).then(|| entry.path());
    let described = CgroupFile {
        controller: controller_name(&file).to_owned(),
        version,
        value: None,
        writable: mode & WRITABLE != 0,
        applies: true,
        file,
    };
    Some((path, described))
}

/// The v1 core files have no controller in their names.
fn controller_name(file: &str) -> &str {
    if file.contains('.') { controller_of(file) } else { "cgroup" }
}

fn read(path: &Path) -> io::Result<String> {
    read_open(File::open(path)?)
}

fn read_open(file: File) -> io::Result<String> {
    let bytes = read_short(file, LONGEST)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the length of the CPU quota's period in µs, in either version.
fn period(dir: &Path) -> Option<u64> {
    let v1 = || read(&dir.join("cpu.cfs_period_us")).ok();
    let v2 = || Some(read(&dir.join("cpu.max")).ok()?.split_whitespace().nth(1)?.to_owned());
    v1().or_else(v2)?.trim().parse().ok()
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.filter(|it| it.file_type().is_ok_and(|it| it.is_file()));
    files.filter_map(|it| it.file_name().into_string().ok()).collect()
}
