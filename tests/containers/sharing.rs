//! Containers among the users of others: `lxc.namespace.share.user` on real containers.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::support::mapped::{self, MAP, ROOT, field, inside, sleep};
use crate::support::{self, Lxcpath};

/// Makes a container whose files are its root's; none if it could not start.
fn create(lxcpath: &Lxcpath, word: &str, root: &Path, lines: &str) -> Option<String> {
    let name = mapped::create(lxcpath, word, root, lines)?;
    mapped::shift(root);
    Some(name)
}

fn space(pid: &str, kind: &str) -> std::path::PathBuf {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap()
}

/// Makes another container whose users are those of `from`.
fn sharing(lxcpath: &Lxcpath, (word, root): (&str, &Path), from: &str, lines: &str) -> String {
    let lines = format!("lxc.namespace.share.user = {from}\n{lines}");
    create(lxcpath, word, root, &lines).unwrap()
}

/// Checks that a process has the users of another, and all else of its own.
fn among(init: &str, of: &str) {
    assert_eq!(space(init, "user"), space(of, "user"));
    for kind in ["mnt", "pid", "uts", "ipc", "net"] {
        assert_ne!(space(init, kind), space(of, kind), "{kind}");
        assert_ne!(space(init, kind), space("self", kind), "{kind}");
    }
    assert_eq!(field(init, "Uid:"), "100000\t100000\t100000\t100000");
}

#[test]
fn users_are_shared_by_name_path_pid_and_file() {
    let (lxcpath, dir) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let root = dir.path().join("db");
    let Some(db) = create(&lxcpath, "db", &root, "") else { return };
    let of = sleep(&lxcpath, &db);
    let path = lxcpath.path().join(&db).to_str().unwrap().to_owned();
    let forms = [db.clone(), path, of.clone(), format!("/proc/{of}/ns/user")];
    for (at, from) in forms.iter().enumerate() {
        let (word, root) = (format!("web{at}"), dir.path().join(at.to_string()));
        let lines = "lxc.uts.name = web\nlxc.net.0.type = empty\nlxc.mount.auto = proc:mixed";
        let name = sharing(&lxcpath, (&word, &root), from, lines);
        for _run in 0..2 {
            let init = sleep(&lxcpath, &name);
            among(&init, &of);
            let groups = fs::read_to_string(format!("/proc/{init}/cgroup")).unwrap();
            assert!(groups.lines().any(|it| it.ends_with(&name)), "{groups}");
            let script = "id -u; hostname; echo x > /made && stat -c %u /made";
            assert_eq!(inside(&lxcpath, &name, script), "0\nweb\n0\n");
            assert_eq!(fs::metadata(root.join("made")).unwrap().uid(), ROOT);
            lxcpath.ok(&["freeze", &name]);
            assert_eq!(lxcpath.state(&name), "FROZEN");
            lxcpath.ok(&["unfreeze", &name]);
            lxcpath.ok(&["stop", "-k", &name]);
            assert_eq!(lxcpath.state(&name), "STOPPED");
        }
        let said = lxcpath.ok(&["start", &name, "--dry-run", "--", "/bin/true"]);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("enter the user namespace of"), "{said}");
        assert!(said.contains("there with namespaces of its own (mnt, pid, uts"), "{said}");
    }
    assert_eq!(lxcpath.state(&db), "RUNNING");
}

#[test]
fn with_the_users_of_another_its_other_namespaces_can_be_shared() {
    let (lxcpath, dir) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let root = dir.path().join("db");
    let Some(db) = create(&lxcpath, "db", &root, "") else { return };
    let of = sleep(&lxcpath, &db);
    let kinds = ["net", "ipc", "uts", "pid"];
    let lines: Vec<String> =
        kinds.iter().map(|it| format!("lxc.namespace.share.{it} = {db}")).collect();
    let web = sharing(&lxcpath, ("web", &dir.path().join("web")), &db, &lines.join("\n"));
    let init = sleep(&lxcpath, &web);
    for kind in kinds {
        assert_eq!(space(&init, kind), space(&of, kind), "{kind}");
    }
    assert_ne!(space(&init, "mnt"), space(&of, "mnt"));
    assert_eq!(inside(&lxcpath, &web, "ls -d /bin"), "/bin\n");
    lxcpath.ok(&["stop", "-k", &web]);
    assert_eq!(lxcpath.state(&web), "STOPPED");
    assert_eq!(lxcpath.state(&db), "RUNNING");
    // The mounts of the other are its users'.
    let bare = lxcpath.name("bare");
    fs::create_dir(lxcpath.path().join(&bare)).unwrap();
    let lines = format!("lxc.namespace.share.user = {db}\nlxc.namespace.share.mnt = {db}\n");
    fs::write(lxcpath.path().join(&bare).join("config"), format!("{MAP}{lines}")).unwrap();
    let init = sleep(&lxcpath, &bare);
    assert_eq!(space(&init, "mnt"), space(&of, "mnt"));
    lxcpath.ok(&["stop", "-k", &bare]);
}

#[test]
fn users_that_cannot_be_shared_are_told_and_nothing_is_left() {
    let (lxcpath, dir) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let root = dir.path().join("db");
    let Some(db) = create(&lxcpath, "db", &root, "") else { return };
    let log = dir.path().join("log");
    let lines = format!("lxc.log.file = {}\nlxc.log.level = WARN", log.display());
    let web = sharing(&lxcpath, ("web", &dir.path().join("web")), &db, &lines);
    let refused = |options: &[&str]| {
        let args = [&["start", &web], options, &["--", "/bin/sleep", "1000"]].concat();
        let said = lxcpath.refused(&args, 1);
        assert_eq!(lxcpath.state(&web), "STOPPED");
        said
    };
    assert!(refused(&[]).contains(&format!("`wharf start {db}` starts it")));
    let said = refused(&["-s", "lxc.namespace.share.user=/proc/self/ns/user"]);
    assert!(said.contains("wharf is in it itself"), "{said}");
    let said = refused(&["-s", "lxc.idmap="]);
    assert!(said.contains("it requires lxc.idmap"), "{said}");
    sleep(&lxcpath, &db);
    // Those users may not enter what is the host's, as with LXC.
    let said = refused(&["-s", "lxc.namespace.share.uts=/proc/self/ns/uts"]);
    assert!(said.contains("enter the uts namespace of /proc/self/ns/uts"), "{said}");
    let other =
        ["-s", "lxc.idmap=", "-s", "lxc.idmap=u 0 300000 9", "-s", "lxc.idmap=g 0 300000 9"];
    let start = [&["start", &*web], &other[..], &["--", "/bin/sleep", "1000"]].concat();
    lxcpath.ok(&start);
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("is not the map of the user namespace of"), "{said}");
    let init = lxcpath.ok(&["info", "-p", "-H", &web]).trim().to_owned();
    assert_eq!(field(&init, "Uid:"), "100000\t100000\t100000\t100000");
    // Its groups are those users', too, and nobody else's.
    let groups = support::leftovers::cgroups(&format!("lxc.payload.{web}"));
    assert!(!groups.is_empty());
    for group in groups {
        assert_eq!(fs::metadata(&group).unwrap().uid(), ROOT, "{}", group.display());
    }
}
