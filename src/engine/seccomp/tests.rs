//! What the compiled programs decide, as the kernel would run them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::machine::{Abi, Machine, X32_BIT};
use super::profile::ProfileFault;
use super::{Compiled, compile};
use crate::engine::sys::filter::FilterInstruction as Instruction;

const KILL: u32 = libc::SECCOMP_RET_KILL_THREAD;
const TRAP: u32 = libc::SECCOMP_RET_TRAP;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

const fn errno(number: u32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number
}

/// Runs a program as the kernel does.
fn verdict(program: &[Instruction], token: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data: Vec<u32> = vec![number, token, 0, 0];
    data.extend(arguments.iter().flat_map(|it| [*it as u32, (*it >> 32) as u32]));
    let (mut accumulator, mut at) = (0, 0);
    loop {
        let Instruction { code, yes, no, value } = program[at];
        at += 1;
        let mut test = |holds: bool| at += usize::from(if holds { yes } else { no });
        match code {
            Instruction::LOAD => accumulator = data[value as usize / 4],
            Instruction::AND => accumulator &= value,
            Instruction::IF_EQUAL => test(accumulator == value),
            Instruction::IF_GREATER => test(accumulator > value),
            Instruction::IF_AT_LEAST => test(accumulator >= value),
            Instruction::JUMP => at += value as usize,
            Instruction::RETURN => return value,
            other => panic!("the instruction {other:#x}"),
        }
    }
}

fn compiled(text: &str) -> Compiled {
    compile(text, Machine::X86_64).unwrap()
}

/// What a program on x86-64 decides about a call by name, with its first two arguments.
fn asked(text: &str, abi: Abi, name: &str, arguments: [u64; 2]) -> u32 {
    let number = abi.number(name).unwrap();
    let [first, second] = arguments;
    verdict(&compiled(text).program, abi.token(), number, [first, second, 0, 0, 0, 0])
}

/// Debian's profile, as LXC ships it.
const COMMON: &str = "2\ndenylist\nreject_force_umount  # comment this to allow umount -f;  not \
    recommended\n[all]\nkexec_load errno 1\nopen_by_handle_at errno 1\ninit_module errno 1\n\
    finit_module errno 1\ndelete_module errno 1\n";

const ON_X86_64: [Abi; 3] = [Abi::X86_64, Abi::X86, Abi::X32];

#[test]
fn lxcs_own_profile_denies_in_every_way_to_make_a_call() {
    assert!(compiled(COMMON).warnings.is_empty());
    for abi in ON_X86_64 {
        for name in ["kexec_load", "open_by_handle_at", "finit_module", "delete_module"] {
            assert_eq!(asked(COMMON, abi, name, [0, 0]), errno(1), "{name} {abi:?}");
        }
        let forced = libc::MNT_FORCE as u64;
        for flags in [forced, forced | 2, forced | 1 << 40] {
            assert_eq!(asked(COMMON, abi, "umount2", [0, flags]), errno(13), "{abi:?}");
        }
        assert_eq!(asked(COMMON, abi, "umount2", [0, 2]), ALLOW);
        assert_eq!(asked(COMMON, abi, "getpid", [0, 0]), ALLOW);
    }
    // Nothing else runs on this machine.
    assert_eq!(verdict(&compiled(COMMON).program, Abi::Arm64.token(), 0, [0; 6]), KILL);
    let on_arm = compile(COMMON, Machine::Arm64).unwrap();
    assert!(on_arm.warnings.is_empty());
    for abi in [Abi::Arm64, Abi::Arm] {
        let number = abi.number("kexec_load").unwrap();
        assert_eq!(verdict(&on_arm.program, abi.token(), number, [0; 6]), errno(1));
    }
}

#[test]
fn actions_and_lists_mean_what_lxc_takes_them_for() {
    let listed = |text: &str| ["mkdir", "chdir"].map(|name| asked(text, Abi::X86_64, name, [0, 0]));
    assert_eq!(listed("2\ndenylist\nmkdir\n"), [KILL, ALLOW]);
    assert_eq!(listed("2\nblacklist errno 5\nmkdir trap\n"), [TRAP, errno(5)]);
    assert_eq!(listed("2\nallowlist\nmkdir\n"), [ALLOW, KILL]);
    assert_eq!(listed("2\nwhitelist trap\nmkdir # that alone\n"), [ALLOW, TRAP]);
    assert_eq!(listed("\n2\n\ndenylist allow\n  mkdir   errno 0\n# mkdir\n"), [errno(0), ALLOW]);
    assert_eq!(listed("2\ndenylist\nmkdir errno 1\nmkdir kill\n"), [errno(1), ALLOW]);
}

