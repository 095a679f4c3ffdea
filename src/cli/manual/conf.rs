//! wharf.conf(5): the files that wharf reads, and every key in them.

use clap_mangen::roff::{Roff, bold, roman};

use super::{ManualPage, begin, prose, see_also};
use crate::engine::create::TEMPLATES;
use crate::engine::keys::{self, CatalogueLine};

const SECTION: u8 = 5;

pub(super) fn page() -> ManualPage {
    let mut page = begin("wharf.conf", SECTION, "the configuration of containers and of wharf");
    for (head, text) in [
        ("DESCRIPTION", DESCRIPTION),
        ("LIMITS OF THE TRASH", TRASH),
        ("PREFERENCES OF THE SCREEN", PREFERENCES),
        ("SETTINGS OF ALL CONTAINERS", SYSTEM),
        ("CONFIGURATION OF A CONTAINER", CONTAINER),
    ] {
        page.control("SH", [head]);
        prose::write(&mut page, text);
    }
    page.control("SH", ["TEMPLATES"]);
    prose::write(&mut page, TEMPLATES_TEXT);
    for it in TEMPLATES {
        entry(&mut page, it.name, &format!("{}.", it.about));
    }
    page.control("SH", ["KEYS"]);
    prose::write(&mut page, KEYS_TEXT);
    for it in keys::catalogue_lines() {
        entry(&mut page, &it.key, &explained(&it));
    }
    see_also(&mut page, &["wharf(1)", "wharf-config(1)", "lxc.container.conf(5)"]);
    ManualPage { name: "wharf.conf".to_owned(), section: SECTION, text: page.to_roff() }
}

fn entry(page: &mut Roff, head: &str, text: &str) {
    page.control("TP", []);
    page.text([bold(head)]);
    page.text([roman(text)]);
}

fn explained(it: &CatalogueLine) -> String {
    let earlier = Some(it.earlier.join(", ")).filter(|it| !it.is_empty());
    let earlier = earlier.map(|it| format!(" Earlier: {it}.")).unwrap_or_default();
    let ignored = it.ignored.map(|why| format!(" Accepted, and changes nothing: {why}."));
    format!("{}.{earlier}{}", it.meaning, ignored.unwrap_or_default())
}

const DESCRIPTION: &str = "\
wharf reads LXC's files, in LXC's format and where LXC has them, and has two of its own: wharf.conf for
the trash, and one for the screen. wharf-config(1) shows, changes and checks the configuration of a
container, and names the line that a setting comes from.";

const TRASH: &str = "\
/etc/wharf/wharf.conf, and after it wharf/wharf.conf below $XDG_CONFIG_HOME or ~/.config, if they are
there, say how long the trash of wharf-trash(1) keeps what is in it, and how much:

  trash.age     such as 12h or 30d; none: until it is emptied [default: 7d]
  trash.size    such as 20G, or a share of the file system such as 5%; none: any size [default: 10%]

Nothing goes because of trash.size within its first hour. Root obeys only a file that is root's.";

/// The example has every preference; a test reads it as the screen does.
const PREFERENCES: &str = "\
The screen reads $XDG_CONFIG_HOME/wharf/config.toml, or else ~/.config/wharf/config.toml, if there
is one. It is TOML; an unknown word is an error that the screen reports when it opens. Each line may
be left out:

  theme = \"dark\"
  ascii = false
  refresh = 1.0

theme is one of dark, light, high-contrast, colour-blind, 16 (the terminal's own colours) and mono.
With ascii = true nothing but ASCII is drawn; otherwise the locale decides. refresh is the number of
seconds between two samples, from 0.1 to 3600.";

const SYSTEM: &str = "\
For root, /etc/lxc/lxc.conf, for others ~/.config/lxc/lxc.conf, as lxc.system.conf(5) has it. wharf
uses

  lxc.lxcpath         the directory of the containers, if it is absolute
                      [default: /var/lib/lxc, for others ~/.local/share/lxc]
  lxc.default_config  what lxc-create begins with [default: default.conf beside it]
  lxc.cgroup.use      the controllers of cgroup v1 that are used, separated by commas

and tells the other settings by lxc-config alone.";

const CONTAINER: &str = "\
LXCPATH/NAME/config, as lxc.container.conf(5) has it: a key, `=` and a value on each line, comments
after `#`. What differs from LXC:

A key that does not exist, and a value that cannot be used, refuse the start, with file and line. A
line that changes nothing is named as a warning. Names of earlier releases are understood;
`wharf config migrate` rewrites them.

lxc.include takes a file or a directory, of which each *.conf is read in alphabetical order. Files
that other users may write are refused, and so is what includes itself. At most 8 levels and 10000
lines are read.

A limit of the other version of cgroups is set as its counterpart: lxc.cgroup.memory.limit_in_bytes
has its effect on a host with cgroup v2, as memory.max, unless the other is set as well.";

const TEMPLATES_TEXT: &str = "\
`wharf create` and `wharf start -f` take the name of a template instead of a file; wharf has these:";

const KEYS_TEXT: &str = "\
`wharf config keys` says of each whether it works on this host. `*` stands for the free part of a
key, N for the number of an interface.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::preferences::Preferences;
    use crate::ui::theme::Theme;

    #[test]
    fn the_example_of_the_preferences_sets_every_one() {
        let example: Vec<&str> = PREFERENCES.lines().filter(|it| it.contains(" = ")).collect();
        let example = example.into_iter().filter_map(|it| it.strip_prefix("  "));
        let example = example.collect::<Vec<_>>().join("\n");
        let read: Preferences = toml::from_str(&example).unwrap();
        let Preferences { theme, ascii, refresh } = read;
        assert!(theme.is_some() && ascii.is_some() && refresh.is_some(), "{example}");
        for it in Theme::ALL {
            assert!(PREFERENCES.contains(it.word()), "{}", it.word());
        }
    }
}
