//! An origin whose paths say what its answers carry.

use seawall_tests::{Reply, Request, Then};

const TEXT: &[u8] = &[b'x'; 20_000];
const LARGE: usize = 10 << 20;

/// The path says what the answer carries.
pub(super) fn site(request: &Request, reply: &mut Reply<'_>) -> Then {
    let path = request.target.split('?').next().unwrap_or_default();
    let fresh = ("cache-control", "max-age=3600");
    let old = ("age", "100");
    let fields: &[(&str, &str)] = match path {
        "/stale" => &[("cache-control", "max-age=60"), old],
        "/window" => &[
            ("cache-control", "max-age=60, stale-while-revalidate=600"),
            old,
        ],
        "/must" => {
            let control = "max-age=60, stale-while-revalidate=600, must-revalidate";
            &[("cache-control", control), old, ("etag", "\"v\"")]
        }
        "/old" => &[fresh, old],
        "/soft-window" => &[("cache-control", "max-age=3600, stale-while-revalidate=600")],
        "/varies" => &[fresh, ("vary", "accept-language")],
        "/no-cache" => &[
            ("cache-control", "max-age=3600, no-cache"),
            ("etag", "\"v\""),
        ],
        "/no-store" => &[("cache-control", "no-store")],
        "/alike" => &[fresh, ("no-vary-search", "params=(\"u\")")],
        "/text" => return reply.answer(200, &[fresh, ("content-type", "text/html")], TEXT),
        "/large" => return in_parts(request, reply),
        _ => &[fresh, ("etag", "\"v\"")],
    };
    reply.answer(200, fields, b"0123456789")
}

/// The range that is asked for, of a body of zeros.
fn in_parts(request: &Request, reply: &mut Reply<'_>) -> Then {
    let fields = [("cache-control", "max-age=3600"), ("etag", "\"v\"")];
    let range = request.field("range").and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
    });
    match range {
        Some((first, last)) => {
            let last = last.min(LARGE - 1);
            let told = format!("bytes {first}-{last}/{LARGE}");
            let fields = [&fields[..], &[("content-range", told.as_str())]].concat();
            reply.answer(206, &fields, &vec![0; last + 1 - first])
        }
        None => reply.answer(200, &fields, &vec![0; LARGE]),
    }
}
