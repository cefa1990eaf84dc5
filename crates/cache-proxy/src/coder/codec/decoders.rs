//! A coding is undone. What comes in is a stranger's: truncated, broken and much too long content ends in an error.

use super::{Codec, Out};
use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::write::MultiGzDecoder;
use seawall_http_cache::ContentCoding;
use std::io::{self, Write};

/// RFC 9659 §3: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const BROTLI_BUFFER_BYTES: usize = 16 * 1024;

/// A decoder that writes to `out`.
pub(super) fn decoder(coding: ContentCoding, out: Out) -> io::Result<Box<dyn Codec>> {
    Ok(match coding {
        ContentCoding::Gzip => Box::new(Gzip(MultiGzDecoder::new(out))),
        ContentCoding::Brotli => Box::new(Brotli::new(out)),
        ContentCoding::Zstd => {
            let mut decoder = zstd::stream::write::Decoder::new(out)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(Zstd(decoder))
        }
    })
}

struct Gzip(MultiGzDecoder<Out>);

impl Codec for Gzip {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.write_all(data)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finish().map(drop)
    }
}

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// The library's own writer would take windows of 1 GiB, which are no part of RFC 7932.
struct Brotli {
    state: Box<State>,
    buffer: Vec<u8>,
    out: Out,
    ended: bool,
}

impl Brotli {
    fn new(out: Out) -> Self {
        let alloc = StandardAlloc::default;
        Self {
            state: Box::new(State::new_strict(alloc(), alloc(), alloc())),
            buffer: vec![0; BROTLI_BUFFER_BYTES],
            out,
            ended: false,
        }
    }
}

impl Codec for Brotli {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let (mut left, mut at, mut total) = (data.len(), 0, 0);
        while left > 0 || !self.ended {
            if self.ended {
                return Err(io::Error::other("something follows the last block"));
            }
            let (mut room, mut filled) = (self.buffer.len(), 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                data,
                &mut room,
                &mut filled,
                &mut self.buffer,
                &mut total,
                &mut self.state,
            );
            self.out.write_all(&self.buffer[..filled])?;
            match result {
                BrotliResult::ResultSuccess => self.ended = true,
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultFailure => return Err(io::Error::other("malformed brotli")),
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        if self.ended {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

struct Zstd(zstd::stream::write::Decoder<'static, Out>);

impl Codec for Zstd {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.write_all(data)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finish().map(drop)
    }
}
