//! Discovery on recorded `mountinfo` and `cgroup` files of every layout.

use super::*;
use crate::engine::cgroup::file::controller_of;

fn file(layout: &str, name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(fixtures.join(format!("cgroup-{layout}")).join(name)).unwrap()
}

fn found(layout: &str, root: bool) -> Hierarchies {
    let usable = |point: &Path, _: &str| point != Path::new("/srv/hidden");
    Hierarchies::parse(&file(layout, "mountinfo"), &file(layout, "cgroup"), root, usable)
}

/// Returns the hierarchy that has files such as `file`, by the controller in its name.
fn owner<'a>(found: &'a Hierarchies, file: &str) -> Option<&'a Hierarchy> {
    let controller = controller_of(file);
    // Every unified group has these, whether or not a controller is enabled.
    let core = matches!(controller, "cgroup" | "cpu" | "memory" | "io");
    let owner = found.iter().find(|it| it.controls(controller));
    owner.or_else(|| found.unified().filter(|_| core))
}

fn mount_of<'a>(found: &'a Hierarchies, file: &str) -> Option<&'a str> {
    owner(found, file)?.mount.to_str()
}

#[test]
fn v1_has_a_hierarchy_for_each_mount_named_ones_too() {
    let found = found("v1", true);
    assert_eq!(found.layout(), Some(Layout::V1));
    assert_eq!(found.iter().count(), 10);
    let cpu = owner(&found, "cpuacct.usage").unwrap();
    assert_eq!(cpu.controllers, ["cpu", "cpuacct"]);
    assert_eq!(mount_of(&found, "cpu.shares"), Some("/sys/fs/cgroup/cpu,cpuacct"));
    assert!(found.iter().any(|it| it.controls("name=systemd")));
    assert!(found.iter().all(|it| it.base == it.mount));
    assert_eq!(mount_of(&found, "cgroup.freeze"), None);
}

#[test]
fn one_mount_of_everything_is_one_hierarchy() {
    let found = found("v1-one", true);
    assert_eq!(found.layout(), Some(Layout::V1));
    assert_eq!(found.iter().count(), 1);
    for file in ["memory.limit_in_bytes", "freezer.state", "pids.max", "net_cls.classid"] {
        assert_eq!(mount_of(&found, file), Some("/cgroup"), "{file}");
    }
}

#[test]
fn v2_serves_root_at_its_root_and_others_in_their_own_group() {
    let root = found("v2", true);
    assert_eq!(root.layout(), Some(Layout::V2));
    assert_eq!(root.unified().unwrap().base, Path::new("/sys/fs/cgroup"));
    let user = found("v2", false);
    let own = "/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope";
    assert_eq!(user.unified().unwrap().base, Path::new(own));
    assert_eq!(mount_of(&root, "memory.max"), Some("/sys/fs/cgroup"));
}

#[test]
fn hybrid_keeps_controllers_on_v1_and_the_core_on_v2() {
    let found = found("hybrid", false);
    assert_eq!(found.layout(), Some(Layout::Hybrid));
    assert_eq!(mount_of(&found, "memory.max"), Some("/sys/fs/cgroup/memory"));
    assert_eq!(mount_of(&found, "cgroup.freeze"), Some("/sys/fs/cgroup/unified"));
    let unified = found.unified().unwrap();
    assert_eq!(unified.base, Path::new("/sys/fs/cgroup/unified/user.slice/a b"));
}

#[test]
fn a_part_of_a_hierarchy_is_used_relative_to_its_root() {
    assert_eq!(found("inside", true).unified().unwrap().base, Path::new("/sys/fs/cgroup"));
    assert_eq!(found("inside", false).unified().unwrap().base, Path::new("/sys/fs/cgroup/job"));
}

#[test]
fn escaped_partial_hidden_and_broken_mounts_do_no_harm() {
    let found = found("odd", true);
    assert_eq!(mount_of(&found, "memory.max"), Some("/srv/control groups/mem\\ory"));
    assert_eq!(mount_of(&found, "freezer.state"), Some("/srv/freezer"));
    assert!(found.iter().any(|it| it.controls("name=elogind")));
    assert_eq!(mount_of(&found, "pids.max"), None, "not mounted");
    assert_eq!(found.iter().count(), 3);
}

#[test]
fn nothing_mounted_is_no_layout() {
    let none = Hierarchies::parse(b"", b"", true, |_, _| true);
    assert_eq!(none.layout(), None);
}

#[test]
fn a_v1_hierarchy_is_used_only_if_each_of_its_controllers_is() {
    let mut found = found("v1", true);
    let used = ["cpu", "memory", "pids"].map(str::to_owned);
    found.use_only(&used);
    assert_eq!(found.lacking(&used), Some("cpu"), "cpuacct is on the same mount");
    let left: Vec<_> = found.iter().flat_map(|it| it.controllers.clone()).collect();
    assert_eq!(left, ["pids", "memory"]);
    assert_eq!(found.lacking(&left), None);
}
