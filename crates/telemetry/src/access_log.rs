//! One JSON line for each request, written by a thread of its own.

use parking_lot::Mutex;
use prometheus::IntCounter;
use seawall_http_cache::Outcome;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    File(PathBuf),
}

/// The fields of a line. `docs/reference/access-log.md` is generated from [`FIELDS`].
#[derive(Clone, Debug, Serialize)]
pub struct AccessEntry {
    pub time_ms: u64,
    #[serde(serialize_with = "hex64")]
    pub request_id: u64,
    pub client: IpAddr,
    pub protocol: &'static str,
    pub method: String,
    pub host: String,
    pub path: String,
    pub status: u16,
    pub bytes: u64,
    #[serde(serialize_with = "outcome")]
    pub outcome: Outcome,
    pub service: Option<Arc<str>>,
    #[serde(serialize_with = "hex128", skip_serializing_if = "Option::is_none")]
    pub key: Option<u128>,
    pub total_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referer: Option<String>,
}

/// Name and meaning of each field.
pub const FIELDS: &[(&str, &str)] = &[
    (
        "time_ms",
        "when the request was finished, milliseconds since the Unix epoch",
    ),
    (
        "request_id",
        "identity of the request on this node, hexadecimal",
    ),
    ("client", "address of the peer"),
    ("protocol", "HTTP/1.1 or HTTP/2"),
    ("method", "the request's method"),
    ("host", "authority of the target, or Host, as sent"),
    ("path", "target in origin form, with its query"),
    (
        "status",
        "status sent; 499 where the client left before one could be",
    ),
    ("bytes", "bytes of the body sent"),
    (
        "outcome",
        "what happened to the request; the same list as the metrics'",
    ),
    ("service", "service that the host belongs to"),
    ("key", "128-bit digest of the cache key, hexadecimal"),
    (
        "total_us",
        "microseconds from the head of the request to the end of the answer; 0 for plain hits",
    ),
    ("user_agent", "User-Agent, where sent"),
    ("referer", "Referer, where sent"),
];

fn hex64<S: serde::Serializer>(n: &u64, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&format!("{n:016x}"))
}

fn hex128<S: serde::Serializer>(n: &Option<u128>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&format!("{:032x}", n.unwrap_or_default()))
}

fn outcome<S: serde::Serializer>(outcome: &Outcome, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(outcome.as_str())
}

enum Message {
    Entry(Box<AccessEntry>),
    /// Something changed beside the queue: look.
    Wake,
}

/// Bytes that are gathered before they are written, while more lines wait.
const BATCH_BYTES_MAX: usize = 64 * 1024;
/// How long the end of the log waits for lines to be written: a destination that takes nothing does not hold up a stop.
const END_WAIT: Duration = Duration::from_secs(5);

/// The log. Writing a line never waits: when the queue is full the line is dropped and counted.
#[derive(Debug)]
pub struct AccessLog {
    /// There until the log ends.
    queue: Option<SyncSender<Message>>,
    dropped: IntCounter,
    reopen: Arc<AtomicBool>,
    /// Disconnected once the writer has ended.
    ended: Mutex<Receiver<()>>,
}

type Out = Box<dyn Write + Send>;

fn open(destination: &Destination) -> io::Result<Out> {
    Ok(match destination {
        Destination::Stdout => Box::new(io::stdout()),
        Destination::File(path) => {
            Box::new(OpenOptions::new().create(true).append(true).open(path)?)
        }
    })
}

impl AccessLog {
    /// Opens the log with room for `queue_max` lines that wait to be written.
    pub fn open(
        destination: Destination,
        queue_max: usize,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let out = open(&destination)?;
        Self::start(out, destination, queue_max, dropped)
    }

    fn start(
        out: Out,
        destination: Destination,
        queue_max: usize,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let (queue, lines) = sync_channel(queue_max.max(1));
        let (end, ended) = sync_channel::<()>(0);
        let reopen = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            out,
            destination,
            reopen: reopen.clone(),
            dropped: dropped.clone(),
            batch: Vec::new(),
            lines: 0,
            failed: false,
        };
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || {
                writer.run(&lines);
                drop(end);
            })?;
        Ok(Self {
            queue: Some(queue),
            dropped,
            reopen,
            ended: Mutex::new(ended),
        })
    }

    pub fn log(&self, entry: AccessEntry) {
        let message = Message::Entry(Box::new(entry));
        let sent = self.queue.as_ref().map(|queue| queue.try_send(message));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped.inc();
        }
    }

    /// Opens the file anew, after it was rotated: lines that are not written yet go to the new one. Never waits.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        if let Some(queue) = &self.queue {
            // no room means that the writer is about to take a message anyway, and then looks at the flag
            let _ = queue.try_send(Message::Wake);
        }
    }
}

/// The writing side, on a thread of its own.
struct Writer {
    out: Out,
    destination: Destination,
    reopen: Arc<AtomicBool>,
    dropped: IntCounter,
    /// Whole lines, and how many.
    batch: Vec<u8>,
    lines: u64,
    /// The last write failed: it may have left a part of a line.
    failed: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Message>) {
        loop {
            // what is gathered goes out as soon as nothing more waits
            let message = match queue.try_recv() {
                Ok(message) => message,
                Err(_) => {
                    self.write();
                    match queue.recv() {
                        Ok(message) => message,
                        Err(_) => return,
                    }
                }
            };
            if self.reopen.swap(false, Ordering::AcqRel) {
                self.open_anew();
            }
            if let Message::Entry(entry) = message {
                self.gather(&entry);
            }
        }
    }

    fn gather(&mut self, entry: &AccessEntry) {
        let whole = self.batch.len();
        if serde_json::to_writer(&mut self.batch, entry).is_err() {
            self.batch.truncate(whole);
            self.dropped.inc();
            return;
        }
        self.batch.push(b'\n');
        self.lines += 1;
        if self.batch.len() >= BATCH_BYTES_MAX {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.lines == 0 {
            return;
        }
        // ends the part of a line that a failed write may have left, so that it spoils no other
        let start = if self.failed { &b"\n"[..] } else { b"" };
        let written = self
            .out
            .write_all(start)
            .and_then(|()| self.out.write_all(&self.batch))
            .and_then(|()| self.out.flush());
        if let Err(error) = &written {
            self.dropped.inc_by(self.lines);
            // said once, until it works again
            if !self.failed {
                tracing::error!(%error, "the access log cannot be written, lines are dropped");
            }
        }
        self.failed = written.is_err();
        self.batch.clear();
        self.lines = 0;
    }

    fn open_anew(&mut self) {
        match open(&self.destination) {
            Ok(out) => {
                self.out = out;
                self.failed = false;
            }
            Err(error) => {
                tracing::error!(%error, "the access log cannot be opened anew, the old file stays");
            }
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        // the writer ends once it has written what waits
        self.queue = None;
        let _ = self.ended.get_mut().recv_timeout(END_WAIT);
    }
}

/// The reference page of the fields.
pub fn reference() -> String {
    use std::fmt::Write as _;
    let mut page = String::from(
        "# Access log\n\nOne JSON object a line, where a node's `access_log` setting asks for it. This page is generated from\n\
         `crates/telemetry/src/access_log.rs`.\n\n| field | what it tells |\n| --- | --- |\n",
    );
    for (name, meaning) in FIELDS {
        let _ = writeln!(page, "| `{name}` | {meaning} |");
    }
    page
}

#[cfg(test)]
mod tests;
