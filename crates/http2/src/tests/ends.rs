//! Bounds, and how connections end.

use super::*;

#[test]
fn streams_beyond_the_limit_are_refused_whoever_still_works_on_them() {
    let mut talk = Talk::new();
    let mut held = Vec::new();
    for stream in [1, 3, 5, 7] {
        held.push(talk.held(stream));
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
    talk.answered(13, b"");
    assert!(talk.connection.is_idle());
}

#[test]
fn the_end_is_announced_and_what_is_under_way_is_answered() {
    let mut talk = Talk::new();
    let stream = talk.held(1);
    talk.connection.shut_down();
    let frames = talk.frames();
    assert_eq!(frames[0].code(), Some(Reason::NO_ERROR.0));
    assert_eq!(number(&frames[0].payload), u32::MAX >> 1);
    assert_eq!(frames[1].kind, kind::PING);
    // on its way before the client knew
    talk.answered(3, b"");
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
    talk.answered(1, &[b'x'; 10_000]);
    let stream = talk.held(3);
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
        talk.posted(1);
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

/// RFC 9113 §6.8.
#[test]
fn a_later_farewell_names_no_later_stream() {
    let mut talk = Talk::new();
    talk.held(1);
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
