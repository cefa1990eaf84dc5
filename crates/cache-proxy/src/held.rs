//! How much of what a request wants of a stored body is here.

use crate::asked::Asked;
use crate::part::restorable;
use crate::parts::RUN_BYTES;
use http::header;
use seawall_cache_store::{CHUNK_BYTES, CacheStore, Head};
use seawall_http_cache::RequestDirectives;
use std::ops::Range;

/// A longer body of which nothing is left is filled anew (4 MiB, which is one fetch).
const WHOLE_BYTES_MAX: u64 = RUN_BYTES;

/// How much of what is wanted is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    All,
    /// Some of it was lost and is asked for.
    Partial,
}

/// Why the copy does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotHeld {
    /// What is missing is not asked for by this request; the copy is of use to others.
    Spared,
    /// What is missing cannot be had: the copy is of no more use.
    Lost,
}

/// The chunks that hold these bytes.
pub(crate) fn chunks(range: &Range<u64>) -> Range<u32> {
    (range.start / CHUNK_BYTES) as u32..range.end.div_ceil(CHUNK_BYTES) as u32
}

/// Whether what was lost of a copy may be asked for: the request takes more than what is here (RFC 9111 §5.2.1.7).
pub(crate) fn may_ask(asked: &Asked) -> bool {
    !RequestDirectives::parse(&*asked.fields).only_if_cached
}

/// Whether all of `wanted` of the body of `head` is here, as far as is known without reading, or can be had.
pub(crate) fn held(
    store: &CacheStore,
    head: &Head,
    wanted: &[Range<u64>],
    asked: &Asked,
    may_ask: bool,
) -> Result<Held, NotHeld> {
    if wanted.iter().all(|range| store.holds(head, range.clone())) {
        return Ok(Held::All);
    }
    if !may_ask {
        return Err(NotHeld::Spared);
    }
    let whole = wanted.contains(&(0..head.length));
    if whole
        && head.length > WHOLE_BYTES_MAX
        && !asked.fields.contains_key(header::RANGE)
        && head.is_incomplete()
        && !half_is_held(store, head)
    {
        // one fill of the whole as well; ranges are answered from what is here until that is complete
        return Err(NotHeld::Spared);
    }
    let nothing_left = || !chunks(&(0..head.length)).any(|index| store.holds_chunk(head, index));
    let by_parts = restorable(head)
        // one fill of the whole rather than many parts of it
        // unless it is on its way
        && !(whole && head.length > WHOLE_BYTES_MAX && !head.is_incomplete() && nothing_left());
    if by_parts {
        Ok(Held::Partial)
    } else {
        Err(NotHeld::Lost)
    }
}

/// Whether half of the chunks are here, as far as is known without reading.
fn half_is_held(store: &CacheStore, head: &Head) -> bool {
    let all = chunks(&(0..head.length));
    let count = all.len();
    let held = all.filter(|index| store.holds_chunk(head, *index));
    held.count() * 2 >= count
}
