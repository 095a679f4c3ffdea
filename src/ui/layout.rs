//! Where everything is placed at a given terminal size. Pure geometry, paints nothing.

use ratatui::layout::Rect;

use super::model::Model;
use super::model::detail::Tab;
use crate::engine::sample::Container;
use crate::widgets::prompt;

/// From this width on the container under the cursor has a pane at the right.
pub const WIDE: u16 = 160;
/// From this width on the peek has two columns, and an open container four panes.
pub const MIDDLE: u16 = 100;
/// The width of a layer, on a screen that is wider but not so much that the layer may grow.
const LAYER: u16 = 128;

/// Below this width there are no frames, and a container takes two lines.
pub const NARROW: u16 = 80;
/// Below this height a container takes one line however narrow the screen is.
const SHORT: u16 = 14;
/// From this height on the list has events below it.
const EVENTS_FROM: u16 = 24;
/// From this height on the list has the peek below it.
const PEEK_FROM: u16 = 30;
const EVENTS_HEIGHT: u16 = 5;
const MOST_EVENTS_HEIGHT: u16 = 9;
const PEEK_HEIGHT: u16 = 10;
/// On a wide screen a short list leaves at least this many rows for a peek as wide as the screen.
const WIDE_PEEK_HEIGHT: u16 = 16;
/// From this width the table has columns for what is read, written, received and sent.
pub const ROOMY: u16 = 124;

/// The list screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListAreas {
    pub table: Rect,
    /// Processes and graphs of the container under the cursor.
    pub peek: Option<[Rect; 2]>,
    pub events: Option<Rect>,
}

/// Header, body, notice and footer, which every screen has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regions {
    pub header: Rect,
    pub body: Rect,
    pub notice: Rect,
    pub footer: Rect,
}

/// Divides a terminal of `size`. The notice is dropped first, then the header.
pub fn regions(size: (u16, u16)) -> Regions {
    let (width, height) = size;
    let footer_height = height.min(1);
    let header_height = u16::from(height >= 4);
    let notice_height = u16::from(height >= 6);
    let body_height = height - footer_height - header_height - notice_height;
    let row = |y, height| Rect::new(0, y, width, height);
    Regions {
        header: row(0, header_height),
        body: row(header_height, body_height),
        notice: row(header_height + body_height, notice_height),
        footer: row(height - footer_height, footer_height),
    }
}

/// Divides the list screen.
pub fn list(model: &Model) -> ListAreas {
    let body = regions(model.size).body;
    let (width, height) = model.size;
    let mut left = body;
    let mut areas = ListAreas::default();
    // Without content, no empty space is reserved.
    let peek = model.list.peek && !model.containers().is_empty();
    if let Some(table_height) = short_list(model, body).filter(|_| peek) {
        return matched(model, below_each_other(body, table_height));
    }
    if width >= WIDE && height >= EVENTS_FROM && peek {
        let side = (width / 3).max(62);
        left.width = width - side;
        let half = body.height / 2;
        let right = Rect { x: left.width, width: side, ..body };
        areas.peek = Some([
            Rect { y: right.y + half, height: right.height - half, ..right },
            Rect { height: half, ..right },
        ]);
    }
    if width >= NARROW && height >= EVENTS_FROM {
        left.height -= EVENTS_HEIGHT;
        areas.events = Some(Rect { y: left.bottom(), height: EVENTS_HEIGHT, ..left });
    }
    if peek && (NARROW..WIDE).contains(&width) && height >= PEEK_FROM {
        left.height -= PEEK_HEIGHT;
        let peek = Rect { y: left.bottom(), height: PEEK_HEIGHT, ..left };
        let half = width * 46 / 100;
        areas.peek =
            Some([Rect { width: half, ..peek }, Rect { x: half, width: width - half, ..peek }]);
    }
    areas.table = left;
    matched(model, areas)
}

