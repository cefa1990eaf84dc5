//! Frames as bytes (RFC 9113 §4, §6).

use super::hpack;
use std::fmt;

pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(super) mod flag {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
    pub(crate) const PADDED: u8 = 8;
    pub(crate) const PRIORITY: u8 = 0x20;
    /// A whole head and nothing behind it.
    pub(crate) const ALL: u8 = END_STREAM | END_HEADERS;
}

/// RFC 9113 §7.
pub(super) mod code {
    pub(crate) const NO_ERROR: u32 = 0;
    pub(crate) const PROTOCOL_ERROR: u32 = 1;
    pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
    pub(crate) const STREAM_CLOSED: u32 = 5;
    pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
    pub(crate) const REFUSED_STREAM: u32 = 7;
    pub(crate) const CANCEL: u32 = 8;
    pub(crate) const COMPRESSION_ERROR: u32 = 9;
    pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;
}

/// RFC 9113 §6.5.2.
pub(super) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 5;
}

/// A frame as it came.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// A payload is told by its length and beginning.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            flags,
            stream,
            payload,
        } = self;
        let begins = &payload[..payload.len().min(16)];
        write!(
            f,
            "frame of kind {kind}, flags {flags:#x}, stream {stream}, {} bytes: {begins:?}",
            payload.len()
        )
    }
}

impl Frame {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Of RST_STREAM, its code; of GOAWAY, the last stream.
    pub(super) fn number(&self) -> u32 {
        be32(&self.payload[..4])
    }

    /// The code of GOAWAY.
    pub(super) fn goaway_code(&self) -> u32 {
        be32(&self.payload[4..8])
    }

    /// What is neither padding nor priority (RFC 9113 §6.1, §6.2).
    pub(super) fn content(&self) -> &[u8] {
        let mut bytes = self.payload.as_slice();
        if self.has(flag::PADDED) {
            let padding = usize::from(bytes[0]);
            bytes = &bytes[1..bytes.len() - padding];
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            bytes = &bytes[5..];
        }
        bytes
    }
}

pub(super) fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

pub(super) const WINDOW_MAX: u32 = (1 << 31) - 1;

/// A frame with the length that `payload` has.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

pub(super) fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, payload)
}

pub(super) fn padded_data(stream: u32, flags: u8, payload: &[u8], padding: u8) -> Vec<u8> {
    let padding_bytes = vec![0; usize::from(padding)];
    let payload = [&[padding], payload, &padding_bytes].concat();
    frame(kind::DATA, flags | flag::PADDED, stream, &payload)
}

pub(super) fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flags, stream, block)
}

pub(super) fn continuation(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(kind::CONTINUATION, flags, stream, block)
}

/// `on`: the stream it depends on.
pub(super) fn priority(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    let payload = [&on.to_be_bytes()[..], &[weight]].concat();
    frame(kind::PRIORITY, flag::NONE, stream, &payload)
}

pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, flag::NONE, stream, &code.to_be_bytes())
}

pub(super) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload = values
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(kind::SETTINGS, flag::NONE, 0, &payload.collect::<Vec<_>>())
}

pub(super) fn ping(payload: [u8; 8]) -> Vec<u8> {
    frame(kind::PING, flag::NONE, 0, &payload)
}

pub(super) fn goaway(last: u32, code: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
    frame(kind::GOAWAY, flag::NONE, 0, &payload)
}

pub(super) fn window_update(stream: u32, more: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, flag::NONE, stream, &more.to_be_bytes())
}

/// The block of a request for `path`, with `fields` behind the pseudo-fields.
pub(super) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "www.example"),
    ];
    [hpack::block(&pseudo), hpack::block(fields)].concat()
}

/// A whole GET for `/`.
pub(super) fn get(stream: u32) -> Vec<u8> {
    get_path(stream, "/")
}

pub(super) fn get_path(stream: u32, path: &str) -> Vec<u8> {
    headers(stream, flag::ALL, &request("GET", path, &[]))
}

/// The head of a POST whose body follows.
pub(super) fn post(stream: u32) -> Vec<u8> {
    headers(stream, flag::END_HEADERS, &request("POST", "/", &[]))
}
