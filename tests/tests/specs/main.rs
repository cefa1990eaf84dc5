//! What Seawall promises, over real sockets: origin answers, client asks, expect.

mod caching;
mod coalescing;
mod delivery;
mod faults;
mod framing;
mod passing;
mod secure;
mod site;
mod stale;
