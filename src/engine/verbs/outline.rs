//! `start --dry-run`: what a start would do, in words. Changes nothing, and needs no privilege.

use nix::unistd::geteuid;

use crate::engine::cgroup::configured::version_of;
use crate::engine::cgroup::{Fitted, Hierarchies, Version, fit};
use crate::engine::entry::host_steps::{self, HostStep, Surroundings};
use crate::engine::entry::plan::{self, Payload, Step, TerminalInfo};
use crate::engine::host::random;
use crate::engine::running::order::Start;
use crate::engine::running::record;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, CgroupSetting, Spec};
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

/// Steps that follow one another, and where they are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPart {
    pub place: &'static str,
    pub steps: Vec<String>,
}

/// The program runs only when the host's side is done.
const SIDES: [&str; 4] = ["On the host", "In the new process", "On the host", "In the new process"];

impl Engine {
    /// Lists what a start would do, in order, and what its configuration asks for in vain.
    pub fn outline(
        &self,
        name: &Name,
        start: &Start,
    ) -> Result<(Vec<StartPart>, Vec<String>), Error> {
        let (_, mut spec) = start.read(Verb::Start, &self.lxcpath, name)?;
        let steps = plan::start(&spec, Payload::System, &TerminalInfo::default())
            .map_err(|error| Error::new(Verb::Start, name, ErrorKind::Invalid, error))?;
        let inside: Vec<String> = steps.iter().map(Step::to_string).collect();
        let set_up = steps.iter().position(|it| matches!(it, Step::HandOver)).unwrap_or_default();
        let (before, after) = inside.split_at(set_up);
        let hold = record::network_file(&self.lxcpath, name);
        let random = random::digits(spec.nics.len() * host_steps::DIGITS_EACH);
        let ordinary = (!geteuid().is_root()).then(|| self.lxcpath.spelled());
        let around = Surroundings { hold: &hold, random: &random, ordinary: ordinary.as_deref() };
        let mut first = on_host(host_steps::early(&spec));
        first.extend(self.groups(&mut spec));
        first.push(process(&spec));
        let then = on_host(host_steps::plan(&spec, around));
        let parts = SIDES.into_iter().zip([first, gathered(before), then, after.to_vec()]);
        let parts = parts.filter(|(_, steps)| !steps.is_empty());
        Ok((parts.map(|(place, steps)| StartPart { place, steps }).collect(), spec.warnings))
    }

    fn groups(&self, spec: &mut Spec) -> Vec<String> {
        let (host, relative) = (self.lxcpath.host(), spec.groups.relative);
        let find = if relative { Hierarchies::below_own } else { Hierarchies::discover };
        let hierarchies = find(host).unwrap_or_default();
        let Fitted { v1, v2, lost } = fit(&hierarchies, &spec.cgroup_v1, &spec.cgroup_v2);
        (spec.cgroup_v1, spec.cgroup_v2) = (v1, v2);
        spec.warnings.extend(lost);
        let names = &spec.groups;
        let place = if relative { " below those of who starts it" } else { "" };
        let mut said = vec![format!("make the cgroups {}{place}", names.payload.value)];
        let of_v1 = spec.cgroup_v1.iter().map(|it| (Version::V1, it));
        let all = of_v1.chain(spec.cgroup_v2.iter().map(|it| (Version::V2, it)));
        let (rules, limits): (Vec<_>, Vec<_>) =
            all.partition(|(_, it)| it.value.file.starts_with("devices."));
        for (version, At { value: CgroupSetting { file, value, given }, .. }) in limits {
            if version_of(&hierarchies, file) == Some(version) {
                let given = given.as_ref().map(|it| format!(", for {it}")).unwrap_or_default();
                said.push(format!("set {file} to {value}{given}"));
            }
        }
        let by_v1 = version_of(&hierarchies, "devices.allow") == Some(Version::V1);
        let devices = rules.iter().filter(|(it, _)| (*it == Version::V1) == by_v1).count();
        said.extend(names.inner.as_ref().map(|it| format!("make {it} in them, for its processes")));
        said.extend((devices > 0).then(|| format!("limit devices by {devices} rules")));
        said
    }
}

/// Says what is mounted several times in a row only once.
fn gathered(steps: &[String]) -> Vec<String> {
    let of_mount = |step: &str| {
        let (head, target) = step.rsplit_once(" on /")?;
        head.starts_with("mount ").then(|| (head.to_owned(), format!(", /{target}")))
    };
    let (mut all, mut last): (Vec<String>, _) = (Vec::new(), None);
    for step in steps {
        let mount = of_mount(step);
        match (&mount, &last, all.last_mut()) {
            (Some((head, target)), Some(before), Some(said)) if head == before => {
                said.push_str(target);
            }
            _ => all.push(step.clone()),
        }
        last = mount.map(|(head, _)| head);
    }
    all
}

fn on_host(steps: Vec<At<HostStep>>) -> Vec<String> {
    steps.into_iter().map(|it| it.value.to_string()).collect()
}

fn process(spec: &Spec) -> String {
    if spec.namespaces.shares(Space::User) {
        // It enters them first, as its steps say, and its namespaces are made then.
        return "make a process".to_owned();
    }
    let own = Space::ALL.into_iter().filter(|it| spec.namespaces.has_own(*it));
    let own: Vec<&str> = own.map(Space::word).collect();
    let shared = spec.namespaces.shared();
    let shared = shared.map(|(it, of)| format!(", in the {} namespace of {}", it.word(), of.value));
    let said = format!("make a process with namespaces of its own ({})", own.join(", "));
    [said].into_iter().chain(shared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_in_a_row_is_named_once() {
        let steps =
            ["make /dev", "mount a on /b", "mount a on /c d", "mount b on /e", "mount a on /f"];
        let said = gathered(&steps.map(str::to_owned));
        assert_eq!(said, ["make /dev", "mount a on /b, /c d", "mount b on /e", "mount a on /f"]);
    }
}
