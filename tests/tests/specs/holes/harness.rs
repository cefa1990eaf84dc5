//! A site whose origin does ranges, and copies of it that lose chunks.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::{Fleet, FleetSpec, Origin, Reply, Request, Then, eventually};
use std::fs;
use std::path::PathBuf;

pub(super) const DISK: u64 = 64 << 20;
pub(super) const CHUNK: usize = 256 << 10;
/// Four chunks.
pub(super) const LENGTH: usize = 1_000_000;
pub(super) const LINE: usize = 32;

pub(super) fn spec() -> FleetSpec {
    FleetSpec {
        edges: 1,
        shields: 0,
        disk: Some(DISK),
        ..FleetSpec::default()
    }
}

/// No two lines of all bodies are the same.
pub(super) fn body_of(target: &str, version: u8, length: usize) -> Vec<u8> {
    let lines = (0..length.div_ceil(LINE)).map(|n| format!("{target:<14}{version:>3}{n:>14}\n"));
    let mut body = lines.collect::<String>().into_bytes();
    body.truncate(length);
    body
}

pub(super) fn body(target: &str, version: u8) -> Vec<u8> {
    body_of(target, version, LENGTH)
}

pub(super) fn tag(version: u8) -> String {
    format!("\"v{version}\"")
}

/// First and last byte of `Range: bytes=a-b`.
pub(super) fn range_of(request: &Request) -> Option<(usize, usize)> {
    let range = request.field("range")?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// A part with these words.
pub(super) fn part(
    reply: &mut Reply<'_>,
    tag: &str,
    range: (usize, usize),
    of: usize,
    body: &[u8],
) -> Then {
    let content_range = format!("bytes {}-{}/{of}", range.0, range.1);
    let fields = [
        ("etag", tag),
        ("content-range", content_range.as_str()),
        ("cache-control", "max-age=3600"),
    ];
    reply.answer(206, &fields, body)
}

pub(super) fn whole(reply: &mut Reply<'_>, tag: &str, body: &[u8]) -> Then {
    let fields = [
        ("etag", tag),
        ("cache-control", "max-age=3600"),
        ("surrogate-key", "site"),
    ];
    reply.answer(200, &fields, body)
}

/// Answers as RFC 9110 says.
pub(super) fn well(request: &Request, reply: &mut Reply<'_>, version: u8, length: usize) -> Then {
    let (tag, body) = (tag(version), body_of(&request.target, version, length));
    match range_of(request) {
        Some(range) if request.field("if-range") == Some(tag.as_str()) => {
            part(reply, &tag, range, length, &body[range.0..=range.1])
        }
        _ => whole(reply, &tag, &body),
    }
}

pub(super) fn site() -> Origin {
    Origin::start(|request, reply| well(request, reply, 1, LENGTH))
}

/// `Range` and `If-Range` of the requests for parts so far.
pub(super) fn parts_asked(origin: &Origin) -> Vec<(String, String)> {
    let told = |r: &Request, name: &str| r.field(name).unwrap_or_default().to_owned();
    origin
        .seen()
        .iter()
        .filter(|r| r.field("range").is_some())
        .map(|r| (told(r, "range"), told(r, "if-range")))
        .collect()
}

pub(super) fn asked_for(chunk: usize) -> (String, String) {
    let end = ((chunk + 1) * CHUNK).min(LENGTH) - 1;
    (format!("bytes={}-{end}", chunk * CHUNK), tag(1))
}

/// The files that chunks of a node lie in.
pub(super) fn blocks(fleet: &Fleet, node: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(fleet.disk(node).join("chunks")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// Where a chunk that begins with `start` lies in `block`: somewhere behind the beginning of a page.
pub(super) fn find(block: &[u8], start: &[u8]) -> Option<usize> {
    (0..block.len()).step_by(4096).find_map(|page| {
        let near = &block[page..(page + 256 + start.len()).min(block.len())];
        let at = near.windows(start.len()).position(|w| w == start)?;
        Some(page + at)
    })
}

/// Spoils a chunk of a body on a node that does not run.
pub(super) fn spoil(fleet: &Fleet, node: &str, body: &[u8], chunk: usize) {
    let start = &body[chunk * CHUNK..chunk * CHUNK + 2 * LINE];
    let mut found = false;
    for file in blocks(fleet, node) {
        let mut block = fs::read(&file).unwrap();
        while let Some(at) = find(&block, start) {
            block[at..at + LINE].fill(0);
            fs::write(&file, &block).unwrap();
            found = true;
        }
    }
    assert!(found, "chunk {chunk} is on the disk");
}

pub(super) fn is_stored(fleet: &Fleet, target: &str) {
    get(fleet.edge(0), target, &[]);
    eventually("the copy is stored", || {
        get(fleet.edge(0), target, &[]).is_hit()
    });
}

/// A fleet whose edge has a copy of each target, of which a chunk was lost.
pub(super) fn holed(spec: FleetSpec, origin: &Origin, lost: &[(&str, usize)]) -> Fleet {
    let mut fleet = Fleet::start(spec, origin);
    for (target, _) in lost {
        is_stored(&fleet, target);
    }
    fleet.stop_edge(0);
    for (target, chunk) in lost {
        spoil(&fleet, "edge-0", &body(target, 1), *chunk);
    }
    fleet.start_edge(0);
    fleet
}

pub(super) fn parts(fleet: &Fleet, result: &str) -> u64 {
    metric(&fleet.metrics(0), "seawall_parts_total", &[result])
}
