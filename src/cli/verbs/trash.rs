//! `trash`.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::ArgMatches;
use serde_json::json;

use super::Subcommand;
use crate::cli::chosen::{self, ExitCodes, report};
use crate::cli::confirm::{self, Consent};
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, no_more, operands};
use crate::cli::output::{Justify, TextTable, epoch_ms, or_unknown};
use crate::cli::{args, complain};
use crate::engine::trash::{Because, Expired, InTrash, TrashId};
use crate::engine::{Engine, Name};
use crate::format;

const AS: &str = "as";

pub(super) const TRASH: Subcommand = Subcommand {
    name: "trash",
    arguments: |command| {
        command
            .arg(args::value(AS, None, "NEWNAME", "Restore it under another name"))
            .arg(chosen::dry_run())
            .arg(confirm::option())
            .arg(args::json())
            .arg(args::format())
            .arg(args::optional("[ACTION] [ID...]", "`list`, `restore NAME` or `empty [NAME...]`"))
    },
    run: trash,
    notes: "\
`wharf destroy` moves containers to the trash, LXCPATH/.wharf-trash, which only its owner can look
into. Several may have had the same name, so each has an id: the name, and when it was destroyed, in
UTC.

  wharf trash                          lists what is in it: id, age, size, and when it goes
  wharf trash restore NAME             gives the last container of that name back
  wharf trash restore ID --as NEWNAME  gives that one back under another name
  wharf trash empty                    removes all of it for good, once asked or with -y
  wharf trash empty NAME...            removes all of that name; or ID: that one

A restore refuses a name that is taken. A copy made with --snapshot needs the container whose files it
shows: that is restored first, and stays in the trash as long as such copies do.

By itself, the trash removes what it has for more than 7 days and, the oldest first, what is too much
for a tenth of its file system; what came within the last hour stays, and so does the last one until it
is too old. That happens with the next destroy, trash or restore, which says so, also with -q.
`/etc/wharf/wharf.conf`, and then wharf/wharf.conf below $XDG_CONFIG_HOME or ~/.config, may set other
limits; for root, only a file of root's own:

  trash.age = 30d     also h, m and s; none: it stays
  trash.size = 20G    also K, M, T and %; none: any size

Exit code: 0 done, 1 if something was refused or failed.

Examples:
  wharf trash
  wharf trash restore web --as web-old
  wharf trash empty -y",
};

/// What can be done with the trash.
pub(in crate::cli) const ACTIONS: [&str; 3] = ["list", "restore", "empty"];

fn trash(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let words = operands(matches)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (does, rest) = words.split_first().unwrap_or((&"list", &[]));
    for (option, goes_with) in [(AS, "restore"), (args::JSON, "list"), (args::FORMAT, "list")] {
        let given = match option {
            args::JSON => matches.get_flag(option),
            _ => matches.contains_id(option),
        };
        if given && *does != goes_with {
            return Err(Usage(format!("--{option} goes with `{goes_with}`")).into());
        }
    }
    if chosen::rehearses(matches) && *does != "empty" {
        return Err(Usage("--dry-run goes with `empty`".into()).into());
    }
    let quiet = matches.get_flag(args::QUIET);
    match (*does, rest) {
        ("list", []) => {
            expire(&invocation.engine, quiet);
            // They are in no row, but take their space.
            let stays = invocation.engine.settle_trash().into_iter();
            stays.filter(|_| !quiet).for_each(|it| complain(&format!("{it:#}")));
            list(invocation, matches)
        }
        ("restore", [word]) => {
            restore(invocation, matches, word)?;
            // Not before: it may be the one that is wanted.
            expire(&invocation.engine, quiet);
            Ok(ExitCode::SUCCESS)
        }
        ("restore", []) => Err(Usage("which one? `wharf trash` lists them".into()).into()),
        ("empty", rest) => empty(invocation, matches, rest),
        ("list" | "restore", rest) => {
            let more = rest.iter().skip(usize::from(*does == "restore"));
            no_more(&more.map(|it| (*it).to_owned()).collect::<Vec<_>>())?;
            Err(Usage("too many operands".into()).into())
        }
        (other, _) => Err(Usage(format!("`{other}` is not one of {}", ACTIONS.join(", "))).into()),
    }
}

