//! The form for a new container: what was typed, and what it would create. Touches no file.

use crate::engine::Name;
use crate::engine::create::{Create, Purpose, RootfsSource, StartingPoint, TEMPLATES, Template};
use crate::ui::value::{self, Whole};
use crate::widgets::field::Input;

/// The draft. It is kept when the form is closed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateForm {
    pub row: FormRow,
    pub name: Input,
    /// The default name.
    pub offered: String,
    pub source: SourceKind,
    /// The directory or the template, by `source`.
    pub place: Input,
    pub purpose: Purpose,
    /// wharf's template for the network; none: what every container starts from.
    pub network: Option<&'static Template>,
    pub command: Input,
    pub memory: Input,
    pub cpu: Input,
    pub pids: Input,
    /// Whether an attempt was made: from then on empty fields are reported too.
    pub tried: bool,
    /// What it would start from, once that is read.
    pub start: Option<Result<StartingPoint, String>>,
}

/// The fields, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormRow {
    #[default]
    Name,
    Source,
    Place,
    Purpose,
    Network,
    Command,
    Memory,
    Cpu,
    Pids,
}

/// Where the files come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceKind {
    #[default]
    Host,
    Directory,
    Template,
    Image,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub row: FormRow,
    pub text: String,
}

impl FormRow {
    pub const ALL: [Self; 9] = [
        Self::Name,
        Self::Source,
        Self::Place,
        Self::Purpose,
        Self::Network,
        Self::Command,
        Self::Memory,
        Self::Cpu,
        Self::Pids,
    ];

    /// Returns whether its value is one of several, and not typed.
    pub const fn is_choice(self) -> bool {
        match self {
            Self::Source | Self::Purpose | Self::Network => true,
            Self::Name | Self::Place | Self::Command | Self::Memory | Self::Cpu | Self::Pids => {
                false
            }
        }
    }
}

impl SourceKind {
    pub const ALL: [Self; 4] = [Self::Host, Self::Directory, Self::Template, Self::Image];

    /// Returns the words for it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Host => "the host's files",
            Self::Directory => "a directory",
            Self::Template => "a template",
            Self::Image => "a container image",
        }
    }
}

