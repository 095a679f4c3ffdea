//! What containers cost from start to end: a program that does nothing, and many containers that
//! stay, beside other engines and the least that the kernel asks for it; and the memory of
//! supervisors.
//!
//! `cargo bench --bench start -- [SIZE] [rounds=31] [many=3]`, with a SIZE such as `100x1`: how many
//! are started in a row, and the processes in each; `many` is how often.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

#[path = "start/floor.rs"]
mod floor;
#[path = "start/many.rs"]
mod many;
mod support;

use std::process::{Command, ExitCode};
use std::time::Instant;

use support::Failure;
use support::peers::{Aside, bundle, found, lxc, oci};
use support::price::{self, Price, ms, pay_all, usual, walls};
use support::table::{figure, head, in_turn, row, share};
use support::words::Words;
use support::yard::Yard;

fn main() -> ExitCode {
    support::run(bench)
}

fn bench(yard: &Yard, words: &Words) -> Result<(), Failure> {
    // What commands leave behind becomes a child of this program and is counted when it ends.
    nix::sys::prctl::set_child_subreaper(true)?;
    let aside = Aside::open()?;
    let floor = floor::Floor::new(&yard.root())?;
    let place = Place { yard, aside: &aside, floor: &floor };
    for peer in ["lxc-start", "lxc-execute", "crun", "runc"].iter().filter(|it| found(it).is_none())
    {
        println!("skipped: no {peer} on this machine");
    }
    place.ends(words.number("rounds", 31)?)?;
    for size in words.sizes(&["100x1"])? {
        many::compare(&place, size, words.number("many", 3)?)?;
    }
    Ok(())
}

/// What runs the containers, and where.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    yard: &'a Yard,
    aside: &'a Aside,
    floor: &'a floor::Floor,
}

/// One way to run a program that does nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Exec,
    Floor,
    Wharf(&'static [&'static str]),
    Lxc(&'static str, &'static [&'static str]),
    Crun,
    Runc,
}

const WAYS: [(&str, Way); 8] = [
    ("exec of the program alone", Way::Exec),
    ("floor", Way::Floor),
    ("wharf execute", Way::Wharf(&["execute"])),
    ("wharf start -F", Way::Wharf(&["start", "-F"])),
    ("lxc-execute", Way::Lxc("lxc-execute", &[])),
    ("lxc-start -F", Way::Lxc("lxc-start", &["-F"])),
    ("crun run", Way::Crun),
    ("runc run", Way::Runc),
];

impl Place<'_> {
    /// Measures from start to exit.
    fn ends(&self, rounds: usize) -> Result<(), Failure> {
        let lxcpath = self.yard.lxcpath();
        let name = self.yard.name(0);
        self.yard.define(&lxcpath, &name, 1)?;
        let bundle = bundle(self.yard, "exit", "/exit")?;
        let ways = WAYS.iter().filter(|(_, way)| match way {
            Way::Exec | Way::Floor | Way::Wharf(_) => true,
            Way::Lxc(program, _) => found(program).is_some(),
            Way::Crun => found("crun").is_some(),
            Way::Runc => found("runc").is_some(),
        });
        let mut ways: Vec<(&str, Way, Vec<Price>)> =
            ways.map(|(label, way)| (*label, *way, Vec::new())).collect();
        // In the first round nothing is in the caches.
        for round in 0..=rounds {
            for (_, way, prices) in in_turn(&mut ways, round) {
                prices.push(self.end(*way, &name, &bundle)?);
            }
        }
        for (.., prices) in &mut ways {
            prices.drain(..1);
        }
        self.yard.down()?;
        let wall = |way: Way| {
            let prices = ways.iter().find(|it| it.1 == way).map(|it| &it.2)?;
            Some(usual(prices).wall)
        };
        let floor = wall(Way::Exec).zip(wall(Way::Floor)).map_or(f64::NAN, |(exec, it)| exec + it);
        head(&["start to exit", "ms", "p10", "CPU ms", "of exec + floor"]);
        for (label, _, prices) in &ways {
            let Price { wall, cpu } = usual(prices);
            let fast = share(&walls(prices), 0.1);
            row(&[
                (*label).to_owned(),
                figure(wall),
                figure(fast),
                figure(cpu),
                figure(wall / floor),
            ]);
        }
        Ok(())
    }

    fn end(&self, way: Way, name: &str, bundle: &str) -> Result<Price, Failure> {
        let (yard, lxcpath) = (self.yard, self.yard.lxcpath());
        let last = ["--", "/exit"];
        match way {
            Way::Exec => pay_all(&mut Command::new(yard.root().join("exit"))),
            Way::Floor => {
                let (before, begun) = (price::own_cpu(), Instant::now());
                self.floor.start(&yard.name(0), "/exit")?.finish()?;
                Ok(Price { wall: ms(begun), cpu: price::own_cpu() - before })
            }
            Way::Wharf(verb) => pay_all(yard.wharf(verb).args(["-n", name]).args(last)),
            Way::Lxc(program, words) => {
                pay_all(lxc(program, &lxcpath, name).args(words).args(last))
            }
            Way::Crun => self.aside.pay(oci("crun", yard, &["run", "-b", bundle, name])),
            Way::Runc => pay_all(&mut oci("runc", yard, &["run", "-b", bundle, name])),
        }
    }
}
