//! A first look at a connection, where it was accepted: a plain hit that is asked for already is answered on the spot.
//!
//! A connection that brings one request and closes then costs what the kernel asks for it: it is never registered, has no
//! task and no memory of its own.

use crate::buffers::{self, BUFFER_BYTES};
use crate::exchange::{Handler, QuickBody};
use crate::h1::{Begun, end_head};
use crate::head::{Parsed, with_head};
use crate::info::ConnInfo;
use crate::limits::ConnLimits;
use bytes::{Buf, BytesMut};
use seawall_http2::PREFACE;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

/// What became of it.
pub(crate) enum First {
    /// Nothing more is to be done: the client has closed, or has its only answer.
    Done,
    /// The client has broken it off.
    Failed(io::Error),
    /// It goes on from here.
    Goes(Begun),
}

/// Looks once at what a connection has brought. `stream` does not block; `info` may say of its local address what is true
/// of the listener.
pub(crate) fn look<H: Handler>(
    mut stream: &TcpStream,
    handler: &H,
    info: &ConnInfo,
    limits: &ConnLimits,
) -> First {
    let mut buffer = [0; BUFFER_BYTES];
    let input = match stream.read(&mut buffer) {
        Ok(0) => return First::Done,
        Ok(n) => &buffer[..n],
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            return First::Goes(Begun::default());
        }
        Err(error) => return First::Failed(error),
    };
    let goes = |read: usize, output: BytesMut, rest| {
        First::Goes(Begun {
            input: BytesMut::from(&input[read..]),
            output,
            rest,
        })
    };
    if PREFACE.starts_with(&input[..input.len().min(PREFACE.len())]) {
        return goes(0, BytesMut::new(), None);
    }
    let mut output = buffers::take();
    let parsed = with_head(input, false, limits, |head| {
        let body = head
            .looks
            .plain
            .then(|| handler.quick(head, info, &mut output));
        body.flatten().map(|body| {
            end_head(&mut output, head);
            (body, head.len, head.keep_alive)
        })
    });
    let Parsed::Done(Some((body, len, keep))) = parsed else {
        buffers::give(&mut output);
        return goes(0, BytesMut::new(), None);
    };
    let rest = if let Some(body) = body.short() {
        output.extend_from_slice(body);
        None
    } else {
        Some((body, keep))
    };
    if rest.is_none() {
        match stream.write(&output) {
            Ok(written) => output.advance(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return First::Failed(error),
        }
        // the client, which wants it closed, has sent nothing more that a reset could answer
        let ends = !keep && output.is_empty() && len == input.len();
        if ends || (keep && output.is_empty()) {
            buffers::give(&mut output);
        }
        if ends {
            return First::Done;
        }
    }
    goes(
        len,
        output,
        rest.or((!keep).then_some((QuickBody::None, false))),
    )
}