/// If nothing matches the filter, there is nothing to peek at: the events have that room, too, so that
/// the table keeps its place while the filter is typed.
fn matched(model: &Model, areas: ListAreas) -> ListAreas {
    let Some([one, other]) = areas.peek.filter(|_| model.list.order.is_empty()) else {
        return areas;
    };
    let peek = one.union(other);
    match areas.events {
        // Beside the table; the events below that go there.
        Some(events) if peek.x > events.x => {
            ListAreas { table: areas.table.union(events), peek: None, events: Some(peek) }
        }
        Some(events) => ListAreas { peek: None, events: Some(events.union(peek)), ..areas },
        None => ListAreas { peek: None, ..areas },
    }
}

/// Returns how high a table of all containers is that leaves room for a wide peek below it. The
/// filter does not count: nothing should jump while it is typed.
fn short_list(model: &Model, body: Rect) -> Option<u16> {
    let unmanaged = model.sample.as_ref().map_or(0, |it| it.unmanaged.len());
    // The frame, the headings, and a free line before those that are left to LXC.
    let lines = model.containers().len() + unmanaged + 3 + usize::from(unmanaged > 0);
    let most = body.height.checked_sub(EVENTS_HEIGHT + WIDE_PEEK_HEIGHT)?;
    let height = u16::try_from(lines).ok()?;
    (body.width >= WIDE && height <= most).then_some(height)
}

/// Puts the peek below the table and the events below that, each as wide as the screen.
fn below_each_other(body: Rect, table_height: u16) -> ListAreas {
    let rest = body.height - table_height;
    let events_height = (rest / 4).clamp(EVENTS_HEIGHT, MOST_EVENTS_HEIGHT);
    let table = Rect { height: table_height, ..body };
    let peek = Rect { y: table.bottom(), height: rest - events_height, ..body };
    let half = peek.width / 2;
    ListAreas {
        table,
        peek: Some([
            Rect { width: half, ..peek },
            Rect { x: half, width: peek.width - half, ..peek },
        ]),
        events: Some(Rect { y: peek.bottom(), height: events_height, ..body }),
    }
}

/// Returns whether the traffic of networks is shown: in columns of the table, or that of the open
/// container above its interfaces.
pub fn shows_networks(model: &Model) -> bool {
    match &model.detail {
        Some(detail) => detail.tab == Tab::Network,
        None => shows_network_columns(model),
    }
}

/// Returns whether the table has columns for the networks.
pub fn shows_network_columns(model: &Model) -> bool {
    inside(list(model).table).width >= ROOMY
}

/// Returns how many lines a container takes in the list.
pub const fn lines_per_row(size: (u16, u16)) -> u16 {
    if size.0 >= NARROW || size.1 < SHORT { 1 } else { 2 }
}

/// Returns how many containers the list shows at once.
pub fn list_rows(model: &Model) -> usize {
    let table = list(model).table;
    // A frame takes two lines and the headings one.
    let lines = if model.size.0 >= NARROW { table.height.saturating_sub(3) } else { table.height };
    usize::from(lines / lines_per_row(model.size))
}

/// Returns how many of those left to LXC the list can name below its containers, after a free row.
pub fn unmanaged_rows(model: &Model) -> usize {
    let framed = model.size.0 >= NARROW && !model.containers().is_empty();
    let shown = model.list.order.len().saturating_sub(model.list.offset);
    if framed { list_rows(model).saturating_sub(shown + 1) } else { 0 }
}

/// Returns the containers whose rows are on the screen.
pub fn list_shown(model: &Model) -> impl Iterator<Item = &Container> {
    model.shown().skip(model.list.offset).take(list_rows(model))
}

/// Returns whether the processes of the container under the cursor are on the screen.
pub fn shows_peek(model: &Model) -> bool {
    model.detail.is_none() && list(model).peek.is_some()
}

/// Returns how many processes the peek shows at once.
pub fn peek_rows(model: &Model) -> usize {
    // A frame takes two lines and the headings one.
    list(model).peek.map_or(0, |[processes, _]| usize::from(processes.height.saturating_sub(3)))
}

