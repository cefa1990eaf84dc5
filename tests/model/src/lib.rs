//! The purge protocol as a model: every order of its events within some bounds, and whether promise 2 holds in each.
//!
//! What is decided is decided by the functions of `seawall-purge`, the same that nodes and control plane call. What is
//! modelled here is what lies between them: messages, crashes, an origin whose object changes, and clients who ask.
//!
//! - [`config`]: which events there are, and how many of each
//! - [`bounds`]: the configurations that are looked at
//! - [`rule`]: the rules of the protocol, each of which can be turned off
//! - [`state`]: all that a moment consists of
//! - [`table`]: the purges that a node knows, small enough to be compared with every other moment's
//! - [`action`], [`moves`]: what can happen next, and what comes of it
//! - [`look`], [`fill`], [`answer`]: a node that is asked, that asks, and that answers
//! - [`plane`], [`node`]: the control plane; streams, crashes and leases of nodes
//! - [`promise`]: what must never be, and what must be reachable lest that be no proof
//! - [`mod@check`]: runs the checker

pub mod action;
pub mod answer;
pub mod bounds;
pub mod check;
pub mod config;
pub mod fill;
pub mod look;
pub mod moves;
pub mod node;
pub mod plane;
pub mod promise;
pub mod rule;
pub mod state;
pub mod table;

pub use action::Action;
pub use check::{Found, check};
pub use config::{Config, May, Spec};
pub use rule::Rule;
pub use state::State;
