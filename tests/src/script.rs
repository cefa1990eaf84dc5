//! Interleavings of requests and purges, each chosen by a script: real nodes in one thread, whose messages wait until the
//! script lets them through.
//!
//! A script is a list of [`step::Step`]s, mostly drawn from a seed; the same seed makes the same trace. Two edges, a shield
//! and an origin are joined by connections in memory. Every message between them (a request, an answer's head, a piece
//! of its body, its end, a lost connection) is held until a step lets it go on, and purges come into force node by node, so
//! that the order of events is the script's alone. After each step the nodes run until none of them can (see
//! [`quiet`]); time is a step of its own, on a clock that stands still otherwise.
//!
//! - [`world`]: the nodes, what is under way, and how steps change it; running and shortening scripts
//! - [`step`]: what a script can do, and how scripts are drawn
//! - [`judge`]: what an answer may be, to clients and between tiers
//! - [`origin`]: one object that changes; answers that tell when they were made
//! - [`node`]: an edge or a shield; [`call`], [`client`]: one exchange, of a node and of a client
//! - [`pipe`], [`message`], [`quiet`]: connections in memory, what lies in them, and when nothing moves any more

pub mod call;
pub mod client;
pub mod judge;
pub mod message;
pub mod node;
pub mod origin;
pub mod pipe;
pub mod quiet;
pub mod step;
pub mod world;

pub use origin::{Change, How, Object, Pieces};
pub use step::{Asks, Step, What};
pub use world::{Outcome, Setting, of_seed, of_steps, shortened};
