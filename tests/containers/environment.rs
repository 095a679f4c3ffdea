//! The variables of an image, which its container has, but no program of the host's root. As root.

use std::fs;
use std::path::Path;

use crate::support::lxc::Lxc;
use crate::support::oci::{Layout, root};
use crate::support::{self, Lxcpath};
use serde_json::json;

/// Makes an image that sleeps, with variables.
fn with_variables(dir: &Path, variables: &[&str]) -> Option<Layout> {
    let base = root(dir)?;
    let layout = Layout::new(dir);
    layout.image(&[&base], &json!({ "Env": variables, "Cmd": ["/bin/sleep", "1000"] }));
    Some(layout)
}

/// Adds a hook that writes its environment to the file.
fn note_what_a_hook_sees(lxcpath: &Lxcpath, name: &str, to: &Path) {
    let config = lxcpath.path().join(name).join("config");
    let hook = format!("lxc.hook.pre-mount = /bin/sh -c 'env > {}'\n", to.display());
    fs::write(&config, fs::read_to_string(&config).unwrap() + &hook).unwrap();
}

const HARMLESS: [&str; 3] =
    ["PATH=/usr/local/go/bin:/usr/bin:/bin", "PGDATA=/var/lib/pg", "PYTHON_VERSION=3.13.1"];

#[test]
fn an_image_without_variables_that_change_hooks_starts_under_every_lxc() {
    let Some(lxc) = Lxc::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(layout) = with_variables(dir.path(), &HARMLESS) else { return };
    let name = lxc.lxcpath.name("any");
    let told = lxc.lxcpath.ok(&["create", &name, "--from", layout.dir.to_str().unwrap()]);
    assert!(!told.contains("before 7.0"), "{told}");
    let seen = dir.path().join("seen");
    note_what_a_hook_sees(&lxc.lxcpath, &name, &seen);
    for starts in ["LXC", "wharf"] {
        match starts {
            "LXC" => lxc.start(&name),
            _ => drop(lxc.lxcpath.ok(&["start", &name])),
        }
        let inside = lxc.lxcpath.ok(&["attach", &name, "--", "/bin/env"]);
        let hook = fs::read_to_string(&seen).unwrap();
        for variable in HARMLESS {
            assert!(inside.lines().any(|it| it == variable), "{starts}: {inside}");
            assert!(hook.lines().any(|it| it == variable), "{starts}: {hook}");
        }
        lxc.lxcpath.ok(&["stop", "-k", &name]);
        fs::remove_file(&seen).unwrap();
    }
}

#[test]
fn a_variable_that_hooks_could_obey_is_named_and_not_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let library = "LD_PRELOAD=/evil.so";
    let variables = [&HARMLESS[..], &[library, "BASH_ENV=/x"]].concat();
    let Some(layout) = with_variables(dir.path(), &variables) else { return };
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("evil");
    let told = lxcpath.ok(&["create", &name, "--from", layout.dir.to_str().unwrap()]);
    assert!(told.contains("LD_PRELOAD, BASH_ENV could change what hooks run"), "{told}");
    let config = fs::read_to_string(lxcpath.path().join(&name).join("config")).unwrap();
    assert_eq!(config.matches("\nlxc.environment.runtime = ").count(), 2, "{config}");
    let seen = dir.path().join("seen");
    note_what_a_hook_sees(&lxcpath, &name, &seen);
    lxcpath.ok(&["start", &name]);
    let hook = fs::read_to_string(&seen).unwrap();
    assert!(hook.contains("PGDATA=") && !hook.contains("LD_PRE") && !hook.contains("BASH_ENV"));
    let inside = lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", "echo $LD_PRELOAD"]);
    assert_eq!(inside, "/evil.so\n");
    lxcpath.ok(&["stop", "-k", &name]);
    // What the note says makes it readable.
    if let Some(lxc) = Lxc::new() {
        let read = |file: &Path| {
            let mut command = lxc.program("lxc-info");
            command.args(["-n", &name, "-P"]).arg(lxcpath.path()).arg("--rcfile").arg(file);
            support::finish(command)
        };
        let file = lxcpath.path().join(&name).join("config");
        assert!(!read(&file).status.success());
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("environment.runtime", "environment")).unwrap();
        let done = read(&file);
        assert!(done.status.success(), "{}", support::told(&done));
    }
}
