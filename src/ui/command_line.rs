//! The screen's acts as shell commands.

use crate::engine::create::{Create, Purpose, RootfsSource};

/// Returns the command line that creates the same container.
pub fn create(wharf: &str, name: &str, create: &Create) -> String {
    create_in_parts(wharf, name, create).join(" ")
}

/// Returns its parts: the verb, and each option with its value.
pub fn create_in_parts(wharf: &str, name: &str, create: &Create) -> Vec<String> {
    let mut line = vec![format!("{wharf} create {}", quoted(name))];
    let mut rest = Vec::new();
    match &create.source {
        RootfsSource::Host | RootfsSource::Image { .. } => (),
        RootfsSource::Directory(path) => {
            line.push(format!("--dir {}", quoted(&path.to_string_lossy())));
        }
        RootfsSource::Template { program, args } => {
            line.push(format!("-t {}", quoted(program)));
            rest.extend(args.iter().map(|it| quoted(it)));
        }
    }
    if let RootfsSource::Image { from, tag } = &create.source {
        line.push(format!("--from {}", quoted(from)));
        line.extend(tag.iter().map(|it| format!("--tag {}", quoted(it))));
    }
    if create.purpose == Purpose::System {
        line.push("--system".to_owned());
    }
    if let Some(config) = &create.config {
        line.push(format!("-f {}", quoted(&config.to_string_lossy())));
    }
    for (key, value) in &create.settings {
        line.push(format!("-s {}", quoted(&format!("{key}={value}"))));
    }
    if !rest.is_empty() {
        line.push("--".to_owned());
        line.append(&mut rest);
    }
    line
}

/// Quotes a word for a shell, if necessary.
pub fn quoted(word: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_./=:,+@%".contains(it);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_can_be_pasted_into_a_shell() {
        let create = Create {
            source: RootfsSource::Template {
                program: "busybox".to_owned(),
                args: vec!["a b".to_owned()],
            },
            settings: vec![("lxc.init.cmd".to_owned(), "/bin/sh -c 'x'".to_owned())],
            ..Create::default()
        };
        assert_eq!(
            super::create("wharf", "web", &create),
            r"wharf create web -t busybox -s 'lxc.init.cmd=/bin/sh -c '\''x'\''' -- 'a b'"
        );
    }
}
