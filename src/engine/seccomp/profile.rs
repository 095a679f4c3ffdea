//! Reads a profile, which says how each call is treated.

use std::str::SplitWhitespace;

use super::machine::Machine;
use crate::engine::terms::shown::shown;

/// How the kernel answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallAction {
    /// The thread that makes it is killed.
    Kill,
    /// The thread gets SIGSYS.
    Trap,
    /// The call is not made and returns this error.
    Errno(u16),
    Allow,
    /// Who listens decides.
    Notify,
}

/// What a profile says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// The profile is of version 1, and programs of other kinds than the machine's own are killed.
    pub(super) native_only: bool,
    /// For calls without a rule.
    pub(super) default: CallAction,
    pub(super) rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) line: usize,
    pub(super) name: String,
    /// Version 1 gives the call's number in place of a name.
    pub(super) number: Option<u32>,
    pub(super) action: CallAction,
    /// The conditions on the arguments, all of which must hold.
    pub(super) comparisons: Vec<ArgumentTest>,
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArgumentTest {
    pub(super) argument: u32,
    pub(super) operator: Operator,
    pub(super) value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    NotEqual,
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
    /// The bits of this mask are equal.
    Masked(u64),
}

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub(in crate::engine) struct ProfileError {
    /// None: it is about the profile as a whole.
    pub line: Option<usize>,
    /// The text of that line.
    pub text: String,
    pub fault: ProfileFault,
}

/// What is wrong with a profile.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum ProfileFault {
    #[error("the first line of a profile must be its version, 1 or 2")]
    Version,
    #[error("the second line must begin with allowlist or denylist")]
    Policy,
    #[error("the second line of a profile of version 1 must be allowlist")]
    OldPolicy,
    #[error("`debug` is not supported, nor does LXC support it")]
    Debug,
    #[error("expected the number of a system call")]
    Number,
    #[error("unknown action {0}; the actions are kill, allow, trap, errno N and notify")]
    Action(String),
    #[error("expected a number up to 4095 after errno")]
    Errno,
    #[error(
        "sendmsg cannot have the action notify: the process sends the descriptor for that action by it"
    )]
    Notify,
    #[error("unknown architecture")]
    Architecture,
    #[error("expected [argument,value,operator] or [argument,value,operator,mask]")]
    Comparison,
    #[error("the arguments are numbered 0 to 5")]
    Argument,
    #[error("{0} is not a valid number")]
    Value(String),
    #[error("unknown operator {0}; the operators are == != < <= > >= and &=")]
    Operator(String),
    #[error("the operator &= needs a mask after it")]
    Mask,
    #[error("one rule compares the same argument twice; write two rules")]
    Twice,
    #[error("the profile does this without the rule, which LXC refuses too; remove the rule")]
    Default,
    #[error("the profile is too long for the kernel: {0} instructions of at most 4096")]
    TooLong(usize),
}

impl ProfileError {
    pub(super) const fn whole(fault: ProfileFault) -> Self {
        Self { line: None, text: String::new(), fault }
    }
}

/// The words that say what a profile lists.
const ALLOW: [&str; 2] = ["allowlist", "whitelist"];
const DENY: [&str; 2] = ["denylist", "blacklist"];
/// The call by which a process sends the descriptor of its notifications.
const HANDS_OVER: &str = "sendmsg";
/// `umount2(2)`, its second argument, and the flag in it.
const UMOUNT: &str = "umount2";
const FORCED: ArgumentTest = {
    let force = libc::MNT_FORCE as u64;
    ArgumentTest { argument: 1, operator: Operator::Masked(force), value: force }
};

/// The lines of a profile with their numbers, without blank ones.
struct Lines<'a>(std::iter::Zip<std::ops::RangeFrom<usize>, std::str::Lines<'a>>);

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let mut filled = self.0.by_ref().map(|(at, it)| (at, it.trim()));
        filled.find(|(_, it)| !it.is_empty())
    }
}

/// Reads a profile's rules for `machine`.
pub(super) fn read(text: &str, machine: Machine) -> Result<Profile, ProfileError> {
    let mut lines = Lines((1..).zip(text.lines()));
    let (at, version) = lines.next().unwrap_or((1, ""));
    let is_old = match version {
        "1" => true,
        "2" => false,
        _ => return Err(blame(at, version, ProfileFault::Version)),
    };
    let (at, policy) = lines.next().unwrap_or((at + 1, ""));
    let faulty = |fault| blame(at, policy, fault);
    if policy.contains("debug") {
        return Err(faulty(ProfileFault::Debug));
    }
    if is_old {
        if !ALLOW.iter().any(|it| policy.contains(it)) {
            return Err(faulty(ProfileFault::OldPolicy));
        }
        return numbers(lines);
    }
    let mut words = policy.split_whitespace();
    let word = words.next().unwrap_or_default();
    let (default, listed) = if ALLOW.contains(&word) {
        (CallAction::Kill, CallAction::Allow)
    } else if DENY.contains(&word) {
        (CallAction::Allow, CallAction::Kill)
    } else {
        return Err(faulty(ProfileFault::Policy));
    };
    let default = action(words, default).map_err(faulty)?;
    let mut profile = Profile { native_only: false, default, rules: Vec::new() };
    let mut here = true;
    for (line, text) in lines.filter(|(_, it)| !it.starts_with('#')) {
        if let Some(section) = text.strip_prefix('[') {
            let name = section.strip_suffix(']').and_then(|it| machine.has_section(it));
            here = name.ok_or_else(|| blame(line, text, ProfileFault::Architecture))?;
        } else if here {
            let rule = rule(line, text, listed).map_err(|fault| blame(line, text, fault))?;
            if rule.action == default {
                return Err(blame(line, text, ProfileFault::Default));
            }
            if rule.action == CallAction::Notify && rule.name == HANDS_OVER {
                return Err(blame(line, text, ProfileFault::Notify));
            }
            profile.rules.push(rule);
        }
    }
    if default == CallAction::Notify && profile.rules.iter().all(|it| it.name != HANDS_OVER) {
        return Err(faulty(ProfileFault::Notify));
    }
    Ok(profile)
}

