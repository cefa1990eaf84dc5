//! The body of an HTTP/1 request, read strictly (RFC 9112 §6, §7).

use crate::head::is_token;
use bytes::{Buf, Bytes, BytesMut};

/// A chunk-size line with its extensions (bytes).
const CHUNK_LINE_MAX: usize = 256;
/// One trailer line, and all of them (bytes).
const TRAILER_LINE_MAX: usize = 4096;
const TRAILERS_MAX: usize = 8192;

/// What is still to come of a request's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    Done,
    Length(u64),
    Chunked(Chunk),
    /// After an upgrade: everything until the end of the connection.
    Raw,
}

/// Where a chunked body stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chunk {
    Size,
    Data(u64),
    DataEnd,
    /// Bytes of trailers seen.
    Trailer(usize),
}

impl Body {
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    /// Takes decoded bytes out of `buffer`. `Ok(None)` with a body that is not done: more input is needed. An error says
    /// what is malformed; nothing of the connection can be trusted after it.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, &'static str> {
        loop {
            match *self {
                Self::Done => return Ok(None),
                Self::Raw => return Ok((!buffer.is_empty()).then(|| buffer.split().freeze())),
                Self::Length(left) => {
                    let Some((data, left)) = take_data(buffer, left) else {
                        return Ok(None);
                    };
                    *self = if left == 0 {
                        Self::Done
                    } else {
                        Self::Length(left)
                    };
                    return Ok(Some(data));
                }
                Self::Chunked(Chunk::Data(left)) => {
                    let Some((data, left)) = take_data(buffer, left) else {
                        return Ok(None);
                    };
                    *self = Self::Chunked(if left == 0 {
                        Chunk::DataEnd
                    } else {
                        Chunk::Data(left)
                    });
                    return Ok(Some(data));
                }
                Self::Chunked(Chunk::DataEnd) => {
                    if buffer.first().is_some_and(|&b| b != b'\r')
                        || buffer.get(1).is_some_and(|&b| b != b'\n')
                    {
                        return Err("a chunk is longer than its size says");
                    }
                    if buffer.len() < 2 {
                        return Ok(None);
                    }
                    buffer.advance(2);
                    *self = Self::Chunked(Chunk::Size);
                }
                Self::Chunked(Chunk::Size) => {
                    let Some(line) = take_line(buffer, CHUNK_LINE_MAX)? else {
                        return Ok(None);
                    };
                    let size = chunk_size(&line).ok_or("malformed chunk size or extension")?;
                    *self = Self::Chunked(if size == 0 {
                        Chunk::Trailer(0)
                    } else {
                        Chunk::Data(size)
                    });
                }
                Self::Chunked(Chunk::Trailer(seen)) => {
                    let Some(line) = take_line(buffer, TRAILER_LINE_MAX)? else {
                        return Ok(None);
                    };
                    if line.is_empty() {
                        *self = Self::Done;
                        return Ok(None);
                    }
                    let seen = seen + line.len();
                    let colon = line
                        .iter()
                        .position(|&b| b == b':')
                        .ok_or("malformed trailer")?;
                    if seen > TRAILERS_MAX || !is_token(&line[..colon]) {
                        return Err("malformed trailer");
                    }
                    // read, checked, dropped: nothing here needs a request's trailers
                    *self = Self::Chunked(Chunk::Trailer(seen));
                }
            }
        }
    }
}

fn take_data(buffer: &mut BytesMut, left: u64) -> Option<(Bytes, u64)> {
    if buffer.is_empty() {
        return None;
    }
    let n = (buffer.len() as u64).min(left);
    Some((buffer.split_to(n as usize).freeze(), left - n))
}

/// A line without its CRLF. `Ok(None)`: its end has not come yet.
fn take_line(buffer: &mut BytesMut, max: usize) -> Result<Option<BytesMut>, &'static str> {
    match memchr::memchr(b'\n', buffer) {
        None if buffer.len() > max => Err("a line is too long"),
        None => Ok(None),
        Some(at) if at > max => Err("a line is too long"),
        Some(at) if at == 0 || buffer[at - 1] != b'\r' => Err("a line ends without CR"),
        Some(at) => {
            let mut line = buffer.split_to(at + 1);
            line.truncate(at - 1);
            if line.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
                return Err("a control character in a line");
            }
            Ok(Some(line))
        }
    }
}

/// `chunk-size [chunk-ext]` (RFC 9112 §7.1): hexadecimal digits without sign or white space, at most 15 of them.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 15 || !is_extension(&line[digits..]) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()
}

/// `*( ";" name [ "=" ( token / quoted-string ) ] )`, without the white space that older texts allowed around it.
fn is_extension(mut rest: &[u8]) -> bool {
    let token = |bytes: &[u8]| {
        bytes
            .iter()
            .take_while(|b| is_token(std::slice::from_ref(*b)))
            .count()
    };
    while let Some(behind) = rest.strip_prefix(b";") {
        let name = token(behind);
        if name == 0 {
            return false;
        }
        rest = &behind[name..];
        if let Some(value) = rest.strip_prefix(b"=") {
            let len = if value.first() == Some(&b'"') {
                quoted(value)
            } else {
                Some(token(value))
            };
            match len {
                Some(len) if len > 0 => rest = &value[len..],
                _ => return false,
            }
        }
    }
    rest.is_empty()
}

/// Length of the quoted string at the front, quotes included.
fn quoted(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}
