//! Paints the model. Reads everything, changes nothing.

mod canvas;
mod cgroup;
mod create;
mod detail;
mod diagnosis;
mod events;
mod footer;
mod framed;
mod graphs;
mod header;
mod kept;
mod list;
mod narrow;
mod overlay;
mod places;
mod processes;
mod row;
mod status;
#[cfg(test)]
mod tests;
mod text;
mod words;

use ratatui::buffer::Buffer;
use ratatui::style::Modifier;

use super::layout;
use super::model::Model;
use super::pane::Pane;
use crate::widgets::look::Look;
use crate::widgets::pen::clear;
use canvas::Canvas;

/// Signs in texts, and their replacements in ASCII.
const SIGNS: [(&str, &str); 3] = [("→", ">"), ("←", "<"), ("…", "~")];

/// Paints one frame of `model` into `buf`, with the terminal of the program in the pane.
pub fn view(model: &Model, pane: Option<&Pane>, look: &Look, buf: &mut Buffer) {
    clear(buf, buf.area, look.fg);
    let mut canvas = Canvas { look, area: buf.area, buf };
    if model.pane.as_ref().is_some_and(|it| it.full) && model.overlay.is_none() {
        detail::full_pane(model, pane, canvas);
        return;
    }
    let regions = layout::regions(model.size);
    header::render(model, canvas.within(regions.header));
    if model.creating {
        create::render(model, canvas.within(regions.body));
    } else if model.detail.is_some() {
        detail::render(model, pane, &mut canvas);
    } else {
        list::render(model, &mut canvas);
    }
    if model.stale().is_some() {
        fade(model, look, canvas.buf);
    }
    status::render(model, canvas.within(regions.notice));
    footer::render(model, canvas.within(regions.footer));
    overlay::render(model, &mut canvas);
    if look.glyphs.ascii {
        spell_signs(canvas.buf);
    }
}

/// Makes all sampled data look stale. Other data is left as it is.
fn fade(model: &Model, look: &Look, buf: &mut Buffer) {
    for area in layout::sampled(model) {
        for at in area.intersection(buf.area).positions() {
            // Dim letters are unreadable on a reversed row, such as the cursor's without colours.
            let cell = buf.cell_mut(at).filter(|it| !it.modifier.contains(Modifier::REVERSED));
            cell.map(|it| it.set_style(look.faded()));
        }
    }
}

/// Replaces the signs in texts if only ASCII can be shown.
fn spell_signs(buf: &mut Buffer) {
    for cell in &mut buf.content {
        let sign = SIGNS.iter().find(|(sign, _)| *sign == cell.symbol());
        if let Some((_, ascii)) = sign {
            cell.set_symbol(ascii);
        }
    }
}
