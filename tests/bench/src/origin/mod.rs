//! The origin that all servers fetch from: a fast half, and a slow one for those who wait.

mod fast;
mod slow;

use anyhow::{Context, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub(crate) use slow::{SLOW_WAIT, STREAM_BYTES};

/// Of the origin's process.
#[derive(clap::Args)]
pub(crate) struct OriginArgs {
    #[arg(long)]
    fast: u16,
    #[arg(long)]
    slow: u16,
}

/// Requests of each path of the slow half.
type Counts = Arc<Mutex<HashMap<String, u64>>>;

/// Serves until the process is ended.
pub(crate) fn run(args: &OriginArgs) -> Result<()> {
    let (fast, slow) = (
        crate::floor::listen(args.fast)?,
        crate::floor::listen(args.slow)?,
    );
    std::thread::spawn(move || slow::serve(slow));
    fast::serve(&fast)
}

/// How many requests the fast half has had.
pub(crate) fn requests(fast: u16) -> Result<u64> {
    count(fast, "/_count")
}

/// How many requests of `path` the slow half has had.
pub(crate) fn requests_of(slow: u16, path: &str) -> Result<u64> {
    count(slow, &format!("/_count?{path}"))
}

fn count(port: u16, path: &str) -> Result<u64> {
    let body = crate::load::one::get(port, path)?.body;
    let text = String::from_utf8(body)?;
    text.trim().parse().context("the origin's count")
}

/// A short answer that nobody stores.
fn told(number: u64) -> Vec<u8> {
    let text = number.to_string();
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\r\n{text}")
        .into_bytes()
}
