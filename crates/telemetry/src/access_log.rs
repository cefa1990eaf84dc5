//! One JSON line for each request: gathered by each thread, written together by a thread of the log's own.
//!
//! - `line`: a request as a line
//! - `sheets`: where each thread gathers its lines
//! - `writer`: the thread that collects them and writes

mod line;
mod sheets;
mod writer;

use parking_lot::Mutex;
use prometheus::IntCounter;
use seawall_http_cache::Outcome;
use sheets::Sheets;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use writer::{Bell, Writer};

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    File(PathBuf),
}

/// The fields of a line. `docs/reference/access-log.md` is generated from [`FIELDS`]. What clients sent may be no UTF-8:
/// then its place has the replacement character.
#[derive(Clone, Debug)]
pub struct AccessEntry<'a> {
    pub time_ms: u64,
    pub request_id: u64,
    pub client: IpAddr,
    pub protocol: &'static str,
    pub method: &'a str,
    pub host: &'a [u8],
    pub path: &'a str,
    pub status: u16,
    pub bytes: u64,
    pub outcome: Outcome,
    pub service: Option<&'a str>,
    pub key: Option<u128>,
    pub total_us: u64,
    pub user_agent: Option<&'a [u8]>,
    pub referer: Option<&'a [u8]>,
}

/// Name and meaning of each field.
pub const FIELDS: &[(&str, &str)] = &[
    (
        "time_ms",
        "when the request was finished, milliseconds since the Unix epoch; a few late at most",
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

/// How long the end of the log waits for lines to be written: a destination that takes nothing does not hold up a stop.
const END_WAIT: Duration = Duration::from_secs(5);

/// The log. Writing a line never waits: when too many wait already the line is dropped and counted.
#[derive(Debug)]
pub struct AccessLog {
    sheets: Arc<Sheets>,
    bell: Arc<Bell>,
    dropped: IntCounter,
    /// Disconnected once the writer has ended.
    ended: Mutex<Receiver<()>>,
}

type Out = Box<dyn Write + Send>;

impl AccessLog {
    /// Opens the log with room for `queue_max` lines that wait to be written.
    pub fn open(
        destination: Destination,
        queue_max: usize,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let out = writer::open(&destination)?;
        Self::start(out, destination, queue_max, dropped)
    }

    fn start(
        out: Out,
        destination: Destination,
        queue_max: usize,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let sheets = Arc::new(Sheets::new(queue_max));
        let bell = Arc::new(Bell::default());
        let (end, ended) = sync_channel::<()>(0);
        let writer = Writer::new(
            out,
            destination,
            sheets.clone(),
            bell.clone(),
            dropped.clone(),
        );
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || {
                writer.run();
                drop(end);
            })?;
        Ok(Self {
            sheets,
            bell,
            dropped,
            ended: Mutex::new(ended),
        })
    }

    pub fn log(&self, entry: &AccessEntry<'_>) {
        match self.sheets.add(|text| line::put(text, entry)) {
            Some(news) => self.bell.ring(news),
            None => self.dropped.inc(),
        }
    }

    /// Opens the file anew, after it was rotated: lines that are not written yet go to the new one. Never waits.
    pub fn reopen(&self) {
        self.bell.reopen();
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        // the writer ends once it has written what waits
        self.bell.end();
        let _ = self.ended.get_mut().recv_timeout(END_WAIT);
    }
}

/// The reference page of the fields.
pub fn reference() -> String {
    use std::fmt::Write as _;
    let mut page = String::from(
        "# Access log\n\nOne JSON object a line, where a node's `access_log` setting asks for it. Each worker gathers its lines; they\n\
         are written together, 50 ms later at most while the disk keeps up, so that lines of several workers are not in the\n\
         order of their times. This page is generated from `crates/telemetry/src/access_log.rs`.\n\n\
         | field | what it tells |\n| --- | --- |\n",
    );
    for (name, meaning) in FIELDS {
        let _ = writeln!(page, "| `{name}` | {meaning} |");
    }
    page
}

#[cfg(test)]
mod tests;
