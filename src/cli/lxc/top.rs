//! `lxc-top`: what the active containers have used, as a table that is drawn again and again, or as
//! lines of comma-separated values. `wharf` without a command shows more.

use std::cmp::Ordering;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode, size};

use super::call::{LxcCall, LxcCommand, NameFrom, bad_arguments, refused};
use super::getopt::{flag, value};
use super::used::Used;
use crate::cli::pause::rest;

pub(super) const TOP: LxcCommand = LxcCommand {
    name: "top",
    usage: "[-d SECONDS] [-b] [-s KEY] [-r]",
    about: "shows what the active containers have used",
    options: &[
        value("delay", Some('d'), "SECONDS", "Between two tables [default: 3, with -b 300]"),
        flag("batch", Some('b'), "Print comma-separated values, also without a terminal"),
        value(
            "sort",
            Some('s'),
            "KEY",
            "By n (name, the default), c (CPU), b (block I/O), m (memory), s (with swap) or k (kernel)",
        ),
        flag("reverse", Some('r'), "The largest first"),
    ],
    named: NameFrom::Free,
    parts: None,
    run: top,
};

const CSV_HEAD: &str = "time_ms,container,cpu_nanos,cpu_sys_userhz,cpu_user_userhz,blkio_bytes,\
                        blkio_iops,mem_used_bytes,memsw_used_bytes,kernel_mem_used_bytes";
/// Lines of the screen that are no containers.
const AROUND: usize = 3;

/// In which order the containers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TableOrder {
    key: char,
    reversed: bool,
}

impl TableOrder {
    fn compare(self, a: &Used, b: &Used) -> Ordering {
        let by = match self.key {
            'c' => a.cpu_ns.cmp(&b.cpu_ns),
            'b' => a.io_bytes().cmp(&b.io_bytes()),
            'm' => a.memory.cmp(&b.memory),
            's' => a.memory_and_swap.cmp(&b.memory_and_swap),
            'k' => a.kernel_memory.cmp(&b.kernel_memory),
            _ => a.name.cmp(&b.name),
        };
        if self.reversed { by.reverse() } else { by }
    }

    /// Chooses another key; the same one again reverses the order.
    const fn choose(&mut self, key: char) {
        self.reversed = self.key == key && !self.reversed;
        self.key = key;
    }
}

fn top(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let batch = call.has("batch");
    let delay = call.value("delay").map(str::parse::<f64>).transpose();
    let delay = delay.map_err(|_other| bad_arguments())?.unwrap_or(if batch { 300.0 } else { 3.0 });
    let delay = Duration::try_from_secs_f64(delay).ok().filter(|it| !it.is_zero());
    let delay = delay.ok_or_else(bad_arguments)?;
    let key = match call.value("sort") {
        None => 'n',
        Some(word) => match word.chars().next() {
            Some(key @ ('n' | 'c' | 'b' | 'm' | 's' | 'k')) => key,
            _ => return Err(bad_arguments()),
        },
    };
    let order = TableOrder { key, reversed: call.has("reverse") };
    if batch {
        return print(call, order, delay);
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(refused("stdin is not a tty; -b works without one"));
    }
    show(call, order, delay)
}

/// Reads what each active container has used.
fn read(call: &LxcCall<'_>, order: TableOrder) -> Vec<Used> {
    let mut all: Vec<Used> = call.engines().iter().flat_map(Used::of_all).collect();
    all.sort_by(|a, b| order.compare(a, b).then_with(|| a.name.cmp(&b.name)));
    all
}

/// Prints lines until nobody reads them any more.
fn print(call: &mut LxcCall<'_>, order: TableOrder, delay: Duration) -> anyhow::Result<ExitCode> {
    writeln!(call.out, "{CSV_HEAD}")?;
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        for it in read(call, order) {
            writeln!(
                call.out,
                "{now},{},{},{},{},{},{},{},{},{}",
                it.name,
                it.cpu_ns,
                it.system_ticks,
                it.user_ticks,
                it.io_bytes(),
                it.io_operations,
                it.memory,
                it.memory_and_swap,
                it.kernel_memory
            )?;
        }
        call.out.flush()?;
        if !rest(delay)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// The terminal passes every key on until this is dropped.
struct RawTerminal;

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // There is nobody to tell.
        _ = disable_raw_mode();
    }
}

/// Draws the table until `q`.
fn show(
    call: &mut LxcCall<'_>,
    mut order: TableOrder,
    delay: Duration,
) -> anyhow::Result<ExitCode> {
    enable_raw_mode()?;
    let _raw = RawTerminal;
    loop {
        let rows = usize::from(size()?.1).saturating_sub(AROUND).max(1);
        let text = table(&read(call, order), rows).replace('\n', "\r\n");
        write!(call.out, "\x1b[H\x1b[J{text}")?;
        call.out.flush()?;
        let due = Instant::now() + delay;
        loop {
            if !event::poll(due.saturating_duration_since(Instant::now()))? {
                break;
            }
            let Event::Key(key) = event::read()? else { break };
            match pressed(key) {
                Some('q') => {
                    write!(call.out, "\r\n")?;
                    return Ok(ExitCode::SUCCESS);
                }
                Some('r') => order.reversed = !order.reversed,
                Some(key) => order.choose(key),
                None => continue,
            }
            break;
        }
    }
}

