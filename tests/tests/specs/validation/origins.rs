//! Origins that follow a script.

use seawall_tests::{Client, Origin, Reply, Request, Response, Then};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Stale when it comes, and worth asking about.
pub(super) const STALE: [(&str, &str); 3] = [
    ("cache-control", "max-age=60"),
    ("age", "100"),
    ("etag", "\"v1\""),
];
/// Confirms it for a minute.
pub(super) const FRESH: [(&str, &str); 2] = [("cache-control", "max-age=60"), ("etag", "\"v1\"")];

/// Answers by how many requests came before.
pub(super) fn scripted(
    script: impl Fn(usize, &Request, &mut Reply<'_>) -> Then + Send + Sync + 'static,
) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::start(move |request, reply| {
        script(asked.fetch_add(1, Ordering::AcqRel), request, reply)
    })
}

pub(super) fn with<'a>(
    fields: &[(&'a str, &'a str)],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    [fields, more].concat()
}

/// First a stale 200 with `first`, then nothing but 304 with `update`.
pub(super) fn updating(
    first: &'static [(&'static str, &'static str)],
    update: &'static [(&'static str, &'static str)],
) -> Origin {
    scripted(move |nth, request, reply| {
        if nth == 0 {
            return reply.answer(200, &with(&STALE, first), b"body");
        }
        assert_eq!(request.field("if-none-match"), Some("\"v1\""));
        reply.answer(304, &with(&FRESH, update), b"")
    })
}

pub(super) fn head(address: std::net::SocketAddr, fields: &[(&str, &str)]) -> Response {
    let mut client = Client::connect(address);
    client.request("HEAD", "/", fields, b"");
    client.response("HEAD").expect("a whole answer")
}
