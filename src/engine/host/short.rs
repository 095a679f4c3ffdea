//! Reads short files with few system calls.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most of them fit: two pages.
const USUAL: usize = 8192;

/// Reads at most `most` bytes. The kernel makes the content of many files of `/proc` again for each
/// read(2), so the first one gets a large buffer.
pub(in crate::engine) fn read_short(file: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads at most `most` bytes of a file that the kernel hands out whole, such as `/proc/PID/stat`, or
/// that is on a file system: a read that does not fill the buffer has come to the end of it.
pub(in crate::engine) fn read_at_once(mut file: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; USUAL];
    let mut count = 0;
    while let Some(rest) = bytes.get_mut(count..).filter(|it| !it.is_empty()) {
        let read = match file.read(rest) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let is_whole = read < rest.len();
        count += read;
        if is_whole || count as u64 >= most {
            break;
        }
        bytes.resize(bytes.len() * 2, 0);
    }
    bytes.truncate(count.min(usize::try_from(most).unwrap_or(usize::MAX)));
    Ok(bytes)
}

/// Reads the file at `path` like this, as text; what is none in it, such as a process's name, is replaced.
pub(in crate::engine) fn text_at_once(path: impl AsRef<Path>) -> io::Result<String> {
    let bytes = File::open(path).and_then(|it| read_at_once(it, u64::MAX))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_its_length_a_file_is_read_whole_up_to_the_most() {
        for length in [0, 1, USUAL - 1, USUAL, USUAL + 1, 5 * USUAL] {
            let bytes: Vec<u8> = (0..length).map(|it| it as u8).collect();
            assert_eq!(read_at_once(bytes.as_slice(), u64::MAX).unwrap(), bytes);
            assert_eq!(read_at_once(bytes.as_slice(), 1).unwrap(), bytes[..1.min(length)]);
            assert_eq!(read_short(bytes.as_slice(), u64::MAX).unwrap(), bytes);
        }
    }
}
