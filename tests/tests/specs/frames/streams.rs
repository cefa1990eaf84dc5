//! What ends a stream: frames that do not fit its state (RFC 9113 §5.1), and windows of its own.

use super::frame::{
    self, continuation, data, flag, frame, get, headers, kind, post, request, reset, setting,
    settings, window_update,
};
use super::{
    ConnectionError, Malformed, Refused, Row, Step, StreamError, check, code, hpack, send,
};
use code::{FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED};

const PROTOCOL: super::Expect = ConnectionError(&[PROTOCOL_ERROR]);
const CLOSED: super::Expect = StreamError(1, &[STREAM_CLOSED]);
/// A number that is used is too small for a new stream as well (RFC 9113 §5.1.1, §6.10).
const CLOSED_OR_PROTOCOL: super::Expect = StreamError(1, &[STREAM_CLOSED, PROTOCOL_ERROR]);

/// A GET whose answer cannot end: its stream stays half-closed.
fn half_closed() -> Vec<u8> {
    [settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]), get(1)].concat()
}

#[test]
fn a_frame_that_does_not_fit_its_streams_state_is_an_error() {
    check(|| -> Vec<Row> {
        let ended = |bytes| vec![Step::Send(get(1)), Step::Ended(1), Step::Send(bytes)];
        let was_reset = |bytes| send(&[post(1), reset(1, code::CANCEL), bytes]);
        let rest = hpack::literal("x-rest", "1");
        vec![
            ("DATA, idle", "5.1", send(&[data(1, 1, b"x")]), PROTOCOL),
            (
                "RST_STREAM, idle",
                "5.1",
                send(&[reset(1, code::CANCEL)]),
                PROTOCOL,
            ),
            (
                "WINDOW_UPDATE, idle",
                "5.1",
                send(&[window_update(1, 100)]),
                PROTOCOL,
            ),
            (
                "CONTINUATION, idle",
                "5.1",
                send(&[continuation(1, 4, &request("GET", "/", &[]))]),
                PROTOCOL,
            ),
            (
                "DATA, half-closed",
                "5.1",
                send(&[half_closed(), data(1, 1, b"x")]),
                CLOSED,
            ),
            (
                "HEADERS, half-closed",
                "5.1",
                send(&[half_closed(), get(1)]),
                CLOSED_OR_PROTOCOL,
            ),
            (
                "CONTINUATION, half-closed",
                "5.1",
                send(&[half_closed(), continuation(1, 4, &rest)]),
                CLOSED_OR_PROTOCOL,
            ),
            (
                "DATA, reset by the client",
                "6.1",
                was_reset(data(1, 1, b"x")),
                CLOSED,
            ),
            (
                "HEADERS, reset by the client",
                "5.1.1",
                was_reset(get(1)),
                CLOSED_OR_PROTOCOL,
            ),
            (
                "CONTINUATION, reset by the client",
                "6.10",
                was_reset(continuation(1, 4, &rest)),
                CLOSED_OR_PROTOCOL,
            ),
            ("DATA, closed", "6.1", ended(data(1, 1, b"x")), CLOSED),
            (
                "HEADERS, closed",
                "5.1.1",
                ended(get(1)),
                ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            (
                "CONTINUATION, closed",
                "6.10",
                ended(continuation(1, 4, &rest)),
                ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            ("an even number", "5.1.1", send(&[get(2)]), PROTOCOL),
            (
                "a number smaller than one before",
                "5.1.1",
                send(&[get(5), get(3)]),
                ConnectionError(&[PROTOCOL_ERROR, STREAM_CLOSED]),
            ),
            (
                "DATA of an even number",
                "5.1",
                send(&[data(2, 0, b"x")]),
                PROTOCOL,
            ),
            (
                "WINDOW_UPDATE of an even number",
                "5.1",
                send(&[window_update(2, 1)]),
                PROTOCOL,
            ),
            (
                "a window that opens by nothing",
                "6.9",
                send(&[half_closed(), window_update(1, 0)]),
                StreamError(1, &[PROTOCOL_ERROR]),
            ),
            (
                "a short WINDOW_UPDATE",
                "6.9",
                send(&[half_closed(), frame(kind::WINDOW_UPDATE, 0, 1, &[0, 1])]),
                ConnectionError(&[FRAME_SIZE_ERROR]),
            ),
            (
                "a window of more than 2^31-1",
                "6.9.1",
                send(&[
                    half_closed(),
                    window_update(1, frame::WINDOW_MAX),
                    window_update(1, 1),
                ]),
                StreamError(1, &[FLOW_CONTROL_ERROR]),
            ),
            (
                "settings that make a window of more than 2^31-1",
                "6.9.2",
                send(&[
                    half_closed(),
                    window_update(1, frame::WINDOW_MAX),
                    settings(&[(setting::INITIAL_WINDOW_SIZE, 1)]),
                ]),
                ConnectionError(&[FLOW_CONTROL_ERROR]),
            ),
            (
                "a second head that does not end the stream",
                "8.1",
                send(&[
                    post(1),
                    headers(1, flag::END_HEADERS, &rest),
                    data(1, 1, b"x"),
                ]),
                Malformed(1),
            ),
            (
                "a stream more than the server allows",
                "5.1.2",
                vec![
                    Step::Send(settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])),
                    Step::Suited(|theirs| {
                        let max = theirs.streams_max.expect("a bound is set");
                        (0..=max).flat_map(|n| get(2 * n + 1)).collect()
                    }),
                ],
                Refused(&[REFUSED_STREAM, PROTOCOL_ERROR]),
            ),
        ]
    });
}

#[test]
fn a_stream_error_leaves_the_other_streams_alone() {
    // RFC 9113 §5.4.2: unless the server ends the connection, which it may
    check(|| -> Vec<Row> {
        let bad = headers(3, flag::ALL, &request("GET", "/", &[("X-Upper", "1")]));
        vec![(
            "one of three",
            "5.4.2",
            send(&[get(1), bad, get(5)]),
            Malformed(3),
        )]
    });
}
