//! The form for a new container: fields, the resulting configuration, and the equivalent command.

use ratatui::style::Style;

use super::canvas::Canvas;
use crate::engine::create::{Create, RootfsSource};
use crate::engine::shown::shown;
use crate::format;
use crate::ui::command_line;
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::create::{CreateForm, FormRow, SourceKind};
use crate::widgets::form::{FieldValue, Form, LabelledRow, has_notes};
use crate::widgets::frame::{Frame, TITLE_MARGIN};
use crate::widgets::look::Look;
use crate::widgets::pen::{Piece, cut};
use crate::widgets::text::{paragraph, wrap};

/// The text below the form's configuration lines.
const DEFAULTS: &str = "
and wharf's defaults: few capabilities, no new privileges, six devices, guarded /proc and /sys, \
and only a loopback network.

The same without the screen:";

/// Paints the form.
pub(super) fn render(model: &Model, mut canvas: Canvas<'_>) {
    let areas = layout::form(model.size);
    if let Some(area) = areas.help {
        help(&model.draft, canvas.within(area));
    }
    fields(model, canvas.within(areas.fields));
    if let Some(area) = areas.preview {
        preview(model, canvas.within(area));
    }
}

fn fields(model: &Model, canvas: Canvas<'_>) {
    let look = canvas.look;
    let title = [("New container", look.accent)];
    let right = [("Tab next field", look.dim)];
    let area = layout::form(model.size).rows;
    let form = &model.draft;
    let notes: Vec<(String, Style)> = form.rows().map(|row| note(model, row, look)).collect();
    let current = form.rows().position(|row| row == form.row).unwrap_or(0);
    // Where there is no room beside the values, the frame shows the note on the current one.
    let foot = notes.get(current).filter(|_| !has_notes(area.width));
    let room = usize::from(area.width).saturating_sub(TITLE_MARGIN);
    let foot = foot.map(|(it, style)| (cut(it, room, look.glyphs.ellipsis), *style));
    let foot: Vec<Piece<'_>> = foot.iter().map(|(it, style)| (&**it, *style)).collect();
    let frame = Frame { right: &right, foot: &foot, focused: true, ..Frame::titled(look, &title) };
    let Canvas { buf, .. } = canvas.framed(frame);
    let rows: Vec<LabelledRow<'_>> = form
        .rows()
        .zip(&notes)
        .map(|(row, (text, style))| LabelledRow {
            label: form.label(row),
            value: value(form, row),
            note: (text, *style),
        })
        .collect();
    Form { look, rows: &rows, current }.render(area, buf);
}

/// The note beside a field: what is wrong with it, or what it means.
fn note(model: &Model, row: FormRow, look: &Look) -> (String, Style) {
    let form = &model.draft;
    let taken: Vec<&str> = model.containers().iter().map(|it| it.name.as_str()).collect();
    let memory = host_memory(model);
    let waits = row == FormRow::Command && form.command.is_empty() && !form.tried;
    if let Some(fault) = form.fault(row, &taken, memory).filter(|_| !waits) {
        return (fault.text, look.bad);
    }
    match row {
        FormRow::Name if form.name.is_empty() => ("letters, digits, - _ .".to_owned(), look.dim),
        FormRow::Name => ("free".to_owned(), look.ok),
        FormRow::Source => match form.source {
            SourceKind::Host => ("shared, read and write".to_owned(), look.warn),
            SourceKind::Directory => ("becomes its root".to_owned(), look.dim),
            SourceKind::Template => ("fills a root of its own".to_owned(), look.dim),
            SourceKind::Image => ("unpacked into its root".to_owned(), look.dim),
        },
        FormRow::Place if form.place.is_empty() => ("required".to_owned(), look.warn),
        FormRow::Place => (String::new(), look.dim),
        FormRow::Command if form.source == SourceKind::Host && form.command.is_empty() => {
            ("a shell below an init".to_owned(), look.dim)
        }
        FormRow::Command => ("its first process".to_owned(), look.dim),
        FormRow::Memory => (memory_note(model), look.dim),
        FormRow::Cpu => (cpu_note(model), look.dim),
        FormRow::Pids => ("4096 by default".to_owned(), look.dim),
    }
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

const fn value(form: &CreateForm, row: FormRow) -> FieldValue<'_> {
    match row {
        FormRow::Name => FieldValue::Typed(&form.name, form.offered.as_str()),
        FormRow::Source => FieldValue::Chosen(form.source.words()),
        FormRow::Place => match form.source {
            SourceKind::Host | SourceKind::Directory => {
                FieldValue::Typed(&form.place, "such as /srv/web")
            }
            SourceKind::Template => FieldValue::Typed(&form.place, "such as busybox"),
            SourceKind::Image => FieldValue::Typed(&form.place, "such as /srv/web.tar"),
        },
        FormRow::Command => match form.source {
            SourceKind::Host => FieldValue::Typed(&form.command, "/bin/sh"),
            SourceKind::Directory | SourceKind::Template => {
                FieldValue::Typed(&form.command, "/sbin/init")
            }
            SourceKind::Image => FieldValue::Typed(&form.command, "the image's"),
        },
        FormRow::Memory => FieldValue::Typed(&form.memory, "no limit"),
        FormRow::Cpu => FieldValue::Typed(&form.cpu, "no limit"),
        FormRow::Pids => FieldValue::Typed(&form.pids, "4096"),
    }
}

