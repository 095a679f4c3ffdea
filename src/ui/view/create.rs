//! The form for a new container: fields, the resulting configuration, and the equivalent command.

use ratatui::style::Style;

use super::canvas::Canvas;
use crate::engine::create::{Create, Purpose, RootfsSource, StartingPoint};
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

/// Paints the form.
pub(super) fn render(model: &Model, mut canvas: Canvas<'_>) {
    let areas = layout::form(model.size);
    if let Some(area) = areas.help {
        help(model, canvas.within(area));
    }
    fields(model, canvas.within(areas.fields));
    if let Some(area) = areas.preview {
        preview(model, canvas.within(area));
    }
}

fn fields(model: &Model, canvas: Canvas<'_>) {
    let look = canvas.look;
    let title = [("New container", look.accent)];
    let area = layout::form(model.size).rows;
    let form = &model.draft;
    let notes: Vec<(String, Style)> = form.rows().map(|row| note(model, row, look)).collect();
    let current = form.rows().position(|row| row == form.row).unwrap_or(0);
    // Where there is no room beside the values, the frame shows the note on the current one.
    let foot = notes.get(current).filter(|_| !has_notes(area.width));
    let room = usize::from(area.width).saturating_sub(TITLE_MARGIN);
    let foot = foot.map(|(it, style)| (cut(it, room, look.glyphs.ellipsis), *style));
    let foot: Vec<Piece<'_>> = foot.iter().map(|(it, style)| (&**it, *style)).collect();
    let frame = Frame { foot: &foot, focused: true, ..Frame::titled(look, &title) };
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
    if let Some(fault) = fault(model, row) {
        return (fault, look.bad);
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
        FormRow::Purpose => match form.purpose() {
            Purpose::Application => ("with few privileges".to_owned(), look.dim),
            Purpose::System => ("root can do more".to_owned(), look.warn),
        },
        FormRow::Network => (network_note(form), look.dim),
        FormRow::Place if form.place.is_empty() => ("required".to_owned(), look.warn),
        FormRow::Place => (String::new(), look.dim),
        FormRow::Command if form.source == SourceKind::Host && form.command.is_empty() => {
            ("a shell below an init".to_owned(), look.dim)
        }
        FormRow::Command => ("its first process".to_owned(), look.dim),
        FormRow::Memory => (memory_note(model), look.dim),
        FormRow::Cpu => (cpu_note(model), look.dim),
        FormRow::Pids => ("at most, with threads".to_owned(), look.dim),
    }
}

/// What is wrong with a field; none: nothing, or it has not been filled in yet.
fn fault(model: &Model, row: FormRow) -> Option<String> {
    let form = &model.draft;
    let taken: Vec<&str> = model.containers().iter().map(|it| it.name.as_str()).collect();
    let waits = row == FormRow::Command && form.command.is_empty() && !form.tried;
    let fault = form.fault(row, &taken, host_memory(model)).filter(|_| !waits);
    fault.map(|it| it.text)
}

/// The networks that it would really have, once that is known.
fn network_note(form: &CreateForm) -> String {
    form.start.as_ref().and_then(|it| it.as_ref().ok()).map_or_else(String::new, networks)
}

fn networks(start: &StartingPoint) -> String {
    if start.networks.is_empty() { "none set".to_owned() } else { start.networks.join(", ") }
}

fn memory_note(model: &Model) -> String {
    let host = model.sample.as_ref().map(|it| &it.host);
    let free = host.and_then(|it| it.memory_bytes?.checked_sub(it.memory_used_bytes?));
    free.map_or_else(String::new, |it| format!("{} free on the host", format::bytes(it)))
}

fn cpu_note(model: &Model) -> String {
    let cpus = model.sample.as_ref().and_then(|it| it.host.cpus);
    cpus.map_or_else(String::new, |it| format!("all {it} CPUs are {}%", it * 100))
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
        FormRow::Purpose => FieldValue::Chosen(match form.purpose() {
            Purpose::Application => "one program",
            Purpose::System => "a whole system",
        }),
        FormRow::Network => FieldValue::Chosen(match form.network {
            Some(template) => template.name,
            None => "default",
        }),
        FormRow::Command => FieldValue::Typed(&form.command, default_command(form)),
        FormRow::Memory => FieldValue::Typed(&form.memory, "no limit"),
        FormRow::Cpu => FieldValue::Typed(&form.cpu, "no limit"),
        FormRow::Pids => FieldValue::Typed(&form.pids, "4096"),
    }
}

