//! An HTTP/1.1 origin written out by hand, so that it can misbehave.

use crate::PATIENCE;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Keep,
    Close,
    Reset,
}

/// Writes an answer.
pub struct Reply<'s> {
    stream: &'s mut TcpStream,
    head_only: bool,
}

impl Reply<'_> {
    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        // a proxy that has left is what some specs are about
        let _ = self.stream.write_all(bytes);
    }

    /// A whole answer with a length.
    pub fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]) -> Then {
        let mut head = format!("HTTP/1.1 {status} x\r\n");
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if status != 304 {
            let _ = write!(head, "content-length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !self.head_only {
            bytes.extend_from_slice(body);
        }
        self.raw(&bytes);
        Then::Keep
    }

    /// 200 that is fresh for an hour.
    pub fn fresh(&mut self, body: &[u8]) -> Then {
        self.answer(200, &[("cache-control", "max-age=3600")], body)
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        self.stream
    }
}

type Handler = dyn Fn(&Request, &mut Reply<'_>) -> Then + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    seen: Mutex<Vec<Request>>,
    stopped: AtomicBool,
}

/// A running origin; it ends when it is dropped.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Origin {
    pub fn start(
        handler: impl Fn(&Request, &mut Reply<'_>) -> Then + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            seen: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), shared) = (stream, serving.clone()) else {
                    return;
                };
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests for `target` so far.
    pub fn count(&self, target: &str) -> usize {
        self.seen().iter().filter(|r| r.target == target).count()
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().expect("no holder panics").clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.shared.seen.lock().expect("no holder panics").clear();
    }

    /// Requests by target.
    pub fn counts(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for request in self.seen() {
            *counts.entry(request.target).or_default() += 1;
        }
        counts
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // wakes the accept loop
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut buffer = Vec::new();
    while let Ok(Some(request)) = read_request(&mut stream, &mut buffer) {
        shared
            .seen
            .lock()
            .expect("no holder panics")
            .push(request.clone());
        let mut reply = Reply {
            stream: &mut stream,
            head_only: request.method == "HEAD",
        };
        match (shared.handler)(&request, &mut reply) {
            Then::Keep => {}
            Then::Close => return,
            Then::Reset => {
                let _ = set_reset(&stream);
                return;
            }
        }
    }
}

/// The next close resets the connection: unread input makes the kernel do so.
fn set_reset(stream: &TcpStream) -> io::Result<()> {
    // data in both directions is cut off: what was written before is not flushed by a lingering close
    stream.set_write_timeout(Some(Duration::from_millis(1)))?;
    stream.shutdown(std::net::Shutdown::Both)
}

fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end;
        }
        if read_more(stream, buffer)? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (
        first.next().unwrap_or_default(),
        first.next().unwrap_or_default(),
    );
    let fields: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let field = |name: &str| {
        fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    let mut body = Vec::new();
    if let Some(length) = field("content-length").and_then(|v| v.parse::<usize>().ok()) {
        while buffer.len() < length {
            if read_more(stream, buffer)? == 0 {
                return Ok(None);
            }
        }
        body.extend(buffer.drain(..length));
    } else if field("transfer-encoding").is_some() {
        loop {
            let Some(line) = find(buffer, b"\r\n") else {
                if read_more(stream, buffer)? == 0 {
                    return Ok(None);
                }
                continue;
            };
            let size =
                usize::from_str_radix(&String::from_utf8_lossy(&buffer[..line]), 16).unwrap_or(0);
            while buffer.len() < line + 2 + size + 2 {
                if read_more(stream, buffer)? == 0 {
                    return Ok(None);
                }
            }
            body.extend_from_slice(&buffer[line + 2..line + 2 + size]);
            buffer.drain(..line + 2 + size + 2);
            if size == 0 {
                break;
            }
        }
    }
    Ok(Some(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        fields,
        body,
    }))
}

fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut part = [0; 16 * 1024];
    let n = stream.read(&mut part)?;
    buffer.extend_from_slice(&part[..n]);
    Ok(n)
}

pub(crate) fn find(buffer: &[u8], what: &[u8]) -> Option<usize> {
    buffer.windows(what.len()).position(|w| w == what)
}
