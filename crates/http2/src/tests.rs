//! A connection as its client sees it: bytes in, frames out.

use crate::frame::{FrameHead, HEAD_BYTES, flag, kind, number};
use crate::*;
use bytes::{BufMut as _, Bytes, BytesMut};
use proptest::prelude::*;
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
        let head = FrameHead {
            len: payload.len(),
            kind,
            flags,
            stream,
        };
        self.input.put_slice(&head.bytes());
        self.input.put_slice(payload);
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

#[test]
fn an_answer_that_fits_goes_out_whole_and_leaves_nothing_behind() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    assert_eq!(talk.connection.head.method(), "GET");
    assert_eq!(talk.connection.head.path(), "/");
    talk.answer(asked, b"hello");
    assert!(talk.connection.is_idle());
    let frames = talk.frames();
    assert_eq!((frames[0].kind, frames[0].ends()), (kind::HEADERS, false));
    assert_eq!((frames[1].kind, frames[1].ends()), (kind::DATA, true));
    assert_eq!(frames[1].payload, b"hello");
}

#[test]
fn heads_longer_than_a_frame_are_continued() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    let long = vec![b'x'; 40_000];
    let fields = [(&b"x-long"[..], &long[..])].into_iter();
    talk.connection
        .answer(asked, 204, fields, Body::Copied(b""), NOW);
    let frames = talk.frames();
    let kinds: Vec<(u8, u8)> = frames.iter().map(|f| (f.kind, f.flags)).collect();
    assert_eq!(
        kinds,
        [
            (kind::HEADERS, flag::END_STREAM),
            (kind::CONTINUATION, 0),
            (kind::CONTINUATION, flag::END_HEADERS)
        ]
    );
}

#[test]
fn bodies_wait_for_both_windows_and_take_turns() {
    let mut talk = Talk::new();
    for stream in [1, 3] {
        talk.get(stream);
        let asked = talk.asked();
        talk.answer(asked, &vec![b'x'; 60_000]);
    }
    let frames = talk.frames();
    // the connection's window is 65,535
    assert_eq!(data_of(&frames, 1) + data_of(&frames, 3), 65_535);
    let order: Vec<u32> = frames
        .iter()
        .filter(|f| f.kind == kind::DATA)
        .map(|f| f.stream)
        .collect();
    assert_eq!(order, [1, 3, 1, 3]);
    assert_eq!(talk.connection.waits_since(), Some(NOW));

    talk.say(kind::WINDOW_UPDATE, 0, 0, &200_000u32.to_be_bytes());
    talk.hear();
    let frames = talk.frames();
    assert!(talk.connection.is_idle());
    assert_eq!(frames.iter().filter(|frame| frame.ends()).count(), 2);
    assert_eq!(talk.connection.waits_since(), None);
}

/// RFC 9113 §6.9.2.
#[test]
fn a_window_may_become_negative_and_has_to_be_opened_beyond_that() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    talk.answer(asked, &vec![b'x'; 70_000]);
    assert_eq!(data_of(&talk.frames(), 1), 65_535);
    // stream: 0 - 65,435
    talk.say(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100]);
    talk.say(kind::WINDOW_UPDATE, 0, 0, &100_000u32.to_be_bytes());
    talk.say(kind::WINDOW_UPDATE, 0, 1, &65_435u32.to_be_bytes());
    talk.hear();
    assert_eq!(data_of(&talk.frames(), 1), 0);
    talk.say(kind::WINDOW_UPDATE, 0, 1, &1u32.to_be_bytes());
    talk.hear();
    assert_eq!(data_of(&talk.frames(), 1), 1);
    talk.say(kind::SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    talk.hear();
    let frames = talk.frames();
    assert_eq!(data_of(&frames, 1), 70_000 - 65_536);
    assert!(frames.last().unwrap().ends());
}

