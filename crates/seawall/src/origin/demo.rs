//! The built-in demo origin: a few addresses, each of which shows one thing that a cache does.

use super::body::{self, Body};
use super::listener::{Answer, Listener, OriginError};
use super::representation::{Representation, text, with_field, wrong_method};
use bytes::Bytes;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use seawall_http_cache::{ByteRange, Timestamp};
use serde_json::json;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use xxhash_rust::xxh3::xxh3_64;

/// The demo origin; `/` explains the others.
#[derive(Debug)]
pub struct DemoOrigin {
    listener: Listener,
}

impl DemoOrigin {
    /// Listens on `address` (port 0: one the kernel picks) from a thread of its own until it is dropped.
    pub fn start(address: SocketAddr) -> Result<Self, OriginError> {
        let demo = Demo {
            answers: AtomicU64::new(0),
            pattern: PATTERN
                .iter()
                .copied()
                .cycle()
                .take(PATTERN_BYTES)
                .collect(),
        };
        let listener = Listener::start("demo-origin", address, demo)?;
        Ok(Self { listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Requests that came in since the start.
    pub fn requests(&self) -> u64 {
        self.listener.requests()
    }

    /// Closes the socket and ends what runs.
    pub fn stop(self) {}
}

struct Demo {
    /// Counts answers, so that a copy can be told from a new one.
    answers: AtomicU64,
    /// The alphabet again and again: any part of `/bytes/N` is a slice of it.
    pattern: Bytes,
}

const HOME: &str = include_str!("demo_home.html");
const IMAGE: &str = include_str!("demo_image.svg");
const PATTERN: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
/// Pattern bytes at hand: 64 KiB from any of its 26 starts.
const PATTERN_BYTES: usize = (64 << 10) + 26;
const PATTERN_CHUNK: u64 = 64 << 10;
/// The largest `/bytes/N`: 1 GiB.
const BYTES_MAX: u64 = 1 << 30;
/// Articles are numbered from 1 to this.
const ARTICLES: u64 = 1000;
const SLOW: Duration = Duration::from_secs(2);
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

impl Answer for Demo {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (parts, incoming) = request.into_parts();
        if parts.uri.path() == "/echo" {
            return echo(&parts, incoming);
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return wrong_method("GET, HEAD");
        }
        if parts.uri.path() == "/slow" {
            tokio::time::sleep(SLOW).await;
        }
        self.get(&parts)
    }
}

impl Demo {
    fn get(&self, request: &Parts) -> Response<Body> {
        let path = request.uri.path();
        match path {
            "/" => page(request, HTML, "max-age=60", "demo home", HOME),
            "/image" => page(
                request,
                "image/svg+xml",
                "max-age=3600",
                "demo image",
                IMAGE,
            ),
            "/api/time" => {
                let (answer, now) = self.count();
                let body = json!({ "now": now.to_http_date(), "unix": now.0, "answer": answer });
                let control = "max-age=5, stale-while-revalidate=30";
                page(request, JSON, control, "demo api", format!("{body}\n"))
            }
            "/slow" => {
                let (answer, now) = self.count();
                let body = format!(
                    "Answer {answer} of the origin, {}: it took two seconds to make.\n",
                    now.to_http_date()
                );
                page(request, PLAIN, "max-age=60", "demo slow", body)
            }
            "/private" => {
                let (answer, _) = self.count();
                let body = format!("Answer {answer} of the origin: for you alone, never stored.\n");
                page(request, PLAIN, "no-store", "", body)
            }
            "/headers" => page(request, PLAIN, "no-store", "", received(request)),
            _ => self.numbered(request),
        }
    }

    fn numbered(&self, request: &Parts) -> Response<Body> {
        let path = request.uri.path();
        let number = |prefix| path.strip_prefix(prefix).map(str::parse::<u64>);
        if let Some(asked) = number("/bytes/") {
            return match asked {
                Ok(len) if len <= BYTES_MAX => self.bytes(request, len),
                _ => text(
                    StatusCode::NOT_FOUND,
                    "/bytes/N takes a number of bytes, at most 1073741824",
                ),
            };
        }
        if let Some(asked) = number("/articles/") {
            return match asked {
                Ok(n) if (1..=ARTICLES).contains(&n) => self.article(request, n),
                _ => text(
                    StatusCode::NOT_FOUND,
                    "/articles/N takes a number from 1 to 1000",
                ),
            };
        }
        text(
            StatusCode::NOT_FOUND,
            "the demo has nothing here; / shows what it has",
        )
    }

    fn article(&self, request: &Parts, n: u64) -> Response<Body> {
        let (answer, now) = self.count();
        let body = format!(
            "<!doctype html>\n<title>Article {n}</title>\n<h1>Article {n}</h1>\n\
             <p>Written by the origin as its answer {answer}, {}. Tagged <code>articles</code> and \
             <code>article-{n}</code>, fresh for ten minutes.</p>\n",
            now.to_http_date()
        );
        let tags = format!("articles article-{n}");
        page(request, HTML, "max-age=600", &tags, body)
    }

    fn bytes(&self, request: &Parts, len: u64) -> Response<Body> {
        let kind = "application/octet-stream";
        let fields = fields(kind, "max-age=3600", "demo bytes");
        let representation = Representation {
            len,
            etag: format!("\"bytes-{len}\""),
            modified: None,
            fields,
        };
        let selection = representation.select(&request.method, &request.headers);
        let body = match selection.send {
            Some(part) => pattern(self.pattern.clone(), part),
            None => body::empty(),
        };
        selection.head.map(|()| body)
    }

    fn count(&self) -> (u64, Timestamp) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = Timestamp(now.map_or(0, |since| since.as_secs()));
        (self.answers.fetch_add(1, Ordering::Relaxed) + 1, now)
    }
}

fn fields(content_type: &'static str, cache_control: &'static str, tags: &str) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(8);
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if let Ok(tags) = HeaderValue::from_str(tags)
        && !tags.is_empty()
    {
        fields.insert(SURROGATE_KEY, tags);
    }
    fields
}

