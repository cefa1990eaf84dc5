//! Drives one URL and a floor in turns, and prints what the processor spends on a request of each.
//!
//! The floor is a server that reads to the blank line and writes one prepared answer: what the kernel charges. Only
//! ratios of one run count. Loads are bounded in time, and stay on loopback.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod floor;
mod load;

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::net::SocketAddr;
use std::time::Duration;

/// Processor time per request of a server and of the floor, in turns.
#[derive(Parser)]
struct Args {
    /// A URL on loopback, as in http://127.0.0.1:8080/index.html; asked once before, so that it is a hit.
    url: String,
    /// Process that serves it; its processor time is read from /proc.
    #[arg(long)]
    pid: u32,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds of each turn, at most 60.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let rest = args
        .url
        .strip_prefix("http://")
        .context("an http URL is wanted")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address: SocketAddr = authority
        .parse()
        .context("the URL's host is an address and port")?;
    if !address.ip().is_loopback() {
        bail!("loads stay on loopback");
    }
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
    let answer = load::once(address, &request)?;
    let floor = floor::start(answer)?;
    let turn = Duration::from_secs(args.seconds);
    let mut ratios = Vec::new();
    for round in 1..=args.rounds {
        let base = load::drive(floor.address(), &request, args.connections, turn, || {
            floor.cpu()
        })?;
        let theirs = load::drive(address, &request, args.connections, turn, || {
            load::cpu_of(args.pid)
        })?;
        let ratio = theirs.micros_per_request() / base.micros_per_request();
        println!(
            "round {round}: floor {:.1} us ({:.0}/s), server {:.1} us ({:.0}/s), ratio {ratio:.2}",
            base.micros_per_request(),
            base.per_second(),
            theirs.micros_per_request(),
            theirs.per_second(),
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    Ok(())
}
