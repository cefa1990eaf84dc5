//! Metrics, the access log and tracing: each metric and log field is declared and described in one place.
//!
//! - [`catalogue`]: every metric with kind, unit, labels and meaning; the reference page comes from there
//! - [`metrics`]: one node's metrics; [`by_result`]: those with a label's values beforehand
//! - [`requests`]: the counters of the hit path, one cell a thread; `per_thread`: how a thread finds its own
//! - [`access_log`]: one JSON line a request
//! - [`trace`]: the set-up of tracing
//!
//! This crate must never decide anything about a request.

pub mod access_log;
pub mod by_result;
pub mod catalogue;
pub mod metrics;
mod per_thread;
pub mod requests;
pub mod trace;

pub use access_log::{AccessEntry, AccessLog, Destination};
pub use by_result::{FillCounters, OriginBudgetCounters};
pub use catalogue::{CATALOGUE, MetricInfo, MetricKind, reference};
pub use metrics::{ControlPlaneMetrics, DiskMetrics, Gauge, InFlight, Metrics, NodeKind};
pub use trace::{LogFormat, init_tracing};
