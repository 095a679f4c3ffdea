//! The terms of the list's filter. Tests containers, stores none.

use std::ops::Range;

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use regex::Regex;

use crate::engine::sample::{Container, Limit};
use crate::engine::state::State;

/// All of its terms must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    inverse: bool,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// In lower case.
    Text(String),
    Regex(Regex),
    State(String),
    /// A figure, and whether it must be above the bound.
    Figure(Figure, Comparison, f64),
}

/// How a plain word is matched against a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closeness {
    /// As typed, in upper or lower case.
    #[default]
    Exact,
    /// Its letters in order, with others between them; if nothing matches otherwise.
    Fuzzy,
}

#[derive(Clone, Copy, Debug)]
enum Figure {
    CpuPercent,
    MemoryPercent,
    MemoryBytes,
    Pids,
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Above,
    Below,
}

impl Filter {
    /// Reads `text`: words to find, `~regex`, `!word`, `state:frozen`, `mem:>80%`, `cpu:<5`.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split_whitespace()
            .map(Term::parse)
            .collect::<Result<_, _>>()
            .map(|terms| Self { terms })
    }

    /// Returns whether `container` passes.
    pub fn admits(&self, container: &Container, closeness: Closeness) -> bool {
        self.terms.iter().all(|it| {
            // An excluded word is taken literally.
            let closeness = if it.inverse { Closeness::Exact } else { closeness };
            it.test.admits(container, closeness) != it.inverse
        })
    }

    /// Returns how well `name` matches what was typed; more is better.
    pub fn fit(&self, name: &str) -> u32 {
        self.texts().map(|it| fit(it, name)).sum()
    }

    /// Returns the characters of `name` that were typed.
    pub fn hits(&self, name: &str, closeness: Closeness) -> Vec<u32> {
        self.texts().flat_map(|it| hits(it, name, closeness)).collect()
    }

    /// Returns the plain words that must match.
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|it| match &it.test {
            Test::Text(text) if !it.inverse => Some(text.as_str()),
            Test::Text(_) | Test::Regex(_) | Test::State(_) | Test::Figure(..) => None,
        })
    }

    /// Returns whether figures other than CPU are needed for every container.
    pub fn needs_counters(&self) -> bool {
        self.terms.iter().any(|it| matches!(it.test, Test::Figure(..)))
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, String> {
        let (inverse, text) = text.strip_prefix('!').map_or((false, text), |it| (true, it));
        let test = if let Some(pattern) = text.strip_prefix('~') {
            Regex::new(pattern)
                .map(Test::Regex)
                .map_err(|_unfinished| format!("{pattern} is not a valid regular expression"))?
        } else if let Some(state) = text.strip_prefix("state:") {
            Test::State(state_word(state)?)
        } else if let Some((figure, bound)) = text.split_once(':') {
            parse_figure(figure, bound)?
        } else {
            Test::Text(text.to_lowercase())
        };
        Ok(Self { inverse, test })
    }
}

/// Parses a prefix of a state's name, or the whole name.
fn state_word(text: &str) -> Result<String, String> {
    let start = text.to_ascii_uppercase();
    if State::ALL.iter().any(|it| it.word().starts_with(&start)) {
        return Ok(start);
    }
    Err(format!("{text} is not a state; running, stopped and frozen are"))
}

fn parse_figure(name: &str, bound: &str) -> Result<Test, String> {
    let example = match name {
        "mem" => "80%",
        "cpu" | "pids" => "5",
        other => return Err(format!("{other}: is not a filter; use state:, cpu:, mem: or pids:")),
    };
    let (order, number) = match (bound.strip_prefix('>'), bound.strip_prefix('<')) {
        (Some(number), _) => (Comparison::Above, number),
        (_, Some(number)) => (Comparison::Below, number),
        (None, None) => return Err(format!("{name}: needs > or <, as in {name}:>{example}")),
    };
    let digits = number.trim_end_matches(|it: char| !it.is_ascii_digit());
    let unread = |_| format!("{name}: needs a number, as in {name}:>{example}");
    let value: f64 = digits.parse().map_err(unread)?;
    let unit = number.get(digits.len()..).unwrap_or_default().to_ascii_uppercase();
    let (figure, factor) = match (name, unit.as_str()) {
        ("cpu", "" | "%") => (Figure::CpuPercent, 1.0),
        ("pids", "") => (Figure::Pids, 1.0),
        ("mem", "%") => (Figure::MemoryPercent, 1.0),
        ("mem", "K") => (Figure::MemoryBytes, 1024.0),
        ("mem", "M") => (Figure::MemoryBytes, 1024.0 * 1024.0),
        ("mem", "G") => (Figure::MemoryBytes, 1024.0 * 1024.0 * 1024.0),
        ("mem", _) => return Err(format!("mem: needs a unit, as in mem:>{digits}% or {digits}M")),
        (_, unit) => return Err(format!("{name}: takes no {unit}")),
    };
    Ok(Test::Figure(figure, order, value * factor))
}

