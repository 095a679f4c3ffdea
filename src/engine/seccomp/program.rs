//! Writes the program by which the kernel decides.
//!
//! The program finds the number of a call by binary search, and returns an action. A test can skip
//! at most 255 instructions; a jump leads over more.

use super::machine::{Abi, X32_BIT};
use super::profile::{ArgumentTest, CallAction, Operator};
use super::table::{CallTable, Verdict};
use crate::engine::sys::filter::FilterInstruction as Instruction;

type Code = Vec<Instruction>;

/// Where the kernel puts the call's number, the token of how it was made, and its arguments.
const NUMBER: u32 = 0;
const TOKEN: u32 = 4;
const ARGUMENTS: u32 = 16;
const ARGUMENT_BYTES: u32 = 8;
const HALF_BYTES: u32 = 4;

/// Returns the program; a process that makes calls in none of the ways of `tables` is killed.
pub(super) fn of(tables: &[(Abi, CallTable)], default: CallAction) -> Code {
    let wide = |abi| tables.iter().find(|(it, _)| *it == abi).map(|it| search(it, default));
    let mut rest = vec![end(CallAction::Kill)];
    for entry @ (abi, _) in tables {
        let found = match abi {
            // Decided together with x86-64, whose token it has.
            Abi::X32 => continue,
            Abi::X86_64 => {
                let other = wide(Abi::X32).unwrap_or_else(|| vec![end(CallAction::Kill)]);
                branch(Instruction::IF_AT_LEAST, X32_BIT, other, search(entry, default))
            }
            Abi::X86 | Abi::Arm | Abi::Arm64 => search(entry, default),
        };
        let found = [vec![Instruction::plain(Instruction::LOAD, NUMBER)], found].concat();
        rest = branch(Instruction::IF_EQUAL, abi.token(), found, rest);
    }
    [vec![Instruction::plain(Instruction::LOAD, TOKEN)], rest].concat()
}

const fn end(action: CallAction) -> Instruction {
    let value = match action {
        CallAction::Kill => libc::SECCOMP_RET_KILL_THREAD,
        CallAction::Trap => libc::SECCOMP_RET_TRAP,
        CallAction::Errno(number) => libc::SECCOMP_RET_ERRNO | number as u32,
        CallAction::Allow => libc::SECCOMP_RET_ALLOW,
        CallAction::Notify => libc::SECCOMP_RET_USER_NOTIF,
    };
    Instruction::plain(Instruction::RETURN, value)
}

/// Continues with `yes` if the test holds, else with `no`. Both return.
fn branch(test: u16, value: u32, yes: Code, no: Code) -> Code {
    let over = no.len();
    let begin = match u8::try_from(over) {
        Ok(over) => vec![Instruction { code: test, yes: over, no: 0, value }],
        Err(_) => vec![
            Instruction { code: test, yes: 0, no: 1, value },
            Instruction::plain(Instruction::JUMP, over as u32),
        ],
    };
    [begin, no, yes].concat()
}

/// Decides by the number, which has been loaded.
fn search((abi, table): &(Abi, CallTable), default: CallAction) -> Code {
    let mut ranges: Vec<(u32, Code)> = Vec::new();
    let mut begin = |first: u32, code: Code| {
        if ranges.last().is_none_or(|(_, last)| *last != code) {
            ranges.push((first, code));
        }
    };
    let mut next = 0;
    for (number, verdict) in &table.0 {
        if *number > next {
            begin(next, vec![end(default)]);
        }
        begin(*number, decide(*abi, verdict, default));
        next = number + 1;
    }
    begin(next, vec![end(default)]);
    tree(&ranges)
}

/// Finds the range of the loaded number; each is given with its first number.
fn tree(ranges: &[(u32, Code)]) -> Code {
    match ranges {
        [] => Code::new(),
        [(_, code)] => code.clone(),
        _ => {
            let (below, above) = ranges.split_at(ranges.len() / 2);
            let middle = above.first().map_or(0, |it| it.0);
            branch(Instruction::IF_AT_LEAST, middle, tree(above), tree(below))
        }
    }
}

