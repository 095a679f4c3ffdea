//! Control groups: where they are mounted, and one container's group in each hierarchy.

/// Which cgroup versions the host mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    V1,
    V2,
    Hybrid,
}
