//! A client of frames. It keeps the books of windows, sizes and streams, and fails where the server oversteps them.

use super::frame::{self, Frame, be32, flag, kind, setting};
use super::hpack::{Decoder, Fields};
use seawall_tests::PATIENCE;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Where settings do not say otherwise (RFC 9113 §6.5.2, §6.9.2).
pub(super) const WINDOW: i64 = 65_535;
const FRAME_MAX: usize = 16_384;

#[derive(Debug)]
pub(super) enum Event {
    Frame(Frame),
    /// The server has ended the connection, in whatever way.
    Closed,
    /// Nothing came for as long as it is waited for.
    Silence,
}

/// What has come on a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// 0: no final head yet.
    pub(super) status: u16,
    pub(super) fields: Fields,
    pub(super) body: Vec<u8>,
    pub(super) interim: Vec<u16>,
    pub(super) ended: bool,
    pub(super) reset: Option<u32>,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(n, _)| n == name);
        field.map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What the server's settings say.
#[derive(Clone, Debug)]
pub(super) struct Theirs {
    pub(super) frame_max: usize,
    pub(super) initial_window: i64,
    pub(super) streams_max: Option<u32>,
}

pub(super) struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
    read: usize,
    pub(super) theirs: Theirs,
    pub(super) decoder: Decoder,
    pub(super) streams: HashMap<u32, Answer>,
    /// The code of the last one.
    pub(super) goaway: Option<u32>,
    /// What the server may send still: on the connection, on streams, and on each new stream.
    pub(super) window: i64,
    pub(super) stream_windows: HashMap<u32, i64>,
    initial_window: i64,
    frame_max: usize,
    /// Settings of ours that wait for their acknowledgement.
    unacknowledged: Vec<Vec<(u16, u32)>>,
    /// What we may send still.
    pub(super) send_window: i64,
    pub(super) send_windows: HashMap<u32, i64>,
}

