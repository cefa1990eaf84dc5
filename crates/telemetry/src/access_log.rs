//! One JSON line for each request, written by a thread of its own.

use prometheus::IntCounter;
use seawall_http_cache::Outcome;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

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
    pub first_byte_us: Option<u64>,
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
    (
        "first_byte_us",
        "microseconds until the next server's head came, where it was asked",
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
    Reopen,
    End,
}

/// The log. Writing a line never waits: when the queue is full the line is dropped and counted.
#[derive(Debug)]
pub struct AccessLog {
    queue: SyncSender<Message>,
    dropped: IntCounter,
    writer: Option<JoinHandle<()>>,
}

fn open(destination: &Destination) -> io::Result<Box<dyn Write + Send>> {
    Ok(match destination {
        Destination::Stdout => Box::new(io::stdout()),
        Destination::File(path) => {
            let file: File = OpenOptions::new().create(true).append(true).open(path)?;
            Box::new(file)
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
        let first = open(&destination)?;
        let (queue, lines) = sync_channel(queue_max.max(1));
        let writer = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_lines(&lines, first, &destination))?;
        Ok(Self {
            queue,
            dropped,
            writer: Some(writer),
        })
    }

    pub fn log(&self, entry: AccessEntry) {
        match self.queue.try_send(Message::Entry(Box::new(entry))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped.inc(),
        }
    }

    /// Opens the file anew, after it was rotated. Waits for room in the queue.
    pub fn reopen(&self) {
        // an error means that the writer has ended, and with it the log
        let _ = self.queue.send(Message::Reopen);
    }
}

fn write_lines(lines: &Receiver<Message>, first: Box<dyn Write + Send>, destination: &Destination) {
    let mut out = BufWriter::new(first);
    let mut failed = false;
    loop {
        // what is written goes out as soon as nothing more waits
        let message = match lines.try_recv() {
            Ok(message) => message,
            Err(_) => {
                let _ = out.flush();
                match lines.recv() {
                    Ok(message) => message,
                    Err(_) => break,
                }
            }
        };
        match message {
            Message::Entry(entry) => {
                let written = serde_json::to_writer(&mut out, &entry)
                    .map_err(io::Error::from)
                    .and_then(|()| out.write_all(b"\n"));
                if let Err(error) = written
                    && !std::mem::replace(&mut failed, true)
                {
                    tracing::error!(%error, "the access log cannot be written");
                }
            }
            Message::Reopen => {
                let _ = out.flush();
                match open(destination) {
                    Ok(file) => {
                        out = BufWriter::new(file);
                        failed = false;
                    }
                    Err(error) => {
                        tracing::error!(%error, "the access log cannot be opened anew; the old file stays");
                    }
                }
            }
            Message::End => break,
        }
    }
    let _ = out.flush();
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        // lines that wait are written first: the queue keeps its order
        let _ = self.queue.send(Message::End);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
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
