//! Roots that are not a directory: overlays and images, on real containers.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::rootfs::{EXT4, image};
use crate::support::{Lxcpath, can_run_containers, rootfs, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Creates a container with this root; it runs nothing yet.
fn create(lxcpath: &Lxcpath, word: &str, root: &str, more: &[&str]) -> String {
    let name = lxcpath.name(word);
    let root = format!("lxc.rootfs.path={root}");
    let mut args = vec!["create", &name, "-s", &root];
    args.extend(more.iter().flat_map(|it| ["-s", it]));
    lxcpath.ok(&args);
    name
}

fn start(lxcpath: &Lxcpath, name: &str) {
    lxcpath.ok(&["start", name, "--", "/bin/sleep", "1000"]);
}

fn inside(lxcpath: &Lxcpath, name: &str, script: &str) -> String {
    lxcpath.ok(&["attach", name, "--", "/bin/sh", "-c", script])
}

/// Makes a base with busybox; none if containers cannot run here.
fn base() -> Option<tempfile::TempDir> {
    let base = tempfile::tempdir().unwrap();
    (can_run_containers() && rootfs::busybox(base.path())).then_some(base)
}

/// Returns whether a loop device has `image`. Its file system is mounted elsewhere for the process
/// that opened it, so that the device may name the file from there.
fn is_attached(image: &Path) -> bool {
    let devices = fs::read_dir("/sys/block").unwrap();
    devices.flatten().any(|it| {
        let file = fs::read_to_string(it.path().join("loop/backing_file"));
        file.is_ok_and(|it| image.ends_with(it.trim().trim_start_matches('/')))
    })
}

/// Returns the lines of the host's mount table that speak of `path`.
fn host_mounts(path: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let path = path.to_str().unwrap();
    table.lines().filter(|it| it.contains(path)).map(str::to_owned).collect()
}

#[test]
fn changes_of_an_overlay_are_kept_in_its_upper_directory() {
    let Some(base) = base() else { return };
    let lxcpath = Lxcpath::new();
    let upper = lxcpath.path().join(lxcpath.name("over")).join("overlay/delta");
    let root = format!("overlay:{}:{}", base.path().display(), upper.display());
    let name = create(&lxcpath, "over", &root, &["lxc.rootfs.options=nosuid"]);
    start(&lxcpath, &name);
    let line = inside(&lxcpath, &name, "echo new > /etc/new; rm /etc/group; cat /proc/mounts");
    let line = line.lines().find(|it| it.contains(" / ")).unwrap().to_owned();
    let work = upper.with_file_name("work");
    for part in [
        format!("{} / overlay rw,nosuid,nodev", base.path().display()),
        format!("lowerdir={},", base.path().display()),
        format!("upperdir={},", upper.display()),
        format!("workdir={}", work.display()),
    ] {
        assert!(line.contains(&part), "{part} in {line}");
    }
    assert_eq!(fs::read_to_string(upper.join("etc/new")).unwrap(), "new\n");
    assert!(!base.path().join("etc/new").exists() && base.path().join("etc/group").exists());
    assert_eq!(host_mounts(base.path()), Vec::<String>::new());
    lxcpath.ok(&["stop", "-k", &name]);
    start(&lxcpath, &name);
    let kept = inside(&lxcpath, &name, "cat /etc/new; test -e /etc/group || echo gone");
    assert_eq!(kept, "new\ngone\n");
    lxcpath.ok(&["destroy", "-f", &name]);
    assert!(!lxcpath.path().join(&name).exists());
    assert!(base.path().join("etc/group").exists());
}

/// Kills the supervisor of a running container.
fn kill_supervisor(lxcpath: &Lxcpath, name: &str) {
    let init = lxcpath.ok(&["info", "-p", "-H", name]);
    let status = fs::read_to_string(format!("/proc/{}/status", init.trim())).unwrap();
    let parent = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap();
    kill(Pid::from_raw(parent.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn an_upper_directory_is_one_running_containers_alone() {
    let Some(base) = base() else { return };
    let (lxcpath, dir) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let (upper, link) = (dir.path().join("the upper"), dir.path().join("link"));
    symlink(&upper, &link).unwrap();
    let root = |upper: &Path| format!("overlay:{}:{}", base.path().display(), upper.display());
    let one = create(&lxcpath, "one", &root(&upper), &[]);
    let other = create(&lxcpath, "other", &root(&link), &[]);
    start(&lxcpath, &one);
    let refused = || {
        let said = lxcpath.refused(&["start", &other, "--", "/bin/sleep", "1000"], 1);
        let who = format!("container `{one}` runs on {} as well", link.display());
        assert!(said.contains(&who) && said.contains("config)"), "{said}");
        assert_eq!(lxcpath.state(&other), "STOPPED");
    };
    refused();
    // Its own next run is none beside it.
    lxcpath.ok(&["stop", "-r", "-t", "0", &one]);
    wait_until("the next run", || lxcpath.state(&one) == "RUNNING");
    refused();
    lxcpath.ok(&["stop", "-k", &one]);
    start(&lxcpath, &other);
    lxcpath.ok(&["stop", "-k", &other]);
    // A freezer that holds it holds it without a supervisor, too, whatever tidies up meanwhile.
    start(&lxcpath, &one);
    lxcpath.ok(&["freeze", &one]);
    kill_supervisor(&lxcpath, &one);
    if fs::read_to_string("/proc/self/cgroup").unwrap().contains("freezer") {
        for _ in 0..2 {
            refused();
            lxcpath.ok(&["rename", &other, "moved"]);
            lxcpath.ok(&["rename", "moved", &other]);
        }
        lxcpath.ok(&["stop", "-k", &one]);
    } else {
        println!("skipped in part: a frozen container dies with its supervisor here");
        wait_until("its end", || lxcpath.state(&one) == "STOPPED");
    }
    start(&lxcpath, &other);
    lxcpath.ok(&["stop", "-k", &other]);
    let claims = fs::read_dir("/run/wharf/upper").unwrap().flatten();
    let ours = |it: &fs::DirEntry| {
        let text = fs::read_to_string(it.path()).unwrap_or_default();
        text.contains(lxcpath.path().to_str().unwrap())
    };
    assert_eq!(claims.filter(ours).count(), 0, "a claim is left");
}

#[test]
fn an_overlay_has_several_lower_directories_with_any_names() {
    let Some(base) = base() else { return };
    let (lxcpath, top) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    // Longer than one value may be for the kernel, and with what separates its options.
    let odd = top.path().join(format!("a,b:c d{}", "x".repeat(200)));
    fs::create_dir_all(odd.join("etc")).unwrap();
    fs::write(odd.join("etc/layer"), "top\n").unwrap();
    let upper = top.path().join("up,per");
    let root = format!("overlayfs:{}:{}:{}", odd.display(), base.path().display(), upper.display());
    let name = create(&lxcpath, "layers", &root, &[]);
    start(&lxcpath, &name);
    assert_eq!(inside(&lxcpath, &name, "cat /etc/layer; echo x > /x"), "top\n");
    assert!(upper.join("x").exists());
    lxcpath.ok(&["destroy", "-f", &name]);
    assert!(upper.join("x").exists(), "what is outside of the container's directory stays");
}

#[test]
fn overlays_beside_one_another_share_nothing() {
    let Some(base) = base() else { return };
    let (lxcpath, top) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let mut seen = Vec::new();
    for word in ["one", "two"] {
        let upper = top.path().join(word);
        let root = format!("overlay:{}:{}", base.path().display(), upper.display());
        let name = create(&lxcpath, word, &root, &[]);
        start(&lxcpath, &name);
        let mounts = inside(&lxcpath, &name, "echo $0 > /new; cat /proc/mounts");
        let line = mounts.lines().find(|it| it.contains(" / ")).unwrap();
        let work = line.split("workdir=").nth(1).unwrap().split([',', ' ']).next().unwrap();
        seen.push(work.to_owned());
        assert!(upper.join("new").exists());
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn what_an_overlay_lacks_is_told_with_its_line() {
    let Some(base) = base() else { return };
    let lxcpath = Lxcpath::new();
    let root = format!("overlay:/no/such:{}:/tmp/up", base.path().display());
    let name = create(&lxcpath, "lacks", &root, &[]);
    let said = lxcpath.refused(&["start", &name, "--", "/bin/true"], 1);
    assert!(said.contains("/no/such: No such file") && said.contains("(line "), "{said}");
}

#[test]
fn an_image_is_mounted_by_a_loop_device_that_goes_with_the_container() {
    let Some(base) = base() else { return };
    let lxcpath = Lxcpath::new();
    let Some(image) = image(base.path(), lxcpath.path(), &EXT4) else { return };
    let name = create(&lxcpath, "image", &format!("loop:{}", image.display()), &[]);
    start(&lxcpath, &name);
    assert!(is_attached(&image));
    let line = inside(&lxcpath, &name, "echo new > /etc/new; cat /proc/mounts");
    assert!(line.lines().any(|it| it.contains(" / ext4 rw,")), "{line}");
    // Without its type, and mounted by nobody else at the same time.
    let other = lxcpath.name("second");
    lxcpath.ok(&["create", &other, "--dir", image.to_str().unwrap()]);
    // A configuration is not waited for long.
    let shown = format!("loop:{}", image.display());
    wait_until("the root in info", || lxcpath.ok(&["info", &name]).contains(&shown));
    let said = lxcpath.refused(&["start", &other, "--", "/bin/true"], 1);
    assert!(said.contains("another container has mounted the image"), "{said}");
    lxcpath.ok(&["stop", "-k", &name]);
    wait_until("the end of the loop device", || !is_attached(&image));
    start(&lxcpath, &other);
    assert_eq!(inside(&lxcpath, &other, "cat /etc/new"), "new\n");
    kill_supervisor(&lxcpath, &other);
    wait_until("the end of the loop device", || !is_attached(&image));
    lxcpath.ok(&["destroy", "-f", &other]);
    lxcpath.ok(&["destroy", "--now", &name]);
    assert!(image.exists(), "it is outside of the container's directory");
}

#[test]
fn an_image_is_read_only_if_it_or_its_file_system_is_or_the_options_say_so() {
    let Some(base) = base() else { return };
    let lxcpath = Lxcpath::new();
    let read_only = |word: &str, kind: &str, image: &Path, more: &[&str]| {
        let before = fs::read(image).unwrap();
        let name = create(&lxcpath, word, &format!("loop:{}", image.display()), more);
        start(&lxcpath, &name);
        let told = inside(&lxcpath, &name, "cat /proc/mounts; echo x > /x || echo refused");
        let expected = format!(" / {kind} ro,");
        assert!(told.contains(&expected) && told.contains("refused"), "{told}");
        lxcpath.ok(&["destroy", "-f", &name]);
        wait_until("the end of the loop device", || !is_attached(image));
        assert!(before == fs::read(image).unwrap(), "{word} was written to");
    };
    if let Some(image) = image(base.path(), lxcpath.path(), &EXT4) {
        read_only("options", "ext4", &image, &["lxc.rootfs.options=ro"]);
    }
    let squash = ["mksquashfs", "{dir}", "{image}", "-quiet"];
    if let Some(image) = image(base.path(), lxcpath.path(), &squash) {
        read_only("squash", "squashfs", &image, &[]);
    }
    if let Some(image) = image(base.path(), lxcpath.path(), &["mkfs.erofs", "{image}", "{dir}"]) {
        read_only("ero", "erofs", &image, &[]);
    }
}

#[test]
fn other_writable_file_systems_are_recognised_as_well() {
    let Some(base) = base() else { return };
    let lxcpath = Lxcpath::new();
    for (word, kind, command) in [
        ("btr", "btrfs", &["mkfs.btrfs", "-q", "-r", "{dir}", "{image}"][..]),
        ("ext2", "ext4", &["mke2fs", "-q", "-t", "ext2", "-d", "{dir}", "{image}", "32M"][..]),
    ] {
        let Some(image) = image(base.path(), lxcpath.path(), command) else { continue };
        let name = create(&lxcpath, word, image.to_str().unwrap(), &[]);
        start(&lxcpath, &name);
        let told = inside(&lxcpath, &name, "echo x > /x; cat /proc/mounts");
        assert!(told.contains(&format!(" / {kind} rw,")), "{told}");
        lxcpath.ok(&["destroy", "-f", &name]);
        wait_until("the end of the loop device", || !is_attached(&image));
    }
}

#[test]
fn an_image_without_a_file_system_is_refused_and_nothing_is_left() {
    let Some(_base) = base() else { return };
    let lxcpath = Lxcpath::new();
    let image = lxcpath.path().join("noise");
    fs::write(&image, vec![b'x'; 100_000]).unwrap();
    let name = create(&lxcpath, "noise", image.to_str().unwrap(), &[]);
    let said = lxcpath.refused(&["start", &name, "--", "/bin/true"], 1);
    assert!(
        said.contains("no file system that wharf recognises") && said.contains("(line "),
        "{said}"
    );
    assert!(!is_attached(&image));
    let other = lxcpath.name("other");
    let said = lxcpath.refused(&["create", &other, "--dir", image.to_str().unwrap()], 1);
    assert!(said.contains("neither a directory, nor a disk image"), "{said}");
}

#[test]
fn hostile_links_in_an_image_or_a_layer_lead_nowhere() {
    let Some(base) = base() else { return };
    let (lxcpath, victim) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    for dir in ["dev", "proc", "sys"] {
        fs::remove_dir(base.path().join(dir)).unwrap();
        symlink(victim.path(), base.path().join(dir)).unwrap();
    }
    let over = format!("overlay:{}:{}", base.path().display(), lxcpath.path().join("up").display());
    let mut roots = vec![("layer", over)];
    let made = image(base.path(), lxcpath.path(), &EXT4);
    roots.extend(made.map(|it| ("image", format!("loop:{}", it.display()))));
    for (word, root) in roots {
        let name = create(&lxcpath, word, &root, &["lxc.mount.auto=proc:mixed sys:ro"]);
        lxcpath.refused(&["start", &name, "--", "/bin/true"], 1);
        assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0, "{word}");
    }
}

#[test]
fn a_container_whose_files_others_use_is_not_destroyed() {
    let Some(base) = base() else { return };
    let lxcpath = Lxcpath::new();
    let root = format!("dir:{}", base.path().display());
    let [shared, copy] = ["shared", "copy"].map(|it| create(&lxcpath, it, &root, &[]));
    let dir = lxcpath.path().join(&shared);
    // As LXC writes them.
    let listed = format!("{0}\n{copy}\n{0}\ngone\n", lxcpath.path().display());
    fs::write(dir.join("lxc_snapshots"), listed).unwrap();
    fs::create_dir_all(dir.join("snaps/snap0")).unwrap();
    let said = lxcpath.refused(&["destroy", "--now", &shared], 1);
    let user = lxcpath.path().join(&copy).display().to_string();
    assert!(said.contains(&format!("others use its files: {user}; destroy them first")), "{said}");
    lxcpath.ok(&["destroy", "--now", &copy]);
    let said = lxcpath.refused(&["destroy", "--now", &shared], 1);
    assert!(said.contains("it has snapshots in "), "{said}");
    assert!(dir.join("config").exists());
    fs::remove_dir(dir.join("snaps/snap0")).unwrap();
    // Of one that was made by hand, only its own configuration speaks.
    fs::create_dir(dir.join("rootfs")).unwrap();
    let upper = base.path().join("upper");
    let root = format!("overlay:{}:{}", dir.join("rootfs").display(), upper.display());
    let by_hand = create(&lxcpath, "by-hand", &root, &[]);
    let said = lxcpath.refused(&["destroy", "--now", &shared], 1);
    assert!(said.contains(&format!("others use its files: {by_hand}; destroy them")), "{said}");
    lxcpath.ok(&["destroy", "--now", &by_hand]);
    lxcpath.ok(&["destroy", "--now", &shared]);
}

/// Makes a snapshot of a snapshot, which has what that has changed, and shares the same files.
fn snapshot_again(lxcpath: &Lxcpath, [web, over, again]: [&str; 3]) {
    let file = |name: &str, path: &str| fs::read_to_string(lxcpath.path().join(name).join(path));
    lxcpath.ok(&["create", again, "--from", over, "-B", "overlay"]);
    let said = "cat /etc/new; ls /etc";
    let said = lxcpath.ok(&["execute", again, "--", "/bin/sh", "-c", said]);
    assert!(said.starts_with(&format!("{over}\n")) && !said.contains("group"), "{said}");
    let at = lxcpath.path().to_str().unwrap();
    assert_eq!(file(web, "lxc_snapshots").unwrap(), format!("{at}\n{over}\n{at}\n{again}\n"));
    assert_eq!(file(again, "lxc_rdepends").unwrap(), format!("{at}\n{web}\n{at}\n{over}\n"));
    let root = format!("overlay:{at}/{web}/rootfs:{at}/{again}/overlay/delta");
    assert!(file(again, "config").unwrap().contains(&root));
    let said = lxcpath.refused(&["destroy", "--now", web], 1);
    assert!(said.contains("others use its files"), "{said}");
    let said = lxcpath.refused(&["create", &lxcpath.name("x"), "--from", over], 1);
    assert!(said.contains("its root is an overlay; --snapshot"), "{said}");
}

#[test]
fn a_copy_has_files_of_its_own_and_a_snapshot_only_its_changes() {
    let Some(base) = base() else { return };
    let lxcpath = Lxcpath::new();
    let [web, full, over, again] = ["web", "full", "over", "again"].map(|it| lxcpath.name(it));
    let file = |name: &str, path: &str| fs::read_to_string(lxcpath.path().join(name).join(path));
    fs::write(base.path().join("etc/hostname"), "web\n").unwrap();
    let archive = base.path().join("root.tar");
    let (dir, tar) = (base.path().to_str().unwrap(), archive.to_str().unwrap());
    let packed = Command::new("tar").args(["-C", dir, "-cf", tar, "bin", "etc"]).output().unwrap();
    assert!(packed.status.success(), "{packed:?}");
    let address = "00:16:3e:01:02:03";
    lxcpath.ok(&["create", &web, "--from", tar, "-s", &format!("lxc.net.0.hwaddr={address}")]);
    start(&lxcpath, &web);
    let said = lxcpath.refused(&["create", &full, "--from", &web], 1);
    assert!(said.contains(&format!("{web} is running; stop it first")), "{said}");
    lxcpath.ok(&["stop", "-k", &web]);
    let said = lxcpath.ok(&["create", &full, "--from", &web]);
    assert!(said.contains(&format!("made from the container {web}")), "{said}");
    lxcpath.ok(&["create", &over, "--from", &web, "--snapshot"]);

    let changes = "cat /etc/hostname; hostname; echo $0 > /etc/new; rm /etc/group";
    for name in [&full, &over] {
        let said = lxcpath.ok(&["execute", name, "--", "/bin/sh", "-c", changes, name]);
        assert_eq!(said, format!("{name}{name}\n"));
        let config = file(name, "config").unwrap();
        assert!(!config.contains(address) && config.contains("lxc.net.0.hwaddr"), "{config}");
        let profile = lxcpath.path().join(name).join("seccomp");
        assert!(config.contains(profile.to_str().unwrap()) && profile.exists(), "{config}");
    }
    assert!(file(&web, "rootfs/etc/new").is_err() && file(&web, "rootfs/etc/group").is_ok());
    assert_eq!(file(&web, "rootfs/etc/hostname").unwrap(), "web\n");
    assert_eq!(file(&over, "overlay/delta/etc/new").unwrap(), format!("{over}\n"));

    snapshot_again(&lxcpath, [&web, &over, &again]);
    for name in [&again, &over, &web, &full] {
        lxcpath.ok(&["destroy", "--now", name]);
    }
}

#[test]
fn an_unmanaged_upper_directory_is_not_removed_with_its_container() {
    let Some(base) = base() else { return };
    let lxcpath = Lxcpath::new();
    let upper = lxcpath.path().join(lxcpath.name("kept")).join("delta");
    let root = format!("overlay:{}:{}", base.path().display(), upper.display());
    let name = create(&lxcpath, "kept", &root, &["lxc.rootfs.managed=0"]);
    start(&lxcpath, &name);
    lxcpath.ok(&["stop", "-k", &name]);
    let said = lxcpath.refused(&["destroy", "--now", &name], 1);
    assert!(said.contains("lxc.rootfs.managed = 0"), "{said}");
    assert!(upper.is_dir());
    // As the message advises.
    fs::rename(&upper, lxcpath.path().join(".away")).unwrap();
    lxcpath.ok(&["destroy", "--now", &name]);
    // Nor is one of a type that wharf does not know.
    let disk = lxcpath.path().join(&name).join("disk");
    fs::create_dir(lxcpath.path().join(&name)).unwrap();
    fs::write(&disk, "").unwrap();
    let config = format!("lxc.rootfs.path = nbd:{}\nlxc.rootfs.managed = 0\n", disk.display());
    fs::write(disk.with_file_name("config"), config).unwrap();
    let said = lxcpath.refused(&["destroy", "--now", &name], 1);
    assert!(said.contains("lxc.rootfs.managed = 0") && disk.exists(), "{said}");
    fs::remove_file(&disk).unwrap();
    lxcpath.ok(&["destroy", "--now", &name]);
}

#[test]
fn hooks_find_the_root_where_it_is_mounted() {
    let Some(base) = base() else { return };
    let lxcpath = Lxcpath::new();
    let delta = lxcpath.path().join(".delta");
    let root = format!("overlay:{}:{}", base.path().display(), delta.join("up").display());
    // As lxc-copy's ephemeral snapshots keep their changes in memory.
    let memory = format!("lxc.hook.pre-mount=mount -t tmpfs changes {}", delta.display());
    fs::create_dir(&delta).unwrap();
    let more = [
        "lxc.hook.version=1",
        &memory,
        "lxc.hook.mount=sh -c 'echo $LXC_ROOTFS_PATH > $LXC_ROOTFS_MOUNT/told'",
    ];
    let name = create(&lxcpath, "told", &root, &more);
    start(&lxcpath, &name);
    let told = inside(&lxcpath, &name, "cat /told");
    assert_eq!(format!("overlay:{}", told.trim()), root);
    assert_eq!(fs::read_dir(&delta).unwrap().count(), 0, "it was in memory");
}
