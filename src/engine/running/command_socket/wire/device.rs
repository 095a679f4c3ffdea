//! A rule for devices as LXC sends it: its `struct device_item`, with room for two pointers of which
//! nobody reads anything.

use super::decode_text;

/// Where its numbers are: the kind of device, major and minor number, access, and whether it allows.
const LEN: usize = if size_of::<usize>() == 8 { 24 } else { 20 } + 2 * size_of::<usize>();
/// The number that stands for all.
const ANY: i32 = -1;

/// Returns the rule in a request as a line of a configuration has it: the file, `devices.allow` or
/// `devices.deny`, and its value.
pub fn decode_device(payload: &[u8]) -> Option<(&'static str, String)> {
    let bytes: &[u8; LEN] = payload.try_into().ok()?;
    let number = |at: usize| Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let file = if number(16)? == 0 { "devices.deny" } else { "devices.allow" };
    let kind = char::from(*bytes.first()?);
    let spell = |number: i32| if number == ANY { "*".to_owned() } else { number.to_string() };
    let (major, minor) = (spell(number(4)?), spell(number(8)?));
    let access = bytes.get(12..16)?;
    let end = access.iter().position(|it| *it == 0)?;
    let access = decode_text(access.get(..=end)?)?;
    if kind == 'a' {
        return Some((file, "a".to_owned()));
    }
    Some((file, format!("{kind} {major}:{minor} {access}")))
}

/// Returns the payload for the line `file = value`; `None` unless that is a rule for devices.
pub fn encode_device(file: &str, value: &str) -> Option<Vec<u8>> {
    let allow = match file {
        "devices.allow" => 1,
        "devices.deny" => 0,
        _ => return None,
    };
    let mut words = value.split_whitespace();
    let kind = words.next().filter(|it| matches!(*it, "a" | "b" | "c"))?;
    let (mut numbers, mut access) = ([ANY, ANY], "");
    if kind != "a" {
        let (major, minor) = words.next()?.split_once(':')?;
        let number = |it: &str| if it == "*" { Some(ANY) } else { it.parse().ok() };
        numbers = [number(major)?, number(minor)?];
        access = words.next().filter(|it| it.len() <= 3)?;
    }
    if words.next().is_some() {
        return None;
    }
    let mut bytes = vec![kind.bytes().next()?, 0, 0, 0];
    bytes.extend(numbers.iter().flat_map(|it| it.to_ne_bytes()));
    bytes.extend(access.bytes());
    bytes.resize(16, 0);
    bytes.extend(i32::to_ne_bytes(allow));
    bytes.resize(LEN, 0);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_comes_back_as_it_was_sent() {
        for value in ["a", "c 10:229 rwm", "b *:* m", "c 136:* rw"] {
            for file in ["devices.allow", "devices.deny"] {
                let sent = encode_device(file, value).unwrap();
                assert_eq!(sent.len(), LEN);
                assert_eq!(decode_device(&sent), Some((file, value.to_owned())));
            }
        }
        for (file, value) in
            [("devices.list", "a"), ("devices.allow", "x"), ("devices.deny", "c 1")]
        {
            assert_eq!(encode_device(file, value), None, "{file} {value}");
        }
        assert_eq!(decode_device(&[0; LEN - 1]), None);
        // An access without an end.
        let mut sent = encode_device("devices.allow", "c 1:3 rwm").unwrap();
        sent[15] = b'm';
        assert_eq!(decode_device(&sent), None);
    }

    #[test]
    fn it_lies_as_the_compiler_lays_lxcs_structure() {
        #[repr(C)]
        struct LxcItem {
            kind: u8,
            major: i32,
            minor: i32,
            access: [u8; 4],
            allow: i32,
            list: [*const (); 2],
        }
        assert_eq!(size_of::<LxcItem>(), LEN);
        let offsets = [
            std::mem::offset_of!(LxcItem, kind),
            std::mem::offset_of!(LxcItem, major),
            std::mem::offset_of!(LxcItem, minor),
            std::mem::offset_of!(LxcItem, access),
            std::mem::offset_of!(LxcItem, allow),
            std::mem::offset_of!(LxcItem, list),
        ];
        assert_eq!(offsets, [0, 4, 8, 12, 16, if size_of::<usize>() == 8 { 24 } else { 20 }]);
    }
}