#[test]
fn who_takes_nothing_loses_the_stream_and_no_other() {
    let mut talk = Talk::new();
    talk.say(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    for stream in [1, 3] {
        talk.get(stream);
        let asked = talk.asked();
        talk.answer(asked, b"waits");
    }
    talk.say(kind::WINDOW_UPDATE, 0, 3, &2u32.to_be_bytes());
    talk.hear();
    talk.connection.pump(NOW * 2);
    assert_eq!(talk.connection.reset_stalled(NOW), 1);
    let frames = talk.frames();
    let reset = frames.last().unwrap();
    assert_eq!((reset.kind, reset.stream), (kind::RST_STREAM, 1));
    assert_eq!(talk.connection.waits_since(), Some(NOW * 2));
}

#[test]
fn streams_beyond_the_limit_are_refused_whoever_still_works_on_them() {
    let mut talk = Talk::new();
    let mut held = Vec::new();
    for stream in [1, 3, 5, 7] {
        talk.get(stream);
        let asked = talk.asked();
        held.push(talk.connection.hold(asked));
    }
    talk.get(9);
    assert!(talk.hear().is_none());
    assert_eq!(talk.frames()[0].code(), Some(Reason::REFUSED_STREAM.0));
    // the client drops them: their tasks hear it, and as long as they work there is no room for others
    for stream in [1, 3, 5, 7] {
        talk.say(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
    }
    talk.get(11);
    assert!(talk.hear().is_none());
    assert_eq!(talk.frames()[0].code(), Some(Reason::REFUSED_STREAM.0));
    for stream in held {
        assert_eq!(
            talk.connection.poll_reset(stream, &waker()),
            Poll::Ready(Reason::CANCEL)
        );
        talk.connection.release(stream);
    }
    talk.get(13);
    let asked = talk.asked();
    talk.answer(asked, b"");
    assert!(talk.connection.is_idle());
}

#[test]
fn a_request_s_body_is_read_as_the_windows_allow() {
    let mut talk = Talk::new();
    talk.say(kind::HEADERS, flag::END_HEADERS, 1, GET);
    let asked = talk.asked();
    assert!(!asked.ended());
    let stream = talk.connection.hold(asked);
    assert!(talk.connection.poll_read(stream, &waker()).is_pending());
    for _ in 0..6 {
        talk.say(kind::DATA, 0, 1, &[b'x'; 16_384]);
    }
    talk.hear();
    assert!(talk.frames().is_empty());
    let mut read = 0;
    while let Poll::Ready(Ok(Some(data))) = talk.connection.poll_read(stream, &waker()) {
        read += data.len();
    }
    assert_eq!(read, 6 * 16_384);
    let updates: Vec<(u32, u32)> = talk
        .frames()
        .iter()
        .map(|frame| (frame.stream, number(&frame.payload)))
        .collect();
    // by halves: four frames are more than 50,000; the connection's half is not reached
    assert_eq!(updates, [(1, 4 * 16_384)]);
    talk.say(
        kind::DATA,
        flag::END_STREAM | flag::PADDED,
        1,
        b"\x03end\0\0\0",
    );
    talk.hear();
    assert_eq!(
        talk.connection.poll_read(stream, &waker()),
        Poll::Ready(Ok(Some(Bytes::from_static(b"end"))))
    );
    assert_eq!(
        talk.connection.poll_read(stream, &waker()),
        Poll::Ready(Ok(None))
    );
    assert!(talk.connection.is_read(stream));
}

#[test]
fn data_beyond_a_window_ends_the_stream_or_the_connection() {
    let mut talk = Talk::new();
    for stream in [1, 3] {
        talk.say(kind::HEADERS, flag::END_HEADERS, stream, GET);
        let asked = talk.asked();
        talk.connection.hold(asked);
    }
    for _ in 0..7 {
        talk.say(kind::DATA, 0, 1, &[b'x'; 16_384]);
    }
    talk.hear();
    let frames = talk.frames();
    let reset = frames.iter().find(|frame| frame.kind == kind::RST_STREAM);
    assert_eq!(
        reset.and_then(Frame::code),
        Some(Reason::FLOW_CONTROL_ERROR.0)
    );
    // what nobody takes any more was given back to the connection
    let mut talk = Talk::new();
    for stream in [1, 3, 5] {
        talk.say(kind::HEADERS, flag::END_HEADERS, stream, GET);
        let asked = talk.asked();
        talk.connection.hold(asked);
        for _ in 0..5 {
            talk.say(kind::DATA, 0, stream, &[b'x'; 16_384]);
        }
    }
    talk.hear();
    assert_eq!(talk.farewell(), Some(Reason::FLOW_CONTROL_ERROR.0));
}

/// RFC 9113 §8.1.1.
#[test]
fn a_body_has_the_length_that_its_head_names() {
    for (length, body, wrong) in [
        ("5", &b"hello"[..], false),
        ("4", b"hello", true),
        ("6", b"hello", true),
        ("0", b"", false),
    ] {
        let mut talk = Talk::new();
        // content-length, by the static table
        let head = [GET, &[0x0f, 28 - 15, 1], length.as_bytes()].concat();
        talk.say(kind::HEADERS, flag::END_HEADERS, 1, &head);
        let asked = talk.asked();
        let stream = talk.connection.hold(asked);
        talk.say(kind::DATA, flag::END_STREAM, 1, body);
        talk.hear();
        let reset = talk.connection.poll_reset(stream, &waker());
        assert_eq!(
            reset == Poll::Ready(Reason::PROTOCOL_ERROR),
            wrong,
            "{length}"
        );
    }
    let mut talk = Talk::new();
    let head = [GET, &[0x0f, 28 - 15, 1, b'5']].concat();
    let flags = flag::END_HEADERS | flag::END_STREAM;
    talk.say(kind::HEADERS, flags, 1, &head);
    let asked = talk.asked();
    assert!(talk.connection.head.fault().is_some());
    talk.connection.reject(asked, Reason::PROTOCOL_ERROR);
}

#[test]
fn an_answer_may_be_whole_before_its_request_is() {
    let mut talk = Talk::new();
    talk.say(kind::HEADERS, flag::END_HEADERS, 1, GET);
    let asked = talk.asked();
    let stream = talk.connection.hold(asked);
    let none = std::iter::empty();
    talk.connection.respond(stream, 413, none, true).unwrap();
    talk.connection.release(stream);
    let frames = talk.frames();
    assert!(frames[0].ends());
    assert_eq!(frames[1].code(), Some(Reason::NO_ERROR.0));
    // what was on its way harms nobody, and is given back
    for _ in 0..20 {
        talk.say(kind::DATA, 0, 1, &[b'x'; 16_384]);
        talk.hear();
    }
    let frames = talk.frames();
    assert!(frames.iter().all(|frame| frame.kind == kind::WINDOW_UPDATE));
    assert!(talk.connection.is_idle());
}

#[test]
fn a_task_that_leaves_in_the_midst_of_an_answer_resets_it() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    let stream = talk.connection.hold(asked);
    let none = std::iter::empty();
    talk.connection.respond(stream, 200, none, false).unwrap();
    talk.connection
        .send(stream, Bytes::from_static(b"half"), false, NOW)
        .unwrap();
    talk.connection.release(stream);
    let frames = talk.frames();
    assert_eq!(
        frames.last().unwrap().code(),
        Some(Reason::INTERNAL_ERROR.0)
    );
    assert!(talk.connection.is_idle());
}

#[test]
fn trailers_come_behind_the_whole_body() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    let stream = talk.connection.hold(asked);
    let none = std::iter::empty();
    let connection = &mut talk.connection;
    connection.inform(stream, 103, none.clone()).unwrap();
    connection
        .respond(stream, 200, none.clone(), false)
        .unwrap();
    // neither twice, nor behind the final one
    connection.respond(stream, 500, none.clone(), true).unwrap();
    connection.inform(stream, 103, none).unwrap();
    let body = Bytes::from(vec![b'x'; 20_000]);
    connection.send(stream, body, false, NOW).unwrap();
    let trailers = vec![(b"sum".to_vec(), b"1".to_vec())];
    connection.send_trailers(stream, trailers).unwrap();
    connection.release(stream);
    let kinds: Vec<(u8, bool)> = talk.frames().iter().map(|f| (f.kind, f.ends())).collect();
    assert_eq!(
        kinds,
        [
            (kind::HEADERS, false),
            (kind::HEADERS, false),
            (kind::DATA, false),
            (kind::DATA, false),
            (kind::HEADERS, true)
        ]
    );
    assert!(talk.connection.is_idle());
}

