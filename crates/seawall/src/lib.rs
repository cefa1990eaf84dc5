//! The parts of the `seawall` program. It composes the other crates and decides nothing.
//!
//! - [`cli`]: the command line; [`run`]: what each command does
//! - [`up`]: a whole CDN in one process
//! - [`origin`]: the built-in origins

pub mod cli;
pub mod origin;
pub mod run;
pub mod up;
