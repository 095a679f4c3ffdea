//! Words by which help and the palette find an action besides its name: what it is for.

/// Returns the words for the action `name`, separated by blanks.
pub fn topics(name: &str) -> &'static str {
    match name {
        "limits" => "memory cpu pids ram quota oom cgroup configuration swap",
        "edit" => "limit memory cpu pids value change",
        "keep" => "limit permanent configuration save persist",
        "restore limits" => "lost memory cpu",
        "exec" => "shell bash command run attach inside",
        "console" => "login terminal tty",
        "new" => "host directory template image create add",
        "destroy" => "delete remove",
        "stop" => "kill halt shutdown",
        "restart" => "reboot",
        "freeze" => "pause thaw suspend",
        "log" | "log tab" => "output messages",
        "journal" => "history done refused commands",
        "full message" => "error status reason read",
        "go to events" | "events" => "history oom crash",
        "network" => "address ip interface host",
        "config" => "configuration file host settings",
        "mounts" => "disk file system host",
        "processes" => "tree pids top",
        "signal" => "kill process",
        "mark" => "select several",
        "filter" => "find search",
        "hold" => "pause refresh",
        "copy" => "clipboard yank",
        "sort by pressure" => "psi waiting",
        "quit" => "exit leave",
        _ => "",
    }
}

/// Returns whether a word of the action `name` begins with `needle`, which is lower case.
pub fn is_about(name: &str, needle: &str) -> bool {
    const SHORTEST: usize = 3;
    needle.len() >= SHORTEST && topics(name).split(' ').any(|it| it.starts_with(needle))
}

#[cfg(test)]
mod tests {
    use super::super::action::SHORTCUTS;
    use super::*;

    #[test]
    fn what_a_thing_is_for_leads_to_it() {
        for (word, name) in
            [("mem", "limits"), ("limit", "keep"), ("shell", "exec"), ("host", "new")]
        {
            assert!(is_about(name, word), "{word} {name}");
            assert!(SHORTCUTS.iter().any(|it| it.name == name), "{name}");
        }
        assert!(!is_about("limits", "me") && !is_about("up", ""));
    }
}
