//! Frames that come, in their order; heads and bodies of requests (RFC 9113 §5, §6.1, §6.2, §6.10).

use crate::PREFACE;
use crate::closed::End;
use crate::connection::{Asked, Connection, Going};
use crate::frame::{
    FrameHead, HEAD_BYTES, PAYLOAD_BYTES_MAX, flag, kind, number, put_window_update,
};
use crate::hpack::Undecodable;
use crate::reason::{Fatal, Reason};
use crate::stream::wake;
use bytes::{Buf as _, Bytes, BytesMut};
use std::time::Duration;

/// Frames that ask for work and bring nothing, in a row and within [`NUISANCES_TIME`]: more are an attack. A client that is
/// answered, or that sends or takes a body, begins anew.
const NUISANCES_MAX: u32 = 1000;
const NUISANCES_TIME: Duration = Duration::from_mins(1);
/// Frames of one head behind its first.
const CONTINUATIONS_MAX: u32 = 64;

#[derive(Debug)]
pub(crate) struct Receiving {
    preface: bool,
    pub(crate) settings: bool,
    /// A head that has not come to its end.
    block: Option<Block>,
    /// What the client may still send on all streams.
    window: i64,
    /// What was taken, and has not been announced to the client.
    taken: u32,
    pub(crate) nuisances: u32,
    /// When they began to be counted.
    nuisances_since: Duration,
}

#[derive(Debug)]
struct Block {
    stream: u32,
    flags: u8,
    depends_on_itself: bool,
    bytes: Vec<u8>,
    continuations: u32,
}

impl Receiving {
    pub(crate) fn new(window: u32) -> Self {
        Self {
            preface: false,
            settings: false,
            block: None,
            window: i64::from(window),
            taken: 0,
            nuisances: 0,
            nuisances_since: Duration::ZERO,
        }
    }

    /// Time goes by.
    pub(crate) fn is(&mut self, now: Duration) {
        if now.saturating_sub(self.nuisances_since) >= NUISANCES_TIME {
            (self.nuisances, self.nuisances_since) = (0, now);
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Fatal>;

impl From<Undecodable> for Fatal {
    fn from(undecodable: Undecodable) -> Self {
        Self::new(Reason::COMPRESSION_ERROR, undecodable.0)
    }
}

impl Connection {
    /// Takes frames from the front of `input` until one completes a request's head. `None`: more has to come. An error is
    /// for [`fail`](Self::fail).
    pub fn receive(&mut self, input: &mut BytesMut) -> Result<Option<Asked>> {
        if self.going == Going::Failed {
            input.clear();
            return Ok(None);
        }
        if !self.receiving.preface {
            let n = input.len().min(PREFACE.len());
            if input[..n] != PREFACE[..n] {
                return Err(Fatal::protocol("no preface"));
            }
            if n < PREFACE.len() {
                return Ok(None);
            }
            input.advance(n);
            self.receiving.preface = true;
        }
        while let Some(head) = FrameHead::read(input) {
            self.expects(head)?;
            let len = HEAD_BYTES + head.len;
            if input.len() < len {
                input.reserve(len - input.len());
                return Ok(None);
            }
            if head.kind == kind::DATA {
                let mut frame = input.split_to(len);
                frame.advance(HEAD_BYTES);
                self.data(head, &frame.freeze())?;
                continue;
            }
            let asked = self.frame(head, &input[HEAD_BYTES..len]);
            input.advance(len);
            if let Some(asked) = asked? {
                return Ok(Some(asked));
            }
        }
        Ok(None)
    }

    /// Whether the client is in the midst of a head, or of the beginning: that has to go on soon.
    pub fn is_midway(&self) -> bool {
        !self.receiving.settings || self.receiving.block.is_some()
    }

    /// Whether such a frame may come now.
    fn expects(&self, head: FrameHead) -> Result<()> {
        if head.len > PAYLOAD_BYTES_MAX {
            return Err(Fatal::size("a frame is too long"));
        }
        if !self.receiving.settings && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(Fatal::protocol("the preface has no settings"));
        }
        match &self.receiving.block {
            Some(block) if head.kind != kind::CONTINUATION || head.stream != block.stream => {
                Err(Fatal::protocol("a head is interrupted"))
            }
            _ => Ok(()),
        }
    }

    fn frame(&mut self, head: FrameHead, payload: &[u8]) -> Result<Option<Asked>> {
        match head.kind {
            kind::HEADERS => return self.headers(head, payload),
            kind::CONTINUATION => return self.continuation(head, payload),
            kind::PRIORITY => self.priority(head, payload)?,
            kind::RST_STREAM => self.rst_stream(head, payload)?,
            kind::SETTINGS => self.settings(head, payload)?,
            kind::PUSH_PROMISE => return Err(Fatal::protocol("a client promises nothing")),
            kind::PING => self.ping(head, payload)?,
            kind::GOAWAY => self.goaway(head, payload)?,
            kind::WINDOW_UPDATE => return self.window_update(head, payload).map(|()| None),
            // RFC 9113 §5.5
            _ => {}
        }
        self.nuisance()?;
        Ok(None)
    }

    /// Something came that brings nothing.
    pub(crate) fn nuisance(&mut self) -> Result<()> {
        self.receiving.nuisances += 1;
        if self.receiving.nuisances > NUISANCES_MAX {
            return Err(Fatal::new(
                Reason::ENHANCE_YOUR_CALM,
                "too many frames that bring nothing",
            ));
        }
        Ok(())
    }

    pub(crate) fn is_idle_stream(&self, stream: u32) -> bool {
        stream > self.last || stream.is_multiple_of(2)
    }

    // heads

    fn headers(&mut self, head: FrameHead, payload: &[u8]) -> Result<Option<Asked>> {
        if head.stream.is_multiple_of(2) {
            return Err(Fatal::protocol(
                "a request on a stream that clients do not open",
            ));
        }
        let mut payload = unpadded(head, payload)?;
        let mut depends_on_itself = false;
        if head.has(flag::PRIORITY) {
            let (priority, rest) = payload
                .split_at_checked(5)
                .ok_or(Fatal::size("a priority is cut short"))?;
            depends_on_itself = number(priority) == head.stream;
            payload = rest;
        }
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, head.flags, depends_on_itself, payload);
        }
        self.receiving.block = Some(Block {
            stream: head.stream,
            flags: head.flags,
            depends_on_itself,
            bytes: payload.to_vec(),
            continuations: 0,
        });
        Ok(None)
    }

