//! Containers from archives and container images, made here by tar and by hand. As root.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::oci::{Layout, root, run};
use crate::support::screen::{LEFT, Screen, TAB};
use crate::support::{Lxcpath, can_run_containers, finish, text, told, tree, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

#[test]
fn an_archive_of_a_root_becomes_one_in_every_compression() {
    let dir = tempfile::tempdir().unwrap();
    let Some(root) = root(dir.path()) else { return };
    run(&root, "chown", &["12:34", "etc/group"]);
    run(&root, "chmod", &["4711", "bin/busybox"]);
    run(&root, "mknod", &["dev/sda", "b", "8", "0"]);
    run(dir.path(), "tar", &["-C", "root", "-cf", "plain.tar", "."]);
    let lxcpath = Lxcpath::new();
    let programs =
        [("plain", None), ("gz", Some("gzip")), ("xz", Some("xz")), ("zst", Some("zstd"))];
    for (word, program) in programs {
        let archive = dir.path().join(format!("{word}.packed"));
        if let Some(program) = program {
            if Command::new(program).arg("--version").output().is_err() {
                println!("skipped: no {program} on this machine");
                continue;
            }
            // Two streams, one after the other, are one archive.
            let pack = format!(
                "(head -c 100000 plain.tar | {program} -c; tail -c +100001 plain.tar | {program} -c) > {}",
                archive.display()
            );
            run(dir.path(), "sh", &["-c", &pack]);
        } else {
            fs::copy(dir.path().join("plain.tar"), &archive).unwrap();
        }
        let name = lxcpath.name(word);
        let told = lxcpath.ok(&["create", &name, "--from", archive.to_str().unwrap()]);
        assert!(told.contains("left out 1 device nodes"), "{told}");
        let made = lxcpath.path().join(&name).join("rootfs");
        let stat = run(&made, "stat", &["-c", "%u:%g %a", "etc/group", "bin/busybox"]);
        assert_eq!(stat, "12:34 644\n0:0 4711\n", "{word}");
        assert_eq!(tree(&made).len() + 1, tree(&root).len(), "{word}");
        let said = lxcpath.ok(&["execute", &name, "--", "/bin/sh", "-c", "echo from-$0", word]);
        assert_eq!(said, format!("from-{word}\n"));
    }
}

fn config() -> Value {
    json!({
        "Env": ["PATH=/bin", "WORD=a 'b' c"],
        "Entrypoint": ["sh", "-c"],
        "Cmd": ["echo \"$WORD\"; id -u; pwd; ls /etc > /etc-was; exec sleep 1000"],
        "User": "web",
        "WorkingDir": "/srv/web",
    })
}

/// Makes an image of two layers, the second of which removes files of the first.
fn two_layers(dir: &Path) -> Option<Layout> {
    let base = root(dir)?;
    fs::write(base.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nweb:x:0:7::/:/bin/sh\n").unwrap();
    fs::write(base.join("etc/gone"), "").unwrap();
    fs::create_dir(base.join("etc/cleared")).unwrap();
    fs::write(base.join("etc/cleared/old"), "").unwrap();
    symlink("/bin", base.join("usr-bin")).unwrap();
    let upper = dir.join("upper");
    fs::create_dir_all(upper.join("etc/cleared")).unwrap();
    fs::write(upper.join("etc/.wh.gone"), "").unwrap();
    fs::write(upper.join("etc/cleared/.wh..wh..opq"), "").unwrap();
    fs::write(upper.join("etc/cleared/new"), "").unwrap();
    let layout = Layout::new(dir);
    layout.image(&[&base, &upper], &config());
    Some(layout)
}

fn has_what_the_image_says(lxcpath: &Lxcpath, name: &str) {
    let made = lxcpath.path().join(name).join("rootfs");
    assert!(!made.join("etc/gone").exists() && !made.join("etc/cleared/old").exists());
    assert!(made.join("etc/cleared/new").exists() && made.join("srv/web").is_dir());
    assert!(!tree(&made).iter().any(|it| it.to_string_lossy().contains(".wh.")));
    assert_eq!(tree(&lxcpath.path().join(name)).len(), tree(&made).len() + 3);
    lxcpath.ok(&["start", name]);
    let config = fs::read_to_string(lxcpath.path().join(name).join("config")).unwrap();
    for line in
        ["lxc.init.cwd = /srv/web", "lxc.init.gid = 7", "lxc.environment.runtime = WORD=a 'b' c"]
    {
        assert!(config.contains(line), "{line}: {config}");
    }
    wait_until("its command", || lxcpath.ok(&["ps", name]).contains("sleep 1000"));
    lxcpath.ok(&["stop", "-k", name]);
}

#[test]
fn an_image_runs_its_command_as_its_user_whatever_it_comes_in() {
    let dir = tempfile::tempdir().unwrap();
    let Some(layout) = two_layers(dir.path()) else { return };
    let lxcpath = Lxcpath::new();
    run(dir.path(), "tar", &["-C", "layout", "-cf", "oci.tar", "."]);
    run(dir.path(), "gzip", &["-k", "oci.tar"]);
    // What docker save writes: its own list, and layers that are not compressed.
    let saved = dir.path().join("saved");
    let index: Value =
        serde_json::from_slice(&fs::read(layout.dir.join("index.json")).unwrap()).unwrap();
    let blob = |digest: &Value| {
        layout.dir.join("blobs/sha256").join(digest.as_str().unwrap().trim_start_matches("sha256:"))
    };
    let manifest = fs::read(blob(&index["manifests"][0]["digest"])).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    fs::create_dir(&saved).unwrap();
    let config = blob(&manifest["config"]["digest"]);
    let config_name = format!("{}.json", config.file_name().unwrap().to_str().unwrap());
    fs::copy(&config, saved.join(&config_name)).unwrap();
    let mut layers = Vec::new();
    for (at, layer) in manifest["layers"].as_array().unwrap().iter().enumerate() {
        let name = format!("{at:064x}");
        fs::create_dir(saved.join(&name)).unwrap();
        let unpack = format!("gzip -dc {} > {name}/layer.tar", blob(&layer["digest"]).display());
        run(&saved, "sh", &["-c", &unpack]);
        layers.push(format!("{name}/layer.tar"));
    }
    let list = json!([{ "Config": config_name, "RepoTags": ["web:1"], "Layers": layers }]);
    fs::write(saved.join("manifest.json"), list.to_string()).unwrap();
    run(&saved, "sh", &["-c", "tar -cf ../saved.tar *"]);
    for (word, file) in
        [("dir", "layout"), ("tar", "oci.tar"), ("packed", "oci.tar.gz"), ("docker", "saved.tar")]
    {
        let name = lxcpath.name(word);
        lxcpath.ok(&["create", &name, "--from", dir.path().join(file).to_str().unwrap()]);
        has_what_the_image_says(&lxcpath, &name);
    }
}

#[test]
fn a_damaged_image_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(layout) = two_layers(dir.path()) else { return };
    let lxcpath = Lxcpath::new();
    let largest = tree(&layout.dir.join("blobs/sha256"));
    let largest = largest.iter().max_by_key(|it| fs::metadata(it).unwrap().len()).unwrap();
    let mut bytes = fs::read(largest).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(largest, bytes).unwrap();
    let from = layout.dir.to_str().unwrap();
    let refused = lxcpath.refused(&["create", &lxcpath.name("x"), "--from", from], 1);
    assert!(refused.contains("is damaged: its digest is"), "{refused}");
    assert_eq!(tree(lxcpath.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_creation_that_is_cancelled_or_killed_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    if !can_run_containers() {
        return;
    }
    fs::create_dir(dir.path().join("bin")).unwrap();
    // Sparse files are long and yet quickly made.
    let files = ["bin/long", "bin/longer", "bin/longest", "bin/endless"];
    for file in files {
        run(dir.path(), "truncate", &["-s", "15G", file]);
    }
    let pack = ["--format=gnu", "--sparse", "-cf", "long.tar"];
    run(dir.path(), "tar", &[&pack[..], &files].concat());
    let from = dir.path().join("long.tar");
    let from = from.to_str().unwrap();
    let lxcpath = Lxcpath::new();
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let name = lxcpath.name("long");
        let mut screen = Screen::spawn(lxcpath.command(&["create", &name, "--from", from]), 80, 24);
        wait_until("the first file", || {
            tree(lxcpath.path()).iter().any(|it| it.ends_with("bin/long"))
        });
        if signal == Signal::SIGINT {
            screen.wait_for("unpacking");
        }
        screen.signal(signal);
        assert!(!screen.exit().success());
        // The next command that changes something cleans up after one that was killed.
        let other = lxcpath.name("other");
        lxcpath.ok(&["create", &other]);
        lxcpath.ok(&["destroy", "--now", &other]);
        assert_eq!(tree(lxcpath.path()), Vec::<PathBuf>::new(), "{signal}");
    }
}

/// Writes an archive of empty files, each of which takes a moment.
fn many_files(path: &Path, count: usize) {
    let mut archive = tar::Builder::new(BufWriter::new(fs::File::create(path).unwrap()));
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    for number in 0..count {
        let path = format!("srv/{}/{number}", number / 1000);
        archive.append_data(&mut header, path, std::io::empty()).unwrap();
    }
    archive.into_inner().unwrap().flush().unwrap();
}

#[test]
fn the_screen_says_how_far_a_creation_is_and_cancels_it() {
    if !can_run_containers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("many.tar");
    many_files(&image, 150_000);
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("many");
    let mut screen = Screen::spawn(lxcpath.command(&[]), 100, 24);
    screen.wait_for("There are no containers yet.");
    screen.keys("n");
    screen.wait_for("New container");
    screen.keys(&[name.as_str(), TAB, LEFT, TAB, image.to_str().unwrap()].concat());
    screen.wait_for("many.tar");
    screen.keys("\x13");
    // Of the archive's 73 MiB.
    screen.wait_for("% of 73M");
    screen.keys("\x18");
    screen.wait_for("cancelled; nothing is left");
    assert_eq!(tree(lxcpath.path()), Vec::<PathBuf>::new());
    // The form has kept what was typed. Quitting cancels, too, after a question.
    screen.keys("n");
    screen.wait_for("New container");
    screen.keys("\x13");
    screen.wait_for("C-x cancels");
    screen.keys("q");
    screen.wait_for("is being created");
    screen.keys("y");
    assert!(screen.exit().success());
    assert_eq!(tree(lxcpath.path()), Vec::<PathBuf>::new());
}

#[test]
fn the_callers_umask_closes_no_directory_of_a_root() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_) = root(dir.path()) else { return };
    // Neither the root itself nor the directory of the file is an entry of its own.
    run(dir.path(), "tar", &["-C", "root", "-cf", "x.tar", "etc/passwd", "bin/busybox"]);
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("open");
    let create = lxcpath.command(&["create", &name, "--from", "x.tar"]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(create.get_program());
    let output = command.args(create.get_args()).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made = lxcpath.path().join(&name).join("rootfs");
    assert_eq!(run(&made, "stat", &["-c", "%a", ".", "etc"]), "755\n755\n");
}

#[test]
fn holes_and_the_modes_of_pipes_are_kept_and_what_cannot_be_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Some(root) = root(dir.path()) else { return };
    run(&root, "truncate", &["-s", "1G", "etc/hole"]);
    run(&root, "sh", &["-c", "echo end >> etc/hole; mkfifo -m 666 etc/pipe"]);
    let pack = ["-C", "root", "--sparse", "-cf"];
    run(dir.path(), "tar", &[&pack[..], &["gnu.tar", "--format=gnu", "etc", "bin"]].concat());
    run(dir.path(), "tar", &[&pack[..], &["pax.tar", "--format=posix", "etc", "bin"]].concat());
    let [gnu, pax] = ["gnu.tar", "pax.tar"].map(|it| dir.path().join(it).display().to_string());
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("holes");
    let said = lxcpath.refused(&["create", &name, "--from", &pax], 1);
    assert!(said.contains("is a sparse file in the format of pax"), "{said}");
    assert_eq!(tree(lxcpath.path()), Vec::<PathBuf>::new());
    lxcpath.ok(&["create", &name, "--from", &gnu]);
    let made = lxcpath.path().join(&name).join("rootfs");
    let stat = run(&made, "stat", &["-c", "%s %a", "etc/hole", "etc/pipe"]);
    assert_eq!(stat, "1073741828 644\n0 666\n");
    let blocks: u64 = run(&made, "stat", &["-c", "%b", "etc/hole"]).trim().parse().unwrap();
    assert!(blocks < 1000, "the hole was filled: {blocks}");
    let registry = ["create", "x", "--from", "docker://debian", "--tag", "12"];
    let said = lxcpath.refused(&registry, 1);
    assert!(said.contains("follows its name"), "{said}");
}

