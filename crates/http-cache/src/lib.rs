//! What the caching RFCs say, as functions of a request, a response, a stored copy and the time.
//!
//! The crate judges: may an answer be stored, for how long is it fresh, may a copy answer a request, what does a
//! condition or a range select, what does a 304 change. Judging cannot fail: a field that cannot be understood gets the
//! conservative reading (not stored, stale, the whole representation).
//!
//! It must never know a socket, a file, a clock, a task, a configuration file, a purge or a service: time comes in as
//! [`Timestamp`], an operator's wishes as [`StoragePolicy`].
//!
//! | where | what |
//! | --- | --- |
//! | `time`, `fields`, `list`, `strings` | seconds and HTTP dates; read access to a message's fields; comma lists; lists of strings |
//! | `outcome`, `cache_status` | the one enum of what happened to a request; its RFC 9211 member |
//! | `sf` | structured fields (RFC 9651) |
//! | `cache_control`, `targeted`, `age` | the directives of RFC 9111 §5.2 and RFC 5861; those for this cache alone (RFC 9213); `Age` |
//! | `storable`, `freshness`, `reuse` | RFC 9111 §3, §4.2, §4: keep it, how long, use it for this request |
//! | `vary`, `weights` | RFC 9111 §4.1: the selecting fields and their digest; fields that list ranges with weights |
//! | `no_vary_search` | which differences of the query do not count (an extension of §4) |
//! | `entity_tag`, `conditions`, `ranges` | RFC 9110 §8.8.3, §13, §14 |
//! | `digest` | RFC 9530: fields that digest a message's content, or the representation |
//! | `part` | RFC 9110 §15.3.7: whether an answer is the missing part of a stored response |
//! | `combine` | RFC 9111 §3.3, §3.4: incomplete responses, asked for, stored and completed |
//! | `freshen` | RFC 9111 §3.2, §4.3: asking with validators, merging a 304, writing one |
//! | `head_update` | RFC 9111 §4.3.5: what the answer to a HEAD says of a stored response |
//! | `invalidation` | RFC 9111 §4.4: what a change names as changed too |
//! | `posted` | RFC 9110 §9.3.3: which answers to POST later GETs may be answered with |
//! | `hop`, `max_forwards`, `cdn_loop` | RFC 9110 §7.6.1: fields of one connection; §7.6.2; RFC 8586 |
//! | `negotiate` | RFC 9110 §12.5.3: which content coding a client gets |
//! | `coding` | RFC 9110 §8.4: whether an answer is worth a coding and may have one |

mod age;
mod cache_control;
mod cache_status;
mod cdn_loop;
mod coding;
mod combine;
mod conditions;
mod digest;
mod entity_tag;
mod fields;
mod freshen;
mod freshness;
mod head_update;
mod hop;
mod invalidation;
mod list;
mod max_forwards;
mod method;
mod negotiate;
mod no_vary_search;
mod outcome;
mod part;
mod posted;
mod ranges;
mod reuse;
pub mod sf;
mod storable;
mod strings;
mod targeted;
mod time;
mod vary;
mod weights;

pub use age::age_value;
pub use cache_control::{CacheControl, DELTA_SECONDS_MAX, RequestDirectives};
pub use cache_status::{CacheStatus, Forward};
pub use cdn_loop::cdn_loop_count;
pub use coding::{
    CompressTypes, TypePattern, add_vary, compressible, may_compress, may_decode, weaken_etag,
};
pub use combine::{
    Incomplete, NotCombinable, combine, fields_of_the_whole, incomplete, is_of_the_range, missing,
    range_to_forward,
};
pub use conditions::{Precondition, evaluate};
pub use digest::{remove_content_digests, remove_digests};
pub use entity_tag::strong_etag;
pub use fields::Fields;
pub use freshen::{
    Form, fleet_not_modified_fields, freshen, goes_with_not_modified, goes_with_part,
    has_conditions, has_preconditions, not_modified_fields, refusal_fields, update_applies,
    validation_fields,
};
pub use freshness::{Freshness, HEURISTIC_LIFETIME_MAX, LifetimeSource};
pub use head_update::{HeadUpdate, head_update};
pub use hop::{
    into_stored_fields, is_hop_by_hop, stored_fields, strip_hop_by_hop, withheld_fields,
};
pub use invalidation::{Site, also_invalidated};
pub use max_forwards::forwards_left;
pub use method::{is_cacheable_method, is_unsafe_method};
pub use negotiate::{AcceptEncoding, ContentCoding};
pub use no_vary_search::QueryVariation;
pub use outcome::Outcome;
pub use part::{NotPart, asks_for_part, is_part, part_validator};
pub use posted::represents_target;
pub use ranges::{ByteRange, RANGES_MAX, Ranges, ranges};
pub use reuse::{Reuse, Why, is_upstream_error, reuse, serves_on_error, why};
pub use storable::{
    Storable, StoragePolicy, Unstorable, is_heuristically_cacheable, storable, storable_by,
};
pub use strings::string_list;
pub use targeted::{CDN_CACHE_CONTROL, SEAWALL_CACHE_CONTROL, SURROGATE_CONTROL, Targets};
pub use time::Timestamp;
pub use vary::{VARY_FIELDS_MAX, Vary, variant_digest, vary};