#[test]
fn an_exchange_waits_for_room_and_is_woken_by_what_leaves() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    let stream = talk.connection.hold(asked);
    let none = std::iter::empty();
    talk.connection.respond(stream, 200, none, false).unwrap();
    let body = Bytes::from(vec![b'x'; LIMITS.stream_send_bytes_max]);
    talk.connection.send(stream, body, false, NOW).unwrap();
    assert!(talk.connection.poll_room(stream, &waker()).is_pending());
    talk.frames();
    assert_eq!(
        talk.connection.poll_room(stream, &waker()),
        Poll::Ready(Ok(()))
    );
}

#[test]
fn the_end_is_announced_and_what_is_under_way_is_answered() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    let stream = talk.connection.hold(asked);
    talk.connection.shut_down();
    let frames = talk.frames();
    assert_eq!(frames[0].code(), Some(Reason::NO_ERROR.0));
    assert_eq!(number(&frames[0].payload), u32::MAX >> 1);
    assert_eq!(frames[1].kind, kind::PING);
    // on its way before the client knew
    talk.get(3);
    let asked = talk.asked();
    talk.answer(asked, b"");
    talk.say(kind::PING, flag::ACK, 0, &frames[1].payload);
    talk.get(5);
    assert!(talk.hear().is_none());
    let frames = talk.frames();
    let farewell = frames.last().unwrap();
    assert_eq!(number(&farewell.payload), 3);
    assert!(!talk.connection.is_over());
    let none = std::iter::empty();
    talk.connection.respond(stream, 204, none, true).unwrap();
    talk.connection.release(stream);
    assert!(talk.connection.is_over());
}

