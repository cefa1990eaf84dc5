//! Heads and bodies of requests.

use super::*;

#[test]
fn a_request_s_body_is_read_as_the_windows_allow() {
    let mut talk = Talk::new();
    let stream = talk.posted(1);
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
        talk.posted(stream);
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
        talk.posted(stream);
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
    let stream = talk.posted(1);
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
    // by the static table: accept
    let many = [0x0f, 19 - 15, 1, b'a'].repeat(21);
    let long = [&[0x00, 1, b'x', 0x7f, 0x80, 0x0f][..], &[b'y'; 2047]].concat();
    for fields in [many, long] {
        let mut talk = Talk::new();
        let flags = flag::END_HEADERS | flag::END_STREAM;
        talk.say(kind::HEADERS, flags, 1, &[GET, &fields].concat());
        assert!(talk.hear().is_some());
        assert_eq!(talk.connection.head.fault(), Some(Fault::TooLarge));
    }
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
    let stream = talk.posted(1);
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
