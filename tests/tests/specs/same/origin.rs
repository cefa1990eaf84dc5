//! An origin that answers as RFC 9110 says, and holds the rest of a body back until a gate opens.

use super::cases::{Case, Framing, Resource};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use seawall_http_cache::{Precondition, Ranges, Timestamp, evaluate, not_modified_fields, ranges};
use seawall_tests::{Origin, Reply, Request, Then};
use std::fmt::Write as _;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

pub(super) const MODIFIED: &str = "Mon, 01 Jan 2024 00:00:00 GMT";
const LINE: usize = 32;
/// How long a body is held back for a head that does not come.
const HEAD_MAX: Duration = Duration::from_secs(4);

/// A case, and what holds back its body.
pub(super) struct Held {
    pub(super) case: Case,
    gate: (Mutex<bool>, Condvar),
    /// The head of the answer came only with what was held back.
    pub(super) late: AtomicBool,
    /// The first answer with a body is held back, and no other.
    came: AtomicBool,
}

impl Held {
    pub(super) fn new(case: Case) -> Self {
        Self {
            case,
            gate: Default::default(),
            late: AtomicBool::new(false),
            came: AtomicBool::new(false),
        }
    }

    pub(super) fn open(&self) {
        *self.gate.0.lock().expect("no holder panics") = true;
        self.gate.1.notify_all();
    }

    fn pass(&self) {
        let open = self.gate.0.lock().expect("no holder panics");
        let waited = self
            .gate
            .1
            .wait_timeout_while(open, HEAD_MAX, |open| !*open);
        let (open, _) = waited.expect("no holder panics");
        self.late.fetch_or(!*open, Ordering::AcqRel);
    }
}

/// The content for one who sent `language`: another one where the response varies by it.
pub(super) fn content(resource: &Resource, language: &str) -> Vec<u8> {
    let language = if resource.varies_by("accept-language") {
        language.trim().to_ascii_lowercase()
    } else {
        String::new()
    };
    let lines = (0..resource.length.div_ceil(LINE)).map(|n| format!("{language:<15.15}{n:>16}\n"));
    let mut content = lines.collect::<String>().into_bytes();
    content.truncate(resource.length);
    content
}

fn body(resource: &Resource, request: &HeaderMap) -> Vec<u8> {
    let language = request.get("accept-language");
    let language = language.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let content = content(resource, language);
    if !resource.gzip {
        return content;
    }
    let mut coded = Vec::new();
    flate2::read::GzEncoder::new(&content[..], flate2::Compression::new(6))
        .read_to_end(&mut coded)
        .expect("memory takes what it can hold");
    coded
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_secs()))
}

/// `/WAY/INDEX` is what the case of this index says; `/fill/` is held back.
pub(super) fn start(cases: Arc<Vec<Held>>) -> Origin {
    let date = now().to_http_date();
    Origin::start(move |request, reply| {
        let (way, index) = request.target[1..].split_once('/').expect("a way");
        let held = &cases[index.parse::<usize>().expect("an index")];
        let gated = way == "fill" && request.method == "GET";
        answer(held, gated, &date, request, reply)
    })
}

fn answer(held: &Held, gated: bool, date: &str, request: &Request, reply: &mut Reply<'_>) -> Then {
    let resource = &held.case.resource;
    let fields = written(&request.fields);
    let method = Method::from_bytes(request.method.as_bytes()).expect("a method");
    let body = body(resource, &fields);
    let mut head = String::new();
    let validator = |name| resource.field(name).map(str::as_bytes);
    let (etag, modified) = (validator("etag"), validator("last-modified"));
    let mut part = 0..body.len();
    let mut status = resource.status;
    if (200..300).contains(&status) {
        match evaluate(&method, &fields, etag, modified, None, now()) {
            Precondition::NotModified => status = 304,
            Precondition::Failed => status = 412,
            Precondition::None | Precondition::Proceed => {}
        }
    }
    if status == 200 && method == Method::GET {
        match ranges(&fields, etag, modified, None, body.len() as u64, now()) {
            Ranges::Parts(parts) if parts.len() == 1 => {
                status = 206;
                part = parts[0].start as usize..parts[0].end as usize;
                let (last, all) = (part.end - 1, body.len());
                let _ = write!(head, "content-range: bytes {}-{last}/{all}\r\n", part.start);
            }
            Ranges::Unsatisfiable => {
                status = 416;
                let _ = write!(head, "content-range: bytes */{}\r\n", body.len());
            }
            Ranges::Parts(_) | Ranges::Whole => {}
        }
    }
    let told = match status {
        304 => not_modified_fields(&written(&resource.fields)),
        412 | 416 => HeaderMap::new(),
        _ => written(&resource.fields),
    };
    if let (true, Some(hop)) = (status == 304, resource.field("connection")) {
        let _ = write!(head, "connection: {hop}\r\n");
    }
    for (name, value) in &told {
        let _ = write!(head, "{name}: {}\r\n", value.to_str().expect("text"));
    }
    if !resource.dateless {
        let _ = write!(head, "date: {date}\r\n");
    }
    let first = format!("HTTP/1.1 {status} x\r\n");
    match status {
        304 | 204 => {
            reply.raw(format!("{first}{head}\r\n").as_bytes());
            Then::Keep
        }
        412 | 416 => {
            reply.raw(format!("{first}{head}content-length: 0\r\n\r\n").as_bytes());
            Then::Keep
        }
        _ => {
            let body = &body[part];
            let whole = resource.framing == Framing::Length && resource.first >= body.len();
            let gate = gated && status != 206 && !held.came.swap(true, Ordering::AcqRel);
            // of what is whole nothing can be held back
            let gate = (gate && !whole).then_some(held);
            let framing = match status {
                206 => Framing::Length,
                _ => resource.framing,
            };
            let split = resource.first.min(body.len());
            let end = send(reply, &(first + &head), framing, &method, body, split, gate);
            if framing == Framing::Close && method == Method::GET {
                return Then::Close;
            }
            end
        }
    }
}

fn send(
    reply: &mut Reply<'_>,
    head: &str,
    framing: Framing,
    method: &Method,
    body: &[u8],
    split: usize,
    gate: Option<&Held>,
) -> Then {
    let told = match framing {
        Framing::Length => format!("content-length: {}\r\n", body.len()),
        Framing::Chunked => "transfer-encoding: chunked\r\n".into(),
        Framing::Trailers => "transfer-encoding: chunked\r\ntrailer: x-sum\r\n".into(),
        Framing::Close => "connection: close\r\n".into(),
    };
    reply.raw(format!("{head}{told}\r\n").as_bytes());
    if *method == Method::HEAD {
        return Then::Keep;
    }
    let chunked = matches!(framing, Framing::Chunked | Framing::Trailers);
    let mut piece = |bytes: &[u8]| {
        if chunked && !bytes.is_empty() {
            reply.raw(format!("{:x}\r\n", bytes.len()).as_bytes());
        }
        reply.raw(bytes);
        if chunked && !bytes.is_empty() {
            reply.raw(b"\r\n");
        }
    };
    let (first, rest) = body.split_at(split);
    piece(first);
    if let Some(gate) = gate {
        gate.pass();
    }
    piece(rest);
    match framing {
        Framing::Chunked => reply.raw(b"0\r\n\r\n"),
        Framing::Trailers => reply.raw(b"0\r\nx-sum: 1\r\n\r\n"),
        Framing::Length | Framing::Close => {}
    }
    Then::Keep
}

fn written(lines: &[(impl AsRef<str>, String)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_ref().as_bytes()).expect("a name");
        fields.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    fields
}
