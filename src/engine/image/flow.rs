//! Streams of an image's bytes: counted, decompressed, hashed, and bounded where a header is read.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Cursor, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use sha2::{Digest as _, Sha256};
use xz4rust::{XzDecoder, XzNextBlockResult};

use crate::engine::terms::progress::Progress;

pub(super) type Stream = Box<dyn Read>;

const GZIP: &[u8] = &[0x1f, 0x8b];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// A frame that decoders skip, as some writers put first; its first byte is 0x50 to 0x5f.
const SKIPPED: &[u8] = &[0x2a, 0x4d, 0x18];
const BZIP2: &[u8] = b"BZh";
const MAGIC: usize = 6;

/// The dictionary of xz that is allocated at first, and the largest: that of `xz -9` is 64 MiB.
const DICTIONARY: usize = 8 << 20;
const MAX_DICTIONARY: usize = 256 << 20;
const BUFFER: usize = 64 << 10;

/// Returns whether what begins so is decompressed by [`plain`].
pub(super) fn is_compressed(head: &[u8]) -> bool {
    [GZIP, XZ, ZSTD].iter().any(|it| head.starts_with(it)) || head.get(1..4) == Some(SKIPPED)
}

/// Decompresses `source`, by its first bytes.
pub(super) fn plain(mut source: Stream) -> io::Result<Stream> {
    let mut head = Vec::new();
    source.by_ref().take(MAGIC as u64).read_to_end(&mut head)?;
    let source: Stream = Box::new(Cursor::new(head.clone()).chain(source));
    if head.starts_with(GZIP) {
        return Ok(Box::new(MultiGzDecoder::new(source)));
    }
    if head.starts_with(XZ) {
        return Ok(Box::new(Xz::new(source)));
    }
    if head.starts_with(ZSTD) || head.get(1..4) == Some(SKIPPED) {
        return Ok(Box::new(Zstd::new(source)));
    }
    if head.starts_with(BZIP2) {
        let reason = "it is compressed by bzip2, which is not supported; gzip, xz and zstd are";
        return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
    }
    Ok(source)
}

/// Tells how much was read, and stops if the work was cancelled.
#[derive(Debug)]
pub(super) struct Counted<R> {
    source: R,
    progress: Progress,
}

impl<R: Read> Counted<R> {
    pub(super) fn new(source: R, progress: &Progress) -> Self {
        Self { source, progress: progress.clone() }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let count = self.source.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}

/// Hashes what passes.
pub(super) struct Hashed<R> {
    source: R,
    hash: Sha256,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, hash: Sha256::new() }
    }

    /// Returns the digest of what was read, as an image names it.
    pub(super) fn digest(self) -> String {
        let mut digest = String::from("sha256:");
        for byte in self.hash.finalize() {
            // Writing to a String cannot fail.
            _ = write!(digest, "{byte:02x}");
        }
        digest
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Fails when more is read than `left` allows: a header of an archive may claim any length.
pub(super) struct Bounded<R> {
    pub(super) source: R,
    pub(super) left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a header is too long"));
        }
        let room = usize::try_from(self.left.get()).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.source.read(buffer.get_mut(..room).unwrap_or_default())?;
        self.left.set(self.left.get().saturating_sub(count as u64));
        Ok(count)
    }
}

/// Decodes one xz stream after the other.
struct Xz {
    source: BufReader<Stream>,
    decoder: Box<XzDecoder<'static>>,
    /// Between two streams there may be zeros.
    between: bool,
}

impl Xz {
    fn new(source: Stream) -> Self {
        let decoder = XzDecoder::in_heap_with_alloc_dict_size(DICTIONARY, MAX_DICTIONARY);
        Self { source: BufReader::with_capacity(BUFFER, source), decoder, between: false }
    }

    /// Begins the next stream; false: there is none.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            let input = self.source.fill_buf()?;
            if input.is_empty() {
                return Ok(false);
            }
            let padding = input.iter().take_while(|it| **it == 0).count();
            if padding == 0 {
                self.decoder.reset();
                self.between = false;
                return Ok(true);
            }
            self.source.consume(padding);
        }
    }
}

impl Read for Xz {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.between && !self.begin()? {
                return Ok(0);
            }
            let input = self.source.fill_buf()?;
            if input.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let decoded = self.decoder.decode(input, buffer);
            let (taken, made) = match decoded {
                Ok(XzNextBlockResult::NeedMoreData(taken, made)) => (taken, made),
                Ok(XzNextBlockResult::EndOfStream(taken, made)) => {
                    self.between = true;
                    (taken, made)
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            };
            self.source.consume(taken);
            if made > 0 {
                return Ok(made);
            }
        }
    }
}

/// Decodes one zstd frame after the other.
struct Zstd {
    source: BufReader<Stream>,
    decoder: FrameDecoder,
    within: bool,
}

impl Zstd {
    fn new(source: Stream) -> Self {
        let source = BufReader::with_capacity(BUFFER, source);
        Self { source, decoder: FrameDecoder::new(), within: false }
    }

    /// Begins the next frame; false: there is none.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = self.source.by_ref().take(length.into());
                    io::copy(&mut skipped, &mut io::sink())?;
                }
                Err(error) => return Err(invalid(error)),
            }
        }
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within && !self.begin()? {
                return Ok(0);
            }
            self.within = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(invalid)?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.within = !self.decoder.is_finished();
        }
    }
}

fn invalid(error: FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
