//! The program itself: what scripts and people rely on.

mod cli;
mod running;
