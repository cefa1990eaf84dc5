//! The codings themselves: content goes in step by step, what comes out is taken in between. Each is bounded in memory.

mod decoders;
mod encoders;

use parking_lot::Mutex;
use seawall_cache_store::Recoding;
use seawall_http_cache::ContentCoding;
use std::io::{self, Write};
use std::sync::Arc;

/// What one step of a decoder may give, in MiB: it is held until the next.
pub(super) const DECODED_STEP_MEBIBYTES: u32 = 8;

/// Where a codec writes. It takes no more than it was allowed to.
#[derive(Clone)]
pub(super) struct Out(Arc<Mutex<Produced>>);

struct Produced {
    bytes: Vec<u8>,
    /// Bytes that may still come.
    room: u64,
}

impl Out {
    pub(super) fn new(room: u64) -> Self {
        let bytes = Vec::new();
        Self(Arc::new(Mutex::new(Produced { bytes, room })))
    }

    /// More may come, up to `most` until it is taken.
    pub(super) fn allow(&self, bytes: u64, most: u64) {
        let mut produced = self.0.lock();
        produced.room = produced.room.saturating_add(bytes).min(most);
    }

    /// What has come since the last time.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().bytes)
    }
}

impl Write for Out {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut produced = self.0.lock();
        let Some(room) = produced.room.checked_sub(data.len() as u64) else {
            return Err(io::Error::other("more comes out than may"));
        };
        produced.room = room;
        produced.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes other bytes of the same content. An error, from either: the content is not what it should be, or what comes out
/// is more than [`Out`] may take.
pub(super) trait Codec: Send {
    /// Takes the next bytes. What comes of them comes when the codec sees fit.
    fn write(&mut self, data: &[u8]) -> io::Result<()>;

    /// There are no more: whatever was held back comes out.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A codec that writes to `out`; `length` is that of the content that goes in, where it is known.
pub(super) fn codec(work: Work, length: Option<u64>, out: Out) -> io::Result<Box<dyn Codec>> {
    match work {
        Work::Code(coding) => encoders::encoder(coding, length, out),
        Work::Decode(coding) => decoders::decoder(coding, out),
    }
}

/// What a codec does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Code(ContentCoding),
    Decode(ContentCoding),
}

impl Work {
    /// What makes `recoding` of content in the coding `came_in`. `None`: there is nothing to undo.
    pub(super) fn of(recoding: Recoding, came_in: Option<ContentCoding>) -> Option<Self> {
        match recoding {
            Recoding::To(coding) => Some(Self::Code(coding)),
            Recoding::Identity => came_in.map(Self::Decode),
        }
    }

    /// The most memory that its codec takes, in MiB: the window (a brotli encoder's ring is twice as long) and the tables
    /// beside it.
    pub(super) fn mebibytes(self) -> u32 {
        match self {
            // a window of 32 KiB
            Self::Code(ContentCoding::Gzip) => 1,
            Self::Decode(ContentCoding::Gzip) => 1 + DECODED_STEP_MEBIBYTES,
            Self::Code(ContentCoding::Brotli) => 6,
            Self::Code(ContentCoding::Zstd) => 5,
            // the window is the sender's choice: 16 MiB by RFC 7932 §9.1, 8 MiB by RFC 9659 §3
            Self::Decode(ContentCoding::Brotli) => 18 + DECODED_STEP_MEBIBYTES,
            Self::Decode(ContentCoding::Zstd) => 10 + DECODED_STEP_MEBIBYTES,
        }
    }
}

#[cfg(test)]
mod tests;
