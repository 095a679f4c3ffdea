//! Digits from the kernel's random generator, for names and addresses that are made up.

use std::fs::File;
use std::io::Read as _;

const SOURCE: &str = "/dev/urandom";

/// Returns `count` hexadecimal digits, which need not be secret.
pub(in crate::engine) fn digits(count: usize) -> String {
    let mut bytes = vec![0; count.div_ceil(2)];
    // Without the device they are all 0, and names have to be configured.
    _ = File::open(SOURCE).and_then(|mut it| it.read_exact(&mut bytes));
    let both = bytes.into_iter().flat_map(|it| [it >> 4, it & 0xf]);
    both.take(count).filter_map(|it| char::from_digit(it.into(), 16)).collect()
}
