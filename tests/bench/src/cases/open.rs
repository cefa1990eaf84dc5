//! Latency at a fixed rate, whatever the server does.

use super::{Bench, Came, meter};
use crate::bodies::OBJECT_BYTES;
use crate::load::engine::{Wanted, drive};
use crate::load::one;
use crate::load::plans::Rate;
use crate::peers::Server;
use crate::report::{Figure, Measure};
use anyhow::Result;
use std::time::Duration;

const PATH: &str = "/1k";
const CONNECTIONS: usize = 64;

pub(super) fn run(bench: &Bench, server: &Server) -> Result<Came> {
    for _ in 0..2 {
        one::get(server.ports.plain, PATH)?;
    }
    let amounts = bench.amounts;
    let wanted = Wanted {
        port: server.ports.plain,
        host: None,
        connections: CONNECTIONS,
        body: OBJECT_BYTES,
        at_most: Duration::from_secs(amounts.seconds + 10),
    };
    let mut plan = Rate {
        path: PATH,
        per_second: amounts.rate,
        total: u64::from(amounts.rate) * amounts.seconds,
        asked: 0,
    };
    let (mut outcome, spent) = bench.meter(server, || drive(&wanted, &mut plan))?;
    let mut came = Came {
        faults: meter::faults(&outcome),
        other: spent.other,
        ..Came::default()
    };
    if spent.fetched > 0 {
        came.faults.push(format!("{} were no hits", spent.fetched));
    }
    for (measure, share) in [
        (Measure::P50Micros, 500),
        (Measure::P90Micros, 900),
        (Measure::P99Micros, 990),
    ] {
        if let Some(micros) = outcome.latencies.quantile(share) {
            came.figures.push(Figure(measure, micros));
        }
    }
    let rate = Figure(Measure::PerSecond, outcome.per_second());
    came.figures.push(rate);
    Ok(came)
}
