//! Which file system is in an image or on a device: recognised by its superblock, as blkid(8) does.

use std::ffi::CStr;

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct FsKind {
    /// What the kernel calls the driver.
    pub(in crate::engine) name: &'static CStr,
    /// It cannot be written to, whatever it lies on.
    pub(in crate::engine) read_only: bool,
    offset: u64,
    magic: &'static [u8],
}

const fn kind(name: &'static CStr, read_only: bool, offset: u64, magic: &'static [u8]) -> FsKind {
    FsKind { name, read_only, offset, magic }
}

/// The kinds on which a root can be; the driver of ext4 takes ext2 and ext3 as well.
const KINDS: [FsKind; 7] = [
    kind(c"xfs", false, 0, b"XFSB"),
    kind(c"btrfs", false, 65600, b"_BHRfS_M"),
    kind(c"f2fs", false, 1024, b"\x10\x20\xf5\xf2"),
    kind(c"squashfs", true, 0, b"hsqs"),
    kind(c"erofs", true, 1024, b"\xe2\xe1\xf5\xe0"),
    kind(c"iso9660", true, 32769, b"CD001"),
    // Its magic is so short that others come first.
    kind(c"ext4", false, 1080, b"\x53\xef"),
];

/// Finds the kind; `read` fills a buffer from an offset and returns how much it got.
pub(in crate::engine) fn recognise(
    read: impl Fn(&mut [u8], u64) -> std::io::Result<usize>,
) -> Option<FsKind> {
    KINDS.into_iter().find(|it| {
        let mut found = [0; 8];
        let Some(found) = found.get_mut(..it.magic.len()) else { return false };
        read(found, it.offset).is_ok_and(|got| got == it.magic.len()) && *found == *it.magic
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_recognised_where_its_magic_is_and_nowhere_else() {
        let recognised = |bytes: &[u8]| {
            recognise(|buffer, offset| {
                let from = bytes.get(offset as usize..).unwrap_or_default();
                let got = from.len().min(buffer.len());
                buffer.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                Ok(got)
            })
        };
        for it in KINDS {
            let mut image = vec![0; 70_000];
            let at = it.offset as usize;
            image[at..at + it.magic.len()].copy_from_slice(it.magic);
            assert_eq!(recognised(&image), Some(it));
            assert_eq!(recognised(&image[..at + it.magic.len() - 1]), None, "{:?}", it.name);
        }
        assert_eq!(recognised(&vec![0; 70_000]), None);
    }
}