impl CreateForm {
    /// Returns the visible fields: the host's files need no place, and no second system runs on
    /// them.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = FormRow> {
        let host = self.source == SourceKind::Host;
        let of_root = |it: FormRow| matches!(it, FormRow::Place | FormRow::Purpose);
        FormRow::ALL.into_iter().filter(move |it| !(host && of_root(*it)))
    }

    /// Returns what the container is for.
    pub const fn purpose(&self) -> Purpose {
        match self.source {
            SourceKind::Host => Purpose::Application,
            SourceKind::Directory | SourceKind::Template | SourceKind::Image => self.purpose,
        }
    }

    /// Takes the next of the values of the current field, or the one before.
    pub fn choose(&mut self, by: isize) {
        match self.row {
            FormRow::Source => self.source = next(&SourceKind::ALL, self.source, by),
            FormRow::Purpose => {
                let all = [Purpose::Application, Purpose::System];
                self.purpose = next(&all, self.purpose, by);
            }
            FormRow::Network => {
                let all: Vec<_> = [None].into_iter().chain(TEMPLATES.iter().map(Some)).collect();
                self.network = next(&all, self.network, by);
            }
            FormRow::Name
            | FormRow::Place
            | FormRow::Command
            | FormRow::Memory
            | FormRow::Cpu
            | FormRow::Pids => (),
        }
    }

    /// Goes to the next field, or the one before.
    pub fn step(&mut self, by: isize) {
        let rows: Vec<FormRow> = self.rows().collect();
        self.row = next(&rows, self.row, by);
    }

    /// Returns what a field is called.
    pub const fn label(&self, row: FormRow) -> &'static str {
        match row {
            FormRow::Name => "Name",
            FormRow::Source => "Files",
            FormRow::Place => match self.source {
                SourceKind::Host | SourceKind::Directory => "Path",
                SourceKind::Template => "Template",
                SourceKind::Image => "Image",
            },
            FormRow::Purpose => "Runs",
            FormRow::Network => "Network",
            FormRow::Command => "Command",
            FormRow::Memory => "Memory limit",
            FormRow::Cpu => "CPU limit",
            FormRow::Pids => "Processes",
        }
    }

    /// Returns the text under edit; a choice has none.
    pub const fn input(&mut self) -> Option<&mut Input> {
        match self.row {
            FormRow::Source | FormRow::Purpose | FormRow::Network => None,
            FormRow::Name => Some(&mut self.name),
            FormRow::Place => Some(&mut self.place),
            FormRow::Command => Some(&mut self.command),
            FormRow::Memory => Some(&mut self.memory),
            FormRow::Cpu => Some(&mut self.cpu),
            FormRow::Pids => Some(&mut self.pids),
        }
    }

    /// Returns the typed name, or else the default.
    pub fn chosen_name(&self) -> String {
        let typed = self.name.text();
        if typed.trim().is_empty() { self.offered.clone() } else { typed.trim().to_owned() }
    }

    /// Returns what is wrong with the field `row`; `taken` are the names in use.
    pub fn fault(&self, row: FormRow, taken: &[&str], host_memory: Option<u64>) -> Option<Fault> {
        let whole = Whole { memory: host_memory, period: None };
        let limit = |file: &str, input: &Input| {
            let text = input.text();
            (!text.trim().is_empty()).then(|| value::parse(file, &text, whole).err())?
        };
        let text = match row {
            FormRow::Name => self.name_fault(taken),
            FormRow::Source | FormRow::Purpose | FormRow::Network => None,
            FormRow::Place => self.place_fault(),
            FormRow::Command => self.command_fault(),
            FormRow::Memory => limit("memory.max", &self.memory),
            FormRow::Cpu => limit("cpu.max", &self.cpu),
            FormRow::Pids => limit("pids.max", &self.pids),
        };
        text.map(|text| Fault { row, text })
    }

    /// Returns what to create, or the first fault.
    pub fn order(&self, taken: &[&str], host_memory: Option<u64>) -> Result<(Name, Create), Fault> {
        if let Some(fault) = self.rows().find_map(|row| self.fault(row, taken, host_memory)) {
            return Err(fault);
        }
        let name = self.chosen_name().parse();
        let name = name.map_err(|error: crate::engine::name::NameError| Fault {
            row: FormRow::Name,
            text: error.to_string(),
        })?;
        Ok((name, self.create(host_memory)))
    }

    /// Returns what the valid fields would create.
    pub fn create(&self, host_memory: Option<u64>) -> Create {
        let place = self.place.text().trim().to_owned();
        let source = match self.source {
            SourceKind::Host => RootfsSource::Host,
            SourceKind::Directory => RootfsSource::Directory(place.into()),
            SourceKind::Template => {
                let mut words = place.split_whitespace().map(str::to_owned);
                let program = words.next().unwrap_or_default();
                RootfsSource::Template { program, args: words.collect() }
            }
            SourceKind::Image => RootfsSource::Image { from: place, tag: None },
        };
        Create { source, settings: self.settings(host_memory), ..self.base() }
    }

    /// Returns a creation with what decides about its starting point alone.
    pub fn base(&self) -> Create {
        let config = self.network.map(|it| it.name.into());
        Create { config, purpose: self.purpose(), ..Create::default() }
    }

    /// The lines beyond the default configuration. Limits are set for both versions of cgroups, so
    /// that the container can be moved to a host with the other.
    fn settings(&self, host_memory: Option<u64>) -> Vec<(String, String)> {
        let whole = Whole { memory: host_memory, period: None };
        let mut settings = Vec::new();
        let mut add = |key: &str, value: String| settings.push((key.to_owned(), value));
        let command = self.command.text();
        if !command.trim().is_empty() {
            add("lxc.init.cmd", command.trim().to_owned());
        }
        for (input, one, two) in [
            (&self.memory, "memory.limit_in_bytes", "memory.max"),
            (&self.cpu, "cpu.cfs_quota_us", "cpu.max"),
            (&self.pids, "pids.max", "pids.max"),
        ] {
            let text = input.text();
            if text.trim().is_empty() {
                continue;
            }
            if let Ok(value) = value::parse(one, &text, whole) {
                add(&format!("lxc.cgroup.{one}"), value);
            }
            if let Ok(value) = value::parse(two, &text, whole) {
                add(&format!("lxc.cgroup2.{two}"), value);
            }
        }
        settings
    }

    fn name_fault(&self, taken: &[&str]) -> Option<String> {
        let text = self.chosen_name();
        match text.parse::<Name>() {
            Err(error) => Some(error.to_string()),
            Ok(_) if taken.contains(&text.as_str()) => Some("already exists".to_owned()),
            Ok(_) => None,
        }
    }

    fn command_fault(&self) -> Option<String> {
        let text = self.command.text();
        let text = text.trim();
        // Without a command, a container on the host's files gets a shell, others their own init.
        if text.is_empty() {
            return None;
        }
        if !text.starts_with('/') {
            return Some("an absolute path, then arguments".to_owned());
        }
        let quotes = "quotes do not group words here; put the command into a script";
        text.contains(['"', '\'']).then(|| quotes.to_owned())
    }

    fn place_fault(&self) -> Option<String> {
        let text = self.place.text();
        let text = text.trim();
        if text.is_empty() && !self.tried {
            return None;
        }
        match self.source {
            SourceKind::Directory if !text.starts_with('/') => {
                Some("an absolute path, such as /srv/web".to_owned())
            }
            SourceKind::Template if text.is_empty() => {
                Some("a template, such as busybox".to_owned())
            }
            SourceKind::Image if text.is_empty() => {
                Some("an image or an archive, such as /srv/web.tar".to_owned())
            }
            SourceKind::Image if !text.starts_with('/') && !text.contains("://") => {
                Some("an absolute path, or docker://NAME".to_owned())
            }
            SourceKind::Host | SourceKind::Directory | SourceKind::Template | SourceKind::Image => {
                None
            }
        }
    }
}

