//! Which processes do not die, and what each of them waits for. Sends no signal.

use std::fs;
use std::path::Path;

use crate::engine::terms::shown::shown;

/// How many to name; the others are counted.
const MOST: usize = 3;

/// Names `pids` with their states and the kernel functions that they wait in.
pub(super) fn describe(proc: &Path, pids: &[i32]) -> String {
    let named: Vec<String> =
        pids.iter().filter_map(|pid| one(&proc.join(pid.to_string()), *pid)).collect();
    let more = named.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let first: Vec<String> = named.into_iter().take(MOST).collect();
    if first.is_empty() {
        "a process that is no longer visible".to_owned()
    } else {
        first.join(", ") + &more
    }
}

/// None: it has ended by now.
fn one(dir: &Path, pid: i32) -> Option<String> {
    let status = fs::read_to_string(dir.join("status")).ok()?;
    let field = |key: &str| status.lines().find_map(|it| it.strip_prefix(key)).map(str::trim);
    let state = field("State:").and_then(|it| it.chars().next()).unwrap_or('?');
    let name = shown(field("Name:").unwrap_or_default()).into_owned();
    // Only root sees more than 0 here.
    let place = fs::read_to_string(dir.join("wchan")).unwrap_or_default();
    let place = match place.trim() {
        "" | "0" => String::new(),
        place => format!(", in {}", shown(place)),
    };
    Some(format!("process {pid} ({name}) in state {state}{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_with_its_state_and_where_it_waits() {
        let proc = tempfile::tempdir().unwrap();
        for pid in [7, 8, 9, 10] {
            let dir = proc.path().join(pid.to_string());
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("status"), "Name:\tcat\nState:\tD (disk sleep)\n").unwrap();
            fs::write(dir.join("wchan"), if pid == 7 { "rpc_wait_bit_killable" } else { "0" })
                .unwrap();
        }
        let seven = "process 7 (cat) in state D, in rpc_wait_bit_killable";
        assert_eq!(describe(proc.path(), &[7]), seven);
        let others = "process 8 (cat) in state D, process 9 (cat) in state D and 1 more";
        assert_eq!(describe(proc.path(), &[7, 8, 9, 10]), format!("{seven}, {others}"));
        assert_eq!(describe(proc.path(), &[99]), "a process that is no longer visible");
    }
}
