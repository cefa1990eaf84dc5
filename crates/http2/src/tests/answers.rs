//! Answers: windows, turns, trailers, and tasks that make them.

use super::*;

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
        talk.answered(stream, &vec![b'x'; 60_000]);
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
    talk.answered(1, &vec![b'x'; 70_000]);
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
        talk.answered(stream, b"waits");
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
fn a_task_that_leaves_in_the_midst_of_an_answer_resets_it() {
    let mut talk = Talk::new();
    let stream = talk.held(1);
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
    let stream = talk.held(1);
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
    let stream = talk.held(1);
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
fn an_end_needs_no_window() {
    let mut talk = Talk::new();
    talk.answered(1, &vec![b'x'; 70_000]);
    // more for the stream, and none for the connection
    talk.say(kind::WINDOW_UPDATE, 0, 1, &70_000u32.to_be_bytes());
    talk.hear();
    assert_eq!(data_of(&talk.frames(), 1), 65_535);
    let stream = talk.held(3);
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

#[test]
fn streams_that_are_reset_leave_no_place_in_the_row() {
    let mut talk = Talk::new();
    talk.answered(1, &vec![b'x'; 70_000]);
    talk.say(kind::WINDOW_UPDATE, 0, 1, &70_000u32.to_be_bytes());
    talk.hear();
    talk.frames();
    for stream in (3..500).step_by(2) {
        talk.answered(stream, &[b'x'; 100]);
        talk.say(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
        talk.hear();
    }
    assert_eq!(talk.connection.row.len(), 1);
}
