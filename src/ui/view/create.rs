//! The form for a new container: fields, what they make of the configuration, and the same as a
//! command.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::engine::create::{Create, RootfsSource};
use crate::engine::shown::shown;
use crate::ui::format;
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::create::{CreateForm, FormRow, SourceKind, command_words};
use crate::widgets::form::{self, FieldValue, Form};
use crate::widgets::frame::Frame;
use crate::widgets::look::Look;
use crate::widgets::pen::Pen;
use crate::widgets::text::{paragraph, wrap};

/// Lines of the help box: two of text in a frame.
const HELP_HEIGHT: u16 = 4;

/// What stands below the lines of the form.
const DEFAULTS: &str = "
and wharf's defaults: few capabilities, no new privileges, six devices, guarded /proc and /sys, \
a network of its own with nothing in it.

The same without the screen:";

/// Paints the form into `area`.
pub(super) fn render(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let mut body = area;
    if area.height >= 3 * HELP_HEIGHT + 6 {
        body.height -= HELP_HEIGHT;
        help(&model.draft, look, Rect { y: body.bottom(), height: HELP_HEIGHT, ..area }, buf);
    }
    if area.width >= layout::MIDDLE {
        let left = area.width * 60 / 100;
        fields(model, look, Rect { width: left, ..body }, buf);
        let right = Rect { x: body.x + left, width: body.width - left, ..body };
        preview(model, look, right, buf);
    } else {
        fields(model, look, body, buf);
    }
}

fn fields(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let title = [("New container", look.accent)];
    let right = [("Tab next field", look.dim)];
    let frame = Frame { right: &right, focused: true, ..Frame::titled(look, &title) };
    let mut inner = frame.render(area, buf);
    if inner.height > 9 {
        inner.y += 1;
        inner.height -= 1;
    }
    let form = &model.draft;
    let notes: Vec<(FormRow, String, Tone)> = form.rows().map(|row| note(model, row)).collect();
    let rows: Vec<form::LabelledRow<'_>> = notes
        .iter()
        .map(|(row, text, tone)| {
            let (value, style) = (
                value(form, *row),
                match tone {
                    Tone::Good => look.ok,
                    Tone::Plain => look.dim,
                    Tone::Warn => look.warn,
                    Tone::Bad => look.bad,
                },
            );
            form::LabelledRow { label: label(form, *row), value, note: (text, style) }
        })
        .collect();
    let current = notes.iter().position(|(row, ..)| *row == form.row).unwrap_or(0);
    Form { look, rows: &rows, current }.render(inner, buf);
}

/// How a note is meant.
#[derive(Clone, Copy)]
enum Tone {
    Good,
    Plain,
    Warn,
    Bad,
}

/// What stands beside a field: what is wrong with it, or what it means.
fn note(model: &Model, row: FormRow) -> (FormRow, String, Tone) {
    let form = &model.draft;
    let taken: Vec<&str> = model.containers().iter().map(|it| it.name.as_str()).collect();
    let memory = host_memory(model);
    let waits = row == FormRow::Command && form.command.is_empty() && !form.tried;
    if let Some(fault) = form.fault(row, &taken, memory).filter(|_| !waits) {
        return (row, fault.text, Tone::Bad);
    }
    let (text, tone) = match row {
        FormRow::Name if form.name.is_empty() => ("letters, digits, - _ .".to_owned(), Tone::Plain),
        FormRow::Name => ("free".to_owned(), Tone::Good),
        FormRow::Source => match form.source {
            SourceKind::Host => ("shared, read and write".to_owned(), Tone::Warn),
            SourceKind::Directory => ("becomes its root".to_owned(), Tone::Plain),
            SourceKind::Template => ("fills a root of its own".to_owned(), Tone::Plain),
        },
        FormRow::Place if form.place.is_empty() => ("must be given".to_owned(), Tone::Warn),
        FormRow::Place => (String::new(), Tone::Plain),
        FormRow::Command if form.source == SourceKind::Host && form.command.is_empty() => {
            ("a shell below wharf's own init".to_owned(), Tone::Plain)
        }
        FormRow::Command => ("its first process".to_owned(), Tone::Plain),
        FormRow::Memory => (memory_note(model), Tone::Plain),
        FormRow::Cpu => (cpu_note(model), Tone::Plain),
        FormRow::Pids => ("4096 by default".to_owned(), Tone::Plain),
    };
    (row, text, tone)
}

fn memory_note(model: &Model) -> String {
    let host = model.sample.as_ref().map(|it| &it.host);
    let free = host.and_then(|it| it.memory_bytes?.checked_sub(it.memory_used_bytes?));
    free.map_or_else(String::new, |it| format!("free on host {}", format::bytes(it)))
}

fn cpu_note(model: &Model) -> String {
    let cpus = model.sample.as_ref().and_then(|it| it.host.cpus);
    cpus.map_or_else(String::new, |it| format!("all of it is {}%", it * 100))
}

const fn label(form: &CreateForm, row: FormRow) -> &'static str {
    match row {
        FormRow::Name => "Name",
        FormRow::Source => "Files",
        FormRow::Place => match form.source {
            SourceKind::Host | SourceKind::Directory => "Directory",
            SourceKind::Template => "Template",
        },
        FormRow::Command => "Command",
        FormRow::Memory => "Memory limit",
        FormRow::Cpu => "CPU limit",
        FormRow::Pids => "Processes",
    }
}

