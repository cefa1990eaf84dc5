//! What is told of a stored copy.

use super::body::token;
use super::purges::{Named, covering, named_by_copy};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::held::chunks;
use crate::standing::Standing;
use seawall_cache_store::{Body, CHUNK_BYTES, Coding, Head, Kept, Place, Recoded};
use seawall_control_protocol::explain::{
    COPY_FIELDS_MAX, HELD_MAX, Recoded as RecodedCopy, Standing as Stands, StoredCopy, cut,
};
use seawall_http_cache::{Freshness, Timestamp};
use seawall_purge::Verdict;
use std::ops::Range;

/// The fields that decide how long a copy is fresh, which requests it is for, and how it is validated.
const TOLD: [&str; 13] = [
    "seawall-cache-control",
    "cdn-cache-control",
    "surrogate-control",
    "cache-control",
    "expires",
    "date",
    "last-modified",
    "etag",
    "vary",
    "content-type",
    "content-encoding",
    "no-vary-search",
    "set-cookie",
];

/// Chunks of one body that are looked for (16 GiB).
const CHUNKS_MAX: u32 = 1 << 16;

impl CacheProxy {
    pub(super) fn copy(
        &self,
        asked: &Asked,
        kept: &Kept,
        selected: bool,
        of_request: &[Named],
        now: Timestamp,
    ) -> StoredCopy {
        let head = &kept.head;
        let standing = match self.standing(asked, head, now) {
            Standing::Gone => Stands::Gone,
            Standing::Live(_) => Stands::Live,
            Standing::Stale(_) => Stands::Stale {
                since_ms: match asked.snapshot.purges.judge(head.label(), head.scopes()) {
                    Verdict::Stale { since_ms } => head.memo.stale_since(since_ms),
                    Verdict::Live | Verdict::Gone => 0,
                },
            },
        };
        let fields = head.original_fields().fields;
        let line = |name: &'static str| {
            let lines = fields.get_all(name).into_iter();
            lines.map(move |value| {
                // who may ask for this need not be who may hold somebody's session
                let value = match name {
                    "set-cookie" => "(not shown)".to_owned(),
                    _ => text(value.as_bytes()),
                };
                (name.to_owned(), value)
            })
        };
        let told = TOLD.into_iter().flat_map(line).take(COPY_FIELDS_MAX);
        let pieces = self.pieces(head);
        let Freshness {
            lifetime,
            source,
            initial_age,
            received,
            stale_while_revalidate,
            stale_if_error,
            no_cache,
            must_revalidate,
        } = head.freshness();
        StoredCopy {
            variant: kept.variant,
            selected,
            on_disk: kept.place == Place::Disk,
            status: head.status.as_u16(),
            length: head.length,
            negotiable: head.coding() == Coding::Negotiable,
            received: received.0,
            initial_age,
            age: head.freshness().age(now),
            lifetime,
            lifetime_source: source.as_str().to_owned(),
            stale_while_revalidate,
            stale_if_error,
            no_cache,
            must_revalidate,
            label: head.label(),
            generation: head.generation(),
            revision: head.revision,
            standing,
            decodable: match head.coding() {
                Coding::Decodable(coding) => coding.token().to_owned(),
                _ => String::new(),
            },
            recoded: kept.recoded.iter().map(recoded).collect(),
            incomplete: head.is_incomplete(),
            lacks: pieces.is_some(),
            held_cut: pieces.as_ref().is_some_and(|(_, cut)| *cut),
            held: pieces.map_or(Vec::new(), |(held, _)| held),
            fields: told.collect(),
            purges: covering(asked, &named_by_copy(asked, head, &fields, of_request)),
        }
    }
}

fn recoded(recoded: &Recoded) -> RecodedCopy {
    RecodedCopy {
        recoding: token(recoded.recoding).to_owned(),
        length: recoded.head.length,
        on_disk: recoded.place == Place::Disk,
    }
}

impl CacheProxy {
    /// The bytes of the body that are here, as far as is known without reading, and whether there may be more of them.
    /// `None`: all of them are.
    fn pieces(&self, head: &Head) -> Option<(Vec<Range<u64>>, bool)> {
        let (store, whole) = (self.store(), 0..head.length);
        let indices = match head.body() {
            Body::Inline => return None,
            Body::Part(held) => return Some((vec![held.clone()], false)),
            Body::Chunks(_) => chunks(&whole),
        };
        let looked = indices.end.min(CHUNKS_MAX);
        let mut pieces: Vec<Range<u64>> = Vec::new();
        for index in (0..looked).filter(|index| store.holds_chunk(head, *index)) {
            let start = u64::from(index) * CHUNK_BYTES;
            let end = (start + CHUNK_BYTES).min(head.length);
            let full = pieces.len() == HELD_MAX;
            match pieces.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ if full => return Some((pieces, true)),
                _ => pieces.push(start..end),
            }
        }
        let cut = looked < indices.end;
        (cut || pieces != [whole]).then_some((pieces, cut))
    }
}

fn text(bytes: &[u8]) -> String {
    cut(String::from_utf8_lossy(bytes).into_owned())
}
