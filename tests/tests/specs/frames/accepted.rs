//! What every server must take.

use super::frame::{
    continuation, data, flag, frame, get, goaway, headers, kind, padded_data, ping, post, priority,
    request, reset, setting, settings, window_update,
};
use super::{Answered, Expect, GoesOn, GoesOnOrEnds, GoesOnOrStreamError, PINGED, Row, Step};
use super::{check, code, hpack, send};

/// Nothing of the answer's body may go out.
fn no_window() -> Vec<u8> {
    settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])
}

fn padded(stream: u32, block: &[u8]) -> Vec<u8> {
    let payload = [&[7], block, &[0; 7]].concat();
    headers(stream, flag::ALL | flag::PADDED, &payload)
}

fn depending(stream: u32, on: u32, block: &[u8]) -> Vec<u8> {
    let payload = [&on.to_be_bytes()[..], &[255], block].concat();
    headers(stream, flag::ALL | flag::PRIORITY, &payload)
}

#[test]
fn frames_that_are_right_are_taken_in_every_state_of_a_stream() {
    check(|| {
        let whole = request("GET", "/", &[]);
        let (first, rest) = whole.split_at(3);
        let begun = |frames: &[Vec<u8>]| {
            vec![
                Step::Send([no_window(), get(1), frames.concat(), window_update(1, 1)].concat()),
                Step::Begun(1),
            ]
        };
        let ended = |bytes| vec![Step::Send(get(1)), Step::Ended(1), Step::Send(bytes)];
        let rows: Vec<(_, _, Vec<Step>, Expect)> = vec![
            ("GET", "8.1", send(&[get(1)]), Answered(1, 200)),
            (
                "HEAD",
                "8.1",
                send(&[headers(1, flag::ALL, &request("HEAD", "/", &[]))]),
                Answered(1, 200),
            ),
            (
                "POST",
                "8.1",
                send(&[post(1), data(1, flag::END_STREAM, b"body")]),
                Answered(1, 200),
            ),
            (
                "several DATA frames",
                "6.1",
                send(&[
                    post(1),
                    data(1, 0, b"bo"),
                    data(1, 0, b""),
                    data(1, flag::END_STREAM, b"dy"),
                ]),
                Answered(1, 200),
            ),
            (
                "padded DATA",
                "6.1",
                send(&[post(1), padded_data(1, flag::END_STREAM, b"body", 9)]),
                Answered(1, 200),
            ),
            (
                "DATA that is padding alone",
                "6.1",
                send(&[post(1), padded_data(1, flag::END_STREAM, b"", 255)]),
                Answered(1, 200),
            ),
            (
                "trailers",
                "8.1",
                send(&[
                    post(1),
                    data(1, 0, b"body"),
                    headers(1, flag::ALL, &hpack::literal("x-sum", "1")),
                ]),
                Answered(1, 200),
            ),
            (
                "a DATA frame as large as is allowed to all",
                "4.2",
                send(&[post(1), data(1, flag::END_STREAM, &[b'x'; 16_384])]),
                Answered(1, 200),
            ),
            (
                "padded HEADERS",
                "6.2",
                send(&[padded(1, &whole)]),
                Answered(1, 200),
            ),
            (
                "HEADERS with a priority",
                "6.2",
                send(&[depending(1, 0, &whole)]),
                Answered(1, 200),
            ),
            (
                "HEADERS that depend on an idle stream",
                "5.3.2",
                send(&[depending(1, 99, &whole)]),
                Answered(1, 200),
            ),
            (
                "HEADERS that depend on themselves: an error in RFC 7540, no signal any more",
                "5.3.2",
                send(&[depending(1, 1, &whole)]),
                GoesOnOrStreamError(1),
            ),
            (
                "CONTINUATION",
                "6.10",
                send(&[
                    headers(1, flag::END_STREAM, first),
                    continuation(1, flag::END_HEADERS, rest),
                ]),
                Answered(1, 200),
            ),
            (
                "several CONTINUATIONs, and an empty one",
                "6.10",
                send(&[
                    headers(1, flag::END_STREAM, b""),
                    whole
                        .chunks(30)
                        .flat_map(|part| continuation(1, 0, part))
                        .collect(),
                    continuation(1, flag::END_HEADERS, b""),
                ]),
                Answered(1, 200),
            ),
            (
                "PRIORITY",
                "6.3",
                send(&[priority(1, 0, 0), get(1)]),
                Answered(1, 200),
            ),
            (
                "PRIORITY with the largest weight",
                "6.3",
                send(&[priority(1, 0, 255), get(1)]),
                Answered(1, 200),
            ),
            (
                "PRIORITY on another stream",
                "6.3",
                send(&[priority(1, 7, 16), get(1)]),
                Answered(1, 200),
            ),
            (
                "exclusive PRIORITY",
                "6.3",
                send(&[priority(1, 7 | 1 << 31, 16), get(1)]),
                Answered(1, 200),
            ),
            (
                "PRIORITY of a later stream opens nothing",
                "5.1.1",
                send(&[priority(5, 0, 16), get(3)]),
                Answered(3, 200),
            ),
            (
                "PRIORITY of a stream on itself: an error in RFC 7540, no signal any more",
                "5.3.2",
                send(&[priority(3, 3, 16)]),
                GoesOnOrStreamError(3),
            ),
            ("PRIORITY, idle", "5.1", send(&[priority(1, 0, 16)]), GoesOn),
            (
                "PRIORITY, half-closed",
                "5.1",
                begun(&[priority(1, 0, 16)]),
                GoesOn,
            ),
            ("PRIORITY, closed", "5.1", ended(priority(1, 0, 16)), GoesOn),
            ("WINDOW_UPDATE, half-closed", "5.1", begun(&[]), GoesOn),
            (
                "WINDOW_UPDATE, closed",
                "5.1",
                ended(window_update(1, 1)),
                GoesOn,
            ),
            (
                "RST_STREAM, open",
                "6.4",
                send(&[post(1), reset(1, code::CANCEL), get(3)]),
                Answered(3, 200),
            ),
            (
                "RST_STREAM, half-closed",
                "5.1",
                send(&[no_window(), get(1), reset(1, code::CANCEL)]),
                GoesOn,
            ),
            (
                "RST_STREAM, closed",
                "5.1",
                ended(reset(1, code::CANCEL)),
                GoesOn,
            ),
            (
                "RST_STREAM with an unknown code",
                "7",
                send(&[post(1), reset(1, 0xff)]),
                GoesOn,
            ),
            (
                "WINDOW_UPDATE of the connection",
                "6.9",
                send(&[window_update(0, 1)]),
                GoesOn,
            ),
            (
                "windows as large as they can be",
                "6.9.1",
                send(&[window_update(0, super::frame::WINDOW_MAX - 65_535)]),
                GoesOn,
            ),
            ("PING", "6.7", send(&[ping(PINGED)]), GoesOn),
            (
                "an acknowledged PING is not answered",
                "6.7",
                send(&[frame(kind::PING, flag::ACK, 0, b"not this")]),
                GoesOn,
            ),
            (
                "an unknown setting",
                "6.5.2",
                send(&[settings(&[(0xff, 1), (0xffff, u32::MAX)]), get(1)]),
                Answered(1, 200),
            ),
            (
                "a setting twice, the last counts",
                "6.5.3",
                send(&[settings(&[(4, 100), (4, 1)]), get(1)]),
                Answered(1, 200),
            ),
            (
                "all settings at their bounds",
                "6.5.2",
                send(&[
                    settings(&[
                        (1, 0),
                        (2, 0),
                        (3, 0),
                        (4, (1 << 31) - 1),
                        (5, (1 << 24) - 1),
                        (6, u32::MAX),
                    ]),
                    get(1),
                ]),
                Answered(1, 200),
            ),
            (
                "GOAWAY",
                "6.8",
                send(&[goaway(0, code::NO_ERROR)]),
                GoesOnOrEnds,
            ),
            (
                "GOAWAY with an unknown code",
                "7",
                send(&[goaway(0, 0xff)]),
                GoesOnOrEnds,
            ),
            (
                "a frame of an unknown kind",
                "4.1",
                send(&[frame(0xff, 0xff, 0, b"12345678"), frame(0x16, 0, 7, b"")]),
                GoesOn,
            ),
            (
                "a frame of an unknown kind on an open stream",
                "5.5",
                send(&[post(1), frame(0xee, 1, 1, b"x"), data(1, 1, b"y")]),
                Answered(1, 200),
            ),
            (
                "PRIORITY_UPDATE, where it is not known (RFC 9218 §7.1)",
                "5.5",
                send(&[frame(0x10, 0, 0, b"\0\0\0\x01u=1"), get(1)]),
                Answered(1, 200),
            ),
            (
                "flags that mean nothing",
                "4.1",
                send(&[frame(kind::PING, 0x16, 0, &PINGED)]),
                GoesOn,
            ),
            (
                "flags that mean nothing on DATA",
                "4.1",
                send(&[post(1), data(1, 0xf7 & !8, b"y")]),
                Answered(1, 200),
            ),
            (
                "the reserved bit of a stream",
                "4.1",
                send(&[frame(kind::PING, 0, 1 << 31, &PINGED)]),
                GoesOn,
            ),
            (
                "the reserved bit of a window",
                "6.9",
                send(&[frame(kind::WINDOW_UPDATE, 0, 0, &[0x80, 0, 0, 1])]),
                GoesOn,
            ),
        ];
        rows as Vec<Row>
    });
}

#[test]
fn streams_that_were_passed_over_are_not_needed() {
    // RFC 9113 §5.1.1: any odd number that is larger than those before
    check(|| {
        vec![(
            "a gap",
            "5.1.1",
            send(&[get(5), get(101), get((1 << 31) - 1)]),
            Answered((1 << 31) - 1, 200),
        )]
    });
}
