//! The traffic and addresses of containers with a network of their own. They are read from outside,
//! by a thread that the sampler waits for only briefly, and nothing stays open, since that would
//! keep the network of an ended container alive.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::aside::Aside;
use super::network;
use super::rates::per_second;
use crate::engine::seen::sample::Network;
use crate::engine::terms::name::Name;

/// Addresses seldom change, and are expensive to find.
const ADDRESS_STALE: Duration = Duration::from_secs(10);
/// A starting container has none yet.
const ADDRESS_WANTED: Duration = Duration::from_secs(2);

/// A busy machine may delay the thread this long; older readings are not shown.
const OUTDATED: Duration = Duration::from_secs(5);

/// The networks of the last sample.
#[derive(Debug)]
pub(super) struct Traffic {
    proc: PathBuf,
    known: HashMap<Name, KnownNetwork>,
    readings: Aside<(), Vec<(Name, NetworkReading)>>,
}

#[derive(Debug)]
struct KnownNetwork {
    last: NetworkReading,
    network: Network,
}

/// What to read about one container.
#[derive(Debug)]
struct NetworkQuestion {
    name: Name,
    init: i32,
    /// Its address at the last lookup, if that is recent enough.
    place: Option<NetworkPlace>,
}

/// What was read about one container.
#[derive(Clone, Copy, Debug)]
struct NetworkReading {
    init: i32,
    at: Instant,
    place: NetworkPlace,
    /// Bytes received and sent.
    bytes: Option<(u64, u64)>,
}

/// Which network a container has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NetworkPlace {
    at: Instant,
    /// None: it is not visible.
    own: Option<bool>,
    address: Option<IpAddr>,
}

impl Traffic {
    pub(super) fn new(proc: &Path) -> Self {
        Self { proc: proc.to_path_buf(), known: HashMap::new(), readings: Aside::new() }
    }

    /// Reads the networks of these containers, by their init, and drops all others.
    pub(super) fn look(&mut self, asked: Vec<(Name, i32)>) {
        self.known
            .retain(|name, it| asked.iter().any(|(of, init)| of == name && *init == it.last.init));
        if asked.is_empty() {
            return;
        }
        let question = |(name, init): (Name, i32)| {
            let place = self.known.get(&name).map(|it| it.last.place).filter(NetworkPlace::will_do);
            NetworkQuestion { name, init, place }
        };
        let questions: Vec<NetworkQuestion> = asked.into_iter().map(question).collect();
        let proc = self.proc.clone();
        let read = move || questions.into_iter().map(|it| it.answer(&proc)).collect();
        let Some(answers) = self.readings.ask((), read) else {
            // A recent reading may already be outdated.
            for it in self.known.values_mut().filter(|it| it.last.at.elapsed() > OUTDATED) {
                it.network = Network::Unknown;
            }
            return;
        };
        for (name, now) in answers {
            let before = self.known.get(&name).map(|it| it.last);
            let network = now.network(before.as_ref());
            self.known.insert(name, KnownNetwork { last: now, network });
        }
    }

    /// Returns the last reading of the network of `name`.
    pub(super) fn of(&self, name: &Name) -> Network {
        self.known.get(name).map_or(Network::Unknown, |it| it.network)
    }
}

impl NetworkQuestion {
    fn answer(self, proc: &Path) -> (Name, NetworkReading) {
        let dir = proc.join(self.init.to_string());
        let place = self.place.unwrap_or_else(|| NetworkPlace::of(proc, &dir));
        let bytes = if place.own == Some(true) { network::traffic(&dir) } else { None };
        (self.name, NetworkReading { init: self.init, at: Instant::now(), place, bytes })
    }
}

impl NetworkPlace {
    /// Finds which network the process with the `/proc` directory `init` has.
    fn of(proc: &Path, init: &Path) -> Self {
        let namespace = |of: &Path| std::fs::read_link(of.join("ns/net")).ok();
        let own = namespace(init).zip(namespace(&proc.join("self")));
        let own = own.map(|(its, ours)| its != ours);
        let address = if own == Some(true) { network::address(init) } else { None };
        Self { at: Instant::now(), own, address }
    }

    fn will_do(&self) -> bool {
        let wanting = self.own == Some(true) && self.address.is_none();
        self.at.elapsed() < if wanting { ADDRESS_WANTED } else { ADDRESS_STALE }
    }
}

impl NetworkReading {
    /// Computes rates from this and the previous reading.
    fn network(&self, before: Option<&Self>) -> Network {
        match self.place.own {
            None => return Network::Unknown,
            Some(false) => return Network::OfHost,
            Some(true) => (),
        }
        let rate = |of: fn((u64, u64)) -> u64| {
            let before = before.filter(|it| it.init == self.init)?;
            let elapsed = self.at.checked_duration_since(before.at)?;
            per_second(of(before.bytes?), of(self.bytes?), elapsed)
        };
        Network::Own {
            address: self.place.address,
            received_per_second: rate(|(received, _)| received),
            sent_per_second: rate(|(_, sent)| sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: Instant, own: Option<bool>, bytes: Option<(u64, u64)>) -> NetworkReading {
        let address = Some(IpAddr::from([10, 0, 3, 11]));
        NetworkReading { init: 7, at, place: NetworkPlace { at, own, address }, bytes }
    }

    #[test]
    fn rates_are_of_one_run_and_of_a_network_of_its_own() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let before = reading(start, Some(true), Some((1000, 50)));
        let now = reading(later, Some(true), Some((5000, 50)));
        let address = now.place.address;
        let own = |received_per_second, sent_per_second| Network::Own {
            address,
            received_per_second,
            sent_per_second,
        };
        assert_eq!(now.network(Some(&before)), own(Some(2000.0), Some(0.0)));
        assert_eq!(now.network(None), own(None, None));
        let other_run = NetworkReading { init: 8, ..now };
        assert_eq!(other_run.network(Some(&before)), own(None, None));
        assert_eq!(reading(later, Some(false), None).network(Some(&before)), Network::OfHost);
        assert_eq!(reading(later, None, None).network(Some(&before)), Network::Unknown);
    }

    #[test]
    fn only_those_asked_for_are_known_and_a_gone_one_is_not() {
        let name: Name = "web".parse().unwrap();
        let mut traffic = Traffic::new(Path::new("/proc"));
        let own = i32::try_from(std::process::id()).unwrap();
        traffic.look(vec![(name.clone(), own)]);
        assert_eq!(traffic.of(&name), Network::OfHost);
        traffic.look(vec![(name.clone(), i32::MAX)]);
        assert_eq!(traffic.of(&name), Network::Unknown);
        traffic.look(Vec::new());
        assert!(traffic.known.is_empty());
    }
}
