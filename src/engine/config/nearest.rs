//! Finds the known word that a mistyped one most likely meant.

/// Returns the candidate that takes the fewest edits to become `word`, if it takes few.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (word.len() / 4).clamp(1, 4);
    candidates
        .into_iter()
        .map(|it| (distance(word, it), it))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, it)| it)
}

/// Levenshtein's distance, in bytes: both words are short and nearly always ASCII.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, left) in from.bytes().enumerate() {
        let mut diagonal = done;
        let mut before = done + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(to.bytes()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            before = replaced.min(before + 1).min(*cell + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(from.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let known = ["lxc.rootfs.path", "lxc.tty.max"];
        assert_eq!(nearest("lxc.rotfs.path", known), Some("lxc.rootfs.path"));
        assert_eq!(nearest("lxc.ttys.max", known), Some("lxc.tty.max"));
        assert_eq!(nearest("lxc.flavour", known), None);
    }
}
