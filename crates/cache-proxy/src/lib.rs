//! The life of one exchange, for edges and shields alike: lookup, judge, fill, deliver.
//!
//! A fill writes a copy; clients read copies. What to do with a request decide `seawall-service-model` (which service,
//! rule and key) and `seawall-http-cache` (may this copy be used); where bytes lie knows `seawall-cache-store`; how the
//! next server is asked knows `seawall-upstream`. This crate orders the steps. It must never know how a shield is
//! chosen or who may ask (that is [`Tier`], implemented by edge and shield), nor read a configuration file.
//!
//! In the order of an exchange:
//! - `quick`: the plain fresh hit, without anything allocated
//! - `exchange`: place, look up, judge; `placing`, `asked`, `snapshot`: what is known of the request; `judged`: what becomes
//!   of it by what was found
//! - `fill`, `running`, `fills`, `sink`, `growing`: one fetch, its answer judged, one copy, many readers; `unstorable`: keys not worth waiting for
//! - `equivalents`, `recent`: URLs that a response declares to be one by `No-Vary-Search`
//! - `deliver`, `source`, `held`, `copy`, `coder`: a copy goes to a client, as it is, in parts, as 304, coded, decoded
//! - `part`, `parts`: chunks that a stored copy has lost are fetched again, each once
//! - `refreshed`: a stored copy gets the fields of a 304, or of the answer to a HEAD
//! - `standing`: what the purges make of a copy; `purging`: purges come into force; `purge_method`: clients ask for them
//! - `lease`: whether the node may answer by itself, or has to reach an origin first
//! - `scoped`: what an answer can be purged by
//! - `pass`: everything else
//! - `turns`, `pace`, `bucket`: what a question to an origin waits for
//! - `questions`: what the control plane asks; `explain`: how a request would be answered, and why; `last`: what became of
//!   the last ones
//! - `asking`, `outbound`, `link`, `message`: the question to the next server, the request as it goes on, and what tiers
//!   tell each other; `shown`: what clients get of an answer

mod asked;
mod asking;
mod bucket;
mod coder;
mod copy;
mod deliver;
mod equivalents;
mod exchange;
mod explain;
mod fill;
mod fills;
mod growing;
mod held;
mod invalidate;
mod judged;
mod last;
mod lease;
pub mod link;
mod message;
mod outbound;
mod pace;
mod part;
mod parts;
mod pass;
mod placing;
mod proxy;
mod purge_method;
mod purging;
mod questions;
mod quick;
mod recent;
mod refreshed;
mod refusal;
mod request_id;
mod running;
mod scoped;
mod shown;
mod sink;
mod snapshot;
mod source;
mod standing;
mod tier;
mod turns;
mod unstorable;

pub use lease::Lease;
pub use proxy::{CacheProxy, ProxyConfig, ProxyParts};
pub use refusal::Refusal;
pub use snapshot::Snapshot;
pub use tier::{Changed, Link, PurgeAnswer, PurgeAsked, Tier, TierKind};
