//! What Seawall promises, over real sockets: origin answers, client asks, expect.
#![allow(clippy::print_stdout, reason = "a crawl tells its figures")]

mod api;
mod caching;
mod coalescing;
mod damage;
mod delivery;
mod directives;
mod disk_faults;
mod disks;
mod faults;
mod framing;
mod holes;
mod kernel_faults;
mod kills;
mod last_good;
mod listeners;
mod membership;
mod messages;
mod operating;
mod passing;
mod purge_method;
mod purging;
mod purging_fields;
mod purging_tiers;
mod races;
mod reloads;
mod removal;
mod secure;
mod site;
mod soft;
mod stale;
mod strangers;
mod targeted;
mod validation;
mod variants;
mod waiting;
