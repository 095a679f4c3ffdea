//! A root that is kept in a disk image: the files of a new root are packed by `mkfs`, and nothing is
//! mounted for it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::template::TemplateEnd;
use super::{CreateError, ROOTFS, ROOTFS_MODE, make_new_dir, template};
use crate::engine::store::remove_below;
use crate::engine::terms::error::words;
use crate::engine::terms::progress::Progress;

/// The file in the container's directory, where LXC puts it, and its mode.
pub(super) const IMAGE: &str = "rootdev";
const MODE: u32 = 0o600;

/// A file system to make for the root (`-B loop`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    /// `ext2`, `ext3` or `ext4`: those that `mkfs` fills without a mount.
    pub fstype: String,
    pub bytes: u64,
}

/// LXC's defaults.
const FSTYPE: &str = "ext4";
const BYTES: u64 = 1 << 30;
const FSTYPES: [&str; 3] = ["ext2", "ext3", "ext4"];
/// Where it may be, for whose PATH it is not in.
const PROGRAMS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];
/// Less than this cannot hold a root.
const LEAST: u64 = 1 << 20;

/// Why the root was not packed.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine::verbs) enum PackError {
    #[error(
        "{name} is not installed, which makes the file system of a root with -B loop (Debian's \
         package e2fsprogs)"
    )]
    Missing { name: String },
    #[error("run {}: {}", program.display(), words(source))]
    Run { program: PathBuf, source: io::Error },
    #[error("{} failed ({how}): {said}; --fssize gives the image more room", program.display())]
    Failed { program: PathBuf, how: String, said: String },
    #[error("cancelled; nothing is left")]
    Cancelled,
}

impl NewImage {
    /// Reads the options that LXC calls `--fstype` and `--fssize`. A size is a number with the unit
    /// b, k, m, g or t; without one, it counts mebibytes.
    pub fn of(fstype: Option<&str>, size: Option<&str>) -> Result<Self, String> {
        let fstype = fstype.unwrap_or(FSTYPE);
        if !FSTYPES.contains(&fstype) {
            return Err(format!("--fstype {fstype} is not one of {}", FSTYPES.join(", ")));
        }
        let bytes = size.map_or(Some(BYTES), bytes).filter(|it| *it >= LEAST);
        let size = size.unwrap_or_default();
        let bytes = bytes.ok_or_else(|| {
            format!("--fssize {size} is not a valid size; 512M and 2G are, 1M is the least")
        })?;
        Ok(Self { fstype: fstype.to_owned(), bytes })
    }

    /// Finds the program that makes it.
    pub(super) fn program(&self) -> Result<PathBuf, PackError> {
        let name = format!("mkfs.{}", self.fstype);
        let found =
            PROGRAMS.into_iter().map(|it| Path::new(it).join(&name)).find(|it| it.is_file());
        found.ok_or(PackError::Missing { name })
    }

    /// Packs the root in `dir` into an image beside it, and leaves an empty directory in its place.
    pub(super) fn pack(&self, dir: &Path, progress: &Progress) -> Result<(), CreateError> {
        let [files, image] = [ROOTFS, IMAGE].map(|it| dir.join(it));
        let failed = |source| CreateError::Make { path: image.clone(), source };
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&image);
        file.and_then(|it| it.set_len(self.bytes)).map_err(failed)?;
        let top = fs::metadata(&files).map_err(failed)?;
        let program = self.program()?;
        let mut command = Command::new(&program);
        command.args(["-q", "-F", "-E", &format!("root_owner={}:{}", top.uid(), top.gid()), "-d"]);
        command.args([&files, &image]);
        progress.begin("making the file system", 0);
        let (end, said) = template::watch(&mut command, progress)
            .map_err(|source| PackError::Run { program: program.clone(), source })?;
        if progress.is_cancelled() {
            return Err(PackError::Cancelled.into());
        }
        let how = match end {
            TemplateEnd::Exited(status) if status.success() => None,
            TemplateEnd::Exited(status) => Some(status.to_string()),
            TemplateEnd::Asked => Some("it asks on the terminal".to_owned()),
        };
        if let Some(how) = how {
            let said = template::last_lines(&said);
            return Err(PackError::Failed { program, how, said }.into());
        }
        remove_below(dir, ROOTFS)?;
        // LXC's tools look for it.
        make_new_dir(&files, ROOTFS_MODE)
    }
}

fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit
        .strip_suffix("ib")
        .or_else(|| unit.strip_suffix('b').filter(|it| !it.is_empty()))
        .unwrap_or(&unit);
    let shift = match unit {
        "b" => 0,
        "k" => 10,
        "" | "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    i64::try_from(bytes).ok().map(i64::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_lxcs_units_and_is_a_mebibyte_without() {
        let of = |size| NewImage::of(None, Some(size)).map(|it| it.bytes);
        assert_eq!(NewImage::of(None, None).unwrap().bytes, 1 << 30);
        for (text, bytes) in [
            ("64", 64 << 20),
            ("2G", 2 << 30),
            ("512M", 512 << 20),
            ("512MiB", 512 << 20),
            ("2048 kB", 2 << 20),
            ("1048576b", 1 << 20),
            ("1t", 1 << 40),
        ] {
            assert_eq!(of(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "G", "-1G", "1.5G", "0", "1x", "9999999999999T", "1023k", "8388608T"] {
            assert!(of(wrong).unwrap_err().contains("is not a valid size"), "{wrong}");
        }
        assert!(NewImage::of(Some("xfs"), None).unwrap_err().contains("ext4"));
        assert_eq!(NewImage::of(Some("ext2"), None).unwrap().fstype, "ext2");
    }
}
