//! How warm a server is after `kill -9` and a new start.

use super::{Bench, Came, meter};
use crate::bodies::OBJECT_BYTES;
use crate::load::engine::{Wanted, drive};
use crate::load::one::{ask, connect, host};
use crate::load::plans::Each;
use crate::load::random::Numbers;
use crate::origin::requests;
use crate::peers::Server;
use crate::report::{Figure, Measure};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

/// Between the last fill and the kill: what is younger may be lost.
const SETTLE: Duration = Duration::from_secs(1);
/// Longest wait for a first hit.
const WARM_MAX: Duration = Duration::from_secs(20);
/// Objects that are asked for afterwards.
const SAMPLE: u64 = 500;

pub(super) fn run(bench: &Bench, server: &mut Server) -> Result<Came> {
    let (objects, port) = (bench.amounts.kept, server.ports.plain);
    let wanted = Wanted {
        port,
        host: None,
        connections: 64,
        body: OBJECT_BYTES,
        at_most: Duration::from_secs(60),
    };
    let filled = drive(&wanted, &mut Each::new("/obj/", objects))?;
    let mut faults = meter::faults(&filled);
    std::thread::sleep(SETTLE);
    server.process.kill();
    let began = Instant::now();
    server.again(&bench.ground)?;
    let origin = bench.ground.origin.fast;
    let mut numbers = Numbers::seeded(1);
    let mut first_hit = None;
    while first_hit.is_none() && began.elapsed() < WARM_MAX {
        ensure!(
            server.process.alive(),
            "it ended: {}",
            server.process.last_words()
        );
        let before = requests(origin)?;
        match get(port, numbers.below(objects)) {
            Ok(200) if requests(origin)? == before => first_hit = Some(began.elapsed()),
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    if first_hit.is_none() {
        faults.push(format!("no hit within {WARM_MAX:?}"));
    }
    let before = requests(origin)?;
    let mut stream = connect(port).context("after the restart")?;
    for _ in 0..SAMPLE {
        let path = format!("/obj/{}", numbers.below(objects));
        // some close once in a while
        match ask(&mut stream, &host(port, None), &path) {
            Ok(answer) if answer.status == 200 => {}
            _ => stream = connect(port)?,
        }
    }
    let misses = requests(origin)?.saturating_sub(before);
    let hits = SAMPLE.saturating_sub(misses) as f64 * 100.0 / SAMPLE as f64;
    let mut figures = vec![Figure(Measure::HitPercent, hits)];
    if let Some(first) = first_hit {
        figures.push(Figure(Measure::FirstHitMs, first.as_secs_f64() * 1e3));
    }
    Ok(Came {
        figures,
        faults,
        other: None,
    })
}

fn get(port: u16, object: u64) -> Result<u16> {
    let mut stream = connect(port)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(ask(&mut stream, &host(port, None), &format!("/obj/{object}"))?.status)
}
