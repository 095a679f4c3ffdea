//! `completion`: what a shell needs to complete command lines. It asks wharf again for each word, so
//! nothing that is printed here goes stale.

use std::process::ExitCode;

use clap::ArgMatches;
use clap_complete::env::Shells;

use super::Subcommand;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, operands};
use crate::cli::{args, lxc};

/// The variable by which a shell asks for the words that fit.
pub(in crate::cli) const VARIABLE: &str = "WHARF_COMPLETE";

/// How this program is called.
const PROGRAM: &str = "wharf";
/// The shells of which Debian has packages.
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

pub(super) const COMPLETION: Subcommand = Subcommand {
    name: "completion",
    arguments: |command| {
        command
            .arg(args::flag("lxc", None, "For LXC's names, where `wharf link` has made them"))
            .arg(args::operands("SHELL", "bash, zsh or fish"))
    },
    run: completion,
    notes: "\
Completes commands, options, containers in a state that the command takes, configuration keys,
states, snapshots, cgroup files and signals. The shell asks wharf for them, which reads only what
the user may read, and changes nothing.

Examples:
  eval \"$(wharf completion bash)\"        in ~/.bashrc
  source <(wharf completion zsh)         in ~/.zshrc, after compinit
  wharf completion fish | source         in ~/.config/fish/config.fish
  wharf completion bash > /etc/bash_completion.d/wharf
                                         for every user",
};

fn completion(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let words = operands(matches)?;
    let [word] = words.as_slice() else {
        return Err(Usage(format!("expected one of {}", SHELLS.join(", "))).into());
    };
    let known = Shells::builtins();
    let shell = known.completer(word).filter(|it| SHELLS.contains(&it.name()));
    let Some(shell) = shell else {
        return Err(Usage(format!("`{word}` is not one of {}", SHELLS.join(", "))).into());
    };
    let names: Vec<String> = if matches.get_flag("lxc") {
        lxc::names().map(|it| format!("{}{it}", lxc::PREFIX)).collect()
    } else {
        vec![PROGRAM.to_owned()]
    };
    let mut text = Vec::new();
    for name in &names {
        shell.write_registration(VARIABLE, name, name, PROGRAM, &mut text)?;
    }
    invocation.out.write_all(&text)?;
    if shell.name() == "zsh" && !matches.get_flag("lxc") {
        // A file in zsh's fpath is itself the function, and is called once before that is replaced.
        writeln!(invocation.out, "{ZSH_FIRST_CALL}")?;
    }
    Ok(ExitCode::SUCCESS)
}

const ZSH_FIRST_CALL: &str = r#"
if [ "$funcstack[1]" = "_wharf" ]; then
    _clap_dynamic_completer_wharf "$@"
fi"#;
