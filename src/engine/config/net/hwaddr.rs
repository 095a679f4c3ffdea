//! The random digits of a hardware address, written as `x`.

use super::find;
use crate::engine::host::random;

/// How many digits an address has.
const DIGITS: usize = 12;

/// Replaces each `x` with a random digit; the address stays that of one interface, not of a group.
pub(super) fn filled(value: &str) -> String {
    if !value.contains(['x', 'X']) {
        return value.to_owned();
    }
    fill(value, &random::digits(DIGITS))
}

/// Fills the addresses in the lines of a configuration, so that they stay as they are from then on.
pub(in crate::engine) fn fill_lines(content: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for line in content.split_inclusive(|it| *it == b'\n') {
        match str::from_utf8(line).ok().and_then(|it| it.split_once('=')) {
            Some((key, value)) if is_hwaddr(key.trim()) => {
                all.extend_from_slice(format!("{key}={}", filled(value)).as_bytes());
            }
            Some(_) | None => all.extend_from_slice(line),
        }
    }
    all
}

fn is_hwaddr(key: &str) -> bool {
    let rest = key.strip_prefix("lxc.network.").or_else(|| key.strip_prefix("lxc.net."));
    let rest = rest.map(|it| it.split_once('.').map_or(it, |(_, name)| name));
    rest.and_then(find).is_some_and(|it| it.name == "hwaddr")
}

fn fill(value: &str, random: &str) -> String {
    let mut digits = random.chars().filter_map(|it| it.to_digit(16)).chain(std::iter::repeat(0));
    let mut filled = String::new();
    // The second digit of the first byte says whether the address is that of a group.
    let second = value.find(|it: char| it.is_ascii_hexdigit() || matches!(it, 'x' | 'X'));
    let second = second.map(|it| it + 1);
    for (at, letter) in value.char_indices() {
        let digit = match letter {
            'x' | 'X' => digits.next().unwrap_or_default(),
            other => {
                filled.push(other);
                continue;
            }
        };
        let digit = if Some(at) == second { digit & !1 } else { digit };
        filled.extend(char::from_digit(digit, 16));
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_left_to_chance_is_that_of_one_interface() {
        assert_eq!(fill("00:16:3e:xx:XX:xx", "0a1b2c"), "00:16:3e:0a:1b:2c");
        assert_eq!(fill("xx:16:3e:00:00:00", "ff"), "fe:16:3e:00:00:00");
        assert_eq!(filled("00:16:3e:01:02:03"), "00:16:3e:01:02:03");
    }

    #[test]
    fn only_the_lines_of_hardware_addresses_are_filled() {
        let content = b"# x\nlxc.net.0.hwaddr = 00:16:3e:xx:xx:xx\nlxc.net.0.name = ethx\n\
            lxc.network.hwaddr=00:16:3e:aa:bb:cX\n\xff\n";
        let filled = fill_lines(content);
        let lines: Vec<&[u8]> = filled.split(|it| *it == b'\n').collect();
        assert_eq!(lines[0], b"# x");
        assert!(lines[1].starts_with(b"lxc.net.0.hwaddr = 00:16:3e:"));
        assert!(!lines[1].ends_with(b"x") && !lines[3].ends_with(b"X"));
        assert_eq!((lines[2], lines[4]), (&b"lxc.net.0.name = ethx"[..], &b"\xff"[..]));
    }
}
