//! The host's side of a start: what a container needs on the host, as steps.
//!
//! A step is in the record before it is carried out. Its undo changes only what the step itself has
//! made, so it can run at any time, again, and by whoever comes after a supervisor that was killed.
//! A step prints itself, so that error and test share one text.

mod network;
mod ordinary;
pub(in crate::engine) mod profile;
mod script;
mod settings;
mod stacked;
mod switch;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

pub(in crate::engine) use network::Wires;
use network::{Loan, Pair};
use ordinary::GrantedPair;
use script::NetScript;
use stacked::Stacked;

use crate::engine::entry::script::Script;
use crate::engine::terms::error::words;
use crate::engine::terms::hook::Moment;
use crate::engine::terms::label::OwnProfile;
use crate::engine::terms::nic::{Gateway, Nic, NicKind};
use crate::engine::terms::spec::{At, ConfigPlace, Spec};

/// One thing that is done on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) enum HostStep {
    /// Keeps the container's network, from which what was lent to it can be taken back, and what lies
    /// on an interface of the host be removed.
    Hold { file: PathBuf },
    /// Moves an interface of the host into the container.
    Lend(Loan),
    /// Answers on `link` for addresses of the container.
    Answer { link: String, addresses: Vec<IpAddr>, by_loopback: bool },
    /// Makes a pair of interfaces, one of them in the container.
    Connect(Pair),
    /// Has LXC's program make such a pair for an ordinary user.
    Obtain(GrantedPair),
    /// Makes an interface of the container on top of one of the host.
    Stack(Stacked),
    /// Runs `script.up`, and `script.down` at the end.
    Script(NetScript),
    /// Gives an interface in the container its addresses.
    Configure(Nic),
    /// Runs a hook.
    Hook(Script),
    /// Runs a hook at the end, with the namespaces of the container.
    StopHook(Script),
    /// Runs a hook when nothing is left of the container.
    PostStopHook(Script),
    /// Loads the container's own AppArmor profile.
    Profile(OwnProfile),
}

/// What a step can use.
#[derive(Debug, Default)]
pub(in crate::engine) struct HostSite {
    /// None before the container exists.
    pub init: Option<i32>,
    pub wires: Option<Wires>,
}

/// What the hooks at the end of a run learn about it.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct RunEnd {
    /// The container is started again.
    pub reboots: bool,
    pub init: Option<i32>,
    /// The name of each of its namespaces, and where it can still be opened.
    pub namespaces: Vec<(String, String)>,
}

/// Why a step failed. Prints as the step, the reason and the line that asked for it.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}{place}")]
pub(in crate::engine) struct HostStepError {
    step: String,
    reason: String,
    place: String,
    /// The kernel's refusal, if it was one.
    pub(in crate::engine) errno: Option<Errno>,
}

/// What the plan needs to know besides the [`Spec`].
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Surroundings<'a> {
    /// Where the container's network can be kept.
    pub hold: &'a std::path::Path,
    /// Hexadecimal digits, for the names and addresses that are made up.
    pub random: &'a str,
    /// The lxcpath of an ordinary user.
    pub ordinary: Option<&'a std::path::Path>,
}

/// The most digits that one interface takes.
pub(in crate::engine) const DIGITS_EACH: usize = 16;

/// Lists the steps to take before anything of the container exists. Pure.
pub(in crate::engine) fn early(spec: &Spec) -> Vec<At<HostStep>> {
    let mut steps = hooks(spec, Moment::PreStart, HostStep::Hook);
    // They are undone from the last to the first.
    steps.extend(hooks(spec, Moment::PostStop, HostStep::PostStopHook).into_iter().rev());
    let profile = spec.own_profile.clone();
    steps.extend(profile.map(|At { value, place }| At { value: HostStep::Profile(value), place }));
    steps
}