fn page(
    request: &Parts,
    content_type: &'static str,
    cache_control: &'static str,
    tags: &str,
    content: impl Into<Bytes>,
) -> Response<Body> {
    let content = content.into();
    let representation = Representation {
        len: content.len() as u64,
        etag: format!("\"{:016x}\"", xxh3_64(&content)),
        modified: None,
        fields: fields(content_type, cache_control, tags),
    };
    representation
        .select(&request.method, &request.headers)
        .with(&content)
}

fn pattern(pattern: Bytes, part: ByteRange) -> Body {
    let chunks = stream::unfold(part.start, move |at| {
        let start = (at % PATTERN.len() as u64) as usize;
        let len = PATTERN_CHUNK.min(part.end - at) as usize;
        let chunk = (len > 0).then(|| {
            let bytes = pattern.slice(start..start + len);
            (Ok::<_, io::Error>(bytes), at + len as u64)
        });
        std::future::ready(chunk)
    });
    body::streamed(Bytes::new(), chunks)
}

fn received(request: &Parts) -> String {
    let mut lines = format!("{} {}\n", request.method, request.uri);
    for (name, value) in &request.headers {
        let _ = writeln!(
            lines,
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    lines
}

fn echo(request: &Parts, incoming: Incoming) -> Response<Body> {
    if request.method != Method::POST {
        return wrong_method("POST");
    }
    use http_body_util::BodyExt;
    let response = Response::new(incoming.map_err(io::Error::other).boxed_unsync());
    let kind = request
        .headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    with_field(
        response,
        CONTENT_TYPE,
        kind.unwrap_or("application/octet-stream"),
    )
}

#[cfg(test)]
mod tests;
