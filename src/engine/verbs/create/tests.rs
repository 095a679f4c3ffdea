//! Creations and what they leave.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::engine::{Host, Lxcpath};

/// An engine over `dir/lxc`, with its runtime files in `dir` as well.
fn engine(dir: &Path) -> Engine {
    Engine::over(Lxcpath::open(&Host::keeping_in(dir), &dir.join("lxc")))
}

fn name() -> Name {
    "part-c-create".parse().unwrap()
}

#[test]
fn a_new_container_has_the_closed_configuration_and_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let create = Create {
        source: RootfsSource::Directory(root.clone()),
        settings: vec![("lxc.tty.max".to_owned(), "2".to_owned())],
        ..Create::default()
    };
    engine(dir.path()).create(&name(), &create).unwrap();
    let lxcpath = dir.path().join("lxc");
    let config = config::load(&name(), &lxcpath, None, &[]).unwrap();
    assert_eq!(config.get("lxc.uts.name").unwrap(), "part-c-create");
    assert_eq!(config.get("lxc.tty.max").unwrap(), "2");
    let spec = config.spec().unwrap();
    let storage = spec.rootfs.unwrap().value.storage;
    assert_eq!(storage.directory(), Some(root.canonicalize().unwrap().as_path()));
    let mode = fs::metadata(lxcpath.join("part-c-create")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, DIR_MODE);
    let error = engine(dir.path()).create(&name(), &create).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
}

#[test]
fn a_bad_setting_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (key, value) in [("lxc.tty.maxx", "1"), ("lxc.uts.name", "a\nlxc.tty.max = 9"), ("x", "")] {
        let settings = vec![(key.to_owned(), value.to_owned())];
        let create = Create { settings, ..Create::default() };
        let error = engine(dir.path()).create(&name(), &create).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error:#}");
    }
    assert!(!dir.path().join("lxc").exists());
}

fn template(dir: &Path, script: &str) -> Create {
    let program = dir.join("lxc-trial");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap().to_owned();
    Create {
        source: RootfsSource::Template { program, args: vec!["x y".to_owned()] },
        ..Create::default()
    }
}

#[test]
fn a_template_fills_the_root_and_completes_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let lxcpath = dir.path().join("lxc");
    let script = "echo \"$4\" > \"${3#--rootfs=}/arg\"\n\
                  test -e \"${1#--path=}/partial\" || exit 3\n\
                  echo 'lxc.signal.halt = SIGUSR1' >> \"${1#--path=}/config\"";
    engine(dir.path()).create(&name(), &template(dir.path(), script)).unwrap();
    let home = lxcpath.join("part-c-create");
    assert_eq!(fs::read_to_string(home.join("rootfs/arg")).unwrap(), "x y\n");
    assert!(!home.join("partial").exists());
    let config = config::load(&name(), &lxcpath, None, &[]).unwrap();
    assert_eq!(config.get("lxc.signal.halt").unwrap(), libc::SIGUSR1.to_string());
}

#[test]
fn a_template_that_fails_leaves_nothing_and_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let lxcpath = dir.path().join("lxc");
    let failing = template(dir.path(), "echo no busybox here >&2; exit 7");
    let error = engine(dir.path()).create(&name(), &failing).unwrap_err();
    assert!(format!("{error:#}").contains("no busybox here"), "{error:#}");
    let spoiling = template(dir.path(), "echo 'lxc.oops = 1' >> \"${1#--path=}/config\"");
    assert!(engine(dir.path()).create(&name(), &spoiling).is_err());
    assert_eq!(fs::read_dir(&lxcpath).unwrap().count(), 0);
}

#[test]
fn what_lxc_is_making_is_left_alone_until_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let home = dir.path().join("lxc/part-c-create");
    fs::create_dir_all(&home).unwrap();
    let partial = fs::File::create(home.join("partial")).unwrap();
    let lock = |how: libc::c_int| libc::flock {
        l_type: how as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let set = |it| nix::fcntl::fcntl(&partial, nix::fcntl::FcntlArg::F_OFD_SETLK(&it)).unwrap();
    set(lock(libc::F_WRLCK));
    let refused = engine.create(&name(), &Create::default()).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Busy, "{refused:#}");
    assert!(home.join("partial").exists());
    // Closed it would stay locked by a process that another test is just creating.
    set(lock(libc::F_UNLCK));
    engine.create(&name(), &Create::default()).unwrap();
    assert!(!home.join("partial").exists());
}
