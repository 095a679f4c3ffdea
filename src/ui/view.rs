//! Paints the model. Reads everything, changes nothing.

mod cgroup;
mod create;
mod detail;
mod diagnosis;
mod events;
mod footer;
mod graphs;
mod header;
mod list;
mod narrow;
mod overlay;
mod processes;
mod status;
#[cfg(test)]
mod tests;
mod text;
mod words;

use ratatui::buffer::Buffer;
use ratatui::style::Modifier;

use super::layout;
use super::model::Model;
use crate::widgets::look::Look;
use crate::widgets::pen::clear;

/// Signs in texts, and what stands for each in ASCII.
const SIGNS: [(&str, &str); 3] = [("→", ">"), ("←", "<"), ("…", "~")];

/// What is painted with, and what besides the model is painted.
#[derive(Clone, Copy)]
pub struct Paint<'a> {
    pub look: &'a Look,
    /// The terminal of the program in the pane; paints itself into an area.
    pub pane: Option<&'a super::pane::Pane>,
}

impl std::fmt::Debug for Paint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Paint").finish_non_exhaustive()
    }
}

/// Paints one frame of `model` into `buf`.
pub fn view(model: &Model, paint: Paint<'_>, buf: &mut Buffer) {
    let look = paint.look;
    clear(buf, buf.area, look.fg);
    if model.pane.as_ref().is_some_and(|it| it.full) && model.overlay.is_none() {
        detail::full_pane(model, paint, buf);
        return;
    }
    let regions = layout::regions(model.size);
    header::render(model, look, regions.header, buf);
    if model.creating {
        create::render(model, look, regions.body, buf);
    } else if model.detail.is_some() {
        detail::render(model, paint, buf);
    } else {
        list::render(model, look, buf);
    }
    if model.stale().is_some() {
        fade(model, look, buf);
    }
    status::render(model, look, regions.notice, buf);
    footer::render(model, look, regions.footer, buf);
    overlay::render(model, look, buf);
    if look.glyphs.ascii {
        spell_signs(buf);
    }
}

/// Makes all that the sampler saw look old. What came another way is left as it is.
fn fade(model: &Model, look: &Look, buf: &mut Buffer) {
    for area in layout::sampled(model) {
        for at in area.intersection(buf.area).positions() {
            // On a reversed row, the cursor's without colours, dim letters cannot be read.
            let cell = buf.cell_mut(at).filter(|it| !it.modifier.contains(Modifier::REVERSED));
            cell.map(|it| it.set_style(look.faded()));
        }
    }
}

/// Replaces the signs that texts have, where only ASCII can be shown.
fn spell_signs(buf: &mut Buffer) {
    for cell in &mut buf.content {
        let sign = SIGNS.iter().find(|(sign, _)| *sign == cell.symbol());
        if let Some((_, ascii)) = sign {
            cell.set_symbol(ascii);
        }
    }
}
