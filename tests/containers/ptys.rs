//! A machine without a pty left. The only test of its program, and only in a machine of its own,
//! since it uses up the ptys of all containers there. As root.

use std::fs;

use crate::support::{Lxcpath, can_run_containers};

const MAX: &str = "/proc/sys/kernel/pty/max";

/// How many ptys may be used, as it was before, once this is dropped.
struct Most(String);

impl Drop for Most {
    fn drop(&mut self) {
        fs::write(MAX, &self.0).unwrap();
    }
}

#[test]
fn a_machine_without_a_pty_left_is_told_with_its_knob() {
    if std::env::var_os("WHARF_VM_LAYOUT").is_none() {
        println!("skipped: this is not a machine of tests/vm");
        return;
    }
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("none");
    lxcpath.ok(&["create", &name, "-s", "lxc.tty.max=2"]);
    let most = Most(fs::read_to_string(MAX).unwrap());
    // Less than it takes: the host keeps a reserve, one is the console's, two are the ttys'.
    let reserve = fs::read_to_string("/proc/sys/kernel/pty/reserve").unwrap();
    let reserve: u32 = reserve.trim().parse().unwrap();
    for (left, step) in [(0, "make /dev/console"), (2, "make /dev/tty1 to /dev/tty2")] {
        fs::write(MAX, (reserve + left).to_string()).unwrap();
        let said = lxcpath.refused(&["start", &name], 1);
        for part in
            [step, "no pty is left for containers on this machine", "sysctl kernel.pty.max="]
        {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(lxcpath.state(&name), "STOPPED");
    }
    drop(most);
    lxcpath.ok(&["start", &name]);
    lxcpath.ok(&["stop", &name]);
}
