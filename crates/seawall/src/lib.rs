//! The parts of the `seawall` program. It composes the other crates and decides nothing.
//!
//! - [`cli`]: the command line; [`usage`]: when it is wrong; [`run`]: what each command does
//! - [`up`]: a whole CDN in one process
//! - [`operator`]: commands that ask a control plane
//! - [`origin`]: the built-in origins
//! - [`allocator`]: where memory comes from; [`open_files`]: the limit of open files

pub mod allocator;
pub mod cli;
pub mod open_files;
pub mod operator;
pub mod origin;
pub mod run;
pub mod up;
pub mod usage;
