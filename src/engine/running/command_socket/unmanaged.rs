//! Whether LXC runs the containers of a directory whose names wharf does not use.

use std::collections::{BTreeMap, HashMap};

use super::Client;
use super::address::{Address, abstract_sockets, name_of_bytes, read_table, spellings};
use super::error::SocketError;
use super::find::{Directory, Socket, parse, text};
use super::trust::Judge;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::terms::state::State;

/// Returns the states of the containers named `defined`, and of others of their kind that run in
/// the directory. One that is not defined is found only if its name is not hashed.
pub fn unmanaged(
    lxcpath: &Lxcpath,
    defined: &[Vec<u8>],
) -> Result<BTreeMap<Vec<u8>, State>, SocketError> {
    let spellings = spellings(lxcpath);
    let likely: HashMap<Vec<u8>, &[u8]> = defined
        .iter()
        .flat_map(|name| spellings.iter().map(move |it| (name_of_bytes(it, name), name.as_slice())))
        .collect();
    let mut states: BTreeMap<Vec<u8>, State> =
        defined.iter().map(|it| (it.clone(), State::Stopped)).collect();
    let table = read_table(lxcpath.host()).map_err(SocketError::List)?;
    let mut directory = Directory::of(lxcpath);
    for (_, socket) in abstract_sockets(&table) {
        let name = likely.get(socket).copied().or_else(|| match parse(socket)? {
            Socket::Plain { dir, name } if !name.is_empty() && text(name).is_none() => {
                directory.is(dir, socket).then_some(name)
            }
            Socket::Plain { .. } | Socket::Hashed => None,
        });
        if let Some(name) = name
            && let Some(state) = state(lxcpath, socket)
        {
            states.insert(name.to_vec(), state);
        }
    }
    Ok(states)
}

/// Asks the listener; none: it is a stranger, or gone.
fn state(lxcpath: &Lxcpath, socket: &[u8]) -> Option<State> {
    let judge = Judge::nameless(lxcpath, "a container");
    let client = Client::reach(Address::Public(socket.to_vec()), &judge);
    match client.and_then(|it| it.map(|it| it.state()).transpose()) {
        Ok(state) => state,
        Err(SocketError::Stranger(_)) => None,
        // It has a listener, so something runs.
        Err(_) => Some(State::Running),
    }
}