impl Conn {
    /// A connection on which nothing was said yet.
    pub(super) fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the node listens");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
            read: 0,
            theirs: Theirs {
                frame_max: FRAME_MAX,
                initial_window: WINDOW,
                streams_max: None,
            },
            decoder: Decoder::new(),
            streams: HashMap::new(),
            goaway: None,
            window: WINDOW,
            stream_windows: HashMap::new(),
            initial_window: WINDOW,
            frame_max: FRAME_MAX,
            unacknowledged: Vec::new(),
            send_window: WINDOW,
            send_windows: HashMap::new(),
        }
    }

    /// Both prefaces are exchanged and both settings acknowledged (RFC 9113 §3.4).
    pub(super) fn open(address: SocketAddr) -> Self {
        let mut conn = Self::silent(address);
        conn.send(PREFACE);
        conn.settings(&[]);
        let first = conn.frame();
        assert!(
            first.kind == kind::SETTINGS && !first.has(flag::ACK),
            "the server's preface is {first:?}"
        );
        conn.settled();
        conn
    }

    /// Sends bytes as they are, as far as the server takes them.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(super) fn tcp(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    pub(super) fn settings(&mut self, values: &[(u16, u32)]) {
        self.send(&frame::settings(values));
        for (id, value) in values {
            // the server may use what it is given before its acknowledgement is here
            let value = *value as usize;
            match *id {
                setting::INITIAL_WINDOW_SIZE if value as i64 > self.initial_window => {
                    self.of_initial_window(value as i64);
                }
                setting::MAX_FRAME_SIZE => self.frame_max = self.frame_max.max(value),
                setting::HEADER_TABLE_SIZE if value > self.decoder.allowed => {
                    self.decoder.allowed = value;
                }
                _ => {}
            }
        }
        self.unacknowledged.push(values.to_vec());
    }

    /// Waits until all settings are acknowledged.
    pub(super) fn settled(&mut self) {
        while !self.unacknowledged.is_empty() {
            self.frame();
        }
    }

    /// Allows the server so many bytes more; 0 is the connection.
    pub(super) fn grant(&mut self, stream: u32, more: u32) {
        self.send(&frame::window_update(stream, more));
        match stream {
            0 => self.window += i64::from(more),
            _ => *self.stream_window(stream) += i64::from(more),
        }
    }

    pub(super) fn stream_window(&mut self, stream: u32) -> &mut i64 {
        let initial = self.initial_window;
        self.stream_windows.entry(stream).or_insert(initial)
    }

    fn of_initial_window(&mut self, value: i64) {
        let more = value - std::mem::replace(&mut self.initial_window, value);
        for window in self.stream_windows.values_mut() {
            *window += more;
        }
    }

    fn acknowledged(&mut self) {
        // rows send settings as bytes, too, of which nothing is known here
        if self.unacknowledged.is_empty() {
            return;
        }
        for (id, value) in self.unacknowledged.remove(0) {
            match id {
                setting::INITIAL_WINDOW_SIZE => self.of_initial_window(i64::from(value)),
                setting::MAX_FRAME_SIZE => self.frame_max = value as usize,
                setting::HEADER_TABLE_SIZE => self.decoder.allowed = value as usize,
                _ => {}
            }
        }
    }

    /// The next frame, which must come.
    pub(super) fn frame(&mut self) -> Frame {
        match self.next() {
            Event::Frame(frame) => frame,
            other => panic!(
                "no frame but {other:?}; GOAWAY before it: {:?}",
                self.goaway
            ),
        }
    }

    /// What comes next. A field block is one frame here, however many it came in; settings and pings are acknowledged.
    pub(super) fn next(&mut self) -> Event {
        let mut frame = match self.one() {
            Event::Frame(frame) => frame,
            other => return other,
        };
        while frame.kind == kind::HEADERS && !frame.has(flag::END_HEADERS) {
            let Event::Frame(more) = self.one() else {
                panic!("a field block that breaks off");
            };
            assert!(
                more.kind == kind::CONTINUATION && more.stream == frame.stream,
                "{more:?} inside a field block"
            );
            frame.payload.extend(more.payload);
            frame.flags |= more.flags & flag::END_HEADERS;
        }
        self.book(&frame);
        Event::Frame(frame)
    }

    fn book(&mut self, frame: &Frame) {
        let Frame {
            kind,
            stream,
            payload,
            ..
        } = frame;
        match *kind {
            kind::SETTINGS if frame.has(flag::ACK) => self.acknowledged(),
            kind::SETTINGS => {
                for entry in payload.chunks(6) {
                    self.their_setting(u16::from_be_bytes([entry[0], entry[1]]), be32(&entry[2..]));
                }
                self.send(&frame::frame(kind::SETTINGS, flag::ACK, 0, &[]));
            }
            kind::PING if !frame.has(flag::ACK) => {
                self.send(&frame::frame(kind::PING, flag::ACK, 0, payload));
            }
            kind::WINDOW_UPDATE => {
                let more = i64::from(frame.number());
                assert!(more > 0, "a window that opens by nothing");
                let initial = self.theirs.initial_window;
                match stream {
                    0 => self.send_window += more,
                    _ => *self.send_windows.entry(*stream).or_insert(initial) += more,
                }
            }
            kind::HEADERS | kind::DATA => self.of_answer(frame),
            kind::RST_STREAM => {
                let answer = self.streams.entry(*stream).or_default();
                answer.reset = Some(frame.number());
            }
            kind::GOAWAY => self.goaway = Some(frame.goaway_code()),
            kind::PUSH_PROMISE => panic!("the server pushes"),
            _ => {}
        }
    }

    fn their_setting(&mut self, id: u16, value: u32) {
        match id {
            setting::MAX_FRAME_SIZE => self.theirs.frame_max = value as usize,
            setting::MAX_CONCURRENT_STREAMS => self.theirs.streams_max = Some(value),
            setting::INITIAL_WINDOW_SIZE => {
                let more = i64::from(value) - self.theirs.initial_window;
                self.theirs.initial_window = i64::from(value);
                for window in self.send_windows.values_mut() {
                    *window += more;
                }
            }
            setting::ENABLE_PUSH => assert_eq!(value, 0, "a server that wants pushes"),
            _ => {}
        }
    }

    fn of_answer(&mut self, frame: &Frame) {
        if frame.kind == kind::DATA {
            let length = frame.payload.len() as i64;
            self.window -= length;
            let window = self.stream_window(frame.stream);
            *window -= length;
            let (stream, window) = (*window, self.window);
            assert!(
                length == 0 || (stream >= 0 && window >= 0),
                "{length} bytes of {frame:?} are beyond a window: stream {stream}, connection {window}",
            );
        }
        let answer = self.streams.entry(frame.stream).or_default();
        assert!(
            !answer.ended && answer.reset.is_none(),
            "{frame:?} behind the end of its stream"
        );
        answer.ended = frame.has(flag::END_STREAM);
        let bytes = frame.content();
        if frame.kind == kind::DATA {
            assert!(answer.status > 0, "a body before its head");
            answer.body.extend_from_slice(bytes);
            return;
        }
        let fields = self.decoder.block(bytes);
        let status = fields.iter().find(|(name, _)| name == ":status");
        match status.map(|(_, status)| status.parse().expect("a status")) {
            Some(status) if status < 200 => {
                assert!(answer.status == 0 && !answer.ended, "a late interim answer");
                answer.interim.push(status);
            }
            Some(status) => {
                assert_eq!(answer.status, 0, "two heads");
                (answer.status, answer.fields) = (status, fields);
            }
            None => assert!(answer.status > 0 && answer.ended, "trailers: {fields:?}"),
        }
    }

    fn one(&mut self) -> Event {
        let length = match self.bytes(3) {
            Ok(bytes) => be32(&[&[0], bytes].concat()) as usize,
            Err(event) => return event,
        };
        assert!(
            length <= self.frame_max,
            "a frame of {length} bytes where {} are allowed",
            self.frame_max
        );
        let bytes = match self.bytes(9 + length) {
            Ok(bytes) => bytes,
            Err(event) => return event,
        };
        let frame = Frame {
            kind: bytes[3],
            flags: bytes[4],
            stream: be32(&bytes[5..9]) & frame::WINDOW_MAX,
            payload: bytes[9..].to_vec(),
        };
        self.read += 9 + length;
        Event::Frame(frame)
    }

    /// So many bytes from where reading is, left there.
    fn bytes(&mut self, n: usize) -> Result<&[u8], Event> {
        if self.read > 1 << 20 {
            self.buffer.drain(..self.read);
            self.read = 0;
        }
        while self.buffer.len() < self.read + n {
            let mut part = vec![0; 64 * 1024];
            match self.stream.read(&mut part) {
                Ok(0) => return Err(Event::Closed),
                Ok(read) => self.buffer.extend_from_slice(&part[..read]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(Event::Silence),
                    ErrorKind::Interrupted => {}
                    _ => return Err(Event::Closed),
                },
            }
        }
        Ok(&self.buffer[self.read..][..n])
    }

    /// Waits until the stream is over, by its end or by a reset.
    pub(super) fn answer(&mut self, stream: u32) -> Answer {
        loop {
            if let Some(answer) = self.streams.get(&stream)
                && (answer.ended || answer.reset.is_some())
            {
                return answer.clone();
            }
            self.frame();
        }
    }

    /// Everything that was sent so far has been read by the server when this returns.
    pub(super) fn ping(&mut self) {
        let payload = *b"are you?";
        self.send(&frame::ping(payload));
        loop {
            let frame = self.frame();
            if frame.kind == kind::PING && frame.has(flag::ACK) && frame.payload == payload {
                return;
            }
        }
    }

    /// Sends `body` as the server's windows open, each frame by `as_frame`: flags and up to `most` bytes of it; what it
    /// takes from windows is the length of the frame's payload. False: the server has ended the stream before.
    pub(super) fn upload(
        &mut self,
        stream: u32,
        body: &[u8],
        most: usize,
        as_frame: impl Fn(u8, &[u8]) -> Vec<u8>,
    ) -> bool {
        let mut rest = body;
        while !rest.is_empty() {
            let part = &rest[..rest.len().min(most)];
            let last = part.len() == rest.len();
            let bytes = as_frame(if last { flag::END_STREAM } else { flag::NONE }, part);
            let costs = (bytes.len() - 9) as i64;
            let initial = self.theirs.initial_window;
            let window = *self.send_windows.entry(stream).or_insert(initial);
            if window.min(self.send_window) < costs {
                self.frame();
                let over = |answer: &Answer| answer.ended || answer.reset.is_some();
                if self.streams.get(&stream).is_some_and(over) {
                    return false;
                }
                continue;
            }
            self.send(&bytes);
            self.send_window -= costs;
            *self.send_windows.get_mut(&stream).unwrap() -= costs;
            rest = &rest[part.len()..];
        }
        true
    }

    pub(super) fn patience(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        self.stream.set_write_timeout(Some(patience)).unwrap();
    }
}
