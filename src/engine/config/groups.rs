//! `lxc.cgroup.dir` and its kin: where a container's groups are. Opens nothing.

use super::error::{ConfigError, Reason};
use super::settings::{ConfigSettings, Setting, blame};
use crate::engine::terms::groups::{monitor, payload};
use crate::engine::terms::name::Name;
use crate::engine::terms::spec::{At, GroupNames};

const RELATIVE: &str = "lxc.cgroup.relative";
const DIR: &str = "lxc.cgroup.dir";
const CONTAINER: &str = "lxc.cgroup.dir.container";
const MONITOR: &str = "lxc.cgroup.dir.monitor";
const INNER: &str = "lxc.cgroup.dir.container.inner";

/// Returns the names, or what contradicts itself.
pub(super) fn of(settings: &ConfigSettings, name: &Name) -> Result<GroupNames, ConfigError> {
    let [dir, container, monitor, inner] =
        [DIR, CONTAINER, MONITOR, INNER].map(|key| settings.last(key));
    let relative = settings.number(RELATIVE) != 0;
    let Some(first) = container.or(monitor).or(inner) else {
        return Ok(GroupNames { relative, ..usual(name, dir.map(at).as_ref()) });
    };
    if let Some(dir) = dir {
        return Err(blame(dir, Reason::Conflict(first.key.name)));
    }
    let (Some(container), Some(monitor)) = (container, monitor) else {
        let lacking = if container.is_none() { CONTAINER } else { MONITOR };
        return Err(blame(first, Reason::Requires(format!("{lacking}, too"))));
    };
    if is_within(&container.value, &monitor.value) || is_within(&monitor.value, &container.value) {
        return Err(blame(monitor, Reason::Expected("a group apart from the container's")));
    }
    Ok(GroupNames {
        payload: at(container),
        monitor: at(monitor),
        inner: inner.map(|it| it.value.clone()),
        exact: true,
        relative,
    })
}

/// Returns LXC's names, below `dir` if there is one.
fn usual(name: &Name, dir: Option<&At<String>>) -> GroupNames {
    let below = |last: String| match dir {
        Some(At { value, place }) => At { value: format!("{value}/{last}"), place: place.clone() },
        None => At { value: last, place: None },
    };
    let (payload, monitor) = (below(payload(name)), below(monitor(name)));
    GroupNames { payload, monitor, inner: None, exact: false, relative: false }
}

/// Returns the path below the root of the hierarchies, in its one spelling.
fn at(entry: &Setting) -> At<String> {
    let parts: Vec<&str> = entry.value.split('/').filter(|it| *it != ".").collect();
    At { value: parts.join("/"), place: entry.place.clone() }
}

fn is_within(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<GroupNames, String> {
        let mut settings = ConfigSettings::default();
        for (key, value) in lines {
            settings.set(key, value, None).map_err(|it| it.to_string())?;
        }
        of(&settings, &"web".parse().unwrap()).map_err(|it| it.to_string())
    }

    #[test]
    fn groups_are_where_the_configuration_says() {
        let names = |lines| {
            let it = read(lines).unwrap();
            (it.payload.value, it.monitor.value, it.inner, it.exact)
        };
        let usual = ("lxc.payload.web".to_owned(), "lxc.monitor.web".to_owned(), None, false);
        assert_eq!(names(&[]), usual);
        let below = ("a/b/lxc.payload.web".to_owned(), "a/b/lxc.monitor.web".to_owned());
        assert_eq!(names(&[(DIR, "a//./b/")]), (below.0, below.1, None, false));
        let exact = ("c/1".to_owned(), "m/1".to_owned(), Some("in".to_owned()), true);
        assert_eq!(names(&[(INNER, "in"), (CONTAINER, "c/1"), (MONITOR, "m/1")]), exact);
        assert_eq!(names(&[(CONTAINER, "c"), (CONTAINER, "")]), usual);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for lines in [
            &[(CONTAINER, "c")][..],
            &[(MONITOR, "m")],
            &[(INNER, "in")],
            &[(DIR, "a"), (CONTAINER, "c"), (MONITOR, "m")],
            &[(CONTAINER, "c"), (MONITOR, "c")],
            &[(CONTAINER, "c"), (MONITOR, "c/m")],
            &[(CONTAINER, "m/c"), (MONITOR, "m")],
            &[(DIR, "/a")],
            &[(DIR, "a/../b")],
            &[(INNER, "a/b"), (CONTAINER, "c"), (MONITOR, "m")],
            &[(INNER, ".."), (CONTAINER, "c"), (MONITOR, "m")],
        ] {
            assert!(read(lines).is_err(), "{lines:?} was accepted");
        }
        read(&[(CONTAINER, "web"), (MONITOR, "webs")]).unwrap();
    }
}