/// Returns the areas of sampled data, below the header.
pub fn sampled(model: &Model) -> Vec<Rect> {
    if model.creating {
        return Vec::new();
    }
    if model.detail.is_none() {
        let areas = list(model);
        return areas.peek.into_iter().flatten().chain([areas.table]).collect();
    }
    let areas = detail(model);
    // The console is live, and events have their own times.
    let panes = areas.panes.into_iter();
    let panes = panes.filter(|(tab, _)| !matches!(tab, Tab::Console | Tab::Events));
    panes.map(|(_, area)| area).chain([areas.about]).collect()
}

/// The form for a new container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormAreas {
    /// The fields in their frame.
    pub fields: Rect,
    /// A field in each row.
    pub rows: Rect,
    pub preview: Option<Rect>,
    pub help: Option<Rect>,
}

/// Lines of the form's help box: two of text in a frame.
const HELP_HEIGHT: u16 = 4;
/// From this height the first field has a free line above it.
const AIRY: u16 = 10;

/// Divides the screen of the form.
pub fn form(size: (u16, u16)) -> FormAreas {
    let area = regions(size).body;
    let mut body = area;
    let mut help = None;
    if area.height >= 3 * HELP_HEIGHT + 6 {
        body.height -= HELP_HEIGHT;
        help = Some(Rect { y: body.bottom(), height: HELP_HEIGHT, ..area });
    }
    let wide = area.width >= MIDDLE;
    let left = if wide { area.width * 60 / 100 } else { area.width };
    let fields = Rect { width: left, ..body };
    let preview = Rect { x: body.x + left, width: body.width - left, ..body };
    let inner = inside(fields);
    let air = u16::from(inner.height >= AIRY);
    let rows = Rect { y: inner.y + air, height: inner.height - air, ..inner };
    FormAreas { fields, rows, preview: wide.then_some(preview), help }
}

/// An open container: one line about it, the tabs, and its panes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailAreas {
    pub about: Rect,
    pub tabs: Rect,
    pub panes: Vec<(Tab, Rect)>,
}

/// The title of a tab, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TabTitle {
    pub tab: Tab,
    pub words: String,
    pub area: Rect,
}

/// Returns the titles of the tabs of the open container.
pub fn tabs(model: &Model) -> Vec<TabTitle> {
    let line = detail(model).tabs;
    let mut x = line.x + 1;
    let mut titles = Vec::with_capacity(Tab::ALL.len());
    let Some(screen) = &model.detail else { return titles };
    for (tab, number) in Tab::ALL.into_iter().zip(1..) {
        let active = tab == screen.tab;
        let title = if line.width >= MIDDLE || active {
            tab.title()
        } else if line.width >= NARROW {
            tab.short_title()
        } else {
            ""
        };
        let space = if title.is_empty() { "" } else { " " };
        let (open, close) = if active { ("[", "]") } else { (" ", " ") };
        let words = format!("{open}{number}{space}{title}{close}");
        let width = words.len() as u16;
        titles.push(TabTitle { tab, words, area: Rect { x, width, ..line }.intersection(line) });
        // A program that runs there is marked.
        x += width + if tab == Tab::Console && runs_here(model) { 2 } else { 0 };
    }
    titles
}

/// Returns whether a program runs in the pane of the open container.
pub fn runs_here(model: &Model) -> bool {
    let open = model.detail.as_ref().map(|it| &it.name);
    model.pane.as_ref().is_some_and(|it| Some(&it.name) == open && it.ended.is_none())
}

