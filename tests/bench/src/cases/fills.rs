//! Misses: each object is fetched from the origin, once.

use super::{Bench, Came, meter};
use crate::bodies::OBJECT_BYTES;
use crate::load::engine::{Wanted, drive};
use crate::load::plans::Each;
use crate::peers::Server;
use crate::report::{Figure, Measure};
use anyhow::Result;
use std::time::Duration;

const CONNECTIONS: usize = 64;

pub(super) fn run(bench: &Bench, server: &Server, round: u32) -> Result<Came> {
    let wanted = Wanted {
        port: server.ports.plain,
        host: None,
        connections: CONNECTIONS,
        body: OBJECT_BYTES,
        at_most: Duration::from_secs(60),
    };
    let fills = bench.amounts.fills;
    let mut plan = Each::new(format!("/obj/round-{round}-"), fills);
    let (outcome, spent) = bench.meter(server, || drive(&wanted, &mut plan))?;
    let mut faults = meter::faults(&outcome);
    faults.extend(meter::fetched_once(&spent, fills));
    let cpu = spent.cpu.as_secs_f64() * 1e6 / outcome.requests.max(1) as f64;
    Ok(Came {
        figures: vec![
            Figure(Measure::PerSecond, outcome.per_second()),
            Figure(Measure::CpuMicros, cpu),
        ],
        faults,
        other: spent.other,
    })
}
