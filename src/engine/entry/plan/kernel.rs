//! Steps that set what the kernel keeps for a process and its namespaces. Pure.

use std::ffi::CString;
use std::fmt;

use super::{PlanError, Step, cstring};
use crate::engine::terms::signal;
use crate::engine::terms::spec::{
    At, ClockOffsets, ConfigPlace, KernelSetting, ProcessSpec, ResourceLimit,
};

/// One thing that the kernel keeps for a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum KernelStep {
    Limit(At<ResourceLimit>),
    /// An execution domain of personality(2).
    Personality(u32),
    Clocks(ClockOffsets),
    /// A file of the process in the host's own `/proc`.
    ProcFile(SettingStep),
    /// The kernel's settings are written when the container's network is there, and its own `/proc`
    /// may hide them, so they are opened before.
    OpenSysctls,
    Sysctl(SettingStep),
    /// What the kernel sends when the supervisor dies; 0: nothing.
    ParentDeath(i32),
    OwnCores(At<()>),
    /// It runs on the cores of this process.
    CoresOf(i32),
}

/// A value to write into a file of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct SettingStep {
    pub setting: At<KernelSetting>,
    pub path: CString,
}

/// Returns the steps that need the host's `/proc`.
pub(super) fn early(process: &ProcessSpec) -> Result<Vec<Step>, PlanError> {
    let path = |it: &KernelSetting| format!("/proc/self/{}", it.name);
    let files = process.proc_files.iter();
    let files = files.map(|it| setting(it, &path(&it.value)).map(KernelStep::ProcFile));
    let mut steps = files.collect::<Result<Vec<_>, _>>()?;
    steps.extend(process.own_cores.clone().map(KernelStep::OwnCores));
    steps.extend(process.clocks.map(KernelStep::Clocks));
    steps.extend((!process.sysctls.is_empty()).then_some(KernelStep::OpenSysctls));
    Ok(steps.into_iter().map(Step::Kernel).collect())
}

/// Returns the step after which another signal than SIGKILL follows the supervisor's death.
pub(super) fn parent_death(signal: i32) -> Option<Step> {
    (signal != libc::SIGKILL).then_some(Step::Kernel(KernelStep::ParentDeath(signal)))
}

/// Returns the steps that need the container's network.
pub(super) fn sysctls(process: &ProcessSpec) -> Result<Vec<Step>, PlanError> {
    let all = process.sysctls.iter();
    let step = |it| setting(it, &it.value.name.replace('.', "/")).map(KernelStep::Sysctl);
    all.map(|it| step(it).map(Step::Kernel)).collect()
}

fn setting(setting: &At<KernelSetting>, path: &str) -> Result<SettingStep, PlanError> {
    let path = cstring(&setting.value.name, path.as_bytes())?;
    Ok(SettingStep { setting: setting.clone(), path })
}

/// Returns the steps that limit resources. As with LXC, all other limits are the caller's.
pub(super) fn limits(configured: &[At<ResourceLimit>]) -> impl Iterator<Item = Step> {
    configured.iter().cloned().map(KernelStep::Limit).map(Step::Kernel)
}

impl KernelStep {
    /// Returns whether it needs privileges over the host, not only over the container's namespaces.
    pub(super) const fn needs_host(&self) -> bool {
        match self {
            Self::Limit(_) | Self::ProcFile(_) => true,
            Self::Personality(_)
            | Self::Clocks(_)
            | Self::OpenSysctls
            | Self::Sysctl(_)
            | Self::ParentDeath(_)
            | Self::OwnCores(_)
            | Self::CoresOf(_) => false,
        }
    }

    pub(super) const fn place(&self) -> Option<&ConfigPlace> {
        match self {
            Self::Limit(At { place, .. })
            | Self::OwnCores(At { place, .. })
            | Self::ProcFile(SettingStep { setting: At { place, .. }, .. })
            | Self::Sysctl(SettingStep { setting: At { place, .. }, .. }) => place.as_ref(),
            Self::Personality(_)
            | Self::Clocks(_)
            | Self::OpenSysctls
            | Self::ParentDeath(_)
            | Self::CoresOf(_) => None,
        }
    }
}

impl fmt::Display for KernelStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(At { value, .. }) => write!(f, "lxc.prlimit.{}", value.setting),
            Self::Personality(domain) => write!(f, "set the personality {domain:#x}"),
            Self::Clocks(_) => write!(f, "set its clocks"),
            Self::ProcFile(it) => write!(f, "lxc.proc.{}", it.setting.value),
            Self::ParentDeath(0) => write!(f, "let init outlive the supervisor"),
            Self::ParentDeath(it) => {
                write!(f, "send init {} when the supervisor dies", signal::name(*it))
            }
            Self::OwnCores(_) => write!(f, "share no core with other processes"),
            Self::CoresOf(_) => write!(f, "share the container's cores"),
            Self::OpenSysctls => write!(f, "open the kernel's settings"),
            Self::Sysctl(it) => write!(f, "lxc.sysctl.{}", it.setting.value),
        }
    }
}
