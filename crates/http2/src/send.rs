//! Frames that go: heads at once, bodies as the client's windows allow, stream by stream in turn (RFC 9113 §5.2).

use crate::closed::End;
use crate::connection::{Asked, Connection};
use crate::frame::{FrameHead, HEAD_BYTES, flag, kind};
use crate::hpack::Encoder;
use crate::out::Out;
use crate::reason::Reason;
use crate::stream::{Ends, Gone, Stream, Trailers, wake};
use bytes::{Bytes, BytesMut};
use std::time::Duration;

/// One stream's frame is no longer than this, whatever the client allows: the others have their turn.
const DATA_BYTES_MAX: usize = 64 * 1024;

impl Connection {
    /// Answers a request at once, with a whole body in pieces. A request's own body is not waited for.
    pub fn answer<'f>(
        &mut self,
        asked: Asked,
        status: u16,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        body: Body<'_>,
        now: Duration,
    ) {
        let stream = asked.stream;
        let len = body.len();
        self.receiving.nuisances = 0;
        self.put_head(stream, status, fields, len == 0);
        let fits = len as i64 <= self.window.min(self.peer.initial_window)
            && len <= self.peer.payload_bytes_max;
        if asked.ended && fits {
            // as most are: nothing of it has to be remembered
            if len > 0 {
                self.window -= len as i64;
                put_data_head(&mut self.out.tail, stream, len, true);
                match body {
                    Body::Copied(data) => self.out.tail.extend_from_slice(data),
                    Body::Parts(parts) => parts.into_iter().for_each(|part| self.out.body(part)),
                }
            }
            self.closed.note(stream, End::Whole);
            return;
        }
        let found = self.open(asked);
        found.send.head = true;
        if len == 0 {
            found.send.ended = true;
            self.side_ended(stream);
            return;
        }
        found.send.queued = len;
        found.send.queue = match body {
            Body::Copied(data) => [Bytes::copy_from_slice(data)].into(),
            Body::Parts(parts) => parts.into_iter().filter(|part| !part.is_empty()).collect(),
        };
        found.send.ends = Some(Ends::Plain);
        found.send.moved = now;
        self.line_up(stream);
    }

    /// Keeps a request's stream for a task, which has to [`release`](Self::release) it. Its number.
    pub fn hold(&mut self, asked: Asked) -> u32 {
        let stream = asked.stream;
        self.open(asked).held = true;
        stream
    }

    /// Resets a request's stream.
    #[expect(clippy::needless_pass_by_value, reason = "a request is answered once")]
    pub fn reject(&mut self, asked: Asked, reason: Reason) {
        let stream = asked.stream;
        self.put_reset(stream, reason);
        self.closed.note(stream, End::Here);
    }

    #[expect(clippy::needless_pass_by_value, reason = "a request is answered once")]
    fn open(&mut self, asked: Asked) -> &mut Stream {
        let left = self.head.content_length();
        let window = self.limits.stream_window;
        let stream = Stream::new(asked.ended, left, window, self.peer.initial_window);
        self.open += 1;
        self.streams
            .entry(asked.stream)
            .insert_entry(stream)
            .into_mut()
    }

    /// Sends a final head. `end`: no body follows. Fields have their names in lower case.
    pub fn respond<'f>(
        &mut self,
        stream: u32,
        status: u16,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        end: bool,
    ) -> Result<(), Gone> {
        let send = &mut self.live(stream)?.send;
        if std::mem::replace(&mut send.head, true) {
            return Ok(());
        }
        send.ended = end;
        self.put_head(stream, status, fields, end);
        if end {
            self.receiving.nuisances = 0;
            self.side_ended(stream);
        }
        self.stir();
        Ok(())
    }

    /// Sends an interim head (1xx).
    pub fn inform<'f>(
        &mut self,
        stream: u32,
        status: u16,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), Gone> {
        if !self.live(stream)?.send.head {
            self.put_head(stream, status, fields, false);
            self.stir();
        }
        Ok(())
    }

    /// Sends the next of a body, when the windows allow it. `end`: it is the last.
    pub fn send(&mut self, stream: u32, data: Bytes, end: bool, now: Duration) -> Result<(), Gone> {
        let send = &mut self.live(stream)?.send;
        if send.ends.is_some() || send.ended {
            return Ok(());
        }
        if send.queue.is_empty() {
            send.moved = now;
        }
        if !data.is_empty() {
            send.queued += data.len();
            send.queue.push_back(data);
        }
        if end {
            send.ends = Some(Ends::Plain);
        }
        self.line_up(stream);
        self.stir();
        Ok(())
    }

    /// Ends an answer by trailers.
    pub fn send_trailers(&mut self, stream: u32, trailers: Trailers) -> Result<(), Gone> {
        let send = &mut self.live(stream)?.send;
        if send.ends.is_none() && !send.ended {
            send.ends = Some(Ends::Trailers(trailers));
            self.line_up(stream);
            self.stir();
        }
        Ok(())
    }

    /// The stream takes its place in the row, if it has something to send that its window allows.
    pub(crate) fn line_up(&mut self, stream: u32) {
        if let Some(found) = self.streams.get_mut(&stream)
            && found.send.is_able()
            && !std::mem::replace(&mut found.send.in_row, true)
        {
            self.row.push_back(stream);
        }
    }

    pub(crate) fn line_up_all(&mut self) {
        let mut able: Vec<u32> = self
            .streams
            .iter()
            .filter(|(_, found)| found.send.is_able())
            .map(|(stream, _)| *stream)
            .collect();
        able.sort_unstable();
        for stream in able {
            self.line_up(stream);
        }
    }

    /// Makes frames of what waits in streams, one of each in turn, as far as windows and room allow.
    pub fn pump(&mut self, now: Duration) {
        self.receiving.is(now);
        // those in a row that wait for the connection's window
        let mut waiting = 0;
        while self.has_room()
            && waiting < self.row.len()
            && let Some(&stream) = self.row.front()
        {
            let Some(found) = self.streams.get_mut(&stream).filter(|s| s.reset.is_none()) else {
                self.row.pop_front();
                continue;
            };
            let send = &mut found.send;
            if let Some(first) = send.queue.front_mut() {
                let window = send.window.min(self.window);
                if send.window > 0 && window <= 0 {
                    // the connection's: who has nothing but an end to send needs none
                    self.row.rotate_left(1);
                    waiting += 1;
                    continue;
                }
                if window > 0 {
                    let len = first.len().min(window as usize);
                    let most = self.peer.payload_bytes_max.min(DATA_BYTES_MAX);
                    let piece = first.split_to(len.min(most));
                    if first.is_empty() {
                        send.queue.pop_front();
                    }
                    let len = piece.len();
                    send.queued -= len;
                    send.window -= len as i64;
                    send.moved = now;
                    self.window -= len as i64;
                    self.moved = now;
                    self.receiving.nuisances = 0;
                    send.ended = send.queue.is_empty() && matches!(send.ends, Some(Ends::Plain));
                    put_data_head(&mut self.out.tail, stream, len, send.ended);
                    self.out.body(piece);
                    if send.queued < self.limits.stream_send_bytes_max {
                        wake(&mut send.writer);
                    }
                }
            } else {
                match send.ends.take() {
                    Some(Ends::Plain) => {
                        send.ended = true;
                        put_data_head(&mut self.out.tail, stream, 0, true);
                    }
                    Some(Ends::Trailers(trailers)) => {
                        send.ended = true;
                        let fields = trailers.iter().map(|(name, value)| (&name[..], &value[..]));
                        let most = self.peer.payload_bytes_max;
                        put_block(
                            &mut self.out,
                            &mut self.encoder,
                            most,
                            (stream, true),
                            |encoder, out| {
                                fields.for_each(|(name, value)| encoder.field(name, value, out));
                            },
                        );
                    }
                    None => {}
                }
            }
            waiting = 0;
            self.row.pop_front();
            let send = &mut found.send;
            if send.is_able() {
                self.row.push_back(stream);
            } else {
                send.in_row = false;
            }
            if send.ended {
                self.side_ended(stream);
            }
        }
    }

    fn put_head<'f>(
        &mut self,
        stream: u32,
        status: u16,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        end: bool,
    ) {
        let most = self.peer.payload_bytes_max;
        put_block(
            &mut self.out,
            &mut self.encoder,
            most,
            (stream, end),
            |encoder, out| {
                Encoder::status(status, out);
                fields.for_each(|(name, value)| encoder.field(name, value, out));
            },
        );
    }
}

