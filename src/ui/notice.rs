//! How long notices stay above the footer, and what is offered beside them.

use super::layout;
use super::model::{Model, Notice, Tone, UndoStep, Way};

/// How long good news stays, in seconds; the journal keeps it.
const NEWS_SECONDS: u64 = 8;
/// How long bad news and notices that can be undone stay.
const LONG_NEWS_SECONDS: u64 = 30;
/// How long news stays if something else waits for its place.
const SHORT_NEWS_SECONDS: u64 = 4;

impl Model {
    /// Returns the latest notice, while it is shown above the footer.
    pub fn notice_shown(&self) -> Option<&Notice> {
        let notice =
            self.notice.as_ref().filter(|_| layout::regions(self.size).notice.height > 0)?;
        let stays = match notice.tone {
            // It may not have been read yet.
            Tone::Bad if notice.whole => LONG_NEWS_SECONDS,
            // That line also shows the marks, how far a creation is and the time left of a halting
            // guest.
            _ if self.halting().is_some() || self.creation().is_some() => SHORT_NEWS_SECONDS,
            _ if self.detail.is_none() && !self.list.marks.is_empty() => SHORT_NEWS_SECONDS,
            Tone::Bad => LONG_NEWS_SECONDS,
            Tone::Good | Tone::Plain if notice.offers.is_some() => LONG_NEWS_SECONDS,
            Tone::Good | Tone::Plain => NEWS_SECONDS,
        };
        let age = self.now.duration_since(notice.at).unwrap_or_default();
        (age.as_secs() < stays).then_some(notice)
    }

    /// Returns what is offered beside the notice on the screen: the direction, and the steps.
    pub fn way_back(&self) -> Option<(Way, &[UndoStep])> {
        let (way, batch) = self.notice_shown()?.offers?;
        let steps = self.steps(way);
        (steps.last()?.batch == batch).then_some((way, steps))
    }
}
