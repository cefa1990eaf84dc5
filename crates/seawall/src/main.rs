//! `seawall`: edge, origin shield and control plane of a content distribution network, in one binary.

use seawall::allocator::Allocator;
use seawall::cli::Cli;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    seawall::run::run(Cli::of_process())
}