#[test]
fn a_client_that_says_goodbye_gets_what_it_has_asked_for() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    talk.answer(asked, &[b'x'; 10_000]);
    talk.get(3);
    let asked = talk.asked();
    let stream = talk.connection.hold(asked);
    talk.say(kind::GOAWAY, 0, 0, &[0; 8]);
    talk.hear();
    assert!(!talk.connection.is_over());
    let none = std::iter::empty();
    talk.connection.respond(stream, 204, none, true).unwrap();
    talk.connection.release(stream);
    let frames = talk.frames();
    assert_eq!(frames.iter().filter(|frame| frame.ends()).count(), 2);
    assert!(talk.connection.is_over());
}

#[test]
fn frames_that_bring_nothing_are_borne_a_thousand_times() {
    let floods: [fn(&mut Talk, u32); 6] = [
        |talk, _| talk.say(kind::PING, 0, 0, b"12345678"),
        |talk, _| talk.say(kind::SETTINGS, 0, 0, &[]),
        |talk, _| talk.say(0xfa, 0, 0, b""),
        |talk, n| talk.say(kind::PRIORITY, 0, 1 + 2 * n, &[0; 5]),
        |talk, _| talk.say(kind::WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()),
        |talk, _| talk.say(kind::DATA, 0, 1, b""),
    ];
    for (index, flood) in floods.iter().enumerate() {
        let mut talk = Talk::new();
        talk.say(kind::HEADERS, flag::END_HEADERS, 1, GET);
        let asked = talk.asked();
        talk.connection.hold(asked);
        for n in 0..900 {
            flood(&mut talk, n);
        }
        talk.hear();
        assert_eq!(talk.farewell(), None, "{index}");
        for n in 0..200 {
            flood(&mut talk, n);
        }
        talk.hear();
        let code = Reason::ENHANCE_YOUR_CALM.0;
        assert_eq!(talk.farewell(), Some(code), "{index}");
        assert!(talk.connection.is_over());
    }
}

#[test]
fn a_head_without_end_is_not_waited_for() {
    for piece in [&b""[..], &[0x82; 1000]] {
        let mut talk = Talk::new();
        talk.say(kind::HEADERS, 0, 1, GET);
        assert!(talk.hear().is_none());
        assert!(talk.connection.is_midway());
        for _ in 0..100 {
            talk.say(kind::CONTINUATION, 0, 1, piece);
        }
        talk.hear();
        assert_eq!(talk.farewell(), Some(Reason::ENHANCE_YOUR_CALM.0));
    }
}

#[test]
fn a_head_that_is_too_large_is_a_request_with_a_fault() {
    for fields in [
        vec![0x82; 21],
        [&[0x00, 1, b'x', 0x7f, 0x80, 0x0f][..], &[b'y'; 2047]].concat(),
    ] {
        let mut talk = Talk::new();
        let head = [GET, &fields].concat();
        let flags = flag::END_HEADERS | flag::END_STREAM;
        talk.say(kind::HEADERS, flags, 1, &head);
        let asked = talk.hear();
        // 21 repetitions of a pseudo-header field are malformed before they are too many
        let fault = talk.connection.head.fault();
        assert!(fault.is_some() && asked.is_some(), "{fault:?}");
    }
}

#[test]
fn windows_that_open_by_much_are_no_nuisance() {
    let mut talk = Talk::new();
    for _ in 0..3000 {
        talk.say(kind::WINDOW_UPDATE, 0, 0, &4096u32.to_be_bytes());
    }
    talk.hear();
    assert_eq!(talk.farewell(), None);
}