fn blame(line: usize, text: &str, fault: ProfileFault) -> ProfileError {
    ProfileError { line: Some(line), text: shown(text).into_owned(), fault }
}

/// Reads the rest of a profile of the first version: the numbers of what is allowed.
fn numbers(lines: Lines<'_>) -> Result<Profile, ProfileError> {
    let mut rules = Vec::new();
    for (line, text) in lines.filter(|(_, it)| !it.starts_with('#')) {
        let word = text.split_whitespace().next().unwrap_or_default();
        // The kernel has no higher ones on any machine.
        let number = word.parse().ok().filter(|it| *it < 1 << 16);
        let number = number.ok_or_else(|| blame(line, text, ProfileFault::Number))?;
        let (name, comparisons) = (word.to_owned(), Vec::new());
        rules.push(Rule {
            line,
            name,
            number: Some(number),
            action: CallAction::Allow,
            comparisons,
        });
    }
    Ok(Profile { native_only: true, default: CallAction::Kill, rules })
}

/// Reads `name action [comparison]…`; without an action it is `listed`.
fn rule(line: usize, text: &str, listed: CallAction) -> Result<Rule, ProfileFault> {
    let (head, tests) = text.split_at(text.find(['[', '#']).unwrap_or(text.len()));
    let mut words = head.split_whitespace();
    let name = words.next().unwrap_or_default().to_owned();
    if name == "reject_force_umount" {
        let action = CallAction::Errno(libc::EACCES as u16);
        let (name, comparisons) = (UMOUNT.to_owned(), vec![FORCED]);
        return Ok(Rule { line, name, number: None, action, comparisons });
    }
    let (action, comparisons) = (action(words, listed)?, comparisons(tests)?);
    Ok(Rule { line, name, number: None, action, comparisons })
}

fn action(mut words: SplitWhitespace<'_>, default: CallAction) -> Result<CallAction, ProfileFault> {
    const LARGEST: u16 = 4095;
    match words.next() {
        None => Ok(default),
        Some("kill") => Ok(CallAction::Kill),
        Some("trap") => Ok(CallAction::Trap),
        Some("allow") => Ok(CallAction::Allow),
        Some("errno") => {
            let number = words.next().and_then(|it| it.parse().ok());
            let number = number.filter(|it| *it <= LARGEST).ok_or(ProfileFault::Errno)?;
            Ok(CallAction::Errno(number))
        }
        Some("notify") => Ok(CallAction::Notify),
        Some(word) if word.starts_with('#') => Ok(default),
        Some(word) => Err(ProfileFault::Action(shown(word).into_owned())),
    }
}

fn comparisons(mut rest: &str) -> Result<Vec<ArgumentTest>, ProfileFault> {
    let mut all: Vec<ArgumentTest> = Vec::new();
    while let Some(begun) = rest.strip_prefix('[') {
        let (inner, after) = begun.split_once(']').ok_or(ProfileFault::Comparison)?;
        let next = comparison(inner)?;
        if all.iter().any(|it| it.argument == next.argument) {
            return Err(ProfileFault::Twice);
        }
        all.push(next);
        rest = after.trim_start();
    }
    if rest.is_empty() || rest.starts_with('#') { Ok(all) } else { Err(ProfileFault::Comparison) }
}

fn comparison(inner: &str) -> Result<ArgumentTest, ProfileFault> {
    let fields: Vec<&str> = inner.split(',').map(str::trim).collect();
    let (argument, value, word, mask) = match fields.as_slice() {
        [argument, value, word] => (*argument, *value, *word, None),
        [argument, value, word, mask] => (*argument, *value, *word, Some(*mask)),
        _ => return Err(ProfileFault::Comparison),
    };
    let argument = number(argument).ok().filter(|it| *it < 6).ok_or(ProfileFault::Argument)? as u32;
    let value = number(value)?;
    let mask = mask.map(number).transpose()?;
    let operator = match word {
        "SCMP_CMP_NE" | "!=" => Operator::NotEqual,
        "SCMP_CMP_LT" | "<" => Operator::Less,
        "SCMP_CMP_LE" | "<=" => Operator::AtMost,
        "SCMP_CMP_EQ" | "==" => Operator::Equal,
        "SCMP_CMP_GE" | ">=" => Operator::AtLeast,
        "SCMP_CMP_GT" | ">" => Operator::Greater,
        "SCMP_CMP_MASKED_EQ" | "&=" => Operator::Masked(mask.ok_or(ProfileFault::Mask)?),
        other => return Err(ProfileFault::Operator(shown(other).into_owned())),
    };
    Ok(ArgumentTest { argument, operator, value })
}

/// Reads a number as strtoull(3) with base 0 does: hexadecimal after `0x`, octal after `0`.
fn number(text: &str) -> Result<u64, ProfileFault> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let read = match (hex, text.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8),
        (None, _) => text.parse(),
    };
    read.map_err(|_error| ProfileFault::Value(shown(text).into_owned()))
}
