//! `seawall`: edge, origin shield and control plane of a content distribution network, in one binary.

use seawall::cli::Cli;
use std::process::ExitCode;

// chosen by measurement: docs/decisions/0004-allocator.md
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    seawall::run::run(Cli::of_process())
}
