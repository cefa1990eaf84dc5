//! What Seawall promises, over real sockets: origin answers, client asks, expect.
#![allow(clippy::print_stdout, reason = "a crawl tells its figures")]

mod caching;
mod coalescing;
mod delivery;
mod disks;
mod faults;
mod framing;
mod operating;
mod passing;
mod purging;
mod races;
mod secure;
mod site;
mod stale;
