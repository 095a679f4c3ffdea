//! The consequences of any change: the place of the cursor, and what the sampler must read.

use crate::engine::Name;
use crate::engine::sampler::{Interest, ReadDepth};
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::detail::DetailScreen;

/// Adjusts cursor and scroll after any change, and returns what the sampler must read from now on.
pub(super) fn settle(model: &mut Model) -> Interest {
    let rows = layout::list_rows(model);
    let all = model.sample.as_ref().map_or(&[][..], |it| &it.containers);
    model.list.settle(all, rows);
    let shown = model.shown().skip(model.list.offset).take(layout::list_rows(model));
    let mut visible: Vec<Name> = shown.map(|it| it.name.clone()).collect();
    let detail = match &model.detail {
        Some(detail) => Some(detail.name.clone()),
        None if layout::shows_peek(model) => model.list.cursor.clone(),
        None => None,
    };
    if let Some(name) = detail.as_ref().filter(|it| !visible.contains(it)) {
        visible.push(name.clone());
    }
    let files = model.detail.as_ref().is_some_and(DetailScreen::needs_files);
    // The list may be sorted by figures that are read only for visible rows.
    let others = if model.list.needs_all() { ReadDepth::Row } else { ReadDepth::Cpu };
    let networks = layout::shows_networks(model);
    Interest { visible, detail, files, networks, others, order: model.order }
}