impl Test {
    fn admits(&self, container: &Container, closeness: Closeness) -> bool {
        match self {
            Self::Text(text) => match closeness {
                Closeness::Exact => found(text, container.name.as_str()).is_some(),
                Closeness::Fuzzy => fuzzy(text, container.name.as_str()).is_some(),
            },
            Self::Regex(regex) => regex.is_match(container.name.as_str()),
            Self::State(start) => container.state.word().starts_with(start.as_str()),
            Self::Figure(figure, order, bound) => {
                figure.of(container).is_some_and(|it| match order {
                    Comparison::Above => it > *bound,
                    Comparison::Below => it < *bound,
                })
            }
        }
    }
}

impl Figure {
    fn of(self, container: &Container) -> Option<f64> {
        let counters = &container.counters;
        match self {
            Self::CpuPercent => counters.cpu_percent.map(f64::from),
            Self::MemoryPercent => memory_share(container).map(|it| f64::from(it) * 100.0),
            Self::MemoryBytes => counters.memory_bytes.map(|it| it as f64),
            Self::Pids => counters.pids.map(|it| it as f64),
        }
    }
}

/// Returns the part of its memory limit that `container` uses, 0 to 1.
pub fn memory_share(container: &Container) -> Option<f32> {
    match (container.counters.memory_bytes?, container.counters.memory_max_bytes?) {
        (used, Limit::At(most)) if most > 0 => Some(used as f32 / most as f32),
        (_, Limit::At(_) | Limit::Max) => None,
    }
}

/// Returns the position of `text` in `name`, counted in characters; `text` is in lower case.
fn found(text: &str, name: &str) -> Option<Range<usize>> {
    let at = name.to_lowercase().find(text)?;
    Some(at..at + text.len())
}

/// The whole name is best, then its beginning.
fn fit(text: &str, name: &str) -> u32 {
    /// More than any score of scattered letters.
    const FOUND: u32 = 1 << 20;
    match found(text, name) {
        Some(it) if it.start == 0 && it.end == name.len() => 3 * FOUND,
        Some(it) if it.start == 0 => 2 * FOUND,
        Some(_) => FOUND,
        None => fuzzy(text, name).unwrap_or_default().min(FOUND - 1),
    }
}

fn hits(text: &str, name: &str, closeness: Closeness) -> Vec<u32> {
    match closeness {
        Closeness::Exact => found(text, name).into_iter().flatten().map(|it| it as u32).collect(),
        Closeness::Fuzzy => {
            let mut indices = Vec::new();
            let mut buffer = Vec::new();
            let name = Utf32Str::new(name, &mut buffer);
            _ = scattered(text).indices(name, &mut Matcher::new(Config::DEFAULT), &mut indices);
            indices
        }
    }
}

/// Scores how well the letters of `needle` are found in `text`; none: not at all.
pub fn fuzzy(needle: &str, text: &str) -> Option<u32> {
    let mut buffer = Vec::new();
    let text = Utf32Str::new(text, &mut buffer);
    scattered(needle).score(text, &mut Matcher::new(Config::DEFAULT))
}

fn scattered(needle: &str) -> Pattern {
    Pattern::new(needle, CaseMatching::Ignore, Normalization::Smart, AtomKind::Fuzzy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for (text, reason) in [
            ("state:failed", "failed is not a state; running, stopped and frozen are"),
            ("mem:>80", "mem: needs a unit, as in mem:>80% or 80M"),
            ("mem:80%", "mem: needs > or <, as in mem:>80%"),
            ("mem:>x", "mem: needs a number, as in mem:>80%"),
            ("pids:>5%", "pids: takes no %"),
            ("cpu:>", "cpu: needs a number, as in cpu:>5"),
            ("disk:5", "disk: is not a filter; use state:, cpu:, mem: or pids:"),
            ("disk:>5", "disk: is not a filter; use state:, cpu:, mem: or pids:"),
        ] {
            assert_eq!(Filter::parse(text).unwrap_err(), reason, "{text}");
        }
        for text in ["state:", "state:fro", "STATE", "cpu:>5", "cpu:<5%", "mem:>1g", "pids:>100"] {
            assert!(Filter::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_better_fit_is_the_name_then_its_beginning_then_a_part() {
        let filter = Filter::parse("WEB").unwrap();
        let fits = ["web", "web-1", "my-web", "w-e-b", "db"].map(|it| filter.fit(it));
        assert!(fits.is_sorted_by(|one, other| one > other), "{fits:?}");
    }

    #[test]
    fn the_letters_that_were_typed_are_known() {
        let filter = Filter::parse("n0 !x").unwrap();
        assert_eq!(filter.hits("op-n01", Closeness::Exact), [3, 4]);
        assert!(filter.hits("op-n10", Closeness::Exact).is_empty());
        assert_eq!(filter.hits("op-n10", Closeness::Fuzzy), [3, 5]);
    }
}