fn preview(model: &Model, canvas: Canvas<'_>) {
    let look = canvas.look;
    let title = [("Configuration", look.accent)];
    let right = [("live", look.dim)];
    let frame = Frame { right: &right, ..Frame::titled(look, &title) };
    let mut canvas = canvas.framed(frame).padded();
    let create = sketched(&model.draft, host_memory(model));
    let name = model.draft.chosen_name();
    let room = usize::from(canvas.area.width);
    let mut rows = canvas.rows();
    for (key, value) in lines(&name, &create) {
        let Some(row) = rows.next() else { return };
        let mut pen = canvas.pen_at(row);
        pen.put(&key, look.key).put(" = ", look.dim);
        pen.clip(&shown(&value), look.ok, look.glyphs.ellipsis);
    }
    for text in wrap(DEFAULTS, room) {
        let Some(row) = rows.next() else { return };
        canvas.pen_at(row).put(text, look.dim);
    }
    let words = command_line::create_in_parts(&model.program, &name, &create);
    for (index, words) in words.iter().enumerate() {
        for text in wrap(&shown(words), room.saturating_sub(4)) {
            let Some(row) = rows.next() else { return };
            let mut pen = canvas.pen_at(row);
            pen.put(if index == 0 { "$ " } else { "    " }, look.dim).put(text, look.fg);
        }
    }
    if let Some(row) = rows.next() {
        canvas.pen_at(row).put("C-y", look.key).put(" copies it", look.dim);
    }
}

/// What the form would create, with a placeholder for a missing place.
fn sketched(form: &CreateForm, host_memory: Option<u64>) -> Create {
    let mut create = form.create(host_memory);
    if form.place.text().trim().is_empty() {
        create.source = match create.source {
            RootfsSource::Host => RootfsSource::Host,
            RootfsSource::Directory(_) => RootfsSource::Directory("DIRECTORY".into()),
            RootfsSource::Template { args, .. } => {
                RootfsSource::Template { program: "TEMPLATE".to_owned(), args }
            }
            RootfsSource::Image { tag, .. } => {
                RootfsSource::Image { from: "IMAGE".to_owned(), tag }
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
        RootfsSource::Template { .. } | RootfsSource::Image { .. } => {
            lines.push(("lxc.rootfs.path".to_owned(), format!("LXCPATH/{name}/rootfs")));
        }
    }
    lines.extend(create.settings.iter().cloned());
    lines
}

fn help(form: &CreateForm, canvas: Canvas<'_>) {
    let look = canvas.look;
    let title = [("Help for this field", look.accent)];
    let Canvas { area, buf, .. } = canvas.framed(Frame::titled(look, &title)).padded();
    paragraph(words(form), look.fg, area, buf);
}

const fn words(form: &CreateForm) -> &'static str {
    match form.row {
        FormRow::Name => {
            "The name is the container's directory, its host name and the name of its cgroup."
        }
        FormRow::Source => match form.source {
            SourceKind::Host => {
                "Nothing is copied: the container sees and changes the same files as you. ←→ choose \
                 a directory or a template instead."
            }
            SourceKind::Directory => {
                "An existing tree of files becomes its root. ←→ choose others."
            }
            SourceKind::Template => {
                "A program fills a new directory, which becomes its root. ←→ choose others."
            }
            SourceKind::Image => {
                "An archive or a container image is unpacked; the image's command runs. ←→ choose \
                 others."
            }
        },
        FormRow::Place => match form.source {
            SourceKind::Host | SourceKind::Directory => {
                "It is used where it is, and stays when the container is destroyed."
            }
            SourceKind::Template => {
                "One of LXC's (busybox for lxc-busybox) or the path of a program, with its arguments."
            }
            SourceKind::Image => {
                "A tar archive of a root, an OCI layout, what docker save wrote, or docker://NAME."
            }
        },
        FormRow::Command => {
            "Process 1 of the container, which ends with it. Empty: /sbin/init of the root, or on the \
             host's files a shell, as the child of wharf's own init."
        }
        FormRow::Memory => {
            "The kernel reclaims first, then kills, inside this container only. 512M, 1.5G, 25% of \
             the host. Can be changed while it runs: e on the container."
        }
        FormRow::Cpu => {
            "Processor time in percent of one processor: 50% is half of one, 200% two. It waits \
             when it wants more."
        }
        FormRow::Pids => "The most processes and threads it may have, which stops a fork bomb.",
    }
}

fn host_memory(model: &Model) -> Option<u64> {
    model.sample.as_ref().and_then(|it| it.host.memory_bytes)
}
