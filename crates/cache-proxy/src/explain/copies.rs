//! What is told of a stored copy.

use super::purges::{Named, covering, named_by_copy};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::standing::Standing;
use seawall_cache_store::{Coding, Kept, Place};
use seawall_control_protocol::explain::{COPY_FIELDS_MAX, Standing as Stands, StoredCopy, cut};
use seawall_http_cache::{Freshness, Timestamp};
use seawall_purge::Verdict;
use std::borrow::Cow;

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
            Standing::Usable(Cow::Borrowed(_)) => Stands::Live,
            Standing::Usable(Cow::Owned(_)) => Stands::Stale {
                since_ms: match asked.snapshot.purges.judge(head.label, &head.scopes) {
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
        let Freshness {
            lifetime,
            source,
            initial_age,
            received,
            stale_while_revalidate,
            stale_if_error,
            no_cache,
            must_revalidate,
        } = head.freshness;
        StoredCopy {
            variant: kept.variant,
            selected,
            on_disk: kept.place == Place::Disk,
            status: head.status.as_u16(),
            length: head.length,
            negotiable: head.coding == Coding::Negotiable,
            received: received.0,
            initial_age,
            age: head.freshness.age(now),
            lifetime,
            lifetime_source: source.as_str().to_owned(),
            stale_while_revalidate,
            stale_if_error,
            no_cache,
            must_revalidate,
            label: head.label,
            generation: head.generation,
            revision: head.revision,
            standing,
            fields: told.collect(),
            purges: covering(asked, &named_by_copy(asked, head, &fields, of_request)),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    cut(String::from_utf8_lossy(bytes).into_owned())
}
