//! Runs the assembled programs in a small interpreter and compares answers.

use super::*;

/// Whether it is a block device, its major and its minor number.
#[derive(Clone, Copy)]
struct Device(bool, u32, u32);

const NULL: Device = Device(false, 1, 3);
const DISK: Device = Device(true, 8, 0);

fn rules(lines: &[(&str, &str)]) -> DeviceRules {
    let mut rules = DeviceRules::default();
    for (file, value) in lines {
        rules.add(&format!("devices.{file}"), value).unwrap();
    }
    rules
}

/// Answers a request as the kernel would.
fn run(program: &[Instruction], device: Device, access: u8) -> bool {
    let Device(block, major, minor) = device;
    let kind = if block { BLOCK } else { CHARACTER };
    let context = [u32::from(access) << 16 | kind.cast_unsigned(), major, minor];
    let mut registers = [0_u32; 11];
    let mut at = 0;
    loop {
        let it = program[at];
        at += 1;
        let (to, from) = (usize::from(it.registers & 15), usize::from(it.registers >> 4));
        let immediate = it.immediate.cast_unsigned();
        match it.code {
            Instruction::LOAD_WORD => {
                assert_eq!(from, 1, "only the context may be read");
                registers[to] = context[usize::try_from(it.offset).unwrap() / 4];
            }
            Instruction::AND => registers[to] &= immediate,
            Instruction::SHIFT_RIGHT => registers[to] >>= immediate,
            Instruction::COPY => registers[to] = registers[from],
            Instruction::SET => registers[to] = immediate,
            Instruction::JUMP_IF_EQUAL if registers[to] == immediate => {
                at += usize::try_from(it.offset).unwrap();
            }
            Instruction::JUMP_UNLESS_EQUAL if registers[to] != immediate => {
                at += usize::try_from(it.offset).unwrap();
            }
            Instruction::JUMP_IF_EQUAL | Instruction::JUMP_UNLESS_EQUAL => (),
            code if code == Instruction::EXIT.code => return registers[0] != 0,
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

#[test]
fn the_usual_allow_list_lets_its_devices_through_and_no_others() {
    let program = rules(&[
        ("deny", "a"),
        ("allow", "c *:* m"),
        ("allow", "c 1:3 rwm"),
        ("allow", "c 136:* rwm"),
        ("allow", "b 7:0 r"),
    ])
    .program();
    let all = DeviceAccess::ALL.0;
    assert!(run(&program, NULL, all));
    assert!(run(&program, Device(false, 136, 77), all));
    assert!(run(&program, Device(false, 1, 1), DeviceAccess::MKNOD));
    assert!(
        !run(&program, Device(false, 1, 1), DeviceAccess::MKNOD | DeviceAccess::READ),
        "all asked for counts"
    );
    assert!(!run(&program, Device(false, 1, 1), DeviceAccess::READ));
    assert!(run(&program, Device(true, 7, 0), DeviceAccess::READ));
    assert!(!run(&program, Device(true, 7, 0), DeviceAccess::WRITE));
    assert!(!run(&program, DISK, DeviceAccess::READ));
    assert!(
        !run(&program, Device(true, 1, 3), DeviceAccess::READ),
        "a block device is not a character device"
    );
}

#[test]
fn a_deny_list_stops_any_of_what_it_names() {
    let program = rules(&[("allow", "a"), ("deny", "b 8:* w")]).program();
    assert!(run(&program, DISK, DeviceAccess::READ));
    assert!(!run(&program, DISK, DeviceAccess::READ | DeviceAccess::WRITE));
    assert!(run(&program, NULL, DeviceAccess::ALL.0));
}

#[test]
fn everything_forgets_what_came_before() {
    let reset = rules(&[("allow", "c 1:3 rwm"), ("deny", "a *:* rwm")]);
    assert_eq!(reset, rules(&[("deny", "a")]));
    assert!(!run(&reset.program(), NULL, DeviceAccess::READ));
    assert!(run(&rules(&[("deny", "a"), ("allow", "a")]).program(), DISK, DeviceAccess::WRITE));
}

#[test]
fn the_last_word_on_the_same_devices_counts() {
    let changed = rules(&[("deny", "a"), ("allow", "c 1:3 rwm"), ("deny", "c 1:3 rwm")]);
    assert!(!run(&changed.program(), NULL, DeviceAccess::READ));
}

#[test]
fn without_a_general_rule_the_list_says_what_it_is() {
    assert!(!run(&rules(&[("allow", "c 1:3 r")]).program(), DISK, DeviceAccess::READ));
    assert!(run(&rules(&[("deny", "c 1:3 r")]).program(), DISK, DeviceAccess::READ));
}

#[test]
fn an_invalid_rule_is_refused() {
    for text in ["", "x 1:3 r", "c 1 r", "c 1:3", "c 1:3 x", "c 1:3 r w", "c -1:3 r", "c 1:y r"] {
        assert!(text.parse::<DeviceRule>().is_err(), "{text:?} was accepted");
    }
    let error = DeviceRules::default().add("devices.list", "a").unwrap_err();
    assert!(error.to_string().contains("devices.allow"), "{error}");
}

#[test]
fn a_later_line_changes_the_answer_for_its_own_device_alone() {
    let kept = |lines: &[(&str, &str)]| {
        let rules = rules(lines);
        DeviceRules { fallback: Some(rules.fallback()), ..rules }
    };
    // The last line that allowed something: the rest stays denied.
    let allowing = kept(&[("allow", "c 1:3 rwm")]).with("devices.deny", "c 1:3 rwm").unwrap();
    let program = allowing.program();
    assert!(!run(&program, NULL, DeviceAccess::READ));
    assert!(!run(&program, DISK, DeviceAccess::READ));
    // The first line that allows something: the rest stays allowed.
    let denying = kept(&[("deny", "b 8:0 rwm")]).with("devices.allow", "c 10:229 rwm").unwrap();
    let program = denying.program();
    assert!(run(&program, NULL, DeviceAccess::READ));
    assert!(!run(&program, DISK, DeviceAccess::READ));
}