const fn value(form: &CreateForm, row: FormRow) -> FieldValue<'_> {
    match row {
        FormRow::Name => FieldValue::Typed(&form.name, form.offered.as_str()),
        FormRow::Source => FieldValue::Chosen(form.source.words()),
        FormRow::Place => match form.source {
            SourceKind::Host | SourceKind::Directory => {
                FieldValue::Typed(&form.place, "such as /srv/web")
            }
            SourceKind::Template => FieldValue::Typed(&form.place, "such as busybox"),
        },
        FormRow::Command => match form.source {
            SourceKind::Host => FieldValue::Typed(&form.command, "/bin/sh"),
            SourceKind::Directory | SourceKind::Template => {
                FieldValue::Typed(&form.command, "/sbin/init")
            }
        },
        FormRow::Memory => FieldValue::Typed(&form.memory, "no limit"),
        FormRow::Cpu => FieldValue::Typed(&form.cpu, "no limit"),
        FormRow::Pids => FieldValue::Typed(&form.pids, "4096"),
    }
}

fn preview(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let title = [("Configuration", look.accent)];
    let right = [("live", look.dim)];
    let frame = Frame { right: &right, ..Frame::titled(look, &title) };
    let inner = frame.render(area, buf);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let create = sketched(&model.draft, host_memory(model));
    let name = model.draft.chosen_name();
    let mut rows = inner.rows();
    for (key, value) in lines(&name, &create) {
        let Some(row) = rows.next() else { return };
        let mut pen = Pen::line(buf, row);
        pen.put(&key, look.key).put(" = ", look.dim);
        pen.clip(&shown(&value), look.ok, look.glyphs.ellipsis);
    }
    for text in wrap(DEFAULTS, usize::from(inner.width)) {
        let Some(row) = rows.next() else { return };
        Pen::line(buf, row).put(text, look.dim);
    }
    let words = command_words(&model.program, &name, &create);
    for (index, words) in words.iter().enumerate() {
        for text in wrap(&shown(words), usize::from(inner.width).saturating_sub(4)) {
            let Some(row) = rows.next() else { return };
            let mut pen = Pen::line(buf, row);
            pen.put(if index == 0 { "$ " } else { "    " }, look.dim).put(text, look.fg);
        }
    }
    if let Some(row) = rows.next() {
        Pen::line(buf, row).put("C-y", look.key).put(" copies it", look.dim);
    }
}

/// What the form would create, with a word for a place that is not typed yet.
fn sketched(form: &CreateForm, host_memory: Option<u64>) -> Create {
    let mut create = form.create(host_memory);
    if form.place.text().trim().is_empty() {
        create.source = match create.source {
            RootfsSource::Host => RootfsSource::Host,
            RootfsSource::Directory(_) => RootfsSource::Directory("DIRECTORY".into()),
            RootfsSource::Template { args, .. } => {
                RootfsSource::Template { program: "TEMPLATE".to_owned(), args }
            }
        };
    }
    create
}

/// The lines that the form adds to the default configuration.
fn lines(name: &str, create: &Create) -> Vec<(String, String)> {
    let mut lines = vec![("lxc.uts.name".to_owned(), name.to_owned())];
    match &create.source {
        RootfsSource::Host => (),
        RootfsSource::Directory(path) => {
            lines.push(("lxc.rootfs.path".to_owned(), path.to_string_lossy().into_owned()));
        }
        RootfsSource::Template { .. } => {
            lines.push(("lxc.rootfs.path".to_owned(), format!("LXCPATH/{name}/rootfs")));
        }
    }
    lines.extend(create.settings.iter().cloned());
    lines
}

fn help(form: &CreateForm, look: &Look, area: Rect, buf: &mut Buffer) {
    let title = [("Help for this field", look.accent)];
    let inner = Frame::titled(look, &title).render(area, buf);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    paragraph(words(form.row), look.fg, inner, buf);
}

const fn words(row: FormRow) -> &'static str {
    match row {
        FormRow::Name => {
            "The name is the container's directory, its host name and the name of its cgroup."
        }
        FormRow::Source => {
            "The host's files: nothing is copied, and the container sees and changes what you do. A \
             directory: a tree that is already there. A template: a program makes a new one. ←→"
        }
        FormRow::Place => {
            "The directory is used where it is and stays when the container is destroyed. A template \
             is one of LXC's (busybox for lxc-busybox) or the path of a program, with its arguments."
        }
        FormRow::Command => {
            "Process 1 of the container, which ends with it. Empty: /sbin/init of the root, or on the \
             host's files a shell, as the child of an init of wharf's own."
        }
        FormRow::Memory => {
            "The kernel reclaims first, then kills, inside this container only. 512M, 1.5G, 25% of \
             the host. Can be changed while it runs: e on the container."
        }
        FormRow::Cpu => {
            "Processor time in percent of one processor: 50% is half of one, 200% two. More waits."
        }
        FormRow::Pids => "How many processes and threads at most: a fork bomb ends here.",
    }
}

fn host_memory(model: &Model) -> Option<u64> {
    model.sample.as_ref().and_then(|it| it.host.memory_bytes)
}