#[test]
fn a_layout_of_very_many_files_is_refused_before_it_fills_the_memory() {
    const FILES: usize = 50_000;
    let dir = tempfile::tempdir().unwrap();
    if !can_run_containers() {
        return;
    }
    let file = dir.path().join("many.tar");
    let mut archive = tar::Builder::new(BufWriter::new(fs::File::create(&file).unwrap()));
    let mut put = |name: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        archive.append_data(&mut header, name, std::io::empty()).unwrap();
    };
    put("index.json");
    for number in 0..FILES {
        put(&format!("{number:0>99}"));
    }
    archive.into_inner().unwrap().flush().unwrap();
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("many");
    let said = lxcpath.refused(&["create", &name, "--from", file.to_str().unwrap()], 1);
    assert!(said.contains("too many files of a layout"), "{said}");
    assert!(!lxcpath.path().join(&name).exists());
}

/// Changes a layer while a create unpacks the one before it, of so many bytes; returns what it said.
/// None: it was too fast, and is over.
fn changed_meanwhile(lxcpath: &Lxcpath, name: &str, bytes: usize) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let [base, upper] = ["base", "upper"].map(|it| dir.path().join(it));
    fs::create_dir(&base).unwrap();
    fs::create_dir(&upper).unwrap();
    fs::write(base.join("big"), vec![0; bytes]).unwrap();
    fs::write(upper.join("file"), "checked").unwrap();
    let layout = Layout::new(dir.path());
    layout.image(&[&base, &upper], &json!({}));
    // The small one that is compressed.
    let blobs = tree(&layout.dir.join("blobs/sha256")).into_iter();
    let mut layers: Vec<PathBuf> =
        blobs.filter(|it| fs::read(it).unwrap().starts_with(&[0x1f, 0x8b])).collect();
    layers.sort_by_key(|it| fs::metadata(it).unwrap().len());
    let changed = dir.path().join("changed.tar.gz");
    fs::write(upper.join("file"), "changed").unwrap();
    run(&upper, "tar", &["-czf", changed.to_str().unwrap(), "."]);
    let mut command = lxcpath.command(&["create", name, "--from", layout.dir.to_str().unwrap()]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let big = lxcpath.path().join(format!(".{name}.new/draft/rootfs/big"));
    // Everything was checked once the first file is there.
    wait_until("the first layer", || big.exists() || child.try_wait().unwrap().is_some());
    if child.try_wait().unwrap().is_none() {
        nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
    }
    let in_time = fs::metadata(&big).is_ok_and(|it| it.len() < bytes as u64);
    if in_time {
        fs::rename(&changed, &layers[0]).unwrap();
    }
    if child.try_wait().unwrap().is_none() {
        nix::sys::signal::kill(pid, Signal::SIGCONT).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    if in_time {
        assert!(!output.status.success(), "{}", text(&output.stderr));
        return Some(text(&output.stderr));
    }
    lxcpath.ok(&["destroy", "--now", name]);
    None
}

#[test]
fn a_layer_that_is_changed_once_it_was_checked_is_refused() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("changed");
    let said = [24, 96, 384].iter().find_map(|it| changed_meanwhile(&lxcpath, &name, it << 20));
    let said = said.expect("it was always too fast for this test");
    assert!(said.contains("is damaged: its digest is"), "{said}");
    assert!(!lxcpath.path().join(&name).exists());
}

