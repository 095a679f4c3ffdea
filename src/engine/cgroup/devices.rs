//! Device rules: which device nodes a container may create, read and write.
//!
//! v1 takes the lines as they are. v2 needs a BPF program, which is assembled here without a
//! compiler or a library.

use std::fs::File;
use std::num::ParseIntError;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::CgroupError;
use super::nodes::MAKING;
use crate::engine::sys::bpf::{self, Instruction};

/// What a rule applies to, as bits of the kernel's `bpf_cgroup_dev_ctx`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct DeviceAccess(pub(in crate::engine) u8);

impl DeviceAccess {
    pub(in crate::engine) const MKNOD: u8 = 1;
    pub(in crate::engine) const READ: u8 = 2;
    pub(in crate::engine) const WRITE: u8 = 4;
    pub(in crate::engine) const ALL: Self = Self(Self::MKNOD | Self::READ | Self::WRITE);
}

/// One rule; `None` stands for `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct DeviceRule {
    /// `b` or `c`; none for both.
    pub(in crate::engine) block: Option<bool>,
    pub(in crate::engine) major: Option<u32>,
    pub(in crate::engine) minor: Option<u32>,
    pub(in crate::engine) access: DeviceAccess,
}

impl DeviceRule {
    /// `a`: every device, with every access.
    const EVERYTHING: Self =
        Self { block: None, major: None, minor: None, access: DeviceAccess::ALL };
}

impl FromStr for DeviceRule {
    type Err = CgroupError;

    fn from_str(text: &str) -> Result<Self, CgroupError> {
        parse(text).ok_or_else(|| CgroupError::DeviceRule { rule: text.to_owned() })
    }
}

/// The rules of one container, as LXC defines them: the first that matches decides, and `a`
/// discards all rules before it and becomes the answer for what no rule matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct DeviceRules {
    /// The answer of the last `a`.
    fallback: Option<bool>,
    rules: Vec<(DeviceRule, bool)>,
}

impl DeviceRules {
    /// Adds the line `devices.allow = value` or `devices.deny = value`.
    pub(in crate::engine) fn add(&mut self, file: &str, value: &str) -> Result<(), CgroupError> {
        let end = self.rules.len();
        self.insert(end, file, value)
    }

    /// Returns them with a line before all others, which decides before them.
    fn with(&self, file: &str, value: &str) -> Result<Self, CgroupError> {
        let mut rules = self.clone();
        rules.insert(0, file, value)?;
        Ok(rules)
    }

    fn insert(&mut self, at: usize, file: &str, value: &str) -> Result<(), CgroupError> {
        let allow = match file {
            "devices.allow" => true,
            "devices.deny" => false,
            _ => {
                return Err(CgroupError::NoFile {
                    file: file.to_owned(),
                    advice: OTHERS.to_owned(),
                });
            }
        };
        let rule: DeviceRule = value.parse()?;
        if rule == DeviceRule::EVERYTHING {
            *self = Self { fallback: Some(allow), rules: Vec::new() };
        } else if let Some((_, answer)) = self.rules.iter_mut().find(|it| it.0 == rule) {
            *answer = allow;
        } else {
            self.rules.insert(at, (rule, allow));
        }
        Ok(())
    }

    /// Returns the answer for devices that no rule matches. Without an `a`, a list that allows
    /// something implies that the rest is denied.
    fn fallback(&self) -> bool {
        self.fallback.unwrap_or_else(|| !self.rules.iter().any(|(_, allow)| *allow))
    }

    /// Loads the rules into the kernel for the v2 group `dir`, in place of a program that is attached
    /// there.
    fn attach(&self, dir: &Path, before: Option<&OwnedFd>) -> Result<OwnedFd, CgroupError> {
        let attach = || {
            let program = bpf::load_device_program(&self.program())?;
            let replaced = before.map(OwnedFd::as_fd);
            bpf::attach_device_program(File::open(dir)?.as_fd(), program.as_fd(), replaced)?;
            Ok(program)
        };
        attach().map_err(|errno| CgroupError::Attach { dir: dir.to_path_buf(), errno })
    }

    /// Assembles the program that implements the rules.
    fn program(&self) -> Vec<Instruction> {
        let mut program = Vec::from(PROLOGUE);
        for (rule, allow) in &self.rules {
            program.extend(block(rule, *allow));
        }
        program.extend(answer(self.fallback()));
        program
    }
}

/// The rules by which the kernel decides for a v2 group, which can change while it exists.
#[derive(Debug)]
pub(in crate::engine) struct LoadedDevices {
    rules: DeviceRules,
    dir: PathBuf,
    /// None: there are no rules yet.
    program: Option<OwnedFd>,
}

impl LoadedDevices {
    /// A group without rules, which may use every device.
    pub(in crate::engine) const fn open(dir: PathBuf) -> Self {
        let rules = DeviceRules { fallback: Some(true), rules: Vec::new() };
        Self { rules, dir, program: None }
    }

