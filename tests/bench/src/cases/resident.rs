//! What lies in memory: for each object, and for each connection that is silent.

use super::{Bench, Came, meter};
use crate::bodies::OBJECT_BYTES;
use crate::load::engine::{Wanted, drive};
use crate::load::plans::Each;
use crate::load::{idle as silent, one};
use crate::peers::Server;
use crate::report::{Figure, Measure};
use anyhow::{Result, ensure};
use std::time::Duration;

const CONNECTIONS: usize = 64;

/// Until what was freed lately is given back.
const SETTLE: Duration = Duration::from_secs(1);

/// Objects of 1 KiB, each asked for twice.
pub(super) fn objects(bench: &Bench, server: &Server) -> Result<Came> {
    let objects = bench.amounts.objects;
    let wanted = Wanted {
        port: server.ports.plain,
        host: None,
        connections: CONNECTIONS,
        body: OBJECT_BYTES,
        at_most: Duration::from_secs(90),
    };
    // what the first connections and answers cost is no object's
    drive(&wanted, &mut Each::new("/obj/first-", 1000))?;
    std::thread::sleep(SETTLE);
    let before = server.memory(&bench.ground);
    ensure!(before > 0, "its memory cannot be read");
    let (outcome, spent) =
        bench.meter(server, || drive(&wanted, &mut Each::new("/obj/", objects)))?;
    let mut faults = meter::faults(&outcome);
    faults.extend(meter::fetched_once(&spent, objects));
    let (again, spent) =
        bench.meter(server, || drive(&wanted, &mut Each::new("/obj/", objects)))?;
    faults.extend(meter::faults(&again));
    if spent.fetched * 100 > objects {
        faults.push(format!("{} of {objects} were not kept", spent.fetched));
    }
    std::thread::sleep(SETTLE);
    let grown = server.memory(&bench.ground).saturating_sub(before);
    Ok(Came {
        figures: vec![
            Figure(Measure::BytesEach, grown as f64 / objects as f64),
            Figure(Measure::PerSecond, outcome.per_second()),
        ],
        faults,
        other: None,
    })
}

/// Connections that have had one answer.
pub(super) fn idle(bench: &Bench, server: &Server) -> Result<Came> {
    let (port, connections) = (server.ports.plain, bench.amounts.idle);
    one::get(port, "/1k")?;
    // what the first ones cost is not each one's
    drop(silent::open(port, "/1k", 100)?);
    std::thread::sleep(SETTLE);
    let before = server.process.resident();
    ensure!(before > 0, "its memory cannot be read");
    let streams = silent::open(port, "/1k", connections)?;
    std::thread::sleep(SETTLE);
    let grown = server.process.resident().saturating_sub(before);
    let open = silent::still_open(&streams);
    let mut faults = Vec::new();
    if open < connections {
        faults.push(format!("{open} of {connections} are still open"));
    }
    let each = grown as f64 / connections as f64;
    Ok(Came {
        figures: vec![Figure(Measure::BytesEach, each)],
        faults,
        other: None,
    })
}
