//! An edge: what is only true before clients.
//!
//! It strips what clients say in the fleet's own fields, chooses the shield that owns a key (or the origin, where a
//! service has no shield) and composes a node of the parts that edges and shields share. It must never know a shield's
//! insides.
//!
//! - [`edge`]: starting, reloading and draining
//! - `next_hop`: who is asked next
//! - `follow`: what the control plane's word changes; `purge`: clients' `PURGE`

pub mod edge;
mod follow;
mod next_hop;
mod purge;

pub use edge::{Edge, StartError};
