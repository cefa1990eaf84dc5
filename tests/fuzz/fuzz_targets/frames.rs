//! An HTTP/2 connection stays within its bounds, whatever its client sends.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use seawall_fuzz::Input;
use seawall_http2::{Body, Connection, Limits, PREFACE, Reason};
use std::io::IoSlice;
use std::task::{Context, Waker};
use std::time::Duration;

const LIMITS: Limits = Limits {
    streams_max: 8,
    stream_window: 70_000,
    connection_window: 140_000,
    head_bytes_max: 4000,
    fields_max: 32,
    stream_send_bytes_max: 50_000,
};
const NOW: Duration = Duration::from_secs(1);
/// What a connection may have ready to be written: its bound, a frame, and what answers as many short frames as came.
const READY_BYTES_MAX: usize = 200 * 1024;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let plan = input.number();
    let mut connection = Connection::new(LIMITS);
    let mut bytes = BytesMut::from(PREFACE);
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let mut held = Vec::new();
    let cx = Context::from_waker(Waker::noop());
    for (turn, piece) in input.rest().chunks(64).enumerate() {
        bytes.extend_from_slice(piece);
        loop {
            match connection.receive(&mut bytes) {
                Ok(Some(asked)) if connection.head.fault().is_some() => {
                    connection.reject(asked, Reason::PROTOCOL_ERROR);
                }
                Ok(Some(asked)) => {
                    assert!(connection.head.fields().count() <= LIMITS.fields_max);
                    if plan >> (turn % 64) & 1 == 0 {
                        let fields = [(&b"etag"[..], &b"\"1\""[..])].into_iter();
                        connection.answer(asked, 200, fields, Body::Copied(&[0; 5000]), NOW);
                    } else {
                        held.push(connection.hold(asked));
                    }
                }
                Ok(None) => break,
                Err(fatal) => connection.fail(fatal),
            }
        }
        assert!(held.len() <= 2 * LIMITS.streams_max as usize);
        if turn % 3 == 0
            && let Some(stream) = held.pop()
        {
            let _ = connection.poll_read(stream, &cx);
            let _ = connection.respond(stream, 200, std::iter::empty(), false);
            let _ = connection.send(stream, Bytes::from_static(b"body"), true, NOW);
            connection.release(stream);
        }
        connection.pump(NOW);
        assert!(connection.out.len() <= READY_BYTES_MAX);
        while !connection.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = connection.out.slices(&mut slices);
            let written = slices[..filled].iter().map(|slice| slice.len()).sum();
            connection.out.advance(written);
        }
    }
    connection.cut_all(Reason::CANCEL);
    held.into_iter().for_each(|stream| connection.release(stream));
    assert!(connection.is_idle());
});
