//! What archives may and may not do to a root, and to what is outside of it.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use tar::{Builder, Header};

use super::*;

/// Kind, path, and the content or where a link leads.
type ArchiveLine<'a> = (EntryType, &'a [u8], &'a [u8]);

/// Makes an archive with any names, which a builder would refuse.
fn archive(lines: &[ArchiveLine<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, path, content) in lines {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        let ids = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        header.set_uid(ids.0.into());
        header.set_gid(ids.1.into());
        header.set_mtime(1_000_000);
        let is_file = kind.is_file();
        header.set_size(if is_file { content.len() as u64 } else { 0 });
        if !is_file {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content);
        }
        header.set_cksum();
        builder.append(&header, if is_file { *content } else { &[] }).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Writes an archive below `root`.
fn put(root: &Path, lines: &[ArchiveLine<'_>], layered: bool) -> Result<Vec<String>, ImageError> {
    let root = NewRoot::open(root).unwrap();
    let stream = |bytes: Vec<u8>| -> Stream { Box::new(io::Cursor::new(bytes)) };
    let mut whiteouts = Vec::new();
    if layered {
        walk(stream(archive(lines)), Path::new("x"), &mut |entry| {
            let blame = |fault| ImageError::entry(b"x", fault);
            whiteouts.extend(whiteout(&entry.path_bytes()).map_err(blame)?);
            Ok(())
        })?;
    }
    remove(&root, &whiteouts)?;
    let mut writer = Writer::new(&root, Path::new("x"), &Progress::default());
    writer.layered = layered;
    walk(stream(archive(lines)), Path::new("x"), &mut |entry| writer.put(entry))?;
    writer.finish()
}

/// A root, and beside it what must not change.
fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    fs::write(dir.path().join("outside/victim"), "host").unwrap();
    (dir, root)
}

fn is_untouched(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().count() == 2
        && fs::read_dir(dir.join("outside")).unwrap().count() == 1
        && fs::read(dir.join("outside/victim")).unwrap() == b"host"
}

const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;
const DIR: EntryType = EntryType::Directory;

#[test]
fn links_lead_where_they_lead_inside() {
    let (dir, root) = place();
    let outside = dir.path().join("outside");
    let outside = outside.to_str().unwrap().as_bytes();
    for (at, to) in [(&b"a"[..], outside), (b"b", b"../../outside"), (b"c", b"/proc/self/root")] {
        let below = [at, b"/victim"].concat();
        // What a link leads to is made inside, or refused.
        _ = put(&root, &[(LINK, at, to), (FILE, &below, b"image")], false);
        _ = put(&root, &[(DIR, at, b""), (FILE, &below, b"image")], false);
        _ = put(&root, &[(FILE, at, b"image")], false);
        assert!(is_untouched(dir.path()));
        assert_eq!(fs::read(root.join(std::str::from_utf8(at).unwrap())).unwrap(), b"image");
    }
    // As on a host whose /bin is a link: the directory that it leads to gets the file.
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    put(&root, &[(LINK, b"bin", b"/usr/bin"), (FILE, b"bin/sh", b"x")], false).unwrap();
    assert_eq!(fs::read(root.join("usr/bin/sh")).unwrap(), b"x");
}

#[test]
fn a_whiteout_below_a_link_removes_nothing_of_what_the_link_leads_to() {
    let (_dir, root) = place();
    fs::create_dir_all(root.join("run/lock")).unwrap();
    fs::create_dir(root.join("var")).unwrap();
    for inside in [&b"var/run/.wh..wh..opq"[..], b"var/run/.wh.lock", b"var/run/lock/.wh..wh..opq"]
    {
        symlink("/run", root.join("var/run")).unwrap();
        fs::write(root.join("run/lock/file"), "kept").unwrap();
        put(&root, &[(DIR, b"var/run", b""), (FILE, inside, b"")], true).unwrap();
        assert!(root.join("run/lock/file").exists());
        assert!(fs::symlink_metadata(root.join("var/run")).unwrap().is_dir());
        fs::remove_dir_all(root.join("var/run")).unwrap();
    }
}

#[test]
fn what_leads_up_is_refused() {
    let (dir, root) = place();
    for path in [&b"../outside/victim"[..], b"a/../../outside/victim", b".."] {
        let error = put(&root, &[(FILE, path, b"image")], false).unwrap_err();
        assert!(error.to_string().contains("leads out of it"), "{error}");
        let whiteout = [b"../outside/.wh.victim", path].concat();
        assert!(put(&root, &[(FILE, &whiteout, b"")], true).is_err());
    }
    put(&root, &[(FILE, b"/etc/passwd", b"image")], false).unwrap();
    assert_eq!(fs::read(root.join("etc/passwd")).unwrap(), b"image");
    assert!(is_untouched(dir.path()));
}

#[test]
fn hard_links_stay_inside() {
    let (dir, root) = place();
    let victim = dir.path().join("outside/victim");
    let victim = victim.to_str().unwrap().as_bytes();
    for to in [victim, b"../outside/victim", b"missing", b"..", b""] {
        assert!(put(&root, &[(HARD, b"a", to)], false).is_err());
    }
    symlink(dir.path().join("outside"), root.join("out")).unwrap();
    assert!(put(&root, &[(HARD, b"a", b"out/victim")], false).is_err());
    // One to a link is to the link itself, and what is written over it replaces it.
    symlink(dir.path().join("outside/victim"), root.join("l")).unwrap();
    put(&root, &[(HARD, b"a", b"l"), (FILE, b"a", b"image"), (HARD, b"b", b"a")], false).unwrap();
    assert_eq!(fs::read(root.join("b")).unwrap(), b"image");
    assert!(is_untouched(dir.path()));
}

#[test]
fn devices_are_left_out_and_reported() {
    let (_dir, root) = place();
    let notes = put(&root, &[(EntryType::Char, b"null", b""), (EntryType::Fifo, b"p", b"")], false);
    let notes = notes.unwrap();
    assert!(notes.iter().any(|it| it.contains("1 device nodes")), "{notes:?}");
    assert!(!root.join("null").exists() && root.join("p").exists());
}

#[test]
fn whiteouts_remove_what_is_below_and_links_as_themselves() {
    let (dir, root) = place();
    let outside = dir.path().join("outside");
    symlink(&outside, root.join("link")).unwrap();
    symlink(&outside, root.join("kept")).unwrap();
    fs::create_dir_all(root.join("d/e")).unwrap();
    fs::write(root.join("d/e/f"), "").unwrap();
    let layer: &[ArchiveLine<'_>] = &[
        (FILE, b".wh.link", b""),
        // Its directory is a link that leads nowhere inside.
        (FILE, b"kept/.wh.victim", b""),
        (FILE, b"kept/.wh..wh..opq", b""),
        (FILE, b"d/new", b"new"),
        (FILE, b"d/.wh..wh..opq", b""),
    ];
    put(&root, layer, true).unwrap();
    assert!(root.join("link").symlink_metadata().is_err());
    assert!(!root.join("d/e").exists() && root.join("d/new").exists());
    assert!(!root.join("d/.wh..wh..opq").exists());
    for name in [&b".wh."[..], b".wh..", b".wh..."] {
        assert!(put(&root, &[(FILE, name, b"")], true).is_err());
    }
    assert!(is_untouched(dir.path()));
}

#[test]
fn a_header_of_any_length_is_refused() {
    let (_dir, root) = place();
    let root = NewRoot::open(&root).unwrap();
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let stream = Box::new(io::Cursor::new(header.as_bytes().to_vec()).chain(io::repeat(b'x')));
    let mut writer = Writer::new(&root, Path::new("x"), &Progress::default());
    let error = walk(stream, Path::new("x"), &mut |entry| writer.put(entry)).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}

#[test]
fn what_is_quoted_from_a_header_can_be_shown() {
    let mut bytes = archive(&[(FILE, b"a\x1b[2J", b"image")]);
    bytes[148..156].fill(b'\r'); // Its checksum.
    let error = walk(Box::new(io::Cursor::new(bytes)), Path::new("x\x1b"), &mut |_| Ok(()));
    let error = error.unwrap_err().to_string();
    assert!(!error.chars().any(char::is_control), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_archive_touches_what_is_outside(
        lines in prop::collection::vec(
            (0..5usize, "(\\.\\./|a/|b/|\\.wh\\.|/|\\./){0,4}[ab.]{0,2}", "(\\.\\./|a/|/){0,4}(outside|a|b)?"),
            0..12,
        ),
        layered: bool,
    ) {
        let (dir, root) = place();
        let kinds = [FILE, LINK, HARD, DIR, EntryType::Fifo];
        let lines: Vec<ArchiveLine<'_>> = lines
            .iter()
            .map(|(kind, path, to)| (kinds[*kind], path.as_bytes(), to.as_bytes()))
            .collect();
        _ = put(&root, &lines, layered);
        prop_assert!(is_untouched(dir.path()));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let (dir, root) = place();
        let root = NewRoot::open(&root).unwrap();
        let mut writer = Writer::new(&root, Path::new("x"), &Progress::default());
        let stream = super::super::flow::plain(Box::new(io::Cursor::new(bytes))).unwrap_or_else(|_| Box::new(io::empty()));
        _ = walk(stream, Path::new("x"), &mut |entry| writer.put(entry));
        prop_assert!(is_untouched(dir.path()));
    }
}