#[test]
fn sections_of_other_machines_do_not_count_and_the_others_count_for_all() {
    let text = "2\ndenylist\n[arm64]\nmkdir errno x\n[mips64]\nbogus\n[X86]\nchdir errno 2\n[i386]\n\
                rmdir errno 3\n[x86_64]\nsync errno 4\n";
    assert!(compiled(text).warnings.is_empty());
    for abi in ON_X86_64 {
        let numbers = ["mkdir", "chdir", "rmdir", "sync"].map(|it| asked(text, abi, it, [0, 0]));
        assert_eq!(numbers, [ALLOW, errno(2), errno(3), errno(4)], "{abi:?}");
    }
}

#[test]
fn a_call_of_one_kind_of_program_alone_is_no_unknown_one() {
    let text = "2\ndenylist\nsocketcall errno 1\nnone_such errno 1\nmmap2 kill\n";
    let Compiled { program, warnings, .. } = compiled(text);
    assert_eq!(warnings, [(4, "unknown system call none_such; the rule is ignored".to_owned())]);
    assert_eq!(verdict(&program, Abi::X86.token(), 102, [0; 6]), errno(1));
    assert_eq!(verdict(&program, Abi::X86_64.token(), 102, [0; 6]), ALLOW);
}

#[test]
fn the_first_version_allows_numbers_to_the_machines_own_programs() {
    let Compiled { program, .. } = compiled("1\nallowlist\n0\n1\n59\n");
    let token = Abi::X86_64.token();
    for (number, expected) in [(0, ALLOW), (1, ALLOW), (2, KILL), (58, KILL), (59, ALLOW)] {
        assert_eq!(verdict(&program, token, number, [0; 6]), expected, "{number}");
    }
    assert_eq!(verdict(&program, token, X32_BIT, [0; 6]), KILL);
    assert_eq!(verdict(&program, Abi::X86.token(), 1, [0; 6]), KILL);
}

#[test]
fn x32_has_numbers_of_its_own() {
    for (name, number) in [("read", 0), ("ioctl", 514), ("execve", 520), ("pwritev2", 547)] {
        assert_eq!(Abi::X32.number(name), Some(X32_BIT | number), "{name}");
    }
    assert_eq!(Abi::X32.number("uselib"), None);
}

#[test]
fn thirty_two_bit_programs_have_two_ways_to_make_some_calls() {
    let text = "2\ndenylist\nsocket errno 1\nshmat errno 2\nconnect errno 3 [0,5,==]\n";
    let Compiled { program, warnings, .. } = compiled(text);
    let asked = |number, first| verdict(&program, Abi::X86.token(), number, [first, 0, 0, 0, 0, 0]);
    assert_eq!([asked(359, 0), asked(102, 1), asked(102, 2)], [errno(1), errno(1), ALLOW]);
    assert_eq!([asked(397, 0), asked(117, 21), asked(117, 1)], [errno(2), errno(2), ALLOW]);
    assert_eq!([asked(362, 5), asked(362, 4), asked(102, 3)], [errno(3), ALLOW, ALLOW]);
    let [(5, said)] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(said.contains("connect through socketcall"), "{said}");
}

type IsFault = fn(&ProfileFault) -> bool;

