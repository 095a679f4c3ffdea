//! What a command costs: time until its end, and processor time of it and all that it has waited
//! for.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::sys::wait::waitpid;

use super::Failure;
use super::table::median;

/// In milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Price {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// Runs a command to its end, its output thrown away, and returns its price. The caller has no
/// other child that ends meanwhile.
pub(crate) fn pay(command: &mut Command) -> Result<Price, Failure> {
    // A pipe would have to be read until the last one who inherited it has ended.
    let mut told = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(told.try_clone()?);
    let (before, begun) = (cpu(), Instant::now());
    let status = command.status()?;
    let wall = ms(begun);
    if status.success() {
        return Ok(Price { wall, cpu: cpu() - before });
    }
    let mut text = String::new();
    told.rewind()?;
    told.read_to_string(&mut text)?;
    Err(format!("{command:?}: {status}: {}", text.trim()).into())
}

/// The same, with what processes cost that outlive the command and end soon: they are adopted by
/// this program, which must be a subreaper.
pub(crate) fn pay_all(command: &mut Command) -> Result<Price, Failure> {
    let before = cpu();
    let price = pay(command)?;
    // Until there is no child left.
    while waitpid(None, None).is_ok() {}
    Ok(Price { cpu: cpu() - before, ..price })
}

/// Returns the processor time of all children that were waited for, in milliseconds.
pub(crate) fn cpu() -> f64 {
    used(UsageWho::RUSAGE_CHILDREN)
}

/// The same, with that of this process.
pub(crate) fn own_cpu() -> f64 {
    cpu() + used(UsageWho::RUSAGE_SELF)
}

fn used(who: UsageWho) -> f64 {
    let Ok(usage) = getrusage(who) else { return f64::NAN };
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e3
}

pub(crate) fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn walls(prices: &[Price]) -> Vec<f64> {
    prices.iter().map(|it| it.wall).collect()
}

/// Returns the median of each.
pub(crate) fn usual(prices: &[Price]) -> Price {
    let cpus: Vec<f64> = prices.iter().map(|it| it.cpu).collect();
    Price { wall: median(&walls(prices)), cpu: median(&cpus) }
}
