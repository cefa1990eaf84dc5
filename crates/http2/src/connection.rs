//! The state of a connection, and how it ends.

use crate::closed::{Closed, End};
use crate::frame::{
    PAYLOAD_BYTES_MAX, STREAM_MAX, put_goaway, put_ping, put_reset, put_settings, put_window_update,
};
use crate::head::{Head, HeadLimits};
use crate::hpack::{Decoder, Encoder};
use crate::out::Out;
use crate::reason::{Fatal, Reason};
use crate::receive::Receiving;
use crate::stream::{Stream, wake};
use std::collections::{HashMap, VecDeque};
use std::task::Waker;
use std::time::Duration;

/// Windows of either side until something else is said (RFC 9113 §6.9.2).
pub(crate) const WINDOW: u32 = 65_535;

/// What a connection may take. All of it is told to the client but the last two.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams at the same time; further ones are refused.
    pub streams_max: u32,
    /// Bytes of a request's body that wait to be read: of a stream, and of the connection. At least 65,535 each.
    pub stream_window: u32,
    /// The same for all streams together.
    pub connection_window: u32,
    /// A request's head, counted as RFC 9113 §6.5.2 does.
    pub head_bytes_max: usize,
    /// Fields of a head.
    pub fields_max: usize,
    /// Bytes of an answer that wait in a stream before there is no room for more.
    pub stream_send_bytes_max: usize,
}

/// Settings of the client that matter here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) initial_window: i64,
    pub(crate) payload_bytes_max: usize,
}

/// A request whose head has come; it lies in [`Connection::head`] until the next one does.
#[derive(Debug)]
#[must_use]
pub struct Asked {
    pub(crate) stream: u32,
    pub(crate) ended: bool,
}

impl Asked {
    /// It has no body.
    pub fn ended(&self) -> bool {
        self.ended
    }
}

/// How the end of the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    On,
    /// The client was told that the end comes, and not yet which stream is the last.
    Announced,
    /// Streams beyond this one are not answered.
    Until(u32),
    Failed,
}

/// One connection.
pub struct Connection {
    pub(crate) limits: Limits,
    /// What waits to be written.
    pub out: Out,
    /// The head that was read last.
    pub head: Head,
    pub(crate) decoder: Decoder,
    pub(crate) encoder: Encoder,
    pub(crate) peer: Peer,
    pub(crate) receiving: Receiving,
    pub(crate) streams: HashMap<u32, Stream, ahash::RandomState>,
    /// Streams that are not over for the client.
    pub(crate) open: u32,
    pub(crate) closed: Closed,
    /// The highest stream that was opened.
    pub(crate) last: u32,
    pub(crate) window: i64,
    /// When something of a body was sent last.
    pub(crate) moved: Duration,
    /// Streams that have something to send and a window for it.
    pub(crate) row: VecDeque<u32>,
    pub(crate) going: Going,
    pub(crate) driver: Option<Waker>,
}

/// Frames wait in their streams while so many bytes are ready to be written.
pub(crate) const READY_BYTES_MAX: usize = 64 * 1024;

/// What the ping holds that asks whether the client knows of the end.
pub(crate) const END_PING: &[u8; 8] = b"the end?";

impl Connection {
    /// A connection that begins; its settings wait to be written.
    pub fn new(limits: Limits) -> Self {
        let mut connection = Self {
            limits,
            out: Out::default(),
            head: Head::default(),
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            peer: Peer {
                initial_window: i64::from(WINDOW),
                payload_bytes_max: PAYLOAD_BYTES_MAX,
            },
            receiving: Receiving::new(limits.connection_window),
            streams: HashMap::default(),
            open: 0,
            closed: Closed::default(),
            last: 0,
            window: i64::from(WINDOW),
            moved: Duration::ZERO,
            row: VecDeque::new(),
            going: Going::On,
            driver: None,
        };
        let settings = [
            (0x3, limits.streams_max),
            (0x4, limits.stream_window),
            (0x6, limits.head_bytes_max as u32),
        ];
        put_settings(&mut connection.out.tail, &settings);
        let more = limits.connection_window.saturating_sub(WINDOW);
        if more > 0 {
            put_window_update(&mut connection.out.tail, 0, more);
        }
        connection
    }

    pub(crate) fn head_limits(&self) -> HeadLimits {
        HeadLimits {
            bytes_max: self.limits.head_bytes_max,
            fields_max: self.limits.fields_max,
        }
    }

    /// Wakes `waker` when a task has changed something.
    pub fn driven_by(&mut self, waker: &Waker) {
        match &mut self.driver {
            Some(driver) => driver.clone_from(waker),
            None => self.driver = Some(waker.clone()),
        }
    }

    /// Whether there is room for further answers to be written.
    pub fn has_room(&self) -> bool {
        self.out.len() < READY_BYTES_MAX
    }

    /// There is something to do for who drives the connection.
    pub(crate) fn stir(&mut self) {
        wake(&mut self.driver);
    }

