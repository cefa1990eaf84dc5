//! What ends a connection: frames that no client may send.

use super::client::Theirs;
use super::frame::{
    self, continuation, data, flag, frame, get, goaway, headers, kind, ping, post, priority,
    request, reset, setting, settings, window_update,
};
use super::{ConnectionError, PINGED, Row, Step, StreamError, check, code, send};
use code::{COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR};

const PROTOCOL: super::Expect = ConnectionError(&[PROTOCOL_ERROR]);
const SIZE: super::Expect = ConnectionError(&[FRAME_SIZE_ERROR]);
const FLOW: super::Expect = ConnectionError(&[FLOW_CONTROL_ERROR]);
/// A size that contradicts another rule too: either is right.
const SIZE_OR_PROTOCOL: super::Expect = ConnectionError(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]);

#[test]
fn a_frame_that_no_client_may_send_ends_the_connection() {
    fn larger(theirs: &Theirs, kind: u8, flags: u8, stream: u32) -> Vec<u8> {
        frame(kind, flags, stream, &vec![0; theirs.frame_max + 1])
    }
    check(|| -> Vec<Row> {
        let whole = request("GET", "/", &[]);
        let (first, rest) = whole.split_at(3);
        let unended = headers(1, flag::END_STREAM, first);
        let closing = continuation(1, flag::END_HEADERS, rest);
        let within = |bytes: Vec<u8>| send(&[unended.clone(), bytes, closing.clone()]);
        let suited = |step| vec![Step::Suited(step)];
        vec![
            (
                "a large SETTINGS frame",
                "4.2",
                suited(|theirs| larger(theirs, kind::SETTINGS, 0, 0)),
                SIZE_OR_PROTOCOL,
            ),
            (
                "a large HEADERS frame",
                "4.2",
                suited(|theirs| larger(theirs, kind::HEADERS, 5, 1)),
                SIZE,
            ),
            (
                "a large DATA frame",
                "4.2",
                vec![
                    Step::Send(post(1)),
                    Step::Suited(|theirs| larger(theirs, kind::DATA, 1, 1)),
                ],
                StreamError(1, &[FRAME_SIZE_ERROR]),
            ),
            (
                "a field block that is none",
                "4.3",
                send(&[headers(1, flag::ALL, &[0xff; 8])]),
                ConnectionError(&[COMPRESSION_ERROR]),
            ),
            (
                "a field block that breaks off",
                "4.3",
                send(&[headers(1, flag::ALL, &[0x00, 0x05, b'a'])]),
                ConnectionError(&[COMPRESSION_ERROR]),
            ),
            (
                "PRIORITY inside a field block",
                "4.3",
                within(priority(1, 0, 16)),
                PROTOCOL,
            ),
            (
                "HEADERS of another stream inside a field block",
                "4.3",
                within(get(3)),
                PROTOCOL,
            ),
            (
                "HEADERS of the same stream inside a field block",
                "6.2",
                within(get(1)),
                PROTOCOL,
            ),
            (
                "DATA inside a field block",
                "6.10",
                within(data(1, 0, b"x")),
                PROTOCOL,
            ),
            (
                "PING inside a field block",
                "6.10",
                within(ping(PINGED)),
                PROTOCOL,
            ),
            (
                "SETTINGS inside a field block",
                "6.10",
                within(settings(&[])),
                PROTOCOL,
            ),
            (
                "an unknown frame inside a field block",
                "5.5",
                within(frame(0xff, 0, 0, b"x")),
                PROTOCOL,
            ),
            (
                "CONTINUATION of another stream",
                "6.10",
                within(continuation(3, 4, b"")),
                PROTOCOL,
            ),
            (
                "CONTINUATION of no stream",
                "6.10",
                within(continuation(0, 4, b"")),
                PROTOCOL,
            ),
            (
                "CONTINUATION alone",
                "6.10",
                send(&[continuation(1, 4, &whole)]),
                PROTOCOL,
            ),
            (
                "CONTINUATION behind whole HEADERS",
                "6.10",
                send(&[
                    headers(1, flag::END_HEADERS, &whole),
                    continuation(1, 4, rest),
                ]),
                PROTOCOL,
            ),
            (
                "CONTINUATION behind the last one",
                "6.10",
                send(&[
                    headers(1, 0, first),
                    continuation(1, 4, rest),
                    continuation(1, 4, b""),
                ]),
                PROTOCOL,
            ),
            (
                "CONTINUATION behind DATA",
                "6.10",
                send(&[post(1), data(1, 0, b"x"), continuation(1, 4, &whole)]),
                PROTOCOL,
            ),
            (
                "DATA of no stream",
                "6.1",
                send(&[data(0, 1, b"x")]),
                PROTOCOL,
            ),
            (
                "DATA with more padding than there is",
                "6.1",
                send(&[post(1), frame(kind::DATA, 9, 1, &[4, b'x', 0, 0])]),
                PROTOCOL,
            ),
            (
                "DATA without the length of its padding",
                "6.1",
                send(&[post(1), frame(kind::DATA, 9, 1, b"")]),
                SIZE_OR_PROTOCOL,
            ),
            (
                "HEADERS of no stream",
                "6.2",
                send(&[headers(0, flag::ALL, &whole)]),
                PROTOCOL,
            ),
            (
                "HEADERS with more padding than there is",
                "6.2",
                send(&[headers(
                    1,
                    flag::ALL | flag::PADDED,
                    &[&[255], &whole[..]].concat(),
                )]),
                PROTOCOL,
            ),
            (
                "HEADERS too short for their priority",
                "6.2",
                send(&[headers(1, flag::ALL | flag::PRIORITY, &[0, 0, 0])]),
                SIZE_OR_PROTOCOL,
            ),
            (
                "PRIORITY of no stream",
                "6.3",
                send(&[priority(0, 1, 16)]),
                PROTOCOL,
            ),
            (
                "a short PRIORITY",
                "6.3",
                send(&[frame(kind::PRIORITY, 0, 1, &[0; 4])]),
                StreamError(1, &[FRAME_SIZE_ERROR]),
            ),
            (
                "RST_STREAM of no stream",
                "6.4",
                send(&[reset(0, code::CANCEL)]),
                PROTOCOL,
            ),
            (
                "RST_STREAM of an idle stream",
                "6.4",
                send(&[reset(1, code::CANCEL)]),
                PROTOCOL,
            ),
            (
                "a short RST_STREAM",
                "6.4",
                send(&[post(1), frame(kind::RST_STREAM, 0, 1, &[0; 3])]),
                SIZE,
            ),
            (
                "a long RST_STREAM",
                "6.4",
                send(&[post(1), frame(kind::RST_STREAM, 0, 1, &[0; 5])]),
                SIZE,
            ),
            (
                "an acknowledgement with settings",
                "6.5",
                send(&[frame(kind::SETTINGS, flag::ACK, 0, &[0; 6])]),
                SIZE,
            ),
            (
                "SETTINGS of a stream",
                "6.5",
                send(&[frame(kind::SETTINGS, 0, 1, &[])]),
                PROTOCOL,
            ),
            (
                "settings that break off",
                "6.5",
                send(&[frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0])]),
                SIZE,
            ),
            (
                "ENABLE_PUSH of 2",
                "6.5.2",
                send(&[settings(&[(setting::ENABLE_PUSH, 2)])]),
                PROTOCOL,
            ),
            (
                "INITIAL_WINDOW_SIZE of 2^31",
                "6.5.2",
                send(&[settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)])]),
                FLOW,
            ),
            (
                "MAX_FRAME_SIZE of 16,383",
                "6.5.2",
                send(&[settings(&[(setting::MAX_FRAME_SIZE, 16_383)])]),
                PROTOCOL,
            ),
            (
                "MAX_FRAME_SIZE of 2^24",
                "6.5.2",
                send(&[settings(&[(setting::MAX_FRAME_SIZE, 1 << 24)])]),
                PROTOCOL,
            ),
            (
                "PUSH_PROMISE",
                "8.4",
                send(&[
                    get(1),
                    frame(
                        kind::PUSH_PROMISE,
                        4,
                        1,
                        &[&[0, 0, 0, 2], &whole[..]].concat(),
                    ),
                ]),
                PROTOCOL,
            ),
            (
                "PING of a stream",
                "6.7",
                send(&[frame(kind::PING, 0, 1, &PINGED)]),
                PROTOCOL,
            ),
            (
                "a short PING",
                "6.7",
                send(&[frame(kind::PING, 0, 0, &PINGED[..6])]),
                SIZE,
            ),
            (
                "a long PING",
                "6.7",
                send(&[frame(kind::PING, 0, 0, b"123456789")]),
                SIZE,
            ),
            (
                "GOAWAY of a stream",
                "6.8",
                send(&[frame(kind::GOAWAY, 0, 1, &[0; 8])]),
                PROTOCOL,
            ),
            (
                "a short GOAWAY",
                "4.2",
                send(&[frame(kind::GOAWAY, 0, 0, &[0; 7])]),
                SIZE,
            ),
            (
                "a window that opens by nothing",
                "6.9",
                send(&[window_update(0, 0)]),
                PROTOCOL,
            ),
            (
                "a short WINDOW_UPDATE",
                "6.9",
                send(&[frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1])]),
                SIZE,
            ),
            (
                "a window of more than 2^31-1",
                "6.9.1",
                send(&[window_update(0, frame::WINDOW_MAX), window_update(0, 1)]),
                FLOW,
            ),
            (
                "an error, and a GOAWAY behind it",
                "5.4.1",
                send(&[frame(kind::PING, 0, 0, b"123"), goaway(0, 0)]),
                SIZE,
            ),
        ]
    });
}