fn hooks(spec: &Spec, moment: Moment, step: fn(Script) -> HostStep) -> Vec<At<HostStep>> {
    let all = spec.hooks.all.iter().filter(|it| it.value.moment == moment);
    let script = |hook| Script::of_hook(hook, spec.name.as_str(), &spec.hooks);
    all.map(|it| At { value: step(script(&it.value)), place: it.place.clone() }).collect()
}

/// Lists the steps for the container of `spec`, in order. Pure.
pub(in crate::engine) fn plan(spec: &Spec, around: Surroundings<'_>) -> Vec<At<HostStep>> {
    let mut all = Vec::new();
    if spec.nics.iter().any(|it| it.value.kind.uses_host_interface()) {
        all.push(At { value: HostStep::Hold { file: around.hold.to_path_buf() }, place: None });
    }
    let mut random = around.random.chars();
    for At { value: nic, place } in &spec.nics {
        let (mut steps, mut peer) = (Vec::new(), None);
        steps.extend(answers(nic));
        match (&nic.kind, around.ordinary) {
            (NicKind::Empty, _) => (),
            (NicKind::Veth(_), Some(lxcpath)) => {
                let pair = GrantedPair::new(nic, lxcpath, spec.name.as_str());
                steps.push(HostStep::Obtain(pair));
            }
            (NicKind::Veth(veth), None) => {
                let pair = Pair::new(nic, veth, &mut random);
                peer = Some(pair.host.clone());
                steps.push(HostStep::Connect(pair));
            }
            (NicKind::Phys, _) => steps.push(HostStep::Lend(Loan::new(nic, around.hold))),
            (NicKind::Macvlan(_) | NicKind::Ipvlan(..) | NicKind::Vlan(_), _) => {
                steps.push(HostStep::Stack(Stacked::new(nic, around.hold)));
            }
        }
        steps.extend(NetScript::of(nic, peer, spec).map(HostStep::Script));
        if nic.kind != NicKind::Empty {
            steps.push(HostStep::Configure(nic.clone()));
        }
        all.extend(steps.into_iter().map(|value| At { value, place: place.clone() }));
    }
    all.extend(hooks(spec, Moment::StartHost, HostStep::Hook));
    all.extend(hooks(spec, Moment::Stop, HostStep::StopHook).into_iter().rev());
    all
}

fn answers(nic: &Nic) -> Option<HostStep> {
    let link = nic.link.clone().filter(|_| nic.l2proxy)?;
    let addresses = nic.addresses.iter().map(|it| it.network.address).collect();
    let by_loopback = matches!(nic.kind, NicKind::Ipvlan(..));
    Some(HostStep::Answer { link, addresses, by_loopback })
}

impl HostStep {
    /// Returns whether it makes something that outlives the container.
    pub(in crate::engine) const fn is_recorded(&self) -> bool {
        match self {
            Self::Hold { .. }
            | Self::Lend(_)
            | Self::Answer { .. }
            | Self::Connect(_)
            | Self::Stack(_)
            | Self::Script(_)
            | Self::StopHook(_)
            | Self::PostStopHook(_)
            | Self::Profile(_) => true,
            // These are in the container's network and end with it, or leave nothing.
            Self::Obtain(_) | Self::Configure(_) | Self::Hook(_) => false,
        }
    }

    /// Returns what is left of it to do for a container that CRIU has made again, with its interfaces
    /// and their addresses; none: nothing. As with LXC, hooks of the start do not run.
    pub(in crate::engine) fn after_restore(self) -> Option<Self> {
        match self {
            Self::Connect(pair) => Some(Self::Connect(pair.made())),
            Self::Stack(_)
            | Self::Configure(_)
            | Self::Hook(_)
            | Self::Obtain(_)
            | Self::Lend(_)
            | Self::Hold { .. } => None,
            Self::Answer { .. }
            | Self::Script(_)
            | Self::StopHook(_)
            | Self::PostStopHook(_)
            | Self::Profile(_) => Some(self),
        }
    }

