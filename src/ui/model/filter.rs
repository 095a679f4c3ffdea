//! The words of the list's filter. Judges containers, holds none.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use regex::Regex;

use crate::engine::snapshot::{Container, Limit};

/// All of its words must fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    words: Vec<Word>,
}

#[derive(Clone, Debug)]
struct Word {
    inverse: bool,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Fuzzy(String),
    Regex(Regex),
    State(String),
    /// A figure, and whether it must be above the bound.
    Figure(Figure, Order, f64),
}

#[derive(Clone, Copy, Debug)]
enum Figure {
    CpuPercent,
    MemoryPercent,
    MemoryBytes,
    Pids,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Above,
    Below,
}

impl Filter {
    /// Reads `text`: words to find, `~regex`, `!word`, `state:frozen`, `mem:>80%`, `cpu:<5`.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split_whitespace()
            .map(Word::parse)
            .collect::<Result<_, _>>()
            .map(|words| Self { words })
    }

    /// Tells whether `container` passes.
    pub fn admits(&self, container: &Container) -> bool {
        self.words.iter().all(|it| it.test.admits(container) != it.inverse)
    }

    /// Tells whether figures other than CPU are needed of every container.
    pub fn needs_counters(&self) -> bool {
        self.words.iter().any(|it| matches!(it.test, Test::Figure(..)))
    }
}

impl Word {
    fn parse(text: &str) -> Result<Self, String> {
        let (inverse, text) = text.strip_prefix('!').map_or((false, text), |it| (true, it));
        let test = if let Some(pattern) = text.strip_prefix('~') {
            Regex::new(pattern)
                .map(Test::Regex)
                .map_err(|_unfinished| format!("{pattern} is not a valid regular expression"))?
        } else if let Some(state) = text.strip_prefix("state:") {
            Test::State(state.to_ascii_uppercase())
        } else if let Some((figure, bound)) = text.split_once(':') {
            parse_figure(figure, bound)?
        } else {
            Test::Fuzzy(text.to_owned())
        };
        Ok(Self { inverse, test })
    }
}

fn parse_figure(figure: &str, bound: &str) -> Result<Test, String> {
    let (order, number) = match (bound.strip_prefix('>'), bound.strip_prefix('<')) {
        (Some(number), _) => (Order::Above, number),
        (_, Some(number)) => (Order::Below, number),
        (None, None) => return Err(format!("{figure}: needs > or <, as in {figure}:>80%")),
    };
    let percent = number.ends_with('%');
    let figure = match figure {
        "cpu" => Figure::CpuPercent,
        "mem" if percent => Figure::MemoryPercent,
        "mem" => Figure::MemoryBytes,
        "pids" => Figure::Pids,
        other => return Err(format!("there is no {other}: filter; use state: cpu: mem: or pids:")),
    };
    let digits = number.trim_end_matches(|it: char| !it.is_ascii_digit());
    let unit = match number.chars().last() {
        Some('K' | 'k') => 1024.0,
        Some('M' | 'm') => 1024.0 * 1024.0,
        Some('G' | 'g') => 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    let value: f64 = digits.parse().map_err(|_empty| format!("{bound} has no number"))?;
    Ok(Test::Figure(figure, order, value * unit))
}

impl Test {
    fn admits(&self, container: &Container) -> bool {
        match self {
            Self::Fuzzy(needle) => fuzzy(needle, container.name.as_str()).is_some(),
            Self::Regex(regex) => regex.is_match(container.name.as_str()),
            Self::State(start) => container.state.word().starts_with(start.as_str()),
            Self::Figure(figure, order, bound) => {
                figure.of(container).is_some_and(|it| match order {
                    Order::Above => it > *bound,
                    Order::Below => it < *bound,
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

/// Scores how well the letters of `needle` are found in `text`; none: not at all.
pub fn fuzzy(needle: &str, text: &str) -> Option<u32> {
    let pattern = Pattern::parse(needle, CaseMatching::Ignore, Normalization::Smart);
    let mut buffer = Vec::new();
    let text = Utf32Str::new(text, &mut buffer);
    pattern.score(text, &mut Matcher::new(Config::DEFAULT))
}