#[test]
fn faults_are_told_with_their_line() {
    use ProfileFault as F;
    let whole: [(&str, usize, IsFault); 10] = [
        ("", 1, |it| matches!(it, F::Version)),
        ("# a comment\n2\n", 1, |it| matches!(it, F::Version)),
        ("\n3\ndenylist\n", 2, |it| matches!(it, F::Version)),
        ("2\n", 2, |it| matches!(it, F::Policy)),
        ("2\nlist\n", 2, |it| matches!(it, F::Policy)),
        ("2\ndenylist debug\n", 2, |it| matches!(it, F::Debug)),
        ("2\ndenylist log\n", 2, |it| matches!(it, F::Action(_))),
        ("1\ndenylist\n", 2, |it| matches!(it, F::OldPolicy)),
        ("1\nallowlist\n0\nread\n", 4, |it| matches!(it, F::Number)),
        ("1\nallowlist\n65536\n", 3, |it| matches!(it, F::Number)),
    ];
    let rules: [(&str, IsFault); 16] = [
        ("mount deny", |it| matches!(it, F::Action(_))),
        ("mount errno", |it| matches!(it, F::Errno)),
        ("mount errno EPERM", |it| matches!(it, F::Errno)),
        ("mount errno 4096", |it| matches!(it, F::Errno)),
        ("sendmsg notify", |it| matches!(it, F::Notify)),
        ("mount allow", |it| matches!(it, F::Default)),
        ("[vax]", |it| matches!(it, F::Architecture)),
        ("[x86", |it| matches!(it, F::Architecture)),
        ("mount kill [0]", |it| matches!(it, F::Comparison)),
        ("mount kill [0,1,==", |it| matches!(it, F::Comparison)),
        ("mount kill [0,1,==] x", |it| matches!(it, F::Comparison)),
        ("mount kill [6,1,==]", |it| matches!(it, F::Argument)),
        ("mount kill [0,-1,==]", |it| matches!(it, F::Value(_))),
        ("mount kill [0,1,=]", |it| matches!(it, F::Operator(_))),
        ("mount kill [0,1,&=]", |it| matches!(it, F::Mask)),
        ("mount kill [0,1,>][0,9,<]", |it| matches!(it, F::Twice)),
    ];
    let rules = rules.map(|(it, fault)| (format!("2\ndenylist\n\n# why\n{it}\n"), 5, fault));
    let whole = whole.map(|(it, line, fault)| (it.to_owned(), line, fault));
    for (text, line, is_expected) in whole.into_iter().chain(rules) {
        let error = compile(&text, Machine::X86_64).unwrap_err();
        assert!(error.line == Some(line) && is_expected(&error.fault), "{text}: {error:?}");
    }
    let fine = "2\ndenylist\nmkdir kill [0,0x10,>] [1,010,<] # why\n";
    assert!(compile(fine, Machine::X86).is_ok());
}

type Holds = fn(u64, u64) -> bool;

