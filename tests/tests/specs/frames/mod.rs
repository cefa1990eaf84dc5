//! HTTP/2 as it is on the wire: frames are sent that a client must, may and must not send, and each answer is held against
//! RFC 9113 and RFC 7541. Nothing here knows how the server is made.
//!
//! - [`frame`], [`hpack`], [`client`]: bytes, and a client that fails where the server oversteps windows, sizes or states
//! - [`accepted`]: what a server must take; [`preface`], [`connection`], [`streams`]: what it must answer with an error
//! - [`heads`]: requests that are malformed, and what the origin sees of those that are not; [`compression`]: field blocks
//! - [`windows`]: how much may be sent; [`uploads`]: bodies of requests
//! - [`answers`]: what answers look like, and how a connection ends; [`abuse`]: who means harm; [`slow`]: who takes
//!   their time

mod abuse;
mod accepted;
mod answers;
mod client;
mod compression;
mod connection;
mod frame;
mod heads;
mod hpack;
mod preface;
mod slow;
mod streams;
mod uploads;
mod windows;

use client::{Conn, Event, Theirs};
use frame::{code, flag, kind};
use seawall_tests::{Cluster, Origin};
use std::net::SocketAddr;

/// What the client does, in order.
enum Step {
    Send(Vec<u8>),
    /// What depends on the server's settings.
    Suited(fn(&Theirs) -> Vec<u8>),
    /// Waits for the end of the answer.
    Ended(u32),
    /// Waits for the beginning of the answer's body.
    Begun(u32),
}