    /// Carries it out, and keeps what is known only then.
    pub(in crate::engine) fn perform(&mut self, site: &HostSite) -> Result<(), HostStepError> {
        self.perform_at(site).map_err(|error| self.failed(&error))
    }

    fn perform_at(&mut self, site: &HostSite) -> io::Result<()> {
        let wires =
            || site.wires.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        match self {
            Self::Hold { file } => network::hold(file, wires()?),
            Self::Lend(loan) => loan.perform(wires()?),
            Self::Answer { link, addresses, by_loopback } => {
                network::answer(wires()?, link, addresses, *by_loopback)
            }
            Self::Connect(pair) => pair.perform(wires()?),
            Self::Obtain(pair) => pair.perform(site.init, wires()?),
            Self::Stack(stacked) => stacked.perform(wires()?),
            Self::Script(script) => script.run_up(site),
            Self::Configure(nic) => network::configure(wires()?, nic),
            Self::Hook(script) => with_init(script, site.init).run_to_start(),
            Self::StopHook(_) | Self::PostStopHook(_) => Ok(()),
            Self::Profile(it) => profile::load(it),
        }
    }

    /// Returns whether it needs both sides of the container's network.
    pub(in crate::engine) const fn needs_wires(&self) -> bool {
        match self {
            Self::Hook(_)
            | Self::StopHook(_)
            | Self::PostStopHook(_)
            | Self::Script(_)
            | Self::Profile(_) => false,
            Self::Hold { .. }
            | Self::Lend(_)
            | Self::Answer { .. }
            | Self::Connect(_)
            | Self::Obtain(_)
            | Self::Stack(_)
            | Self::Configure(_) => true,
        }
    }

    /// Returns the host's end of the pair that connects the interface `lxc.net.INDEX`.
    pub(in crate::engine) fn host_end(&self, index: u32) -> Option<&str> {
        let Self::Connect(pair) = self else { return None };
        (pair.nic.index == index).then_some(&pair.host)
    }

    /// Returns whether it runs a hook at the end.
    pub(in crate::engine) const fn ends_with_hook(&self) -> bool {
        matches!(self, Self::StopHook(_) | Self::PostStopHook(_))
    }

    /// Returns whether its undo runs a program of the operator's.
    pub(in crate::engine) const fn ends_with_script(&self) -> bool {
        self.ends_with_hook() || matches!(self, Self::Script(_))
    }