fn decide(abi: Abi, verdict: &Verdict, default: CallAction) -> Code {
    match verdict {
        Verdict::Always(action) => vec![end(*action)],
        Verdict::Depends(rules) => {
            let mut code = Code::new();
            for (comparisons, action) in rules {
                code.extend(rule(abi, comparisons, *action));
            }
            code.push(end(default));
            code
        }
    }
}

/// Returns `action` if all comparisons are true, else continues after the code.
fn rule(abi: Abi, comparisons: &[ArgumentTest], action: CallAction) -> Code {
    let mut code = vec![end(action)];
    for it in comparisons.iter().rev() {
        let mut tested = compare(abi, it, code.len());
        tested.extend(code);
        code = tested;
    }
    code
}

/// Where a test leads.
#[derive(Clone, Copy)]
enum To {
    Next,
    /// The comparison is true.
    True,
    /// It is false: the rule does not apply.
    False,
}

/// One step of a comparison.
#[derive(Clone, Copy)]
enum Part {
    Plain(Instruction),
    Test(u16, u32, To, To),
}

/// Continues after the code if the comparison is true, else `after` instructions later.
fn compare(abi: Abi, comparison: &ArgumentTest, after: usize) -> Code {
    let parts = parts(abi, comparison);
    let length = parts.len();
    let distance = |at: usize, to: To| {
        let target = match to {
            To::Next => at + 1,
            To::True => length,
            To::False => length + after,
        };
        // Six comparisons of at most six instructions.
        u8::try_from(target - at - 1).unwrap_or(u8::MAX)
    };
    let resolved = parts.into_iter().enumerate().map(|(at, part)| match part {
        Part::Plain(it) => it,
        Part::Test(code, value, yes, no) => {
            Instruction { code, yes: distance(at, yes), no: distance(at, no), value }
        }
    });
    resolved.collect()
}

fn parts(abi: Abi, comparison: &ArgumentTest) -> Vec<Part> {
    use Instruction as I;
    let ArgumentTest { argument, operator, value } = *comparison;
    let low_at = ARGUMENTS + argument * ARGUMENT_BYTES;
    let load = |at| Part::Plain(I::plain(I::LOAD, at));
    let and = |mask| Part::Plain(I::plain(I::AND, mask));
    let (low, high) = (value as u32, (value >> 32) as u32);
    let is = |value| Part::Test(I::IF_EQUAL, value, To::Next, To::False);
    if let Operator::Masked(mask) = operator {
        let half = |at, mask, value| [load(at), and(mask), is(value & mask)];
        let lower = half(low_at, mask as u32, low);
        let upper = half(low_at + HALF_BYTES, (mask >> 32) as u32, high);
        return if abi.is_wide() { [upper, lower].concat() } else { lower.to_vec() };
    }
    // First what the upper half decides alone, then what the lower half decides if the upper ones
    // are equal.
    let (upper, lower) = match operator {
        Operator::Equal | Operator::Masked(_) => (vec![is(high)], is(low)),
        Operator::NotEqual => (
            vec![Part::Test(I::IF_EQUAL, high, To::Next, To::True)],
            Part::Test(I::IF_EQUAL, low, To::False, To::Next),
        ),
        Operator::Greater => {
            (above(high, To::True, To::False), Part::Test(I::IF_GREATER, low, To::Next, To::False))
        }
        Operator::AtLeast => {
            (above(high, To::True, To::False), Part::Test(I::IF_AT_LEAST, low, To::Next, To::False))
        }
        Operator::Less => {
            (above(high, To::False, To::True), Part::Test(I::IF_AT_LEAST, low, To::False, To::Next))
        }
        Operator::AtMost => {
            (above(high, To::False, To::True), Part::Test(I::IF_GREATER, low, To::False, To::Next))
        }
    };
    let mut parts = Vec::new();
    if abi.is_wide() {
        parts.push(load(low_at + HALF_BYTES));
        parts.extend(upper);
    }
    parts.extend([load(low_at), lower]);
    parts
}

/// Goes on only if the loaded half is equal to `value`.
fn above(value: u32, greater: To, less: To) -> Vec<Part> {
    vec![
        Part::Test(Instruction::IF_GREATER, value, greater, To::Next),
        Part::Test(Instruction::IF_EQUAL, value, To::Next, less),
    ]
}