/// What the server must do then. Where the RFC leaves a choice, every choice is right.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// A connection error with one of these codes: GOAWAY and the end of the connection, or that end alone.
    ConnectionError(&'static [u32]),
    /// A stream error: RST_STREAM with one of these codes, or a connection error.
    StreamError(u32, &'static [u32]),
    /// Some stream is refused so, or a connection error.
    Refused(&'static [u32]),
    /// The request is malformed: a stream error of PROTOCOL_ERROR, or 4xx (RFC 9113 §8.1.1).
    Malformed(u32),
    /// The stream is answered so, and the connection goes on.
    Answered(u32, u16),
    /// The connection goes on as if nothing had come.
    GoesOn,
    /// It goes on, or this is a stream error of PROTOCOL_ERROR.
    GoesOnOrStreamError(u32),
    /// It goes on, or ends without an error.
    GoesOnOrEnds,
}
use Expect::{Answered, ConnectionError, GoesOn, GoesOnOrEnds, GoesOnOrStreamError};
use Expect::{Malformed, Refused, StreamError};

/// An id, where it is written, what is done, what is expected.
type Row = (&'static str, &'static str, Vec<Step>, Expect);

fn send(frames: &[Vec<u8>]) -> Vec<Step> {
    vec![Step::Send(frames.concat())]
}

/// The payload of the ping behind each row's frames.
const BEHIND: [u8; 8] = *b"the end?";

/// Does what each row says on a connection of its own, for answers from the cache and for such as pass. All that fail are
/// told at once.
fn check(rows: impl Fn() -> Vec<Row>) {
    let mut failures = Vec::new();
    for control in ["max-age=3600", "no-store"] {
        let origin = Origin::start(move |request, reply| {
            let fields = [("cache-control", control)];
            reply.answer(200, &fields, request.target.as_bytes())
        });
        let cluster = Cluster::of(&origin);
        seawall_tests::client::get(cluster.edge(0), "/", &[]);
        for (id, rfc, steps, expect) in rows() {
            if let Err(found) = judge(cluster.edge(0), steps, expect) {
                failures.push(format!(
                    "{id} ({rfc}; {control}): {expect:?} expected, but {found}"
                ));
            }
        }
        // whatever they did, others are answered
        assert_eq!(Conn::whole(cluster.edge(0), "/").text(), "/");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

impl Conn {
    /// One GET on a connection of its own.
    fn whole(address: SocketAddr, path: &str) -> client::Answer {
        let mut conn = Self::open(address);
        conn.send(&frame::get_path(1, path));
        conn.answer(1)
    }
}

/// Runs a row. An error says what was found.
fn judge(address: SocketAddr, steps: Vec<Step>, expect: Expect) -> Result<(), String> {
    let mut conn = Conn::open(address);
    for step in steps {
        match step {
            Step::Send(bytes) => conn.send(&bytes),
            Step::Suited(bytes) => {
                let bytes = bytes(&conn.theirs);
                conn.send(&bytes);
            }
            Step::Ended(stream) => drop(conn.answer(stream)),
            Step::Begun(stream) => {
                while conn.streams.get(&stream).is_none_or(|a| a.body.is_empty()) {
                    conn.frame();
                }
            }
        }
    }
    conn.send(&frame::ping(BEHIND));
    observed(&mut conn, expect)
}

/// Reads until it is plain whether what is expected has come.
fn observed(conn: &mut Conn, expect: Expect) -> Result<(), String> {
    let mut acks = 0;
    loop {
        let frame = match conn.next() {
            Event::Frame(frame) => frame,
            Event::Silence => return Err(format!("nothing comes: {:?}", conn.streams)),
            Event::Closed => {
                return match expect {
                    Answered(..) | GoesOn => Err("the connection is closed".to_owned()),
                    _ => Ok(()),
                };
            }
        };
        if frame.kind == kind::GOAWAY {
            let (code, last) = (frame.goaway_code(), frame.number());
            let may = match expect {
                ConnectionError(codes) | StreamError(_, codes) | Refused(codes) => {
                    codes.contains(&code)
                }
                Malformed(_) | GoesOnOrStreamError(_) => code == code::PROTOCOL_ERROR,
                GoesOnOrEnds => code == code::NO_ERROR,
                Answered(..) | GoesOn => false,
            };
            return match may {
                true if code == code::NO_ERROR => Ok(()),
                true => ends(conn),
                false => Err(format!("GOAWAY with {code} and {last}")),
            };
        }
        if frame.kind == kind::RST_STREAM {
            let (stream, code) = (frame.stream, frame.number());
            return match expect {
                StreamError(of, codes) if of == stream && codes.contains(&code) => Ok(()),
                Malformed(of) | GoesOnOrStreamError(of)
                    if of == stream && code == code::PROTOCOL_ERROR =>
                {
                    Ok(())
                }
                Refused(codes) if codes.contains(&code) => Ok(()),
                // a stream may end so before the frame that ends the connection is read
                ConnectionError(_) => continue,
                _ => Err(format!("RST_STREAM of {stream} with {code}")),
            };
        }
        if is_ack(&frame)? {
            acks += 1;
            conn.send(&frame::ping(BEHIND));
        }
        let pinged = acks >= ACKS;
        match expect {
            ConnectionError(_) | Refused(_) if pinged => {
                return Err("the connection goes on".to_owned());
            }
            GoesOn | GoesOnOrEnds | GoesOnOrStreamError(_) if pinged => return Ok(()),
            StreamError(stream, _) | Malformed(stream) | Answered(stream, _) => {
                let Some(answer) = conn.streams.get(&stream).filter(|answer| answer.ended) else {
                    continue;
                };
                return match expect {
                    Answered(_, status) if answer.status == status && !pinged => continue,
                    Answered(_, status) if answer.status == status => Ok(()),
                    Malformed(_) if (400..500).contains(&answer.status) => Ok(()),
                    // the answer may have been on its way
                    StreamError(..) if !pinged => continue,
                    _ => Err(format!("it is answered: {answer:?}")),
                };
            }
            _ => {}
        }
    }
}

/// Whether this acknowledges the ping behind the row's frames. Acknowledging anything else is an error (RFC 9113 §6.7).
fn is_ack(frame: &frame::Frame) -> Result<bool, String> {
    if frame.kind != kind::PING || !frame.has(flag::ACK) {
        return Ok(false);
    }
    if frame.payload == BEHIND || frame.payload == PINGED {
        return Ok(frame.payload == BEHIND);
    }
    Err(format!("a ping that was none is acknowledged: {frame:?}"))
}

/// Acknowledgements may overtake what else the server has to say, but not for ever: after so many of them it has nothing.
const ACKS: usize = 3;
/// What rows have in pings of their own.
const PINGED: [u8; 8] = *b"a ping!!";

/// Behind the GOAWAY of an error the connection is closed (RFC 9113 §5.4.1).
fn ends(conn: &mut Conn) -> Result<(), String> {
    loop {
        match conn.next() {
            Event::Closed => return Ok(()),
            Event::Silence => return Err("the connection stays open behind GOAWAY".to_owned()),
            Event::Frame(_) => {}
        }
    }
}