/// What runs if no command is typed.
const fn default_command(form: &CreateForm) -> &'static str {
    match (form.source, form.purpose()) {
        (SourceKind::Host, _) => "/bin/sh",
        (SourceKind::Image, Purpose::Application) => "the image's",
        (SourceKind::Directory | SourceKind::Template | SourceKind::Image, _) => "/sbin/init",
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
    _ = rows.next();
    for (text, style) in beyond(&model.draft, look) {
        for text in wrap(&shown(&text), room) {
            let Some(row) = rows.next() else { return };
            canvas.pen_at(row).put(text, style);
        }
    }
    _ = rows.next();
    let Some(row) = rows.next() else { return };
    canvas.pen_at(row).put("The same without the screen:", look.dim);
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

/// What the configuration has beyond the lines of the form.
fn beyond(form: &CreateForm, look: &Look) -> Vec<(String, Style)> {
    let start = match &form.start {
        None => return Vec::new(),
        Some(Err(reason)) => return vec![(reason.clone(), look.bad)],
        Some(Ok(start)) => start,
    };
    let file = start.file.as_ref().map(|it| it.to_string_lossy().into_owned());
    let from = file.or_else(|| form.network.map(|it| format!("wharf's template {}", it.name)));
    let own = match form.purpose() {
        Purpose::Application => {
            "few capabilities, no new privileges, harmless devices, guarded /proc and /sys"
        }
        Purpose::System => {
            "what an init needs: most capabilities, terminals, its own cgroups and /run"
        }
    };
    let text = from.map_or_else(
        || format!("and wharf's defaults: {own}."),
        |from| format!("and {from}; what that does not set has wharf's defaults: {own}."),
    );
    let network = format!("Network: {}.", networks(start));
    let mut texts = vec![(text, look.dim), (network, look.dim)];
    texts.extend(start.left_out.iter().map(|it| (it.clone(), look.warn)));
    texts
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

fn help(model: &Model, canvas: Canvas<'_>) {
    let look = canvas.look;
    let form = &model.draft;
    if let Some(fault) = fault(model, form.row) {
        // Beside the field there may be too little room for it.
        let title = [("Error in this field", look.bad)];
        let Canvas { area, buf, .. } = canvas.framed(Frame::titled(look, &title)).padded();
        paragraph(&fault, look.fg, area, buf);
        return;
    }
    let title = [("Help for this field", look.accent)];
    let Canvas { area, buf, .. } = canvas.framed(Frame::titled(look, &title)).padded();
    let template = form.network.filter(|_| form.row == FormRow::Network);
    let about = template.map_or_else(String::new, |it| format!("{}: {}. ", it.name, it.about));
    paragraph(&(about + words(form)), look.fg, area, buf);
}

const fn words(form: &CreateForm) -> &'static str {
    match form.row {
        FormRow::Name => {
            "The name is the container's directory, its host name and the name of its cgroup."
        }
        FormRow::Source => of_source(form.source),
        FormRow::Place => of_place(form.source),
        FormRow::Purpose => match form.purpose() {
            Purpose::Application => {
                "A program and its children, with few privileges. ←→ switches to a system, whose \
                 init needs more."
            }
            Purpose::System => {
                "An init such as systemd, with its services. Root in it can mount, and reach much of \
                 the kernel. ←→ switches to one program."
            }
        },
        FormRow::Network => match form.network {
            None => {
                "As /etc/lxc/default.conf says, or else only a loopback. ←→ choose one of wharf's \
                 templates instead."
            }
            Some(_) => {
                "Replaces /etc/lxc/default.conf; its links and addresses are examples to change."
            }
        },
        FormRow::Command => match (form.source, form.purpose()) {
            (SourceKind::Host, _) => {
                "Process 1 of the container, which ends with it. Empty: a shell, as the child of \
                 wharf's own init."
            }
            (SourceKind::Image, Purpose::Application) => {
                "Process 1 of the container, which ends with it. Empty: the image's own command, or \
                 /sbin/init if there is none."
            }
            (SourceKind::Directory | SourceKind::Template | SourceKind::Image, _) => {
                "Process 1 of the container, which ends with it. Empty: /sbin/init of its root."
            }
        },
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

const fn of_source(source: SourceKind) -> &'static str {
    match source {
        SourceKind::Host => {
            "Nothing is copied: the container sees and changes the same files as you. ←→ choose \
             files of its own."
        }
        SourceKind::Directory => {
            "An existing tree of files, or a disk image or block device with a file system, \
             becomes its root. ←→ choose others."
        }
        SourceKind::Template => {
            "A program fills a new directory, which becomes its root. ←→ choose others."
        }
        SourceKind::Image => {
            "A container image, or an archive of a root, is unpacked into a new directory, which \
             becomes its root. ←→ choose others."
        }
    }
}

const fn of_place(source: SourceKind) -> &'static str {
    match source {
        SourceKind::Host | SourceKind::Directory => {
            "It is used where it is, and stays when the container is destroyed."
        }
        SourceKind::Template => {
            "One of LXC's (busybox for lxc-busybox) or the path of a program, with its arguments."
        }
        SourceKind::Image => {
            "An OCI layout, what docker save wrote, docker://NAME, or a tar archive of a root."
        }
    }
}

fn host_memory(model: &Model) -> Option<u64> {
    model.sample.as_ref().and_then(|it| it.host.memory_bytes)
}
