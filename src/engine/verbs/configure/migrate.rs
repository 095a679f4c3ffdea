//! Spells a configuration of LXC 0.x, 1.x or 2.x as LXC does today. What it means stays the same.

use std::path::PathBuf;

use super::{CHANGE, ConfigChange, ConfigureError, meant};
use crate::engine::config::{self, Survey};
use crate::engine::verbs::draft::{ConfigFile, Draft};
use crate::engine::{Engine, Error, ErrorKind};

/// What is spelled anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationScope {
    /// Settings alone.
    Settings,
    /// Settings, and comments that are settings behind `#`, as LXC's own program does.
    Comments,
}

const UNLIKE: &str = "its settings would not mean the same; spell them anew line by line, with \
                      `wharf config check` as the guide";

impl Engine {
    /// Returns how a configuration would be spelled today. Files that it includes stay as they are.
    pub fn config_migration(
        &self,
        file: ConfigFile<'_>,
        scope: MigrationScope,
    ) -> Result<ConfigChange, Error> {
        let mut draft = Draft::read(self, CHANGE, file)?;
        migrate(&mut draft, scope)?;
        Ok(ConfigChange { before: draft.before().to_vec(), after: draft.document.to_bytes() })
    }

    /// Spells it so, if it still is what `seen` was made of, and keeps a copy of it as it was: at
    /// `backup`, or beside it with the ending `.backup`, and a number if that is taken. Returns where.
    pub fn config_migrate(
        &self,
        file: ConfigFile<'_>,
        seen: &ConfigChange,
        backup: Option<PathBuf>,
    ) -> Result<PathBuf, Error> {
        let container = self.container_of(file);
        let file = meant(file, container.as_ref());
        let mut draft = Draft::open(self, CHANGE, file)?;
        self.is_ours(&draft, file)?;
        if draft.before() != seen.before {
            const MEANWHILE: &str = "it has changed meanwhile; look at the difference again";
            return Err(draft.failed(ErrorKind::Busy, MEANWHILE));
        }
        let is_fresh = backup.is_none();
        let backup = backup.or_else(|| free_name(&draft));
        let backup =
            backup.ok_or_else(|| draft.failed(ErrorKind::Failed, ConfigureError::NoBackup))?;
        draft.back_up(&backup)?;
        draft.document = config::Document::parse(&seen.after);
        draft.write().inspect_err(|_| {
            // A copy of what was not changed is of no use, unless the operator named its place.
            if is_fresh {
                _ = std::fs::remove_file(&backup);
            }
        })?;
        Ok(backup)
    }
}

/// Returns the first name for a copy that is free.
fn free_name(draft: &Draft) -> Option<PathBuf> {
    const MOST: u32 = 1000;
    let named = |ending: &str| {
        let mut name = draft.file.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let all = std::iter::once(named(".backup"));
    let all = all.chain((1..MOST).map(|it| named(&format!(".backup.{it}"))));
    all.into_iter().find(|it| it.symlink_metadata().is_err())
}

fn migrate(draft: &mut Draft, scope: MigrationScope) -> Result<(), Error> {
    let old = draft.survey();
    let backend = old.backend().map(str::to_owned);
    let mut gone = Vec::new();
    for line in &old.lines {
        let place = line.place.as_ref().filter(|it| it.file == draft.file);
        let (Some(place), Some(today)) = (place, &line.today) else { continue };
        if Survey::is_of_the_past(today) {
            gone.push(place.line);
            continue;
        }
        if *today == line.key {
            continue;
        }
        draft.document.put_key(place.line, today);
        if line.key == "lxc.rootfs" && !line.value.is_empty() && !Survey::has_type(&line.value) {
            let kind = backend.as_deref().unwrap_or("dir");
            let typed = draft.document.put_value(place.line, &format!("{kind}:{}", line.value));
            typed.map_err(|why| draft.failed(ErrorKind::Invalid, ConfigureError::Line(why)))?;
        }
    }
    if scope == MigrationScope::Comments {
        migrate_comments(draft, &old);
    }
    draft.document.remove(&gone);
    let new = draft.survey();
    if old.errors.len() != new.errors.len() || !old.means_the_same(&new) {
        return Err(draft.failed(ErrorKind::Invalid, ConfigureError::Unlike(UNLIKE)));
    }
    Ok(())
}

fn migrate_comments(draft: &mut Draft, old: &Survey) {
    for (number, key, value) in draft.document.commented() {
        let Some(today) = commented_key(draft, old, number, &key).filter(|it| *it != key) else {
            continue;
        };
        let typed = format!("dir:{value}");
        let untyped = key == "lxc.rootfs" && !value.is_empty() && !Survey::has_type(&value);
        draft.document.put_commented(number, (&today, if untyped { &typed } else { &value }));
    }
}

/// Returns today's name of the key of a comment: of an interface without a number, the one that the
/// lines above it describe.
fn commented_key(draft: &Draft, old: &Survey, number: usize, key: &str) -> Option<String> {
    let Some(part) = key.strip_prefix("lxc.network.") else { return Survey::today(key) };
    if Survey::today(key).is_some() {
        return Survey::today(key);
    }
    let above = old
        .lines
        .iter()
        .filter(|it| it.place.as_ref().is_some_and(|it| it.file == draft.file && it.line < number));
    let mut nets = above.filter_map(|it| it.today.as_deref()?.strip_prefix("lxc.net."));
    let (index, _) = nets.next_back()?.split_once('.')?;
    Survey::today(&format!("lxc.network.{index}.{part}"))
}
