//! The containers in the pictures: created in a directory of their own, and removed with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::engine::create::{Create, RootfsSource};
use crate::engine::start::Start;
use crate::engine::stop::Stop;
use crate::engine::{Engine, Name};

/// How long a container that is asked to halt gets.
const GRACE: Duration = Duration::from_secs(2);

/// One container: its name, its script, its limits, and its state.
struct Role {
    name: &'static str,
    command: &'static str,
    memory: &'static str,
    /// In percent of one processor; 0: no limit.
    cpu: u32,
    condition: Condition,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Runs,
    Frozen,
    Stopped,
    Never,
}

const fn role(name: &'static str, command: &'static str) -> Role {
    Role { name, command, memory: "", cpu: 0, condition: Condition::Runs }
}

/// Each does real work with only the shell, so that any host can take the pictures.
const ROLES: [Role; 10] = [
    Role {
        memory: "96M",
        cpu: 45,
        ..role(
            "web-01",
            "x=$(head -c 24M /dev/zero | tr '\\0' x); (while :; do for i in 1 2 3 4 5 6; do \
             head -c 6M /dev/zero | sha1sum >/dev/null; done; sleep 0.4; done) & (sleep 999 & \
             (sleep 998 & sleep 997)) & sleep 996 & wait",
        )
    },
    Role {
        memory: "64M",
        cpu: 30,
        ..role(
            "web-02",
            "x=$(head -c 12M /dev/zero | tr '\\0' x); while :; do \
             head -c 2M /dev/zero | md5sum >/dev/null; sleep 0.1; done",
        )
    },
    Role {
        memory: "256M",
        ..role(
            "api-gateway",
            "while :; do head -c 1M /dev/zero | md5sum >/dev/null; \
             sleep 0.3; done",
        )
    },
    Role {
        memory: "128M",
        ..role(
            "postgres-main",
            "x=$(head -c 28M /dev/zero | tr '\\0' x); (sleep 995 & sleep 994) \
             & while :; do echo checkpoint complete; sleep 5; done",
        )
    },
    Role {
        cpu: 15,
        memory: "256M",
        ..role(
            "worker-01",
            "while :; do head -c 9M /dev/zero | sha256sum >/dev/null; sleep 3; done",
        )
    },
    role("redis-cache", "x=$(head -c 6M /dev/zero | tr '\\0' x); while :; do sleep 1; done"),
    Role {
        memory: "96M",
        condition: Condition::Frozen,
        ..role("batch-night", "x=$(head -c 24M /dev/zero | tr '\\0' x); while :; do sleep 1; done")
    },
    Role {
        memory: "16M",
        ..role("old-migrate", "sleep 4; x=$(head -c 60M /dev/zero | tr '\\0' x); echo ${#x}")
    },
    Role { condition: Condition::Stopped, ..role("grafana", "while :; do sleep 1; done") },
    Role { condition: Condition::Never, ..role("sandbox", "sleep 9") },
];

/// The containers while the pictures are taken. Dropping it removes all of them.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) engine: Engine,
    pub(super) names: Vec<Name>,
    lxcpath: PathBuf,
}

impl Fixture {
    /// Makes the containers and starts them.
    pub(super) fn set() -> anyhow::Result<Self> {
        let lxcpath = std::env::temp_dir().join(format!("wharf-pictures-{}", std::process::id()));
        std::fs::create_dir(&lxcpath).with_context(|| format!("make {}", lxcpath.display()))?;
        let engine = Engine::open(Some(&lxcpath));
        let mut fixture = Self { engine, names: Vec::new(), lxcpath };
        for role in &ROLES {
            let name: Name = role.name.parse()?;
            let script = fixture.lxcpath.join(format!("{name}.sh"));
            std::fs::write(&script, role.command)?;
            fixture.engine.create(&name, &order(role, &script)).map_err(with_causes)?;
            fixture.names.push(name.clone());
            if role.condition != Condition::Never {
                fixture.engine.start(&name, &Start::default()).map_err(with_causes)?;
            }
        }
        Ok(fixture)
    }

    /// Freezes and stops those that are shown in that state.
    pub(super) fn act(&self) -> anyhow::Result<()> {
        for (role, name) in ROLES.iter().zip(&self.names) {
            match role.condition {
                Condition::Frozen => self.engine.freeze(name).map_err(with_causes)?,
                Condition::Stopped => self.engine.stop(name, Stop::Kill).map_err(with_causes)?,
                Condition::Runs | Condition::Never => (),
            }
        }
        Ok(())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for name in &self.names {
            // One that has stopped by itself refuses, and is still removed.
            _ = self.engine.stop(name, Stop::Gently { timeout: Some(GRACE), then_kill: true });
            _ = self.engine.destroy(name);
            _ = std::fs::remove_file(self.lxcpath.join(format!("{name}.sh")));
        }
        // Not recursively: a container that could not be destroyed keeps its directory.
        _ = std::fs::remove_dir(&self.lxcpath);
    }
}

/// The container shares the host's files, and so sees its script.
fn order(role: &Role, script: &Path) -> Create {
    let command = format!("/bin/sh {}", script.display());
    let mut settings = vec![("lxc.init.cmd".to_owned(), command)];
    if !role.memory.is_empty() {
        settings.push(("lxc.cgroup.memory.limit_in_bytes".to_owned(), role.memory.to_owned()));
        settings.push(("lxc.cgroup2.memory.max".to_owned(), role.memory.to_owned()));
    }
    if role.cpu > 0 {
        let quota = role.cpu * 1000;
        settings.push(("lxc.cgroup.cpu.cfs_quota_us".to_owned(), quota.to_string()));
        settings.push(("lxc.cgroup2.cpu.max".to_owned(), format!("{quota} 100000")));
    }
    Create { source: RootfsSource::Host, settings, ..Create::default() }
}

/// The error with its causes, for one line.
fn with_causes(error: crate::engine::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
