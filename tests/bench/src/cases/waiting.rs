//! Clients that wait for one slow answer.

use super::{Bench, Came, meter};
use crate::load::engine::{Wanted, drive};
use crate::load::one::{Head, connect};
use crate::load::plans::Times;
use crate::origin::{self, SLOW_WAIT, STREAM_BYTES};
use crate::peers::{SLOW_HOST, Server};
use crate::report::{Figure, Measure};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const SLOW_BODY: u64 = 10 << 10;

/// All ask at once, each on its own connection.
fn crowd(clients: u64) -> impl Fn(u16) -> Wanted {
    move |port| Wanted {
        port,
        host: Some(SLOW_HOST),
        connections: clients as usize,
        body: SLOW_BODY,
        at_most: Duration::from_secs(60),
    }
}

/// 200 clients of one URL that is not cached.
pub(super) fn collapse(bench: &Bench, server: &Server, round: u32) -> Result<Came> {
    const CLIENTS: u64 = 200;
    let path = format!("/slow/{}-{round}", server.ports.plain);
    let mut plan = Times {
        path: &path,
        left: CLIENTS,
    };
    let mut outcome = drive(&crowd(CLIENTS)(server.ports.plain), &mut plan)?;
    let fetches = origin::requests_of(bench.ground.origin.slow, &path)?;
    let waited = outcome.latencies.quantile(500).unwrap_or_default() / 1e3;
    let mut faults = meter::faults(&outcome);
    if outcome.requests != CLIENTS {
        faults.push(format!("{} of {CLIENTS} were answered", outcome.requests));
    }
    Ok(Came {
        figures: vec![
            Figure(Measure::Fetches, fetches as f64),
            Figure(Measure::MedianMs, waited),
        ],
        faults,
        other: None,
    })
}

/// Clients of one URL that may not be stored, twice.
pub(super) fn no_store(bench: &Bench, server: &Server) -> Result<Came> {
    const CLIENTS: u64 = 50;
    let path = format!("/slow/nostore-{}", server.ports.plain);
    let mut came = Came::default();
    for measure in [Measure::MedianMs, Measure::AgainMs] {
        let mut plan = Times {
            path: &path,
            left: CLIENTS,
        };
        let mut outcome = drive(&crowd(CLIENTS)(server.ports.plain), &mut plan)?;
        let waited = outcome.latencies.quantile(500).unwrap_or_default() / 1e3;
        came.figures.push(Figure(measure, waited));
        came.faults.extend(meter::faults(&outcome));
        if waited * 1.02 < SLOW_WAIT.as_secs_f64() * 1e3 {
            came.faults
                .push("faster than the origin: not the origin's answer".to_owned());
        }
    }
    let fetches = origin::requests_of(bench.ground.origin.slow, &path)?;
    came.figures.push(Figure(Measure::Fetches, fetches as f64));
    Ok(came)
}

/// A second client of a body that takes a second: when does its first byte come?
pub(super) fn join(bench: &Bench, server: &Server, round: u32) -> Result<Came> {
    let path = format!("/stream/{}-{round}", server.ports.plain);
    let port = server.ports.plain;
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| stream(port, &path));
        std::thread::sleep(Duration::from_millis(300));
        let second = stream(port, &path);
        (first.join(), second)
    });
    let mut faults = Vec::new();
    match first {
        Ok(Ok(_)) => {}
        Ok(Err(e)) => faults.push(format!("the first client: {e:#}")),
        Err(_) => bail!("the first client ended early"),
    }
    let second = second.context("the client that joined")?;
    let fetches = origin::requests_of(bench.ground.origin.slow, &path)?;
    Ok(Came {
        figures: vec![
            Figure(Measure::FirstByteMs, second.as_secs_f64() * 1e3),
            Figure(Measure::Fetches, fetches as f64),
        ],
        faults,
        other: None,
    })
}

/// Reads all of it: from the request to the first byte of the body.
fn stream(port: u16, path: &str) -> Result<Duration> {
    let mut stream = connect(port)?;
    let asked = Instant::now();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {SLOW_HOST}\r\n\r\n")?;
    let (mut begun, mut part) = (Vec::new(), vec![0; 256 * 1024]);
    let (mut first, mut body) = (None, 0);
    while body < STREAM_BYTES {
        let n = match stream.read(&mut part)? {
            0 => bail!("cut after {body} bytes"),
            n => n,
        };
        if first.is_some() {
            body += n;
            continue;
        }
        begun.extend_from_slice(&part[..n]);
        if let Some(head) = Head::read(&begun) {
            anyhow::ensure!(head.status == 200, "answered with {}", head.status);
            body = begun.len() - head.bytes;
            first = (body > 0).then(|| asked.elapsed());
        }
    }
    first.context("no body")
}
