//! Reads short files with few system calls.

use std::io::{self, Read};

/// Most of them fit: a page.
const USUAL: usize = 4096;

/// Reads at most `most` bytes. The kernel makes the content of many files of `/proc` again for each
/// read(2), so the first one gets a large buffer.
pub(in crate::engine) fn read_short(file: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