/// Divides the screen of the open container.
pub fn detail(model: &Model) -> DetailAreas {
    let body = regions(model.size).body;
    let line =
        |y: u16| Rect { y: body.y + y, height: 1.min(body.height.saturating_sub(y)), ..body };
    let edits = model.detail.as_ref().is_some_and(|it| it.cgroup.edit.is_some());
    let (heads, about, tabs) = match body.height {
        8.. => (2, line(0), line(1)),
        // The effect of a value needs the room.
        ..8 if edits => (0, Rect::ZERO, Rect::ZERO),
        ..8 => (1.min(body.height), Rect::ZERO, line(0)),
    };
    let rest = Rect { y: body.y + heads, height: body.height - heads, ..body };
    let panes = model.detail.as_ref().map_or_else(Vec::new, |detail| match detail.tab {
        Tab::Overview if detail.zoom || model.size.0 < MIDDLE => vec![(detail.focus, rest)],
        Tab::Overview => quarters(rest),
        Tab::Processes
        | Tab::Cgroup
        | Tab::Console
        | Tab::Log
        | Tab::Events
        | Tab::Config
        | Tab::Network
        | Tab::Mounts => vec![(detail.tab, rest)],
    });
    DetailAreas { about, tabs, panes }
}

fn quarters(area: Rect) -> Vec<(Tab, Rect)> {
    let half = area.width / 2;
    let upper = area.height.div_ceil(2);
    let left = Rect { width: half, ..area };
    let right = Rect { x: area.x + half, width: area.width - half, ..area };
    let top = |it: Rect| Rect { height: upper, ..it };
    let bottom = |it: Rect| Rect { y: it.y + upper, height: it.height - upper, ..it };
    vec![
        (Tab::Processes, top(left)),
        (Tab::Cgroup, top(right)),
        (Tab::Console, bottom(left)),
        (Tab::Log, bottom(right)),
    ]
}

/// Returns the area of the program in the pane: the whole body when it is full, else inside of the
/// frame of the console.
pub fn pane(model: &Model) -> Option<Rect> {
    let pane = model.pane.as_ref()?;
    if pane.full {
        let (width, height) = model.size;
        return Some(Rect::new(0, 0, width, height.saturating_sub(1)));
    }
    let (_, area) = detail(model).panes.into_iter().find(|(tab, _)| *tab == Tab::Console)?;
    Some(inside(area))
}

/// Returns where a question may stand. The footer, which names its keys, stays.
pub const fn question(size: (u16, u16)) -> Rect {
    Rect { x: 0, y: 0, width: size.0, height: size.1.saturating_sub(1) }
}

/// Returns how wide a layer over the screen is.
pub const fn layer_width(size: (u16, u16)) -> u16 {
    if size.0 < LAYER + 2 * prompt::BESIDE {
        size.0
    } else if size.0 / 5 * 4 < LAYER {
        LAYER
    } else {
        size.0 / 5 * 4
    }
}

/// Returns how tall a layer over the screen can be. The footer, which names its keys, stays.
pub const fn layer_height(size: (u16, u16)) -> u16 {
    let kept = if size.1 < SHORT { 1 } else { 3 };
    size.1.saturating_sub(kept)
}

/// Returns where a layer stands that wants to be so high.
pub fn layer(size: (u16, u16), height: usize) -> Rect {
    let area = question(size);
    let width = layer_width(size);
    let place = prompt::middle(area, usize::from(width), height.min(layer_height(size).into()));
    Rect { x: (size.0 - width) / 2, width, ..place }
}

/// Returns how wide the text of an opened line may be.
pub const fn whole_room(size: (u16, u16)) -> usize {
    layer_width(size).saturating_sub(4) as usize
}

/// Returns how many rows of it are shown at once.
pub const fn whole_rows(size: (u16, u16)) -> usize {
    let rows = layer_height(size).saturating_sub(2);
    if rows == 0 { 1 } else { rows as usize }
}

/// Returns `area` without its frame.
pub const fn inside(area: Rect) -> Rect {
    Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
    }
}

/// Returns how many rows the pane `tab` has for its content, headings not counted.
pub fn pane_rows(model: &Model, tab: Tab) -> usize {
    let panes = detail(model).panes;
    let area = panes.iter().find(|(it, _)| *it == tab).map_or(Rect::ZERO, |(_, area)| *area);
    let headings = u16::from(tab == Tab::Processes);
    usize::from(area.height.saturating_sub(2 + headings))
}