    /// Whether no stream is at work, neither for the client nor for a task.
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    /// The server ends: requests that are under way are answered, and the client is asked for no more.
    pub fn shut_down(&mut self) {
        if self.going == Going::On {
            self.going = Going::Announced;
            // RFC 9113 §6.8: what is on its way still counts, until the client has seen this
            put_goaway(&mut self.out.tail, STREAM_MAX, Reason::NO_ERROR, "");
            put_ping(&mut self.out.tail, 0, END_PING);
        }
    }

    /// Whether the client was told that the end comes, has not answered that, and has nothing at work.
    pub fn says_goodbye(&self) -> bool {
        self.going == Going::Announced && self.is_idle()
    }

    /// The client knows of the end, or has had its time: what it asks for from now on is not answered.
    pub fn end_is_known(&mut self) {
        if self.going == Going::Announced {
            self.end();
        }
    }

    /// No stream beyond those that were opened is answered.
    pub(crate) fn end(&mut self) {
        if matches!(self.going, Going::On | Going::Announced) {
            self.going = Going::Until(self.last);
            put_goaway(&mut self.out.tail, self.last, Reason::NO_ERROR, "");
        }
    }

    /// Nothing is left to do: what waits is to be written, and the connection to be closed.
    pub fn is_over(&self) -> bool {
        match self.going {
            Going::Failed => true,
            Going::Until(_) => self.streams.is_empty(),
            Going::On | Going::Announced => false,
        }
    }

    /// Ends the connection at once.
    pub fn fail(&mut self, fatal: Fatal) {
        // RFC 9113 §6.8: never more than it said before
        let last = match self.going {
            Going::Until(last) => last,
            _ => self.last,
        };
        if self.going != Going::Failed {
            self.going = Going::Failed;
            put_goaway(&mut self.out.tail, last, fatal.reason, fatal.text);
        }
        self.cut_all(fatal.reason);
    }

    /// The client is gone: every task hears it.
    pub fn cut_all(&mut self, reason: Reason) {
        self.row.clear();
        for stream in self.streams.values_mut() {
            stream.cut(reason);
        }
        self.streams.retain(|_, stream| stream.held);
        self.open = 0;
    }

    /// Since when the first of those answers waits that wait for their client.
    pub fn waits_since(&self) -> Option<Duration> {
        let since = self
            .streams
            .values()
            .map(|stream| self.stream_waits(stream));
        since.flatten().min()
    }

    /// Since when a stream waits for its own window, or for the connection's and its turn while nothing goes out at all.
    fn stream_waits(&self, stream: &Stream) -> Option<Duration> {
        let since = if stream.send.window <= 0 {
            stream.send.moved
        } else {
            stream.send.moved.max(self.moved)
        };
        (stream.send.queued > 0).then_some(since)
    }

    /// Resets streams whose answer has waited since `since` for the client to open its windows; says how many.
    pub fn reset_stalled(&mut self, since: Duration) -> usize {
        let stalled: Vec<u32> = self
            .streams
            .iter()
            .filter(|(_, stream)| self.stream_waits(stream).is_some_and(|at| at <= since))
            .map(|(id, _)| *id)
            .collect();
        for &stream in &stalled {
            self.reset(stream, Reason::CANCEL);
        }
        stalled.len()
    }

    pub(crate) fn put_reset(&mut self, stream: u32, reason: Reason) {
        put_reset(&mut self.out.tail, stream, reason);
    }

    /// The stream is over for the client: it goes, or stays for its task alone.
    pub(crate) fn drop_stream(&mut self, stream: u32, reason: Reason, end: End) {
        let Some(found) = self.streams.get_mut(&stream) else {
            return;
        };
        let was_closed = found.is_closed();
        let untaken = found.cut(reason);
        let held = found.held;
        if std::mem::take(&mut found.send.in_row) {
            self.row.retain(|waits| *waits != stream);
        }
        self.take(untaken);
        if !was_closed {
            self.open -= 1;
            self.closed.note(stream, end);
        }
        if !held {
            self.streams.remove(&stream);
        }
    }

    /// One side has ended. With the other one, the stream is over for the client.
    pub(crate) fn side_ended(&mut self, stream: u32) {
        let found = self.streams.get(&stream);
        if found.is_some_and(|found| found.reset.is_none() && found.is_closed()) {
            self.open -= 1;
            self.closed.note(stream, End::Whole);
        }
        self.settle(stream);
    }

    /// A side has ended, or the task is gone: what follows from that?
    pub(crate) fn settle(&mut self, stream: u32) {
        let Some(found) = self.streams.get_mut(&stream) else {
            return;
        };
        if found.held || !found.send.ended {
            return;
        }
        if found.recv.ended {
            let untaken = found.cut(Reason::NO_ERROR);
            self.take(untaken);
            self.streams.remove(&stream);
        } else {
            // RFC 9113 §8.1: the answer is whole without the rest of the request
            self.reset(stream, Reason::NO_ERROR);
        }
    }
}
