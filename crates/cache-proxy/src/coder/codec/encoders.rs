//! Content is coded.

use super::{Codec, Out};
use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;
use seawall_http_cache::ContentCoding;
use std::io::{self, Write};

const GZIP_LEVEL: u32 = 6;
/// Higher ones take several times as long for a few percent.
const BROTLI_QUALITY: i32 = 5;
/// A window of 1 MiB: most texts lie within, and a coder stays small. RFC 7932 allows 24.
const BROTLI_WINDOW_LOG_MAX: u64 = 20;
const BROTLI_WINDOW_LOG_MIN: u64 = 10;
const BROTLI_BUFFER_BYTES: usize = 16 * 1024;
const ZSTD_LEVEL: i32 = 3;
/// A window of 2 MiB, that of the level. A client need not take more than 8 MiB (RFC 9659 §3).
const ZSTD_WINDOW_LOG: u32 = 21;

/// An encoder that writes to `out`.
pub(super) fn encoder(
    coding: ContentCoding,
    length: Option<u64>,
    out: Out,
) -> io::Result<Box<dyn Codec>> {
    Ok(match coding {
        ContentCoding::Gzip => Box::new(Gzip(GzEncoder::new(out, Compression::new(GZIP_LEVEL)))),
        ContentCoding::Brotli => {
            let params = BrotliEncoderParams {
                quality: BROTLI_QUALITY,
                lgwin: brotli_window_log(length),
                size_hint: length.unwrap_or(0) as usize,
                ..BrotliEncoderParams::default()
            };
            let writer = CompressorWriter::with_params(out, BROTLI_BUFFER_BYTES, &params);
            Box::new(Brotli(writer))
        }
        ContentCoding::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
            encoder.window_log(ZSTD_WINDOW_LOG)?;
            // it chooses a smaller window, and says the length to who decodes
            encoder.set_pledged_src_size(length)?;
            Box::new(Zstd(encoder))
        }
    })
}

/// The smallest window that holds content of this length.
fn brotli_window_log(length: Option<u64>) -> i32 {
    let wanted = length.map_or(BROTLI_WINDOW_LOG_MAX, |length| {
        // 16 bytes of a window are not used
        u64::from((length + 16).next_power_of_two().trailing_zeros())
    });
    wanted.clamp(BROTLI_WINDOW_LOG_MIN, BROTLI_WINDOW_LOG_MAX) as i32
}

struct Gzip(GzEncoder<Out>);

impl Codec for Gzip {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.write_all(data)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finish().map(drop)
    }
}

struct Brotli(CompressorWriter<Out>);

impl Codec for Brotli {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.write_all(data)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        // writes the last block; the only error would be one of `Out`, which an encoder never fills
        drop(self.0.into_inner());
        Ok(())
    }
}

struct Zstd(zstd::stream::write::Encoder<'static, Out>);

impl Codec for Zstd {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.write_all(data)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finish().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_no_larger_than_the_content_and_the_limit() {
        for (length, log) in [
            (Some(0), 10),
            (Some(1008), 10),
            (Some(1009), 11),
            (Some(65_520), 16),
            (Some(65_536), 17),
            (Some(1 << 30), 20),
            (None, 20),
        ] {
            assert_eq!(brotli_window_log(length), log, "{length:?}");
        }
    }
}