    /// Undoes it, however much of it was carried out.
    pub(in crate::engine) fn undo(&self, end: &RunEnd) -> Result<(), HostStepError> {
        let done = match self {
            Self::Hold { file } => network::release(file),
            Self::Lend(loan) => loan.undo(),
            Self::Answer { link, addresses, by_loopback } => {
                network::stop_answering(link, addresses, *by_loopback)
            }
            Self::Connect(pair) => pair.undo(),
            Self::Stack(stacked) => stacked.undo(),
            Self::Script(script) => script.run_down(end.init),
            Self::StopHook(script) => {
                let about = end.namespaces.iter().map(|(name, path)| format!("{name}:{path}"));
                end.script(script, about.collect()).run()
            }
            Self::PostStopHook(script) => end.script(script, Vec::new()).run(),
            Self::Profile(it) => profile::unload(it),
            Self::Obtain(_) | Self::Configure(_) | Self::Hook(_) => Ok(()),
        };
        done.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> HostStepError {
        HostStepError {
            step: self.to_string(),
            reason: words(error),
            place: String::new(),
            errno: error.raw_os_error().map(Errno::from_raw),
        }
    }
}

impl HostStepError {
    /// Adds the line that asked for the step.
    pub(in crate::engine) fn at(self, place: Option<&ConfigPlace>) -> Self {
        Self { place: place.map_or_else(String::new, |it| format!(" ({it})")), ..self }
    }
}

/// Undoes `steps` from the last to the first, as far as that is possible; those left in it are not
/// undone yet. `after_script` gets what is left after each hook and each script, which must not run
/// again, and how it failed; the rest is undone even then.
pub(in crate::engine) fn undo_all(
    steps: &mut Vec<HostStep>,
    end: &RunEnd,
    after_script: &mut dyn FnMut(&[HostStep], Option<HostStepError>),
) -> Result<(), HostStepError> {
    while let Some(step) = steps.last() {
        let undone = step.undo(end);
        if step.ends_with_script() {
            steps.pop();
            after_script(steps, undone.err());
        } else {
            undone?;
            steps.pop();
        }
    }
    Ok(())
}

/// Returns `script` with the pid of init in its environment, if there is one.
fn with_init(script: &Script, init: Option<i32>) -> Script {
    let mut script = script.clone();
    script.environment.extend(init.map(|it| ("LXC_PID".to_owned(), it.to_string())));
    script
}

impl RunEnd {
    /// Returns `script` with what LXC lets it know about the end of the run.
    fn script(&self, script: &Script, about: Vec<String>) -> Script {
        let mut script = with_init(script, self.init);
        script.about.extend(about);
        let target = if self.reboots { "reboot" } else { "stop" };
        script.environment.push(("LXC_TARGET".to_owned(), target.to_owned()));
        let spaces = self.namespaces.iter();
        let spaces =
            spaces.map(|(name, path)| (format!("LXC_{}_NS", name.to_uppercase()), path.clone()));
        script.environment.extend(spaces);
        script
    }
}

impl fmt::Display for HostStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold { file } => write!(f, "keep the container's network at {}", file.display()),
            Self::Lend(Loan { nic, .. }) => {
                let link = nic.link.as_deref().unwrap_or_default();
                write!(f, "lend {link} to the container as {}", nic.name)
            }
            Self::Answer { link, addresses, .. } => {
                let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "answer for {} on {link}", all.join(", "))
            }
            Self::Connect(Pair { nic, host, .. }) => match (&nic.kind, &nic.link) {
                (NicKind::Veth(veth), _) if veth.routed => {
                    write!(f, "connect {} to the host's routing with {host}", nic.name)
                }
                (_, Some(bridge)) => {
                    write!(f, "connect {} to the bridge {bridge} with {host}", nic.name)
                }
                (_, None) => write!(f, "connect {} to the host with {host}", nic.name),
            },
            Self::Obtain(GrantedPair { nic, .. }) => {
                let bridge = nic.link.as_deref().unwrap_or_default();
                write!(f, "have lxc-user-nic connect {} to the bridge {bridge}", nic.name)
            }
            Self::Stack(Stacked { nic, .. }) => {
                let (kind, link) = (nic.type_name(), nic.link.as_deref().unwrap_or_default());
                write!(f, "make {} of type {kind} on {link}", nic.name)
            }
            Self::Script(script) => script.fmt(f),
            Self::Configure(nic) => configuration(f, nic),
            Self::Profile(it) => write!(f, "load the AppArmor profile {}", it.name),
            Self::Hook(script) | Self::StopHook(script) | Self::PostStopHook(script) => {
                script.fmt(f)
            }
        }
    }
}