    /// Loads `rules` for the group `dir`.
    pub(super) fn load(rules: DeviceRules, dir: PathBuf) -> Result<Self, CgroupError> {
        // A later line changes the answer for its own device alone.
        let rules = DeviceRules { fallback: Some(rules.fallback()), ..rules };
        let program = Some(rules.attach(&dir, None)?);
        Ok(Self { rules, dir, program })
    }

    /// Lets any node be made, until [`Self::forbid_nodes`]; the rules stay what they are.
    pub(super) fn allow_nodes(&mut self) -> Result<(), CgroupError> {
        let lent = MAKING
            .into_iter()
            .try_fold(self.rules.clone(), |it, rule| it.with("devices.allow", rule))?;
        // Without a program everything is allowed.
        if self.program.is_some() {
            self.program = Some(lent.attach(&self.dir, self.program.as_ref())?);
        }
        Ok(())
    }

    /// Puts back what the rules say.
    pub(super) fn forbid_nodes(&mut self) -> Result<(), CgroupError> {
        if self.program.is_some() {
            self.program = Some(self.rules.attach(&self.dir, self.program.as_ref())?);
        }
        Ok(())
    }

    /// Adds the line `devices.allow = value` or `devices.deny = value`, which decides before those
    /// that are there. On failure nothing changes.
    pub(in crate::engine) fn change(&mut self, file: &str, value: &str) -> Result<(), CgroupError> {
        let rules = self.rules.with(file, value)?;
        if rules != self.rules {
            self.program = Some(rules.attach(&self.dir, self.program.as_ref())?);
            self.rules = rules;
        }
        Ok(())
    }
}

const OTHERS: &str = "; device rules are devices.allow and devices.deny";

/// Registers: r1 points to the request; the prologue spreads it over r2 (type), r3 (access),
/// r4 (major) and r5 (minor). `access_type` holds the type in its lower half.
const PROLOGUE: [Instruction; 6] = [
    Instruction::load_word(2, 1, 0),
    Instruction::and(2, 0xffff),
    Instruction::load_word(3, 1, 0),
    Instruction::shift_right(3, 16),
    Instruction::load_word(4, 1, 4),
    Instruction::load_word(5, 1, 8),
];
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// Assembles one rule: tests that jump past its answer when they fail.
fn block(rule: &DeviceRule, allow: bool) -> Vec<Instruction> {
    let mut tests = Vec::new();
    if let Some(block) = rule.block {
        tests.push(Instruction::jump_unless_equal(2, if block { BLOCK } else { CHARACTER }));
    }
    if rule.access != DeviceAccess::ALL {
        // A request is allowed if all of its access is listed, and denied if any of it is.
        let listed = i32::from(rule.access.0);
        tests.push(Instruction::copy(1, 3));
        if allow {
            tests.push(Instruction::and(1, !listed));
            tests.push(Instruction::jump_unless_equal(1, 0));
        } else {
            tests.push(Instruction::and(1, listed));
            tests.push(Instruction::jump_if_equal(1, 0));
        }
    }
    for (register, number) in [(4, rule.major), (5, rule.minor)] {
        if let Some(number) = number {
            tests.push(Instruction::jump_unless_equal(register, number.cast_signed()));
        }
    }
    let after = answer(allow);
    let length = tests.len() + after.len();
    for (at, test) in tests.iter_mut().enumerate() {
        // A jump counts from the instruction after it.
        test.aim((length - at - 1) as i16);
    }
    tests.extend(after);
    tests
}

const fn answer(allow: bool) -> [Instruction; 2] {
    [Instruction::set(0, allow as i32), Instruction::EXIT]
}

/// Reads `TYPE MAJOR:MINOR ACCESS`, or `a` alone.
fn parse(text: &str) -> Option<DeviceRule> {
    let mut words = text.split_whitespace();
    let block = match words.next()? {
        "a" => return Some(DeviceRule::EVERYTHING),
        "b" => Some(true),
        "c" => Some(false),
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let access = words.next()?.chars().try_fold(0, |bits, it| match it {
        'm' => Some(bits | DeviceAccess::MKNOD),
        'r' => Some(bits | DeviceAccess::READ),
        'w' => Some(bits | DeviceAccess::WRITE),
        _ => None,
    })?;
    let (major, minor) = (number(major).ok()?, number(minor).ok()?);
    words.next().is_none().then_some(DeviceRule {
        block,
        major,
        minor,
        access: DeviceAccess(access),
    })
}

/// Reads a number, or `*` as `None`.
fn number(text: &str) -> Result<Option<u32>, ParseIntError> {
    if text == "*" { Ok(None) } else { text.parse().map(Some) }
}

#[cfg(test)]
#[path = "devices/tests.rs"]
mod tests;
