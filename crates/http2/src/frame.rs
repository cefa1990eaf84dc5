//! Frames: their heads, their types and flags, and those that are short enough to be written in one go (RFC 9113 §4, §6).

use crate::reason::Reason;
use bytes::{BufMut as _, BytesMut};

pub(crate) const HEAD_BYTES: usize = 9;
/// The longest payload that is taken, and the longest that any peer takes (RFC 9113 §4.2).
pub const PAYLOAD_BYTES_MAX: usize = 16_384;
/// A window's highest value (RFC 9113 §6.9.1).
pub(crate) const WINDOW_MAX: i64 = (1 << 31) - 1;
/// The highest stream there can be.
pub(crate) const STREAM_MAX: u32 = (1 << 31) - 1;

pub(crate) mod kind {
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

pub(crate) mod flag {
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Bytes of the payload.
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHead {
    /// The head that `input` begins with. `None`: it is not all there.
    pub(crate) fn read(input: &[u8]) -> Option<Self> {
        let head = input.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            len: u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize,
            kind: head[3],
            flags: head[4],
            stream: number(&head[5..]),
        })
    }

    pub(crate) fn bytes(self) -> [u8; HEAD_BYTES] {
        let (len, stream) = ((self.len as u32).to_be_bytes(), self.stream.to_be_bytes());
        [
            len[1], len[2], len[3], self.kind, self.flags, stream[0], stream[1], stream[2],
            stream[3],
        ]
    }

    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The 31 bits that four bytes hold; the first is reserved. 0 where there are fewer.
pub(crate) fn number(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes) & STREAM_MAX)
}

/// A frame with the length that `payload` has.
pub(crate) fn put(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let len = payload.len();
    let head = FrameHead {
        len,
        kind,
        flags,
        stream,
    };
    out.put_slice(&head.bytes());
    out.put_slice(payload);
}

pub(crate) fn put_settings(out: &mut BytesMut, settings: &[(u16, u32)]) {
    let mut payload = Vec::with_capacity(settings.len() * 6);
    for (id, value) in settings {
        payload.extend_from_slice(&id.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    put(out, kind::SETTINGS, 0, 0, &payload);
}

pub(crate) fn put_settings_ack(out: &mut BytesMut) {
    put(out, kind::SETTINGS, flag::ACK, 0, &[]);
}

pub(crate) fn put_ping(out: &mut BytesMut, flags: u8, payload: &[u8]) {
    put(out, kind::PING, flags, 0, payload);
}

pub(crate) fn put_reset(out: &mut BytesMut, stream: u32, reason: Reason) {
    put(out, kind::RST_STREAM, 0, stream, &reason.0.to_be_bytes());
}

pub(crate) fn put_window_update(out: &mut BytesMut, stream: u32, more: u32) {
    put(out, kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
}

/// `text` is for whoever reads the client's log.
pub(crate) fn put_goaway(out: &mut BytesMut, last: u32, reason: Reason, text: &str) {
    let payload = [
        &last.to_be_bytes()[..],
        &reason.0.to_be_bytes(),
        text.as_bytes(),
    ];
    put(out, kind::GOAWAY, 0, 0, &payload.concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = FrameHead {
            len: 0x01_02_03,
            kind: kind::DATA,
            flags: flag::PADDED,
            stream: 0x7f_00_00_01,
        };
        assert_eq!(FrameHead::read(&head.bytes()), Some(head));
        assert_eq!(FrameHead::read(&head.bytes()[..8]), None);
    }

    #[test]
    fn the_reserved_bit_of_a_stream_is_ignored() {
        let head = FrameHead::read(&[0, 0, 0, 0, 0, 0x80, 0, 0, 5]).unwrap();
        assert_eq!(head.stream, 5);
    }
}
