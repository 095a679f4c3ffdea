//! The claim of a running container to the upper directory of its overlay. What two mounts that share
//! one do to it is undefined, and the kernel only logs that.
//!
//! A claim is a lock on a file of the runtime directory, which the kernel releases when its holder
//! dies. The file tells who that was, since a container can outlive its supervisor. The directory itself
//! is never locked: any user who may open it could do that.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::StoreError;
use super::lock::{self, Lock};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::host::{Host, private_dir};
use crate::engine::terms::name::Name;

/// The directory of the locks, in the runtime directory.
const CLAIMS: &str = "upper";

/// A claim, released when it is dropped.
#[derive(Debug)]
pub(in crate::engine) struct UpperClaim {
    key: String,
    _lock: Lock,
}

impl UpperClaim {
    /// Returns whether it is a claim to this directory, by whichever name.
    pub(in crate::engine) fn is_to(&self, upper: &Path) -> bool {
        key(upper).is_ok_and(|it| it == self.key)
    }
}

/// Says whether a container goes on that has no supervisor any more.
pub(in crate::engine) type Outlives = fn(&Lxcpath, &Name) -> bool;

/// Claims `upper`, which must exist, for a container; or returns which one has claimed it.
pub(in crate::engine) fn claim_upper(
    lxcpath: &Lxcpath,
    name: &Name,
    upper: &Path,
    outlives: Outlives,
) -> Result<Result<UpperClaim, String>, StoreError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| StoreError::Lock { path, source }
    };
    let key = key(upper).map_err(failed(upper))?;
    let dir = lxcpath.host().checked_runtime_dir()?.join(CLAIMS);
    private_dir(&dir)?;
    let file = dir.join(&key);
    let locked = lock::lock(&file)?;
    let said = fs::read_to_string(&file).unwrap_or_default();
    let Some(lock) = locked else { return Ok(Err(holder(&said, lxcpath))) };
    let text = format!("{name}\n{}", lxcpath.dir().display());
    if said != text && goes_on(&said, lxcpath.host(), outlives) {
        lock.leave();
        return Ok(Err(holder(&said, lxcpath)));
    }
    fs::write(&file, text).map_err(failed(&file))?;
    Ok(Ok(UpperClaim { key, _lock: lock }))
}

/// Removes what killed supervisors have left of containers that have ended.
pub(in crate::engine) fn tidy_uppers(host: &Host, outlives: Outlives) {
    let entries = fs::read_dir(host.runtime_dir().join(CLAIMS)).into_iter().flatten().flatten();
    for path in entries.map(|it| it.path()) {
        // Dropping the lock removes its file.
        if let Ok(Some(lock)) = lock::lock(&path)
            && goes_on(&fs::read_to_string(&path).unwrap_or_default(), host, outlives)
        {
            lock.leave();
        }
    }
}

/// Returns whether the container that wrote `text` goes on.
fn goes_on(text: &str, host: &Host, outlives: Outlives) -> bool {
    text.split_once('\n').is_some_and(|(name, dir)| {
        name.parse().is_ok_and(|it| outlives(&Lxcpath::open(host, Path::new(dir)), &it))
    })
}

/// A directory is the same under every path that leads to it.
fn key(dir: &Path) -> io::Result<String> {
    let found = fs::metadata(dir)?;
    Ok(format!("{:x}-{:x}", found.dev(), found.ino()))
}

/// Names the container that wrote `text`, which may not be complete yet.
fn holder(text: &str, lxcpath: &Lxcpath) -> String {
    match text.split_once('\n') {
        None => "another container".to_owned(),
        Some((name, dir)) if Path::new(dir) == lxcpath.dir() => format!("container `{name}`"),
        Some((name, dir)) => format!("container `{name}` in {dir}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_claimed_once_by_any_path() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::keeping_in(dir.path());
        let lxcpaths = ["a", "b"].map(|it| Lxcpath::open(&host, &dir.path().join(it)));
        let [upper, link, other] = ["up", "link", "other"].map(|it| dir.path().join(it));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&upper, &link).unwrap();
        let (ended, frozen): (Outlives, Outlives) =
            (|_, _| false, |_, name| name.as_str() == "web");
        let claim = |at: usize, name: &str, dir: &Path| {
            claim_upper(&lxcpaths[at], &name.parse().unwrap(), dir, ended).unwrap()
        };
        let held = claim(0, "web", &upper).unwrap();
        assert!(held.is_to(&link) && !held.is_to(&other));
        assert_eq!(claim(0, "db", &link).unwrap_err(), "container `web`");
        let there = lxcpaths[0].dir().display();
        assert_eq!(claim(1, "db", &upper).unwrap_err(), format!("container `web` in {there}"));
        assert!(claim(0, "db", &other).is_ok());
        tidy_uppers(&host, ended);
        assert!(claim(0, "db", &upper).is_err());
        // As one that was killed leaves it.
        let (key, left) = (held.key.clone(), dir.path().join("wharf").join(CLAIMS));
        drop(held);
        fs::write(left.join(&key), format!("web\n{there}")).unwrap();
        tidy_uppers(&host, frozen);
        let refused = claim_upper(&lxcpaths[0], &"db".parse().unwrap(), &upper, frozen).unwrap();
        assert_eq!(refused.unwrap_err(), "container `web`");
        let again = claim_upper(&lxcpaths[0], &"web".parse().unwrap(), &upper, frozen).unwrap();
        assert!(again.is_ok(), "its own");
        drop(again);
        for text in ["", "web", "web\n", "\n/", &format!("web\n{there}")] {
            fs::write(left.join(&key), text).unwrap();
            tidy_uppers(&host, ended);
            assert!(!left.join(&key).exists());
        }
        assert!(claim(1, "db", &upper).is_ok());
    }
}