#[test]
fn an_image_of_a_registry_is_fetched_by_skopeo() {
    let dir = tempfile::tempdir().unwrap();
    let Some(layout) = two_layers(dir.path()) else { return };
    let lxcpath = Lxcpath::new();
    // It says what it was asked, and gives what is here.
    let (bin, asked) = (dir.path().join("bin"), dir.path().join("asked"));
    fs::create_dir(&bin).unwrap();
    let give = |how: &str| {
        let text = format!("#!/bin/sh\necho \"$*\" > {}\nto=${{5#oci:}}\n{how}\n", asked.display());
        fs::write(bin.join("skopeo"), text).unwrap();
        run(&bin, "chmod", &["755", "skopeo"]);
    };
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let wharf = |args: &[&str]| finish(with_path(lxcpath.command(args), &path));
    let name = lxcpath.name("fetched");
    let source = "docker://registry.example/web:1";
    let create = ["create", &name, "--from", source];
    give(&format!("cp -r {}/. ${{to%:image}}", layout.dir.display()));
    let made = wharf(&create);
    assert!(made.status.success(), "{}", told(&made));
    let told_it = fs::read_to_string(&asked).unwrap();
    let rest = told_it.strip_prefix(&format!("copy --quiet -- {source} oci:")).unwrap();
    let place = rest.trim().strip_suffix(":image").unwrap();
    assert!(Path::new(place).starts_with(lxcpath.path()) && !Path::new(place).exists(), "{place}");
    assert!(!lxcpath.path().join(&name).join("rootfs/etc/gone").exists());
    let config = fs::read_to_string(lxcpath.path().join(&name).join("config")).unwrap();
    assert!(config.contains("lxc.init.cwd = /srv/web"), "{config}");
    lxcpath.ok(&["start", &name]);
    lxcpath.ok(&["stop", "-k", &name]);
    lxcpath.ok(&["destroy", "--now", &name]);
    // It fails, gives something else, or does not end.
    let fatal = "echo 'time=\"now\" level=fatal msg=\"no such \\\"tag\\\"\"' >&2; exit 1";
    for (how, why) in [(fatal, "no such \"tag\""), ("mkdir -p ${to%:image}", "")] {
        give(how);
        let failed = wharf(&create);
        let said = told(&failed);
        assert!(!failed.status.success() && said.contains(why), "{said}");
        assert_eq!(tree(lxcpath.path()), Vec::<PathBuf>::new(), "{how}");
    }
    give("exec sleep 1000");
    fs::remove_file(&asked).unwrap();
    let mut screen = Screen::spawn(with_path(lxcpath.command(&create), &path), 80, 24);
    wait_until("skopeo", || asked.exists());
    screen.signal(Signal::SIGINT);
    assert!(!screen.exit().success());
    assert_eq!(tree(lxcpath.path()), Vec::<PathBuf>::new());
}

fn with_path(mut command: Command, path: &str) -> Command {
    command.env("PATH", path);
    command
}
