//! An origin shield: what is only true before origins.
//!
//! It admits authenticated nodes of its fleet and nobody else, and is where the fetches of a fleet for one object become
//! one. It must never know an edge's insides.
//!
//! - [`shield`]: starting, reloading and draining
//! - `next_hop`: whom it serves, and whom it asks

mod follow;
mod next_hop;
pub mod shield;

pub use shield::{Shield, StartError};
