//! Compiled services: which service, rule and key a request belongs to, and which scopes its copies have.
//!
//! Edges, shields and the control plane compute all of this alike, bit for bit: keys and scope ids are digests of framed
//! parts, fixed by golden vectors. Pure: no files, no sockets, no clock. What an operator types is `seawall-config`'s;
//! it makes these values from it.
//!
//! - [`service`]: a service, its origins, limits, timeouts
//! - [`host`], [`set`]: host patterns, and finding the service of a host
//! - [`rule`]: what a rule matches, and the policy it gives
//! - [`key`]: the cache key, and its parts for people
//! - [`scopes`]: scope ids and tags of copies
//! - [`edit`]: fields to set and remove
//! - `target`: what of a target's spelling does not count

pub mod edit;
pub mod host;
pub mod key;
pub mod named;
pub mod rule;
pub mod scopes;
pub mod service;
pub mod set;
mod target;

pub use edit::FieldEdits;
pub use host::{HostPattern, ParseHostError, canonical_host};
pub use key::{
    CacheKey, KeyPart, KeyRules, QueryRule, cache_key, equivalence_key, key_parts, path_key,
};
pub use rule::{AcceptedCodings, CacheMode, FieldCondition, Matcher, PathPattern, Policy, Rule};
pub use scopes::{TagsError, TooManySegments, any_query_scope, each_scope, scope_ids, tags};
pub use service::{
    ClientRevalidation, Invalidate, Limits, OnLeaseLoss, Origin, OriginBudget, OriginTls,
    ResponseOptions, Scheme, Service, ServiceId, Timeouts,
};
pub use set::{ServiceSet, SetError};
pub use target::canonical_target;
