//! TLS handshakes: a connection, one answer and the end of it, again and again.

use super::{Bench, Came, meter};
use crate::load::handshakes::{self, Handshake};
use crate::peers::Server;
use anyhow::Result;
use std::time::Duration;

pub(super) fn run(bench: &Bench, server: &Server, wanted: Handshake) -> Result<Came> {
    let (port, seconds) = (server.ports.https, bench.amounts.seconds);
    let warm = || handshakes::run(port, wanted, Duration::from_millis(100));
    let warmed = warm()?;
    anyhow::ensure!(warmed.errors == 0, "{} errors", warmed.errors);
    let load = || handshakes::run(port, wanted, Duration::from_secs(seconds));
    Ok(meter::hits(bench.meter(server, load)?))
}
