//! What a load costs: the server's processor time, and what else there was.

use super::{Bench, Came};
use crate::load::Outcome;
use crate::machine::busy;
use crate::origin;
use crate::peers::Server;
use crate::process::own_cpu;
use crate::report::{Figure, Measure};
use anyhow::Result;
use std::time::{Duration, Instant};

/// Fewer misses than one in so many leave a figure what it is: some peers lose one of many objects.
const MISSES_ONE_IN: u64 = 2000;

/// Of one load.
pub(super) struct Spent {
    /// User and system time of the server's processes.
    pub(super) cpu: Duration,
    /// What ran that was neither the server nor the load nor the origin, as a share of a core.
    pub(super) other: Option<f64>,
    /// Requests that the origin had.
    pub(super) fetched: u64,
}

impl Bench {
    /// Applies a load.
    pub(super) fn meter(
        &self,
        server: &Server,
        load: impl FnOnce() -> Result<Outcome>,
    ) -> Result<(Outcome, Spent)> {
        let origin = &self.ground.origin;
        let fetched = origin::requests(origin.fast)?;
        let ours = || own_cpu() + origin.process.cpu();
        let (cpu, others, all, began) = (server.process.cpu(), ours(), busy(), Instant::now());
        let outcome = load()?;
        let cpu = server.process.cpu().saturating_sub(cpu);
        let others = ours().saturating_sub(others);
        let other = all.zip(busy()).map(|(before, after)| {
            let rest = (after.saturating_sub(before)).saturating_sub(cpu + others);
            rest.as_secs_f64() / began.elapsed().as_secs_f64().max(1e-9)
        });
        let fetched = origin::requests(origin.fast)?.saturating_sub(fetched);
        let spent = Spent {
            cpu,
            other,
            fetched,
        };
        Ok((outcome, spent))
    }
}

/// Of a load that is all hits.
pub(super) fn hits((mut outcome, spent): (Outcome, Spent)) -> Came {
    let cpu = spent.cpu.as_secs_f64() * 1e6 / outcome.requests.max(1) as f64;
    let mut figures = vec![
        Figure(Measure::CpuMicros, cpu),
        Figure(Measure::PerSecond, outcome.per_second()),
    ];
    for (measure, share) in [(Measure::P50Micros, 500), (Measure::P99Micros, 990)] {
        if let Some(micros) = outcome.latencies.quantile(share) {
            figures.push(Figure(measure, micros));
        }
    }
    let mut faults = faults(&outcome);
    if spent.cpu.is_zero() {
        faults.push("its processor time cannot be read".to_owned());
    }
    if spent.fetched * MISSES_ONE_IN > outcome.requests {
        faults.push(format!(
            "{} of {} were no hits",
            spent.fetched, outcome.requests
        ));
    }
    Came {
        figures,
        faults,
        other: spent.other,
    }
}

/// Where each of `objects` is fetched once; some peers ask twice for one of many.
pub(super) fn fetched_once(spent: &Spent, objects: u64) -> Option<String> {
    let fetched = spent.fetched;
    let off = fetched.abs_diff(objects);
    (off * MISSES_ONE_IN > objects).then(|| format!("{fetched} fetches of {objects} objects"))
}

/// What must not be in any load.
pub(super) fn faults(outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    if outcome.requests == 0 {
        faults.push("nothing was answered".to_owned());
    }
    if outcome.errors > 0 {
        let (errors, requests) = (outcome.errors, outcome.requests);
        faults.push(format!("{errors} errors in {requests} requests"));
    }
    faults
}