/// Has the trash remove what is too old or too much, and reports what is gone for good even to who wants
/// to hear little. It is not what was asked for, so that a failure is only told.
pub(super) fn expire(engine: &Engine, quiet: bool) {
    match engine.expire_trash() {
        Ok(expired) => {
            let told = expired.iter().filter(|it| !quiet || it.failed.is_none());
            told.for_each(|it| complain(&expiry(it)));
        }
        Err(_) if quiet => (),
        Err(error) => complain(&format!("{error:#}")),
    }
}

fn expiry(it: &Expired) -> String {
    let because = match it.because {
        Because::Age(most) => format!("it was there for more than {}", format::duration(most)),
        Because::Size(most) => format!("the trash took more than {}", format::bytes(most).trim()),
    };
    match &it.failed {
        None => format!("the trash has removed {} for good: {because}", it.id),
        Some(error) => format!("{error:#}"),
    }
}

fn list(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let trashed = invocation.engine.trashed()?;
    if invocation.objects(matches, trashed.iter().map(object))? || trashed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let now = SystemTime::now();
    let heads = [
        ("ID", Justify::Left),
        ("AGE", Justify::Right),
        ("SIZE", Justify::Right),
        ("GOES IN", Justify::Right),
    ];
    let table = TextTable {
        heads: heads.map(|(head, align)| (head.to_owned(), align)).into(),
        rows: trashed.iter().map(|it| row(it, now)).collect(),
    };
    write!(invocation.out, "{}", table.layout())?;
    Ok(ExitCode::SUCCESS)
}

fn row(it: &InTrash, now: SystemTime) -> Vec<String> {
    vec![
        it.id.to_string(),
        format::since(it.id.since(), now),
        or_unknown(it.bytes.map(format::bytes)),
        it.goes.map_or_else(|| "never".to_owned(), |goes| format::since(now, goes)),
    ]
}

fn object(it: &InTrash) -> serde_json::Value {
    json!({
        "id": it.id.to_string(),
        "name": it.id.name(),
        "destroyed_ms": epoch_ms(it.id.since()),
        "bytes": it.bytes,
        "goes_ms": it.goes.and_then(epoch_ms),
    })
}

fn restore(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
    word: &str,
) -> anyhow::Result<()> {
    let new: Option<Name> = matches.get_one::<String>(AS).map(|it| it.parse()).transpose()?;
    let restored = invocation.engine.restore_trashed(word, new.as_ref())?;
    if !matches.get_flag(args::QUIET) {
        let name = &restored.name;
        writeln!(
            invocation.out,
            "{name}: restored, as it was at {}",
            format::moment(restored.id.since())
        )?;
        for it in &restored.notes {
            writeln!(invocation.out, "{name}: {it}")?;
        }
    }
    Ok(())
}

fn empty(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
    words: &[&str],
) -> anyhow::Result<ExitCode> {
    let engine = invocation.engine.clone();
    let quiet = matches.get_flag(args::QUIET);
    let mut chosen: Vec<TrashId> = Vec::new();
    for word in words {
        chosen.extend(engine.find_trashed(word)?);
    }
    if words.is_empty() {
        chosen = engine.trash_ids()?;
    }
    // Copies are older than what they were made of, and go first.
    chosen.sort();
    chosen.dedup();
    if chosen::rehearses(matches) {
        for id in &chosen {
            writeln!(invocation.out, "would remove {id} for good")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let named: Vec<String> = chosen.iter().map(ToString::to_string).collect();
    let question = format!("Remove for good: {}?", named.join(", "));
    if !chosen.is_empty() {
        match confirm::ask(matches, &question)? {
            Consent::Refused => return Ok(ExitCode::FAILURE),
            Consent::Unknown if words.is_empty() => {
                let words = "`empty` without a name needs -y where nobody can be asked";
                return Err(Usage(words.into()).into());
            }
            Consent::Given | Consent::Unknown => (),
        }
    }
    let mut codes = ExitCodes::default();
    for id in &chosen {
        match engine.remove_trashed(id) {
            Ok(()) if quiet => (),
            Ok(()) => writeln!(invocation.out, "removed {id} for good")?,
            Err(error) => codes.add(report(&engine, error.into(), quiet)),
        }
    }
    for error in engine.settle_trash() {
        codes.add(report(&engine, error.into(), quiet));
    }
    Ok(codes.of_all())
}
