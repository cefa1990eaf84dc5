//! Whoever is asked next: addresses, pools, health, timeouts, safe retries; by pingora's `HttpProxy`, or over its
//! connectors alone.
//!
//! An exchange comes as a [`ClientSession`](seawall_client_conn::ClientSession) and an [`Ask`]: which servers, how long,
//! and what is to be done with each attempt. The answer is written to the session. This crate must never know caching,
//! or how a server was chosen.
//!
//! - [`ask`]: the question, its report, failures with the phase they happened in
//! - [`target`]: one server: its addresses by DNS, their health, its TLS
//! - `resolve`, `health`, `tls`: the parts of a target; [`dial`]: servers that are reached otherwise than by TCP
//! - `attempts`: the attempts of one exchange; `judge`: what errors and heads say
//! - [`upstream`]: targets and the proxy of a node; `origins`: those of services; `app`: pingora's hooks
//! - `fetch`: questions by GET without a body, the shorter way; `idle`: its connections

mod app;
pub mod ask;
mod attempts;
pub mod dial;
mod fetch;
mod health;
mod idle;
mod judge;
mod origins;
mod resolve;
pub mod target;
mod tls;
pub mod upstream;

pub use ask::{Ask, Attempt, Failure, Hop, NextHop, Phase, Role, Settling, Turn};
pub use dial::Dial;
pub use origins::origin_hops;
pub use target::{Target, TargetError, TargetSpec, TargetTls};
pub use upstream::{Upstream, UpstreamError};
