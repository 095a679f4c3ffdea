//! Clears away what commands that were killed have left under names that nobody may ask for again.
//! Touches nothing that a command is at work on, and fails nobody: it is tried again the next time.

use std::collections::BTreeSet;
use std::path::Path;

use super::destroy::remove_draft;
use super::record;
use super::store::{Store, drafted};
use super::{Engine, Name};

impl Engine {
    /// Looks for leftovers of other containers; what one's own name has left its command clears.
    pub(super) fn tidy(&self) {
        let store = Store::new(&self.lxcpath);
        for name in entries(&self.lxcpath).filter_map(|it| drafted(&it)) {
            // Whoever makes or removes it now holds the lock.
            if let Ok(_lock) = store.lock(&name) {
                // What resists is found the next time.
                _ = remove_draft(&store, &name);
            }
        }
        let records = record::dir(&self.lxcpath);
        let names: BTreeSet<Name> =
            entries(&records).filter_map(|it| record::of_file(&it)).collect();
        for name in names.iter().filter(|it| store.dir(it).symlink_metadata().is_err()) {
            record::forget_ended(&self.lxcpath, name);
        }
        // Of other lxcpaths, whose last record is gone: only an empty directory can be removed.
        for place in records.parent().into_iter().flat_map(|it| entries(it).map(|dir| it.join(dir)))
        {
            _ = std::fs::remove_dir(place);
        }
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|it| it.file_name().into_string().ok())
}