    fn continuation(&mut self, head: FrameHead, payload: &[u8]) -> Result<Option<Asked>> {
        let bytes_max = self.limits.head_bytes_max;
        let Some(block) = &mut self.receiving.block else {
            return Err(Fatal::protocol("a continuation of nothing"));
        };
        block.continuations += 1;
        // compressed it is no longer than what it stands for, or it is beyond what is answered
        if block.bytes.len() + payload.len() > bytes_max + PAYLOAD_BYTES_MAX
            || block.continuations > CONTINUATIONS_MAX
        {
            return Err(Fatal::new(Reason::ENHANCE_YOUR_CALM, "a head is too long"));
        }
        block.bytes.extend_from_slice(payload);
        if !head.has(flag::END_HEADERS) {
            return Ok(None);
        }
        match self.receiving.block.take() {
            Some(block) => self.block(
                block.stream,
                block.flags,
                block.depends_on_itself,
                &block.bytes,
            ),
            None => Ok(None),
        }
    }

    /// A whole field section.
    fn block(
        &mut self,
        stream: u32,
        flags: u8,
        depends_on_itself: bool,
        block: &[u8],
    ) -> Result<Option<Asked>> {
        let limits = self.head_limits();
        let is_new = stream > self.last;
        // the tables go on with every block, whatever becomes of its stream
        self.head.read(&mut self.decoder, block, limits, !is_new)?;
        let ended = flags & flag::END_STREAM != 0;
        if !is_new {
            self.trailers(stream, ended)?;
            return Ok(None);
        }
        self.last = stream;
        if matches!(self.going, Going::Until(_)) {
            // it was told that nobody answers these
            self.closed.note(stream, End::Here);
            self.nuisance()?;
            return Ok(None);
        }
        let streams_max = self.limits.streams_max;
        let orphans = self.streams.len() as u32 - self.open;
        if self.open >= streams_max || orphans >= streams_max {
            return self.refuse(stream, Reason::REFUSED_STREAM);
        }
        if depends_on_itself {
            return self.refuse(stream, Reason::PROTOCOL_ERROR);
        }
        let left = self.head.content_length();
        if ended && left.is_some_and(|left| left > 0) {
            self.head.is_without_its_body();
        }
        Ok(Some(Asked { stream, ended }))
    }

    fn refuse(&mut self, stream: u32, reason: Reason) -> Result<Option<Asked>> {
        self.put_reset(stream, reason);
        self.closed.note(stream, End::Here);
        self.nuisance()?;
        Ok(None)
    }

