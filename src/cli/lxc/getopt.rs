//! Parses arguments as getopt_long(3) does for LXC's tools, with the same messages. Pure.

use std::fmt::Write as _;
use std::slice::Iter;

/// What an option's value is called; none: it takes no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptTakes {
    Nothing,
    Value(&'static str),
    /// Only in the same word: `-eCAP`, `--nesting=3`.
    Optional(&'static str),
}

/// One option of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt {
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    pub(super) takes: OptTakes,
    pub(super) help: &'static str,
}

/// Describes an option without a value.
pub(super) const fn flag(long: &'static str, short: Option<char>, help: &'static str) -> Opt {
    Opt { long, short, takes: OptTakes::Nothing, help }
}

/// Describes an option with a value.
pub(super) const fn value(
    long: &'static str,
    short: Option<char>,
    name: &'static str,
    help: &'static str,
) -> Opt {
    Opt { long, short, takes: OptTakes::Value(name), help }
}

/// The arguments of one call, parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GivenWords {
    /// By their long names, in the order in which they were given.
    pub(super) options: Vec<(&'static str, Option<String>)>,
    pub(super) operands: Vec<String>,
}

impl GivenWords {
    pub(super) fn has(&self, long: &str) -> bool {
        self.options.iter().any(|it| it.0 == long)
    }

    /// Returns the value of an option that counts when it is given last.
    pub(super) fn value(&self, long: &str) -> Option<&str> {
        self.options.iter().rfind(|it| it.0 == long && it.1.is_some())?.1.as_deref()
    }

    pub(super) fn values<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter(move |it| it.0 == long).filter_map(|it| it.1.as_deref())
    }
}

/// Parses `words` by `options`. `-?` is the option `help`, too. With `first`, the first operand ends
/// the options. The error is getopt's message, without the name of the program; what came before it
/// is kept in `given`.
pub(super) fn parse(
    options: &[Opt],
    words: &[String],
    first: bool,
    given: &mut GivenWords,
) -> Result<(), String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            given.operands.extend(words.cloned());
            return Ok(());
        }
        if let Some(long) = word.strip_prefix("--") {
            given.options.push(parse_long(options, long, &mut words)?);
        } else if let Some(cluster) = word.strip_prefix('-').filter(|it| !it.is_empty()) {
            parse_short(options, cluster, &mut words, given)?;
        } else {
            given.operands.push(word.clone());
            if first {
                given.operands.extend(words.cloned());
                return Ok(());
            }
        }
    }
    Ok(())
}

fn parse_long(
    options: &[Opt],
    word: &str,
    words: &mut Iter<'_, String>,
) -> Result<(&'static str, Option<String>), String> {
    let (name, attached) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word, None),
    };
    let option = find_long(options, name)?;
    let long = option.long;
    let value = match (option.takes, attached) {
        (OptTakes::Nothing, Some(_)) => {
            return Err(format!("option '--{long}' doesn't allow an argument"));
        }
        (OptTakes::Nothing | OptTakes::Optional(_), None) => None,
        (OptTakes::Value(_), None) => Some(
            words
                .next()
                .cloned()
                .ok_or_else(|| format!("option '--{long}' requires an argument"))?,
        ),
        (OptTakes::Value(_) | OptTakes::Optional(_), attached) => attached,
    };
    Ok((long, value))
}

/// Finds the option that `name` is, or that alone begins so.
fn find_long(options: &[Opt], name: &str) -> Result<Opt, String> {
    if let Some(exact) = options.iter().find(|it| it.long == name) {
        return Ok(*exact);
    }
    let mut found: Vec<&Opt> = options.iter().filter(|it| it.long.starts_with(name)).collect();
    found.dedup_by_key(|it| it.long);
    match found[..] {
        [] => Err(format!("unrecognized option '--{name}'")),
        [only] => Ok(*only),
        _ => {
            let mut text = format!("option '--{name}' is ambiguous; possibilities:");
            for it in found {
                // Writing to a String cannot fail.
                _ = write!(text, " '--{}'", it.long);
            }
            Err(text)
        }
    }
}