/// Returns the value `by` places further, around the end.
fn next<T: Copy + PartialEq>(all: &[T], now: T, by: isize) -> T {
    let at = all.iter().position(|it| *it == now).unwrap_or(0);
    let to = at.saturating_add(all.len()).saturating_add_signed(by).checked_rem(all.len());
    to.and_then(|it| all.get(it)).copied().unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(name: &str, command: &str) -> CreateForm {
        CreateForm { name: Input::new(name), command: Input::new(command), ..Default::default() }
    }

    #[test]
    fn names_are_checked_while_they_are_typed() {
        let fault =
            |name: &str| form(name, "x").fault(FormRow::Name, &["web"], None).map(|it| it.text);
        assert!(fault("").is_some(), "nothing is offered");
        assert_eq!(fault("web-2"), None);
        assert_eq!(fault("web").as_deref(), Some("already exists"));
        assert!(fault("../x").is_some());
    }

    #[test]
    fn an_order_says_limits_for_both_versions() {
        let mut form = form("web", "/bin/sleep 9");
        form.memory = Input::new("512M");
        form.cpu = Input::new("50%");
        let (name, create) = form.order(&[], None).unwrap();
        assert_eq!(name.as_str(), "web");
        let settings: Vec<String> =
            create.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            settings,
            [
                "lxc.init.cmd=/bin/sleep 9",
                "lxc.cgroup.memory.limit_in_bytes=536870912",
                "lxc.cgroup2.memory.max=536870912",
                "lxc.cgroup.cpu.cfs_quota_us=50000",
                "lxc.cgroup2.cpu.max=50000 100000",
            ]
        );
    }

    #[test]
    fn the_first_fault_stops_the_order() {
        let mut form = form("", "");
        assert_eq!(form.order(&[], None).unwrap_err().row, FormRow::Name);
        form.offered = "web".to_owned();
        assert_eq!(form.order(&[], None).unwrap().0.as_str(), "web");
        form.command = Input::new("/bin/sh -c 'a b'");
        assert_eq!(form.order(&[], None).unwrap_err().row, FormRow::Command);
        form.command = Input::new("");
        form.memory = Input::new("lots");
        assert_eq!(form.order(&[], None).unwrap_err().row, FormRow::Memory);
    }
}
