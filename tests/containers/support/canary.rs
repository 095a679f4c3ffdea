//! A part of the host that no container may touch, and a check whether one did.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// A directory with a file, a directory and a link, remembered as created.
pub(crate) struct Canary {
    dir: tempfile::TempDir,
    before: Vec<String>,
}

impl Canary {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("wharf-canary-").tempdir().unwrap();
        for name in ["victim", "sub/victim", "sub/deeper/victim", "null", "console"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "the host's own\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        symlink("victim", dir.path().join("link")).unwrap();
        let before = facts(dir.path());
        Self { dir, before }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn victim(&self) -> PathBuf {
        self.path().join("victim")
    }

    /// Checks that everything is unchanged, and that nothing is mounted there.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, by: &str) {
        assert_eq!(facts(self.path()), self.before, "the host was changed by: {by}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mark = self.path().to_str().unwrap();
        assert!(!mounts.contains(mark), "something was mounted on the host by: {by}");
    }
}

/// Returns, of every file below `dir`, what a change would alter.
fn facts(dir: &Path) -> Vec<String> {
    let mut paths = super::tree(dir);
    paths.push(dir.to_path_buf());
    let fact = |path: &PathBuf| {
        let it = fs::symlink_metadata(path).unwrap();
        let content = if it.is_file() { fs::read(path).unwrap() } else { Vec::new() };
        let content = super::text(&content);
        format!(
            "{} {:o} {}:{} {}.{} {content:?}",
            path.display(),
            it.mode(),
            it.uid(),
            it.gid(),
            it.mtime(),
            it.mtime_nsec()
        )
    };
    paths.iter().map(fact).collect()
}
