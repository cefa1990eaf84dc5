//! A connection as its client sees it: bytes in, frames out.

mod answers;
mod ends;
mod properties;
mod requests;

use crate::frame::{FrameHead, HEAD_BYTES, flag, kind, number, put};
use crate::*;
use bytes::{BufMut as _, Bytes, BytesMut};
use std::io::IoSlice;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const LIMITS: Limits = Limits {
    streams_max: 4,
    stream_window: 100_000,
    connection_window: 200_000,
    head_bytes_max: 2000,
    fields_max: 20,
    stream_send_bytes_max: 100_000,
};
const NOW: Duration = Duration::from_secs(1);

/// A frame that came out.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn ends(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }

    /// The code of a reset or a farewell.
    fn code(&self) -> Option<u32> {
        match self.kind {
            kind::RST_STREAM => Some(number(&self.payload)),
            kind::GOAWAY => Some(number(&self.payload[4..])),
            _ => None,
        }
    }
}

/// A connection and what its client says.
struct Talk {
    connection: Connection,
    input: BytesMut,
}

impl Talk {
    /// Preface and settings are through.
    fn new() -> Self {
        let mut talk = Self {
            connection: Connection::new(LIMITS),
            input: BytesMut::new(),
        };
        talk.input.put_slice(PREFACE);
        talk.say(kind::SETTINGS, 0, 0, &[]);
        assert!(talk.hear().is_none());
        let frames = talk.frames();
        assert_eq!(frames[0].kind, kind::SETTINGS);
        assert_eq!(frames.last().unwrap().flags, flag::ACK);
        talk
    }

    fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        put(&mut self.input, kind, flags, stream, payload);
    }

    fn get(&mut self, stream: u32) {
        self.say(
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            stream,
            GET,
        );
    }

    /// The next request. A fatal error is handled as it has to be.
    fn hear(&mut self) -> Option<Asked> {
        match self.connection.receive(&mut self.input) {
            Ok(asked) => asked,
            Err(fatal) => {
                self.connection.fail(fatal);
                None
            }
        }
    }

    fn asked(&mut self) -> Asked {
        self.hear().expect("a request")
    }

    fn answer(&mut self, asked: Asked, body: &[u8]) {
        let fields = [(&b"etag"[..], &b"\"1\""[..])].into_iter();
        self.connection
            .answer(asked, 200, fields, Body::Copied(body), NOW);
    }

    /// A GET that is answered at once.
    fn answered(&mut self, stream: u32, body: &[u8]) {
        self.get(stream);
        let asked = self.asked();
        self.answer(asked, body);
    }

    /// A GET that a task has.
    fn held(&mut self, stream: u32) -> u32 {
        self.get(stream);
        let asked = self.asked();
        self.connection.hold(asked)
    }

    /// A request whose body follows, and that a task has.
    fn posted(&mut self, stream: u32) -> u32 {
        self.say(kind::HEADERS, flag::END_HEADERS, stream, GET);
        let asked = self.asked();
        assert!(!asked.ended());
        self.connection.hold(asked)
    }

    /// What goes out, to the last byte that may.
    fn frames(&mut self) -> Vec<Frame> {
        let mut bytes = Vec::new();
        loop {
            self.connection.pump(NOW);
            if self.connection.out.is_empty() {
                break;
            }
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = self.connection.out.slices(&mut slices);
            let len = bytes.len();
            slices[..filled]
                .iter()
                .for_each(|slice| bytes.extend_from_slice(slice));
            let written = bytes.len() - len;
            self.connection.out.advance(written);
        }
        let mut frames = Vec::new();
        let mut rest = &bytes[..];
        while let Some(head) = FrameHead::read(rest) {
            frames.push(Frame {
                kind: head.kind,
                flags: head.flags,
                stream: head.stream,
                payload: rest[HEAD_BYTES..HEAD_BYTES + head.len].to_vec(),
            });
            rest = &rest[HEAD_BYTES + head.len..];
        }
        assert!(rest.is_empty());
        frames
    }

    /// The code of the farewell that ended it.
    fn farewell(&mut self) -> Option<u32> {
        let frames = self.frames();
        let farewell = frames.iter().find(|frame| frame.kind == kind::GOAWAY);
        farewell.and_then(Frame::code)
    }
}

/// ":method: GET", ":scheme: http", ":path: /", ":authority: a".
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x01, 1, b'a'];

fn data_of(frames: &[Frame], stream: u32) -> usize {
    frames
        .iter()
        .filter(|frame| frame.kind == kind::DATA && frame.stream == stream)
        .map(|frame| frame.payload.len())
        .sum()
}

fn waker() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
