//! The last output of a console, addressed by how many bytes were ever printed. Each reader keeps
//! its own position, so that a slow one costs nothing and never blocks the container.

/// A ring of the newest bytes.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: Box<[u8]>,
    /// How many bytes were ever pushed.
    end: u64,
}

impl Ring {
    /// Makes room for `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity.max(1)].into_boxed_slice(), end: 0 }
    }

    /// Returns the position after the newest byte.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Returns the position of the oldest byte that is kept.
    pub(super) const fn start(&self) -> u64 {
        self.end.saturating_sub(self.bytes.len() as u64)
    }

    /// Adds `new`, dropping the oldest bytes.
    pub(super) fn push(&mut self, new: &[u8]) {
        let capacity = self.bytes.len();
        let skipped = new.len().saturating_sub(capacity);
        self.end += skipped as u64;
        let mut rest = new.get(skipped..).unwrap_or_default();
        while !rest.is_empty() {
            let at = (self.end % capacity as u64) as usize;
            let room = self.bytes.get_mut(at..).unwrap_or_default();
            let count = rest.len().min(room.len());
            let (now, later) = rest.split_at(count);
            if let Some(place) = room.get_mut(..count) {
                place.copy_from_slice(now);
            }
            self.end += count as u64;
            rest = later;
        }
    }

    /// Returns the bytes from `place` on, as far as they are contiguous. A reader that fell behind
    /// continues with the oldest byte: `place` is moved there.
    pub(super) fn read(&self, place: &mut u64) -> &[u8] {
        *place = (*place).max(self.start());
        let left = self.end.saturating_sub(*place) as usize;
        let at = (*place % self.bytes.len() as u64) as usize;
        let piece = self.bytes.get(at..).unwrap_or_default();
        piece.get(..left.min(piece.len())).unwrap_or_default()
    }

    /// Copies everything from `place` on, at most `most` bytes.
    pub(super) fn copy(&self, mut place: u64, most: usize) -> Vec<u8> {
        let mut copy = Vec::new();
        loop {
            let piece = self.read(&mut place);
            let count = piece.len().min(most - copy.len());
            if count == 0 {
                return copy;
            }
            copy.extend_from_slice(piece.get(..count).unwrap_or_default());
            place += count as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reader_that_fell_behind_continues_with_the_oldest_byte() {
        let mut ring = Ring::new(4);
        ring.push(b"abcdef");
        let mut place = 0;
        assert_eq!(ring.copy(place, 100), b"cdef");
        assert_eq!(ring.read(&mut place), b"cd");
        assert_eq!(place, 2);
        assert_eq!(ring.copy(5, 100), b"f");
        assert_eq!(ring.copy(ring.end(), 100), b"");
        assert_eq!(ring.copy(0, 3), b"cde");
    }

    proptest! {
        #[test]
        fn the_newest_bytes_are_kept(pieces: Vec<Vec<u8>>, capacity in 1_usize..40) {
            let mut ring = Ring::new(capacity);
            for piece in &pieces {
                ring.push(piece);
            }
            let all = pieces.concat();
            prop_assert_eq!(ring.end(), all.len() as u64);
            prop_assert_eq!(ring.copy(0, usize::MAX), &all[all.len().saturating_sub(capacity)..]);
        }
    }
}
