//! Clients that read, and judge each answer by what receipts had told before it was asked for.

use crate::random::Random;
use crate::run::{Ends, Run};
use crate::site::{HOST, path};
use seawall_tests::client::request;
use seawall_tests::{Client, Response};
use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) const READERS: usize = 16;
/// Some wait for a node that is stopped, and are answered once it goes on; some ask it again.
const PATIENCE: [Duration; 2] = [Duration::from_millis(400), Duration::from_secs(10)];

pub(crate) fn read(run: &Run, reader: usize) {
    let _ends = Ends(run);
    let mut random = Random::new(run.seed, 100 + reader as u64);
    let patience = PATIENCE[reader / 2 % 2];
    let mut clients: Vec<Option<Client>> = run.edges.iter().map(|_| None).collect();
    let mut seen: HashMap<usize, u64> = HashMap::new();
    while !run.is_over() {
        let object = run.site.object(&mut random);
        // most of the time the same edge, so that one that stands still holds only some of them
        let edge = if random.one_in(8) {
            random.below(run.edges.len())
        } else {
            reader % run.edges.len()
        };
        let known = seen.get(&object).filter(|_| random.one_in(8));
        // receipts up to here count
        let least = run.judge.least(edge, object);
        let Ok(answer) = ask(run, &mut clients[edge], edge, object, known, patience) else {
            clients[edge] = None;
            run.failures.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        if !matches!(answer.status, 200 | 304) {
            run.failures.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        run.answers.fetch_add(1, Ordering::Relaxed);
        if answer.is_hit() {
            run.hits.fetch_add(1, Ordering::Relaxed);
        }
        let Some(version) = version(&answer, object) else {
            run.violation(&format!(
                "edge-{edge} answers {} with what it is not: {answer:?}",
                path(object)
            ));
            continue;
        };
        seen.insert(object, version);
        let by = run.judged(edge, object, least);
        let fresh_hit = answer.is_hit() && is_fresh(answer.edge_status());
        if !least.allows(version, fresh_hit) {
            let all = answer.field("cache-status").unwrap_or_default();
            let url = path(object);
            run.violation(&format!(
                "edge-{edge} answers {url} with {version}, and {least:?} by {} ({}, {all})",
                by.unwrap_or_default(),
                answer.status
            ));
        }
    }
}

fn ask(
    run: &Run,
    client: &mut Option<Client>,
    edge: usize,
    object: usize,
    known: Option<&u64>,
    patience: Duration,
) -> io::Result<Response> {
    let client = match client {
        Some(client) => client,
        None => client.insert(Client::try_connect(run.edges[edge], patience)?),
    };
    let etag = known.map(|version| format!("\"{version}\""));
    let mut fields = vec![("host", HOST)];
    fields.extend(etag.as_ref().map(|etag| ("if-none-match", etag.as_str())));
    client.try_send(&request("GET", &path(object), &fields, b""))?;
    client.response("GET")
}

/// The version of an answer, which has to be about this object.
fn version(answer: &Response, object: usize) -> Option<u64> {
    let etag = answer.field("etag")?.trim_matches('"').parse().ok()?;
    if answer.status == 304 {
        return Some(etag);
    }
    let body = answer.text();
    let mut words = body.split(' ');
    let about: usize = words.next()?.parse().ok()?;
    let version: u64 = words.next()?.parse().ok()?;
    (about == object && version == etag).then_some(version)
}

/// Whether a hit is told as one of a fresh copy: one whose lifetime ends this second is stale (RFC 9111 §4.2).
fn is_fresh(edge_status: &str) -> bool {
    let ttl = edge_status
        .split("; ")
        .find_map(|word| word.strip_prefix("ttl="));
    ttl.and_then(|ttl| ttl.parse::<i64>().ok())
        .is_none_or(|ttl| ttl > 0)
}
