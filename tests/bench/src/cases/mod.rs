//! What is measured: each case, which servers it is for, and how one run of it goes.

mod fills;
mod handshakes;
mod hits;
mod meter;
mod open;
mod resident;
mod restart;
mod twins;
mod waiting;

pub(crate) mod purges;

use crate::load::handshakes::Handshake;
use crate::peers::{Cache, Ground, Kind, Server};
use crate::report::{Figure, Run};
use anyhow::Result;
use hits::{Hits, Wire};
use twins::With;

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Amounts {
    pub(crate) seconds: u64,
    pub(crate) repeats: u32,
    /// Keys of the uniform and the Zipf load.
    pub(crate) keys: u64,
    /// Objects of one run of fills.
    pub(crate) fills: u64,
    /// Objects that memory is measured with.
    pub(crate) objects: u64,
    pub(crate) idle: usize,
    /// Objects on disk at a restart.
    pub(crate) kept: u64,
    /// Requests a second of the open loop.
    pub(crate) rate: u32,
}

/// What a run needs.
pub(crate) struct Bench {
    pub(crate) ground: Ground,
    pub(crate) amounts: Amounts,
    pub(crate) wrk: bool,
    pub(crate) h2load: bool,
    pub(crate) oha: bool,
}

/// Which table a case stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    Hits,
    Secure,
    Rest,
}

pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) group: Group,
    work: Work,
    /// Part of `--quick`.
    pub(crate) quick: bool,
}

enum Work {
    Hits(Hits),
    Keys(hits::Popularity),
    Handshakes(Handshake),
    Twins(With),
    Open,
    Fills,
    Collapse,
    Join,
    NoStore,
    Memory,
    Idle,
    Restart,
}

/// A case's own servers, or those of all cases.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    Shared,
    /// Started for each run, and empty.
    Own(Cache),
}

const fn case(
    id: &'static str,
    title: &'static str,
    group: Group,
    work: Work,
    quick: bool,
) -> Case {
    Case {
        id,
        title,
        group,
        work,
        quick,
    }
}

const fn hits(path: &'static str, connections: usize, wire: Wire) -> Work {
    Work::Hits(Hits {
        path,
        connections,
        wire,
    })
}

/// All cases, in their order in the tables.
pub(crate) const CASES: [Case; 27] = {
    use Group::{Hits, Rest, Secure};
    use hits::Popularity::{Uniform, Zipf};
    const EIGHT: Wire = Wire::H2 { streams: 8 };
    const ONE: Wire = Wire::H2 { streams: 1 };
    const CLEAR: Wire = Wire::H2c { streams: 8 };
    [
        case("1k", "1 KiB", Hits, hits("/1k", 64, Wire::Plain), true),
        case("10k", "10 KiB", Hits, hits("/10k", 64, Wire::Plain), false),
        case("64k", "64 KiB", Hits, hits("/64k", 64, Wire::Plain), true),
        case("1m", "1 MiB", Hits, hits("/1m", 16, Wire::Plain), true),
        case("32m", "32 MiB", Hits, hits("/32m", 4, Wire::Plain), false),
        case(
            "oha",
            "1 KiB, by oha",
            Hits,
            hits("/1k", 64, Wire::Oha),
            false,
        ),
        case(
            "close",
            "1 KiB, closed",
            Hits,
            hits("/1k", 64, Wire::Closed),
            true,
        ),
        case("uniform", "many keys", Hits, Work::Keys(Uniform), true),
        case("zipf", "many keys, Zipf", Hits, Work::Keys(Zipf), false),
        case(
            "https-1k",
            "HTTPS/1.1 1 KiB",
            Secure,
            hits("/1k", 64, Wire::Https),
            true,
        ),
        case(
            "tls-full",
            "full handshake",
            Secure,
            Work::Handshakes(Handshake::Full),
            true,
        ),
        case(
            "tls-resumed",
            "resumed handshake",
            Secure,
            Work::Handshakes(Handshake::Resumed),
            false,
        ),
        case(
            "https-64k",
            "HTTPS/1.1 64 KiB",
            Secure,
            hits("/64k", 64, Wire::Https),
            false,
        ),
        case(
            "h2-8x8",
            "h2 1 KiB 8x8",
            Secure,
            hits("/1k", 8, EIGHT),
            true,
        ),
        case(
            "h2-64x1",
            "h2 1 KiB 64x1",
            Secure,
            hits("/1k", 64, ONE),
            true,
        ),
        case(
            "h2-64k",
            "h2 64 KiB 8x8",
            Secure,
            hits("/64k", 8, EIGHT),
            false,
        ),
        case("h2c", "h2c 1 KiB 8x8", Secure, hits("/1k", 8, CLEAR), true),
        case(
            "log",
            "1 KiB, access log on",
            Rest,
            Work::Twins(With::Log),
            false,
        ),
        case(
            "threads",
            "1 KiB, two workers, without it one",
            Rest,
            Work::Twins(With::TwoWorkers),
            false,
        ),
        case("open", "open loop", Rest, Work::Open, true),
        case("fills", "fills", Rest, Work::Fills, true),
        case(
            "collapse",
            "200 clients, one cold URL",
            Rest,
            Work::Collapse,
            true,
        ),
        case("join", "joining a slow 20 MB fill", Rest, Work::Join, true),
        case(
            "no-store",
            "50 clients, one no-store URL",
            Rest,
            Work::NoStore,
            false,
        ),
        case(
            "memory",
            "memory of a 1 KiB object",
            Rest,
            Work::Memory,
            true,
        ),
        case(
            "idle",
            "memory of an idle connection",
            Rest,
            Work::Idle,
            true,
        ),
        case("restart", "kill -9 and restart", Rest, Work::Restart, true),
    ]
};