    /// A field section on a stream that was opened before.
    fn trailers(&mut self, stream: u32, ended: bool) -> Result<()> {
        match self.streams.get(&stream) {
            Some(found) if found.reset.is_none() => {
                if found.recv.ended {
                    self.reset(stream, Reason::STREAM_CLOSED);
                } else if ended && self.head.fault().is_none() {
                    self.body_ended(stream);
                } else {
                    self.reset(stream, Reason::PROTOCOL_ERROR);
                }
            }
            _ => self.closed_stream(stream)?,
        }
        self.nuisance()
    }

    /// Something of a request came on a stream that is over.
    fn closed_stream(&mut self, stream: u32) -> Result<()> {
        match self.closed.end(stream) {
            // it was on its way
            Some(End::Here) => Ok(()),
            Some(End::ByClient) => {
                self.put_reset(stream, Reason::STREAM_CLOSED);
                self.closed.note(stream, End::Here);
                Ok(())
            }
            Some(End::Whole) => Err(Fatal::new(
                Reason::STREAM_CLOSED,
                "a frame behind a stream's end",
            )),
            None => Err(Fatal::protocol("a stream that is over, or never was")),
        }
    }

    // bodies

    fn data(&mut self, head: FrameHead, payload: &Bytes) -> Result<()> {
        if head.stream == 0 || self.is_idle_stream(head.stream) {
            return Err(Fatal::protocol("data on a stream that is idle"));
        }
        let length = payload.len();
        self.receiving.window -= length as i64;
        if self.receiving.window < 0 {
            return Err(Fatal::new(
                Reason::FLOW_CONTROL_ERROR,
                "more data than the window has room for",
            ));
        }
        let data = payload.slice_ref(unpadded(head, payload)?);
        let ended = head.has(flag::END_STREAM);
        if data.is_empty() && !ended {
            self.nuisance()?;
        }
        let Some(found) = self
            .streams
            .get_mut(&head.stream)
            .filter(|s| s.reset.is_none())
        else {
            self.take(length);
            self.nuisance()?;
            if self.closed.end(head.stream).is_none() {
                // too long ago to say more
                self.put_reset(head.stream, Reason::STREAM_CLOSED);
                return Ok(());
            }
            return self.closed_stream(head.stream);
        };
        let recv = &mut found.recv;
        recv.window -= length as i64;
        let padding = length - data.len();
        let left = recv.left.map(|left| left.checked_sub(data.len() as u64));
        let wrong = match () {
            () if recv.ended => Some(Reason::STREAM_CLOSED),
            () if recv.window < 0 => Some(Reason::FLOW_CONTROL_ERROR),
            // RFC 9113 §8.1.1
            () if left == Some(None) => Some(Reason::PROTOCOL_ERROR),
            () => None,
        };
        if let Some(reason) = wrong {
            self.take(length);
            self.reset(head.stream, reason);
            return Ok(());
        }
        recv.left = left.flatten();
        if !data.is_empty() {
            recv.push(data);
            wake(&mut recv.reader);
            self.receiving.nuisances = 0;
        }
        recv.take(
            padding,
            head.stream,
            self.limits.stream_window,
            &mut self.out,
        );
        self.take(padding);
        if ended {
            self.body_ended(head.stream);
        }
        Ok(())
    }

    fn body_ended(&mut self, stream: u32) {
        let Some(found) = self.streams.get_mut(&stream) else {
            return;
        };
        if found.recv.left.is_some_and(|left| left > 0) {
            self.reset(stream, Reason::PROTOCOL_ERROR);
            return;
        }
        found.recv.ended = true;
        wake(&mut found.recv.reader);
        self.side_ended(stream);
    }

    /// So many bytes of data are no longer here: the client may send as many more.
    pub(crate) fn take(&mut self, bytes: usize) {
        let receiving = &mut self.receiving;
        receiving.taken += bytes as u32;
        if receiving.taken >= self.limits.connection_window / 2 {
            put_window_update(&mut self.out.tail, 0, receiving.taken);
            receiving.window += i64::from(receiving.taken);
            receiving.taken = 0;
        }
    }
}

/// The payload without its padding (RFC 9113 §6.1).
fn unpadded(head: FrameHead, payload: &[u8]) -> Result<&[u8]> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload
        .split_first()
        .ok_or(Fatal::size("a padded frame is empty"))?;
    rest.len()
        .checked_sub(usize::from(*padding))
        .map(|len| &rest[..len])
        .ok_or(Fatal::protocol("more padding than the frame has room for"))
}