fn configuration(f: &mut fmt::Formatter<'_>, nic: &Nic) -> fmt::Result {
    write!(f, "set up {} in the container", nic.name)?;
    for address in &nic.addresses {
        write!(f, ", with {}", address.network)?;
    }
    for gateway in &nic.gateways {
        match gateway {
            Gateway::Address(address) => write!(f, ", via {address}")?,
            Gateway::Auto(_) => write!(f, ", via the host")?,
            Gateway::Device(_) => write!(f, ", via itself")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::config;
    use crate::engine::terms::hook::Hook;
    use crate::engine::terms::spec::Hooks;

    fn planned(lines: &str) -> Vec<HostStep> {
        let (name, file) = ("web".parse().unwrap(), Path::new("/lxc/web/config"));
        let config = config::parse(&name, Path::new("/lxc"), lines.as_bytes(), file, &[]).unwrap();
        let mut spec =
            config::parse(&name, Path::new("/lxc"), b"", file, &[]).unwrap().spec().unwrap();
        spec.nics = config.nics().unwrap();
        let hold = Path::new("/run/web.network");
        let around = Surroundings { hold, random: "0123456789abcdef", ordinary: None };
        plan(&spec, around).into_iter().map(|it| it.value).collect()
    }

    fn texts(steps: &[HostStep]) -> Vec<String> {
        steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_plan_says_what_becomes_of_the_host() {
        let steps = planned(
            "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.flags = up\n\
             lxc.net.0.ipv4.address = 10.0.3.2/24\nlxc.net.0.ipv4.gateway = 10.0.3.1\n\
             lxc.net.0.script.up = /etc/up\nlxc.net.1.type = phys\nlxc.net.1.link = lan\n\
             lxc.net.2.type = macvlan\nlxc.net.2.link = wan\n",
        );
        assert_eq!(
            texts(&steps),
            [
                "keep the container's network at /run/web.network",
                "connect eth0 to the bridge br0 with veth012345",
                "run /etc/up",
                "set up eth0 in the container, with 10.0.3.2/24, via 10.0.3.1",
                "lend lan to the container as lan",
                "set up lan in the container",
                "make eth1 of type macvlan on wan",
                "set up eth1 in the container",
            ]
        );
        let Some(HostStep::Connect(pair)) = steps.get(1) else { panic!("{steps:?}") };
        assert!(format!("{pair:?}").contains("Mac([254, 103, 137, 171, 205, 239])"), "{pair:?}");
    }

    #[test]
    fn a_record_keeps_all_that_an_undo_needs() {
        let steps = planned(
            "lxc.net.0.type = veth\nlxc.net.0.veth.pair = mine\nlxc.net.0.script.down = /etc/down\n\
             lxc.net.1.type = ipvlan\nlxc.net.1.link = lan\nlxc.net.1.ipvlan.mode = l3s\n\
             lxc.net.1.l2proxy = 1\nlxc.net.1.ipv4.address = 10.0.3.2\n",
        );
        let kept: Vec<HostStep> = steps.into_iter().filter(HostStep::is_recorded).collect();
        let words = [
            "keep the container's network at /run/web.network",
            "connect eth0 to the host with mine",
            "run /etc/down at the end",
            "answer for 10.0.3.2 on lan",
            "make eth1 of type ipvlan on lan",
        ];
        assert_eq!(texts(&kept), words);
        let text = serde_json::to_string(&kept).unwrap();
        let read: Vec<HostStep> = serde_json::from_str(&text).unwrap();
        assert_eq!(texts(&read), texts(&kept));
    }

    #[test]
    fn what_is_left_is_known_after_each_hook() {
        let script = |command: &str| {
            let hook = Hook { moment: Moment::PostStop, command: command.to_owned() };
            HostStep::PostStopHook(Script::of_hook(&hook, "web", &Hooks::default()))
        };
        let (mut steps, mut left) = (vec![script("true"), script("sh -c 'exit 3'")], Vec::new());
        undo_all(&mut steps, &RunEnd::default(), &mut |it, failed| {
            left.push((it.len(), failed.map(|it| it.to_string())));
        })
        .unwrap();
        let failed = "lxc.hook.post-stop sh -c 'exit 3': exit status: 3".to_owned();
        assert_eq!(left, [(1, Some(failed)), (0, None)]);
    }

    #[test]
    fn undoing_what_was_never_done_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut steps = planned("lxc.net.0.type = veth\nlxc.net.0.veth.pair = lo\n");
        steps.insert(0, HostStep::Hold { file: dir.path().join("network") });
        undo_all(&mut steps, &RunEnd::default(), &mut |_, _| ()).unwrap();
        assert!(steps.is_empty());
    }
}