#[test]
fn nuisances_are_forgotten_after_a_while() {
    let mut talk = Talk::new();
    for minute in 1..10 {
        for _ in 0..900 {
            talk.say(kind::PING, 0, 0, b"12345678");
        }
        talk.hear();
        talk.connection.pump(Duration::from_mins(minute));
    }
    assert_eq!(talk.farewell(), None);
}

/// RFC 9113 §8.2.3.
#[test]
fn however_many_crumbs_a_cookie_comes_in_it_is_one_field() {
    for (crumbs, others, fault) in [
        (20, 19, None),
        (20, 20, Some(Fault::TooLarge)),
        (1, 19, None),
        (0, 21, Some(Fault::TooLarge)),
    ] {
        let mut talk = Talk::new();
        // by the static table: cookie, and accept
        let cookie = [0x0f, 32 - 15, 1, b'c'];
        let accept = [0x0f, 19 - 15, 1, b'a'];
        let head = [GET, &cookie.repeat(crumbs), &accept.repeat(others)].concat();
        let flags = flag::END_HEADERS | flag::END_STREAM;
        talk.say(kind::HEADERS, flags, 1, &head);
        let asked = talk.asked();
        assert_eq!(talk.connection.head.fault(), fault, "{crumbs} {others}");
        talk.answer(asked, b"");
    }
}

#[test]
fn a_body_in_many_small_pieces_is_kept_in_few() {
    let mut talk = Talk::new();
    talk.say(kind::HEADERS, flag::END_HEADERS, 1, GET);
    let asked = talk.asked();
    let stream = talk.connection.hold(asked);
    let mut expected = Vec::new();
    for n in 0..60_000u32 {
        let piece = match n {
            30_000 => vec![b'y'; 3000],
            _ => vec![n as u8],
        };
        expected.extend_from_slice(&piece);
        talk.say(kind::DATA, 0, 1, &piece);
    }
    talk.hear();
    assert!(talk.connection.streams[&1].recv.queue.len() < 10);
    let mut read = Vec::new();
    while let Poll::Ready(Ok(Some(data))) = talk.connection.poll_read(stream, &waker()) {
        read.extend_from_slice(&data);
    }
    assert!(read == expected);
}

#[test]
fn an_end_needs_no_window() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    talk.answer(asked, &vec![b'x'; 70_000]);
    // more for the stream, and none for the connection
    talk.say(kind::WINDOW_UPDATE, 0, 1, &70_000u32.to_be_bytes());
    talk.hear();
    assert_eq!(data_of(&talk.frames(), 1), 65_535);
    talk.get(3);
    let asked = talk.asked();
    let stream = talk.connection.hold(asked);
    let none = std::iter::empty();
    talk.connection.respond(stream, 200, none, false).unwrap();
    talk.connection
        .send_trailers(stream, vec![(b"sum".to_vec(), b"1".to_vec())])
        .unwrap();
    talk.connection.release(stream);
    let frames = talk.frames();
    let end = frames.last().unwrap();
    assert!(end.ends() && end.stream == 3);
}

/// RFC 9113 §6.8.
#[test]
fn a_later_farewell_names_no_later_stream() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    talk.connection.hold(asked);
    talk.connection.shut_down();
    talk.connection.end_is_known();
    talk.get(3);
    assert!(talk.hear().is_none());
    talk.say(kind::PUSH_PROMISE, 0, 1, &[0; 4]);
    talk.hear();
    let frames = talk.frames();
    let lasts = frames.iter().filter(|frame| frame.kind == kind::GOAWAY);
    let lasts: Vec<u32> = lasts.map(|frame| number(&frame.payload)).collect();
    assert_eq!(lasts, [u32::MAX >> 1, 1, 1]);
}

