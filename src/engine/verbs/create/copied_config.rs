//! The configuration of a copy: that of the container, with a name, a root and addresses of its own.
//! It writes no file.

use std::path::{Path, PathBuf};

use super::copied_root::{CopiedRoot, DELTA, OVERLAY};
use super::copy::{Copy, Original};
use super::packed::IMAGE;
use super::{CreateError, Creation, ROOTFS};
use crate::engine::config::{self, Config, Document};

/// The prefix of LXC's hardware addresses, and the digits that are chosen.
const NEW_ADDRESS: &str = "10:66:6a:xx:xx:xx";

impl Creation<'_> {
    /// Changes the configuration as LXC does: name, root, hardware addresses, and the paths of files
    /// that come along.
    pub(super) fn copied_config(
        &self,
        config: &Config,
        original: Original<'_>,
        copy: &Copy,
        root: &CopiedRoot,
    ) -> Result<Vec<u8>, CreateError> {
        let mut document = Document::parse(config.raw());
        let home = self.store.spelled(self.name);
        let store = original.store;
        let from = [store.spelled(original.name), store.dir(original.name)];
        document.rewrite(|key, value| {
            if key.starts_with("lxc.net") && key.ends_with(".hwaddr") {
                return (!copy.keeps_addresses).then(|| NEW_ADDRESS.to_owned());
            }
            if key == "lxc.mount.entry" {
                return overlay_entry(value, &from, &home);
            }
            if key.starts_with("lxc.rootfs") {
                return None;
            }
            let below = from.iter().find_map(|it| value.strip_prefix(it.to_str()?))?;
            // Arguments may follow the path of a hook. What lies deeper is part of the root, or not
            // the container's alone.
            let file = below.strip_prefix('/').filter(|it| !first_word(it).contains('/'))?;
            Some(home.join(file).to_str()?.to_owned())
        })?;
        if !copy.keeps_name {
            document.set("lxc.uts.name", self.name.as_str())?;
        }
        let text = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| CreateError::NotText(path.to_path_buf()))
        };
        match root {
            CopiedRoot::None => (),
            CopiedRoot::Files(_) => {
                document.set("lxc.rootfs.path", &self.root_value(&home.join(ROOTFS))?)?;
            }
            CopiedRoot::Image(_) => {
                document.set("lxc.rootfs.path", &format!("loop:{}", text(&home.join(IMAGE))?))?;
            }
            CopiedRoot::Over { lower, .. } => {
                let lower: Result<Vec<String>, _> = lower.iter().map(|it| text(it)).collect();
                let upper = text(&home.join(OVERLAY).join(DELTA))?;
                let value = format!("overlay:{}:{upper}", lower?.join(":"));
                document.set("lxc.rootfs.path", &value)?;
            }
        }
        for (key, value) in &copy.settings {
            document.append(key, value)?;
        }
        let content = config::fill_lines(&document.to_bytes());
        let file = self.store.config_path(self.name);
        config::parse(self.name, self.store.lxcpath(), &content, &file, &[])?;
        Ok(content)
    }
}

/// Gives an overlay that is mounted into the container directories of its own, where they were in
/// the container's: two containers must not share them.
fn overlay_entry(value: &str, from: &[PathBuf], home: &Path) -> Option<String> {
    if !value.split_whitespace().any(|it| it == "overlay" || it == "overlayfs") {
        return None;
    }
    let mut new = value.to_owned();
    for dir in from {
        for option in ["upperdir=", "workdir="] {
            let old = format!("{option}{}/", dir.to_str()?);
            new = new.replace(&old, &format!("{option}{}/", home.to_str()?));
        }
    }
    Some(new)
}

fn first_word(text: &str) -> &str {
    text.split(char::is_whitespace).next().unwrap_or_default()
}