/// An answer's whole body.
#[derive(Debug)]
pub enum Body<'b> {
    /// It is copied behind its head.
    Copied(&'b [u8]),
    /// It lies where it is until it is written.
    Parts(Vec<Bytes>),
}

impl Body<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Copied(data) => data.len(),
            Self::Parts(parts) => parts.iter().map(Bytes::len).sum(),
        }
    }
}

impl crate::stream::Send {
    /// It has something to send that its own window allows.
    fn is_able(&self) -> bool {
        if self.ended {
            return false;
        }
        if self.queue.is_empty() {
            self.ends.is_some()
        } else {
            self.window > 0
        }
    }
}

fn put_data_head(out: &mut BytesMut, stream: u32, len: usize, end: bool) {
    let head = FrameHead {
        len,
        kind: kind::DATA,
        flags: if end { flag::END_STREAM } else { 0 },
        stream,
    };
    out.extend_from_slice(&head.bytes());
}

/// Writes a field section, in as many frames as it takes.
fn put_block(
    out: &mut Out,
    encoder: &mut Encoder,
    payload_bytes_max: usize,
    (stream, end): (u32, bool),
    write: impl FnOnce(&mut Encoder, &mut BytesMut),
) {
    let tail = &mut out.tail;
    let start = tail.len();
    tail.extend_from_slice(&[0; HEAD_BYTES]);
    encoder.begin(tail);
    write(encoder, tail);
    let len = tail.len() - start - HEAD_BYTES;
    let head = |kind, len, last| FrameHead {
        len,
        kind,
        flags: match kind {
            kind::HEADERS if end => flag::END_STREAM,
            _ => 0,
        } | if last { flag::END_HEADERS } else { 0 },
        stream,
    };
    let first = len.min(payload_bytes_max);
    let bytes = head(kind::HEADERS, first, first == len).bytes();
    tail[start..start + HEAD_BYTES].copy_from_slice(&bytes);
    if first == len {
        return;
    }
    let rest = tail.split_off(start + HEAD_BYTES + first);
    let mut pieces = rest.chunks(payload_bytes_max).peekable();
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        tail.extend_from_slice(&head(kind::CONTINUATION, piece.len(), last).bytes());
        tail.extend_from_slice(piece);
    }
}
