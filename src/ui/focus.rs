//! Which part gets the operator's input. Keys, paste, clicks and the wheel all ask here.

use super::layout;
use super::model::Model;

/// The part that has the keyboard, and with it the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// A question, help, the palette, the journal.
    Overlay,
    /// The program in the pane.
    Program,
    /// The form for a new container.
    Form,
    /// The line of the list's filter.
    Filter,
    /// The value under edit in its row.
    Value,
    /// The line of the search in a text.
    Search,
    /// What may follow the keys that were typed.
    Popup,
    List,
    /// The open container.
    Detail,
}

impl Model {
    /// Returns the part that gets the operator's input now.
    pub fn focus(&self) -> Focus {
        if self.overlay.is_some() {
            return Focus::Overlay;
        }
        if self.pane.as_ref().is_some_and(|it| it.typing) && layout::pane(self).is_some() {
            return Focus::Program;
        }
        if self.creating {
            return Focus::Form;
        }
        let popup = !self.typed.is_empty();
        let Some(detail) = &self.detail else {
            return if self.list.filtering {
                Focus::Filter
            } else if popup {
                Focus::Popup
            } else {
                Focus::List
            };
        };
        if detail.cgroup.edit.is_some() {
            Focus::Value
        } else if detail.search.as_ref().is_some_and(|it| it.typing) {
            Focus::Search
        } else if popup {
            Focus::Popup
        } else {
            Focus::Detail
        }
    }
}