/// What one run came to, before it is known whose it was.
#[derive(Default)]
pub(crate) struct Came {
    figures: Vec<Figure>,
    /// Why the figures do not say what they should.
    faults: Vec<String>,
    /// What else ran, as a share of a core.
    other: Option<f64>,
}

impl Case {
    pub(crate) fn servers(&self) -> Servers {
        match self.work {
            Work::Memory | Work::Idle => Servers::Own(Cache::Memory),
            Work::Restart => Servers::Own(Cache::Disk),
            _ => Servers::Shared,
        }
    }

    /// Whether it says something about a server; nginx takes part in the setting that is its best.
    pub(crate) fn is_for(&self, kind: Kind) -> bool {
        use Kind::{Floor, NginxDisk, NginxLarge, NginxSmall, Seawall, Squid, TrafficServer};
        match &self.work {
            Work::Hits(hits) => {
                let other = if hits.is_large() {
                    NginxSmall
                } else {
                    NginxLarge
                };
                ![other, NginxDisk].contains(&kind)
                    && (self.group == Group::Hits || kind.speaks_tls())
            }
            Work::Handshakes(_) => ![NginxLarge, NginxDisk].contains(&kind) && kind.speaks_tls(),
            // the others have other logs, and other threads
            Work::Twins(With::Log) => kind == Seawall,
            Work::Twins(With::TwoWorkers) => [Floor, Seawall].contains(&kind),
            Work::Restart => [Seawall, NginxDisk, TrafficServer, Squid].contains(&kind),
            // it takes all its room at the start: growth says nothing
            Work::Memory if kind == Kind::HaProxy => false,
            Work::Open | Work::Keys(_) => ![NginxLarge, NginxDisk].contains(&kind),
            _ => ![Floor, NginxLarge, NginxDisk].contains(&kind),
        }
    }

    /// A program that is missing for it.
    pub(crate) fn lacks(&self, bench: &Bench) -> Option<&'static str> {
        match &self.work {
            Work::Hits(hits) => hits.lacks(bench),
            _ => None,
        }
    }

    /// Rounds of it: what takes long, or says the same each time, runs once.
    pub(crate) fn rounds(&self, repeats: u32) -> u32 {
        match self.work {
            Work::NoStore | Work::Memory | Work::Idle | Work::Restart => 1,
            _ => repeats,
        }
    }

    /// One run. An error is told as a fault of it.
    pub(crate) fn run(&self, bench: &Bench, server: &mut Server, round: u32) -> Run {
        let came = self.work(bench, server, round).unwrap_or_else(|e| Came {
            faults: vec![format!("{e:#}")],
            ..Came::default()
        });
        Run {
            server: server.kind.name(),
            round,
            figures: came.figures,
            faults: came.faults,
            other: came.other,
        }
    }

    fn work(&self, bench: &Bench, server: &mut Server, round: u32) -> Result<Came> {
        match &self.work {
            Work::Hits(hits) => hits.run(bench, server),
            Work::Handshakes(wanted) => handshakes::run(bench, server, *wanted),
            Work::Twins(with) => twins::run(bench, server, *with),
            Work::Keys(popularity) => hits::keys(bench, server, popularity, round),
            Work::Open => open::run(bench, server),
            Work::Fills => fills::run(bench, server, round),
            Work::Collapse => waiting::collapse(bench, server, round),
            Work::Join => waiting::join(bench, server, round),
            Work::NoStore => waiting::no_store(bench, server),
            Work::Memory => resident::objects(bench, server),
            Work::Idle => resident::idle(bench, server),
            Work::Restart => restart::run(bench, server),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_cases_have_one_id() {
        let ids: BTreeSet<&str> = CASES.iter().map(|c| c.id).collect();
        assert_eq!(ids.len(), CASES.len());
    }

    #[test]
    fn each_server_takes_part_in_one_setting_at_most() {
        for case in &CASES {
            let mut names = BTreeSet::new();
            for kind in crate::peers::KINDS.into_iter().filter(|k| case.is_for(*k)) {
                assert!(names.insert(kind.name()), "{}: {}", case.id, kind.name());
            }
            assert!(names.contains("seawall"), "{}", case.id);
        }
    }
}