/// Returns the letter of a key that does something.
fn pressed(key: KeyEvent) -> Option<char> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let KeyCode::Char(letter) = key.code else { return None };
    if letter == 'c' && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Some('q');
    }
    matches!(letter, 'q' | 'r' | 'n' | 'c' | 'b' | 'm' | 's' | 'k').then_some(letter)
}

/// A column that is there only if a container has used some of it: its title, and the bytes.
type MoreColumn = (&'static str, fn(&Used) -> u64);

const MORE: [MoreColumn; 2] = [("MemSw", |it| it.memory_and_swap), ("KMem", |it| it.kernel_memory)];

/// Lays out the table, of which at most `rows` containers are shown.
fn table(all: &[Used], rows: usize) -> String {
    let total = Used::total(all);
    let more: Vec<MoreColumn> = MORE.into_iter().filter(|(_, of)| of(&total) > 0).collect();
    let titles: Vec<&str> = more.iter().map(|it| it.0).collect();
    let first = head(["Container", "CPU", "CPU", "CPU", "BlkIO", "Mem"], &titles);
    let used = vec!["Used"; more.len()];
    let second = head(["Name", "Used", "Sys", "User", "Total(Read/Write)", "Used"], &used);
    let shown: Vec<String> =
        all.iter().take(rows).map(|it| row(&it.name, it, &more) + "\n").collect();
    let last = row(&format!("TOTAL {} of {}", shown.len(), all.len()), &total, &more);
    format!("\x1b[7m\x1b[1m{first}\n{second}\n\x1b[0m{}{last}", shown.concat())
}

fn head(titles: [&str; 6], more: &[&str]) -> String {
    let [name, used, system, user, io, memory] = titles;
    let more = more.iter().map(|it| format!(" {it:>10}")).collect::<Vec<_>>().concat();
    format!("{name:<18} {used:>12} {system:>12} {user:>12} {io:>36} {memory:>10}{more}")
}

fn row(name: &str, it: &Used, more: &[MoreColumn]) -> String {
    let [both, read, written] = [it.io_bytes(), it.read_bytes, it.written_bytes].map(size_of);
    let io = format!("{both}({read}/{written})");
    let cpu = it.cpu_ns as f64 / 1e9;
    let [system, user] = [it.system_ticks, it.user_ticks].map(|it| it as f64 / 100.0);
    let memory = size_of(it.memory);
    let more =
        more.iter().map(|(_, of)| format!(" {:>10}", size_of(of(it)))).collect::<Vec<_>>().concat();
    format!("{name:<18.18} {cpu:>12.2} {system:>12.2} {user:>12.2} {io:>36} {memory:>10}{more}")
}

/// Writes a size as LXC does.
fn size_of(bytes: u64) -> String {
    let unit = |shift: u32, word: &str| {
        let whole = bytes >> shift;
        let hundredths = ((bytes & ((1 << shift) - 1)) * 100) >> shift;
        format!("{whole}.{hundredths:02} {word}")
    };
    match bytes {
        it if it > 1 << 30 => unit(30, "GiB"),
        it if it > 1 << 20 => unit(20, "MiB"),
        it if it > 1 << 10 => unit(10, "KiB"),
        it => format!("{it:>3}.00   "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(name: &str, cpu_ns: u64, memory: u64) -> Used {
        Used { name: name.to_owned(), cpu_ns, memory, ..Used::default() }
    }

    #[test]
    fn the_table_is_lxcs() {
        let text = table(&[used("lxccompat1", 10_000_000, 0)], 20);
        let expected = "\x1b[7m\x1b[1m\
Container                   CPU          CPU          CPU                                BlkIO        Mem
Name                       Used          Sys         User                    Total(Read/Write)       Used
\x1b[0mlxccompat1                 0.01         0.00         0.00         0.00   (  0.00   /  0.00   )    0.00   
TOTAL 1 of 1               0.01         0.00         0.00         0.00   (  0.00   /  0.00   )    0.00   ";
        assert_eq!(text, expected);
        let many: Vec<Used> = ["a", "b", "c"].map(|it| used(it, 1, 3 << 20)).into();
        let text = table(&many, 2);
        assert!(text.contains("TOTAL 2 of 3") && text.contains(" 9.00 MiB"), "{text}");
    }

    #[test]
    fn a_key_chosen_again_reverses() {
        let [a, b] = [used("a", 2, 1), used("b", 1, 1)];
        let mut order = TableOrder { key: 'n', reversed: false };
        assert_eq!(order.compare(&a, &b), Ordering::Less);
        order.choose('c');
        assert_eq!(order.compare(&a, &b), Ordering::Greater);
        order.choose('c');
        assert_eq!(order.compare(&a, &b), Ordering::Less);
    }
}
