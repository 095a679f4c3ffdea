//! Asks all supervisors without a record of wharf's, in parallel, for what the sampler needs.

use std::time::Instant;

use super::address::{Address, name_of};
use super::chorus::{self, Heard, Question, Subject};
use super::client::groups::ASKED_BY;
use super::error::SocketError;
use super::find::{ANSWERING, ListenerInodes};
use super::trust::Judge;
use super::wire::{self, SocketCommand};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// Asks for all the lines of LXC's that set limits on cgroup v2.
pub(in crate::engine) const CONFIGURED: &str = "lxc.cgroup2";

/// The answers of a trusted supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Interview {
    pub(in crate::engine) state: State,
    /// Unknown while it starts, like the group.
    pub(in crate::engine) init_pid: Option<i32>,
    pub(in crate::engine) cgroup: Option<String>,
    /// Where its limits and counters are: a group above, if LXC was configured to make one.
    pub(in crate::engine) limits: Option<String>,
    /// The limits of its configuration on cgroup v2, a line each.
    pub(in crate::engine) configured: String,
}

/// Asks the supervisors of `containers` at their addresses.
pub(in crate::engine) fn interview(
    lxcpath: &Lxcpath,
    containers: &[(Name, ListenerInodes)],
) -> Vec<Result<Interview, SocketError>> {
    let questions = questions();
    let subjects: Vec<Subject> = containers
        .iter()
        .map(|(name, place)| Subject {
            address: address(lxcpath, name, place),
            judge: Judge::about(lxcpath, name),
            questions: questions.clone(),
        })
        .collect();
    let heard = chorus::ask_all(&subjects, Instant::now() + ANSWERING);
    heard.into_iter().zip(&subjects).map(|(it, of)| understand(it, &of.judge)).collect()
}

fn address(lxcpath: &Lxcpath, name: &Name, place: &ListenerInodes) -> Address {
    match (&place.public, place.private) {
        (Some((_, socket)), _) => Address::Public(socket.clone()),
        (None, Some(_)) => Address::private(lxcpath, name),
        (None, None) => Address::Public(name_of(lxcpath.dir(), name.as_str())),
    }
}

fn questions() -> Vec<Question> {
    let pid = Question { what: "the pid", command: SocketCommand::GetInitPid, payload: Vec::new() };
    let group = |command: SocketCommand, controller: Option<&str>| Question {
        what: "the cgroup",
        command,
        payload: controller.map(wire::encode_text).unwrap_or_default(),
    };
    let groups = ASKED_BY.into_iter().map(|it| group(SocketCommand::GetCgroup, it));
    let limits = ASKED_BY.into_iter().map(|it| group(SocketCommand::GetLimitCgroup, it));
    let configured = Question {
        what: "the configuration",
        command: SocketCommand::GetConfigItem,
        payload: wire::encode_text(CONFIGURED),
    };
    std::iter::once(pid).chain(groups).chain(limits).chain([configured]).collect()
}

fn understand(heard: Heard, judge: &Judge) -> Result<Interview, SocketError> {
    let (speaker, state) = heard.speaker?;
    let state = State::from_number(state).ok_or(SocketError::Nonsense { what: "the state" })?;
    let mut answers = heard.answers.into_iter();
    let mut init_pid = None;
    // The first question was for the pid, the last for the configuration, the others for the
    // groups.
    match answers.next() {
        Some(Some(Ok((head, _)))) => {
            let pid = i32::try_from(head.data).ok().filter(|it| *it > 0);
            init_pid = pid.filter(|it| judge.has_child(speaker, *it));
        }
        // A sender that cannot be identified by its second answer is not the one of the first.
        Some(Some(Err(SocketError::Stranger(it)))) => return Err(it.into()),
        Some(Some(Err(_)) | None) | None => (),
    }
    let texts = answers.map(|it| wire::decode_text(&it?.ok()?.1).map(str::to_owned));
    let mut paths: Vec<Option<String>> = texts.collect();
    let configured = paths.pop().flatten().unwrap_or_default();
    let limits = paths.split_off(paths.len().min(ASKED_BY.len()));
    let believed = |paths: Vec<Option<String>>| {
        let mut paths = paths.into_iter().flatten();
        let path = paths.find(|it| it.len() > 1 && judge.may_name_group(speaker, it))?;
        // On v2 alone LXC leaves the slash out.
        Some(if path.starts_with('/') { path } else { format!("/{path}") })
    };
    let cgroup = believed(paths);
    // LXC before 4.0.5 has only one group.
    let limits = believed(limits).or_else(|| cgroup.clone());
    Ok(Interview { state, init_pid, cgroup, limits, configured })
}