/// The operators, as a profile spells them and as they compare.
fn operators() -> [(&'static str, Holds); 6] {
    [
        ("==", |a, b| a == b),
        ("SCMP_CMP_NE", |a, b| a != b),
        ("<", |a, b| a < b),
        ("<=", |a, b| a <= b),
        ("SCMP_CMP_GT", |a, b| a > b),
        (">=", |a, b| a >= b),
    ]
}

/// Numbers whose halves are near each other.
fn value() -> impl Strategy<Value = u64> {
    let half =
        || prop_oneof![0..3_u64, Just(u64::from(u32::MAX)), any::<u32>().prop_map(u64::from)];
    (half(), half()).prop_map(|(high, low)| high << 32 | low)
}

proptest! {
    #[test]
    fn arguments_are_compared_as_numbers_of_their_width(
        which in 0..6_usize, argument in 0..6_usize, one in value(), other in value(), mask in value(),
    ) {
        let (word, holds) = operators()[which];
        let text = format!(
            "2\ndenylist\nmkdir errno 7 [{argument},{one},{word}]\n\
             rmdir errno 7 [{argument},{:#x},&=,{mask}]\n", one & mask,
        );
        let program = compiled(&text).program;
        let mut arguments = [0; 6];
        arguments[argument] = other;
        for abi in ON_X86_64 {
            let cut = |it: u64| if abi.is_wide() { it } else { u64::from(it as u32) };
            let asked = |name| {
                let number = abi.number(name).unwrap();
                verdict(&program, abi.token(), number, arguments) == errno(7)
            };
            prop_assert_eq!(asked("mkdir"), holds(cut(other), cut(one)));
            prop_assert_eq!(asked("rmdir"), cut(other & mask) == cut(one & mask));
        }
    }

    #[test]
    fn each_number_gets_its_own_verdict(numbers in prop::collection::btree_set(0..600_u32, 0..400)) {
        let lines: Vec<String> = numbers.iter().map(u32::to_string).collect();
        let program = compiled(&format!("1\nallowlist\n{}\n", lines.join("\n"))).program;
        for number in 0..700 {
            let expected = if numbers.contains(&number) { ALLOW } else { KILL };
            prop_assert_eq!(verdict(&program, Abi::X86_64.token(), number, [0; 6]), expected);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(lines in prop::collection::vec(
        prop_oneof!["[12]", "(allow|deny)list( kill| errno 1)?", "\\[[a-z0-9_]*\\]?",
            "[a-z_0-9#]{0,8}( (kill|errno [0-9]{1,5}|trap))?( ?\\[[0-9x,=<>&!]{0,12}\\]?){0,3}", ".*"],
        0..12,
    )) {
        for machine in [Machine::X86, Machine::X86_64, Machine::Arm, Machine::Arm64] {
            if let Ok(Compiled { program, .. }) = compile(&lines.join("\n"), machine) {
                verdict(&program, Abi::X86_64.token(), 1, [0; 6]);
            }
        }
    }
}

#[test]
fn several_comparisons_must_all_be_true_and_the_first_rule_decides() {
    let text = "2\ndenylist\nmkdir errno 1 [0,1,==] [1,2,==]\nmkdir errno 2 [0,1,==]\n\
                mkdir errno 3 [1,2,!=]\n";
    let asked = |arguments| asked(text, Abi::X86_64, "mkdir", arguments);
    assert_eq!(asked([1, 2]), errno(1));
    assert_eq!(asked([1, 3]), errno(2));
    assert_eq!(asked([0, 3]), errno(3));
    assert_eq!(asked([0, 2]), ALLOW);
    // One without comparisons stands above all.
    let text = format!("{text}mkdir errno 4\n");
    assert_eq!(self::asked(&text, Abi::X86_64, "mkdir", [1, 2]), errno(4));
}

/// A rule for every call there is, each with another verdict than its neighbours: the program is
/// long, and its jumps are far.
#[test]
fn the_longest_profile_of_single_calls_fits() {
    let names: BTreeSet<&str> = syscalls::x86_64::Sysno::iter()
        .map(|it| it.name())
        .chain(syscalls::x86::Sysno::iter().map(|it| it.name()))
        .collect();
    let rules: Vec<String> = (1..).zip(&names).map(|(at, it)| format!("{it} errno {at}")).collect();
    let text = format!("2\nallowlist\n{}\n", rules.join("\n"));
    let Compiled { program, .. } = compiled(&text);
    for abi in ON_X86_64 {
        for (expected, name) in (1..).zip(&names) {
            // The table's spelling of a call whose name is a keyword of Rust's; no kernel has it.
            let known = abi.number(name).filter(|_| !name.starts_with("r#"));
            let Some(number) = known else { continue };
            assert_eq!(verdict(&program, abi.token(), number, [0; 6]), errno(expected), "{name}");
        }
    }
    let long = "mkdir errno 1 [0,1,==][1,1,==][2,1,==][3,1,==][4,1,==][5,1,==]\n".repeat(200);
    let error = compile(&format!("2\ndenylist\n{long}"), Machine::X86_64).unwrap_err();
    assert!(error.line.is_none() && matches!(error.fault, ProfileFault::TooLong(_)), "{error}");
}

#[test]
fn wharfs_own_profile_denies_user_namespaces_in_every_way() {
    let text = crate::engine::config::DEFAULT_PROFILE;
    for machine in [Machine::X86, Machine::X86_64, Machine::Arm, Machine::Arm64] {
        assert!(compile(text, machine).unwrap().warnings.is_empty(), "{machine:?}");
    }
    let new_user = libc::CLONE_NEWUSER as u64;
    for abi in ON_X86_64 {
        for name in ["clone", "unshare"] {
            for flags in [new_user, new_user | 0x11, new_user | 1 << 40] {
                assert_eq!(asked(text, abi, name, [flags, 0]), errno(1), "{name} {abi:?}");
            }
            for flags in [17, libc::CLONE_NEWNS as u64] {
                assert_eq!(asked(text, abi, name, [flags, 0]), ALLOW, "{name} {abi:?}");
            }
        }
        assert_eq!(asked(text, abi, "clone3", [0, 0]), errno(38));
        assert_eq!(asked(text, abi, "keyctl", [0, 0]), errno(38));
    }
}
