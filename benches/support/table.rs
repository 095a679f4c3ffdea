//! Figures, and the rows of the README's tables.

/// Prints a row of a Markdown table.
pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Prints the head of one.
pub(crate) fn head(titles: &[&str]) {
    println!("\n| {} |", titles.join(" | "));
    println!("|{}", "---|".repeat(titles.len()));
}

/// Writes a figure with three digits, as far as it has them.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        it if !it.is_finite() => "–".to_owned(),
        it if it < 9.995 => format!("{value:.2}"),
        it if it < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    share(values, 0.5)
}

/// Returns the value that this share of all is below.
pub(crate) fn share(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Returns all, from another one on in each round, so that none always comes after the same.
pub(crate) fn in_turn<T>(all: &mut [T], round: usize) -> impl Iterator<Item = &mut T> {
    let first = round.checked_rem(all.len()).unwrap_or(0);
    let (last, next) = all.split_at_mut(first);
    next.iter_mut().chain(last)
}
