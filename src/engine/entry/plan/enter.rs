//! The plan of `attach`: the steps of a process that enters a running container. Pure.
//!
//! Everything that takes something away from the process comes before it appears in the container's
//! pid namespace: from then on a container that keeps `CAP_SYS_PTRACE` can stop and manipulate it
//! (CVE-2016-9962), so it must not have more than the container.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::{
    CAPABILITIES, Confinement, KernelStep, PlanError, Program, SessionTerminal, Step, UserStep,
    WindowSize, cstring, kernel,
};
use crate::engine::sys::filter::FilterInstruction;
use crate::engine::terms::idmap::Owner;
use crate::engine::terms::label::Label;
use crate::engine::terms::spec::{At, ResourceLimit};

/// Which process enters, and what it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Entering {
    /// Its init.
    pub init: i32,
    /// The `CLONE_NEW*` flags of the namespaces to enter.
    pub namespaces: i32,
    pub files: SeenFiles,
    /// By whom it enters, if its users are not the host's.
    pub owner: Option<Owner>,
    /// The capabilities that stay, as a bit mask.
    pub capabilities: u64,
    /// Its AppArmor profile or SELinux context.
    pub label: Option<Label>,
    pub no_new_privs: bool,
    /// The filter of system calls that its init has.
    pub filter: Option<Vec<FilterInstruction>>,
    pub personality: Option<u32>,
    pub limits: Vec<At<ResourceLimit>>,
    pub uid: u32,
    pub gid: u32,
    /// It needs a pty of the container.
    pub pty: bool,
    /// The size of the pty, if it is known.
    pub size: Option<WindowSize>,
    /// Where it begins, if it can be entered, else in the root directory.
    pub cwd: Option<PathBuf>,
    pub program: Program,
}

/// Whose files a process sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum SeenFiles {
    /// The root of the container's init.
    Containers,
    Hosts,
    /// The same in a mount namespace of its own, in which /proc and /sys are those of what it has entered.
    HostsRemounted,
}

/// Lists the steps that enter a running container, in a safe order.
pub(in crate::engine) fn enter(entering: Entering) -> Result<Vec<Step>, PlanError> {
    let mask = entering.capabilities;
    let cwd = entering.cwd.unwrap_or_else(|| PathBuf::from("/"));
    let cores = Step::Kernel(KernelStep::CoresOf(entering.init));
    let mut steps = vec![Step::JoinCgroups, cores];
    if let Some(label) = &entering.label {
        steps.push(Step::Confine(Confinement::new(label, None)?));
    }
    let limits: Vec<Step> = kernel::limits(&entering.limits).collect();
    // The host's root may raise what the container's may not.
    let (early, late) =
        if entering.owner.is_some() { (limits, Vec::new()) } else { (Vec::new(), limits) };
    steps.extend(early);
    steps.push(Step::EnterNamespaces { flags: entering.namespaces });
    let owner = entering.owner.map(|owner| UserStep::Become { owner, root: Vec::new() });
    steps.extend(owner.map(Step::Users));
    if entering.files == SeenFiles::Containers {
        steps.push(Step::EnterRoot);
    }
    if entering.pty {
        steps.push(Step::Pty { owner: entering.uid, size: entering.size });
    }
    steps.extend([Step::HandOver, Step::LeaveHost, Step::Keyring]);
    let appear = Step::Appear { namespaces: 0, awaited: false };
    let remounts = entering.files == SeenFiles::HostsRemounted;
    if remounts {
        // /proc shows the pid namespace of the process that mounts it, which needs the capability.
        steps.extend([appear.clone(), Step::Remount]);
    }
    let drop = (0..CAPABILITIES).filter(|it| mask & (1 << it) == 0).collect();
    steps.push(Step::Bounding { drop });
    if entering.no_new_privs {
        steps.push(Step::NoNewPrivs);
    }
    steps.extend(late);
    steps.extend(entering.personality.map(KernelStep::Personality).map(Step::Kernel));
    // While the process has the capability for it.
    let filter = |program| Step::Filter { program, notifies: false, place: None };
    steps.extend(entering.filter.map(filter));
    steps.extend([
        Step::Identity { uid: entering.uid, gid: entering.gid, groups: Vec::new() },
        Step::LimitCapabilities { mask },
        Step::WorkDir {
            dir: cstring("the working directory", cwd.as_os_str().as_bytes())?,
            or_root: true,
        },
    ]);
    steps.extend((!remounts).then_some(appear));
    steps.extend([Step::Session { terminal: SessionTerminal::Ours }, Step::Exec(entering.program)]);
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::terms::label::SecurityModule;

    fn entering() -> Entering {
        Entering {
            init: 1,
            namespaces: libc::CLONE_NEWNS | libc::CLONE_NEWPID,
            files: SeenFiles::Containers,
            owner: None,
            capabilities: 0b101,
            label: Some(Label { module: SecurityModule::AppArmor, name: "lxc".to_owned() }),
            no_new_privs: true,
            filter: Some(Vec::new()),
            personality: Some(8),
            limits: Vec::new(),
            uid: 7,
            gid: 8,
            pty: true,
            size: None,
            cwd: None,
            program: Program { paths: Vec::new(), argv: Vec::new(), environment: Vec::new() },
        }
    }

    #[test]
    fn nothing_of_the_host_is_left_when_the_process_appears() {
        let steps = enter(entering()).unwrap();
        let position = |wanted: &dyn Fn(&Step) -> bool| steps.iter().position(wanted).unwrap();
        let appears = position(&|it| matches!(it, Step::Appear { .. }));
        let taken = [
            position(&|it| matches!(it, Step::JoinCgroups)),
            position(&|it| matches!(it, Step::Confine(_))),
            position(&|it| matches!(it, Step::EnterNamespaces { .. })),
            position(&|it| matches!(it, Step::EnterRoot)),
            position(&|it| matches!(it, Step::Pty { .. })),
            position(&|it| matches!(it, Step::LeaveHost)),
            position(&|it| matches!(it, Step::Bounding { .. })),
            position(&|it| matches!(it, Step::NoNewPrivs)),
            position(&|it| matches!(it, Step::Filter { .. })),
            position(&|it| matches!(it, Step::Identity { .. })),
            position(&|it| matches!(it, Step::LimitCapabilities { .. })),
        ];
        assert!(taken.is_sorted(), "{steps:?}");
        assert!(taken.into_iter().all(|it| it < appears), "{steps:?}");
        assert!(matches!(steps[appears + 1..], [Step::Session { .. }, Step::Exec(_)]), "{steps:?}");
    }
}