fn parse_short(
    options: &[Opt],
    cluster: &str,
    words: &mut Iter<'_, String>,
    given: &mut GivenWords,
) -> Result<(), String> {
    let mut rest = cluster.chars();
    while let Some(letter) = rest.next() {
        let fits = |it: &&Opt| it.short == Some(letter) || (letter == '?' && it.long == "help");
        let option = options.iter().find(fits);
        let option = option.ok_or_else(|| format!("invalid option -- '{letter}'"))?;
        let attached = Some(rest.as_str()).filter(|it| !it.is_empty()).map(str::to_owned);
        let value = match option.takes {
            OptTakes::Nothing => {
                // `-?` is help, too, and only its exit code differs.
                let letter = (letter == '?').then(|| letter.to_string());
                given.options.push((option.long, letter));
                continue;
            }
            OptTakes::Optional(_) => attached,
            OptTakes::Value(_) => Some(match attached {
                Some(value) => value,
                None => words
                    .next()
                    .cloned()
                    .ok_or_else(|| format!("option requires an argument -- '{letter}'"))?,
            }),
        };
        given.options.push((option.long, value));
        return Ok(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[
        flag("kill", Some('k'), ""),
        flag("nowait", Some('W'), ""),
        flag("nokill", None, ""),
        value("timeout", Some('t'), "T", ""),
        Opt {
            long: "elevated",
            short: Some('e'),
            takes: OptTakes::Optional("PRIVILEGES"),
            help: "",
        },
        flag("help", Some('h'), ""),
    ];

    fn parsed(words: &[&str]) -> Result<GivenWords, String> {
        let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
        let mut given = GivenWords::default();
        parse(OPTIONS, &words, false, &mut given).map(|()| given)
    }

    #[test]
    fn options_may_follow_operands_until_two_dashes() {
        let given = parsed(&["web", "-k", "x", "--timeout", "5", "--", "-W", "y"]).unwrap();
        assert_eq!(given.operands, ["web", "x", "-W", "y"]);
        assert!(given.has("kill") && !given.has("nowait"));
        assert_eq!(given.value("timeout"), Some("5"));
    }

    #[test]
    fn the_first_operand_can_end_the_options() {
        let words = ["-k", "ls", "-W"].map(str::to_owned);
        let mut given = GivenWords::default();
        parse(OPTIONS, &words, true, &mut given).unwrap();
        assert_eq!(given.operands, ["ls", "-W"]);
    }

    #[test]
    fn letters_go_together_and_values_are_attached() {
        let given = parsed(&["-kWt7", "-t", "-1", "-e", "web", "-eCAP"]).unwrap();
        assert_eq!(given.values("timeout").collect::<Vec<_>>(), ["7", "-1"]);
        assert_eq!(given.values("elevated").collect::<Vec<_>>(), ["CAP"]);
        assert_eq!(given.operands, ["web"]);
        assert!(parsed(&["-?"]).unwrap().has("help"));
    }

    #[test]
    fn long_names_may_be_cut_short() {
        assert_eq!(parsed(&["--tim=3"]).unwrap().value("timeout"), Some("3"));
        assert!(parsed(&["--k"]).unwrap().has("kill"));
    }

    #[test]
    fn refusals_are_getopts() {
        for (word, said) in [
            ("--bogus", "unrecognized option '--bogus'"),
            ("-x", "invalid option -- 'x'"),
            ("-t", "option requires an argument -- 't'"),
            ("--timeout", "option '--timeout' requires an argument"),
            ("--kill=1", "option '--kill' doesn't allow an argument"),
            ("--no", "option '--no' is ambiguous; possibilities: '--nowait' '--nokill'"),
        ] {
            assert_eq!(parsed(&[word]).unwrap_err(), said);
        }
    }
}
