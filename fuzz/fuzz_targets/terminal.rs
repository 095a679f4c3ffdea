#![no_main]

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf::widgets::grid::{Emulator, GuestScreen as _, Size};

// Whatever a guest prints, what is painted has no control characters.
libfuzzer_sys::fuzz_target!(|steps: Vec<(Vec<u8>, u16, u16, i32)>| {
    let mut guest = Emulator::new(Size { columns: 80, rows: 24 });
    for (bytes, columns, rows, lines) in steps.into_iter().take(4) {
        guest.feed(&bytes);
        guest.resize(Size { columns, rows });
        guest.scroll(lines);
        let mut buf = Buffer::empty(Rect::new(0, 0, columns % 200, rows % 60));
        guest.paint(buf.area, &mut buf);
        assert!(!buf.content.iter().any(|it| it.symbol().chars().any(char::is_control)));
        _ = guest.answers();
    }
});
