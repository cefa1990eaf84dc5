//! The program itself: what scripts and people rely on.

mod cdn;
mod cli;
mod ends;
mod explain;
mod fleet;
mod limits;
mod purging;
mod receipts;
mod reloads;
mod restarts;
mod running;
mod services;
