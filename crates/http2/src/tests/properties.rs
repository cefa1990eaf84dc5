//! Whatever a client says, and however windows open.

use super::*;
use proptest::prelude::*;

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
        let mut frame = BytesMut::new();
        put(&mut frame, kind, flags, stream, &payload);
        frame.to_vec()
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