#[test]
fn streams_that_are_reset_leave_no_place_in_the_row() {
    let mut talk = Talk::new();
    talk.get(1);
    let asked = talk.asked();
    talk.answer(asked, &vec![b'x'; 70_000]);
    talk.say(kind::WINDOW_UPDATE, 0, 1, &70_000u32.to_be_bytes());
    talk.hear();
    talk.frames();
    for stream in (3..500).step_by(2) {
        talk.get(stream);
        let asked = talk.asked();
        talk.answer(asked, &[b'x'; 100]);
        talk.say(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
        talk.hear();
    }
    assert_eq!(talk.connection.row.len(), 1);
}

/// What a client may say next, well-formed or not.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let frame = (
        prop_oneof![0u8..10, any::<u8>()],
        prop_oneof![Just(0x5u8), Just(0x4), Just(0x1), any::<u8>()],
        0u32..12,
        prop_oneof![
            Just(GET.to_vec()),
            Just(vec![0; 4]),
            Just(vec![0, 0, 0, 9]),
            Just(vec![0, 4, 0, 0, 1, 0]),
            proptest::collection::vec(any::<u8>(), 0..40),
        ],
    );
    let frame = frame.prop_map(|(kind, flags, stream, payload)| {
        let len = payload.len();
        let head = FrameHead {
            len,
            kind,
            flags,
            stream,
        };
        [&head.bytes()[..], &payload].concat()
    });
    prop_oneof![9 => frame, 1 => proptest::collection::vec(any::<u8>(), 0..30)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_a_client_says_the_connection_stays_within_its_bounds(
        frames in proptest::collection::vec((anything(), 0u8..5), 0..60)
    ) {
        let mut talk = Talk::new();
        let mut held = Vec::new();
        for (frame, step) in frames {
            talk.input.extend_from_slice(&frame);
            while let Some(asked) = talk.hear() {
                if talk.connection.head.fault().is_some() {
                    talk.connection.reject(asked, Reason::PROTOCOL_ERROR);
                } else if step % 2 == 0 {
                    talk.answer(asked, &[b'x'; 3000]);
                } else {
                    held.push(talk.connection.hold(asked));
                }
            }
            if step == 3 && let Some(stream) = held.pop() {
                let _ = talk.connection.poll_read(stream, &waker());
                let none = std::iter::empty();
                let _ = talk.connection.respond(stream, 200, none, false);
                let _ = talk.connection.send(stream, Bytes::from_static(b"x"), true, NOW);
                talk.connection.release(stream);
            }
            prop_assert!(talk.connection.open <= LIMITS.streams_max);
            prop_assert!(talk.connection.streams.len() as u32 <= 2 * LIMITS.streams_max);
            let open = talk.connection.streams.values().filter(|s| !s.is_closed()).count();
            prop_assert_eq!(talk.connection.open as usize, open);
            talk.frames();
        }
        for stream in held {
            talk.connection.release(stream);
        }
        talk.connection.cut_all(Reason::CANCEL);
        prop_assert!(talk.connection.is_idle());
        prop_assert_eq!(talk.connection.open, 0);
    }

    #[test]
    fn bodies_arrive_whole_and_in_order_however_windows_open(
        lengths in proptest::collection::vec(0usize..20_000, 1..5),
        opens in proptest::collection::vec((0usize..5, 1u32..10_000), 0..60),
        window in 0u32..10_000,
    ) {
        let mut talk = Talk::new();
        talk.say(kind::SETTINGS, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat());
        let mut expected = Vec::new();
        for (stream, length) in (1..).step_by(2).zip(&lengths) {
            talk.get(stream);
            let asked = talk.asked();
            let body: Vec<u8> = (0..*length).map(|at| (at * 7 + stream as usize) as u8).collect();
            talk.answer(asked, &body);
            expected.push((stream, body));
        }
        let mut windows = std::collections::HashMap::from([(0, 65_535i64)]);
        let mut seen: std::collections::HashMap<u32, (Vec<u8>, bool)> = std::collections::HashMap::default();
        // at last everything is opened as far as it takes
        let rest = (0..=lengths.len()).map(|at| (at, 100_000));
        for (at, more) in [(0, 1)].into_iter().chain(opens).chain(rest) {
            let stream = if at == 0 { 0 } else { (at as u32 * 2).saturating_sub(1) };
            if stream <= 2 * lengths.len() as u32 {
                talk.say(kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
                *windows.entry(stream).or_insert(i64::from(window)) += i64::from(more);
            }
            talk.hear();
            for frame in talk.frames() {
                if frame.kind == kind::DATA {
                    let len = frame.payload.len() as i64;
                    for id in [0, frame.stream] {
                        let left = windows.entry(id).or_insert(i64::from(window));
                        *left -= len;
                        prop_assert!(*left >= 0);
                    }
                    seen.entry(frame.stream).or_default().0.extend_from_slice(&frame.payload);
                }
                if frame.ends() {
                    let end = &mut seen.entry(frame.stream).or_default().1;
                    prop_assert!(!std::mem::replace(end, true));
                }
            }
        }
        for (stream, body) in expected {
            prop_assert!(seen.get(&stream) == Some(&(body, true)), "{}", stream);
        }
    }
}
