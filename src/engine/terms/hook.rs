//! `lxc.hook.*`: commands of the operator's that run at moments of a container's life. Plain data.

/// A moment of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// On the host, before anything is made.
    PreStart,
    /// In the container's mount namespace, while the host's root is still there.
    PreMount,
    /// The same, once everything is mounted.
    Mount,
    /// The same, for additions to a new /dev.
    Autodev,
    /// On the host, once the container is set up and its program does not run yet.
    StartHost,
    /// Inside, immediately before the program.
    Start,
    /// On the host, when init has ended.
    Stop,
    /// On the host, when nothing is left.
    PostStop,
}

impl Moment {
    /// In the order of a life.
    pub const ALL: [Self; 8] = [
        Self::PreStart,
        Self::PreMount,
        Self::Mount,
        Self::Autodev,
        Self::StartHost,
        Self::Start,
        Self::Stop,
        Self::PostStop,
    ];

    /// The word after `lxc.hook.`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PreStart => "pre-start",
            Self::PreMount => "pre-mount",
            Self::Mount => "mount",
            Self::Autodev => "autodev",
            Self::StartHost => "start-host",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::PostStop => "post-stop",
        }
    }
}

/// One line of `lxc.hook.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub moment: Moment,
    /// For the shell.
    pub command: String,
}
