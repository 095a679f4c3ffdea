//! The smallest possible programs, made by hand so that no compiler is needed: an ELF file of one
//! segment with code for x86_64.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// `exit(0)`.
pub(crate) const EXIT: [u8; 9] = [0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];

const BASE: u64 = 0x40_0000;
const HEADERS: u64 = 64 + 56;

/// Forks until there are `processes`, which all wait for a signal.
pub(crate) fn idle(processes: usize) -> Vec<u8> {
    let children = u32::try_from(processes.saturating_sub(1)).unwrap_or(0);
    let mut code = vec![0xbb]; // mov ebx, children
    code.extend(children.to_le_bytes());
    code.extend([0x85, 0xdb, 0x74, 15]); // again: test ebx, ebx; jz pause
    code.extend([0xb8, 57, 0, 0, 0, 0x0f, 0x05]); // fork
    code.extend([0x85, 0xc0, 0x74, 4]); // test eax, eax; jz pause
    code.extend([0xff, 0xcb, 0xeb, 0xed]); // dec ebx; jmp again
    code.extend([0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]); // pause: pause(); jmp pause
    code
}

/// Writes the program that runs `code`.
pub(crate) fn write(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o755).open(path)?;
    file.write_all(&elf(code))
}

fn elf(code: &[u8]) -> Vec<u8> {
    let size = HEADERS + code.len() as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Executable, x86_64, version 1.
    bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    bytes.extend((BASE + HEADERS).to_le_bytes());
    bytes.extend(64_u64.to_le_bytes());
    bytes.extend([0; 12]);
    // Sizes of this header and of the one that follows, of which there is one; no sections.
    bytes.extend([64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    // Load all of the file, readable and executable.
    bytes.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, BASE, BASE, size, size, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(code);
    bytes
}
