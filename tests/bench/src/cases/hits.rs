//! Hits in memory: of one URL over each wire, and of many.

use super::{Bench, Came, meter};
use crate::bodies::{BODIES, OBJECT_BYTES};
use crate::load::engine::{Wanted, drive};
use crate::load::plans::{Draw, Each, Keys, Same};
use crate::load::random::{Numbers, Zipf};
use crate::load::{Outcome, h2load, oha, one, secure, wrk};
use crate::peers::{Kind, Server};
use anyhow::{Result, ensure};
use std::time::Duration;

/// Of one URL.
pub(super) struct Hits {
    pub(super) path: &'static str,
    pub(super) connections: usize,
    pub(super) wire: Wire,
}

/// What is spoken.
#[derive(PartialEq)]
pub(super) enum Wire {
    Plain,
    /// The same, with oha as the load.
    Oha,
    /// A connection for each request.
    Closed,
    Https,
    H2 {
        streams: usize,
    },
    /// HTTP/2 with prior knowledge.
    H2c {
        streams: usize,
    },
}

/// How often each of many keys is asked for.
pub(super) enum Popularity {
    Uniform,
    /// With s = 1.
    Zipf,
}

impl Hits {
    fn bytes(&self) -> u64 {
        let body = BODIES.iter().find(|b| b.path == self.path);
        body.map_or(0, |b| b.bytes as u64)
    }

    pub(super) fn is_large(&self) -> bool {
        self.bytes() >= 64 << 10
    }

    pub(super) fn lacks(&self, bench: &Bench) -> Option<&'static str> {
        match self.wire {
            Wire::Plain => None,
            Wire::Oha => (!bench.oha).then_some("oha"),
            Wire::Closed | Wire::Https => (!bench.wrk).then_some("wrk"),
            Wire::H2 { .. } | Wire::H2c { .. } => (!bench.h2load).then_some("h2load"),
        }
    }

    pub(super) fn run(&self, bench: &Bench, server: &Server) -> Result<Came> {
        self.warm(bench, server)?;
        let metered = bench.meter(server, || self.load(bench, server))?;
        Ok(meter::hits(metered))
    }

    fn url(&self, server: &Server) -> String {
        let ports = server.ports;
        let (scheme, port) = match self.wire {
            Wire::Plain | Wire::Oha | Wire::Closed => ("http", ports.plain),
            Wire::Https => ("https", ports.https),
            Wire::H2 { .. } => ("https", ports.h2),
            Wire::H2c { .. } => ("http", ports.h2c),
        };
        format!("{scheme}://127.0.0.1:{port}{}", self.path)
    }

    /// The first answer fills the cache; some peers keep what was asked for twice.
    pub(super) fn warm(&self, bench: &Bench, server: &Server) -> Result<()> {
        let ask = || match self.wire {
            Wire::Https => {
                let tls = bench.ground.certificate.client()?;
                secure::get(server.ports.https, self.path, tls)
            }
            _ => Ok(one::get(server.ports.plain, self.path)?.status),
        };
        if matches!(self.wire, Wire::H2 { .. } | Wire::H2c { .. }) {
            let warmed = h2load::twice(&self.url(server))?;
            ensure!(warmed.requests == 2 && warmed.errors == 0, "{warmed:?}");
            return Ok(());
        }
        for _ in 0..2 {
            let status = ask()?;
            ensure!(status == 200, "answered with {status}");
        }
        Ok(())
    }

    pub(super) fn load(&self, bench: &Bench, server: &Server) -> Result<Outcome> {
        let (url, connections, seconds) =
            (self.url(server), self.connections, bench.amounts.seconds);
        match self.wire {
            Wire::Plain if !bench.wrk => drive(
                &Wanted {
                    port: server.ports.plain,
                    host: None,
                    connections,
                    body: self.bytes(),
                    at_most: Duration::from_secs(seconds + 30),
                },
                &mut Same {
                    path: self.path,
                    lasting: Duration::from_secs(seconds),
                },
            ),
            Wire::Plain | Wire::Https => wrk::run(&url, connections, seconds, false),
            Wire::Oha => oha::run(&url, connections, seconds),
            Wire::Closed => wrk::run(&url, connections, seconds, true),
            Wire::H2 { streams } | Wire::H2c { streams } => {
                h2load::run(&url, connections, streams, seconds)
            }
        }
    }
}

/// Connections of the loads over many keys.
const CONNECTIONS: usize = 64;

/// Hits of many keys of 1 KiB each.
pub(super) fn keys(
    bench: &Bench,
    server: &Server,
    popularity: &Popularity,
    round: u32,
) -> Result<Came> {
    let amounts = bench.amounts;
    let mut wanted = Wanted {
        port: server.ports.plain,
        host: None,
        connections: CONNECTIONS,
        body: OBJECT_BYTES,
        at_most: Duration::from_secs(120),
    };
    if server.kind != Kind::Floor {
        warm_keys(bench, &wanted, amounts.keys)?;
    }
    let draw = match popularity {
        Popularity::Uniform => Draw::Uniform,
        Popularity::Zipf => Draw::Zipf(Zipf::new(amounts.keys, 1.0)),
    };
    let mut plan = Keys {
        count: amounts.keys,
        draw,
        numbers: Numbers::seeded(round.into()),
        lasting: Duration::from_secs(amounts.seconds),
    };
    wanted.at_most = Duration::from_secs(amounts.seconds + 30);
    let metered = bench.meter(server, || drive(&wanted, &mut plan))?;
    Ok(meter::hits(metered))
}

/// All keys are there when this returns. Where the last of them is a hit already, nothing is done.
fn warm_keys(bench: &Bench, wanted: &Wanted, keys: u64) -> Result<()> {
    let origin = bench.ground.origin.fast;
    for _ in 0..4 {
        let before = crate::origin::requests(origin)?;
        // a part of them first: where it is all there, so are the others, by the round before
        let sample = drive(wanted, &mut Each::new("/obj/", keys / 20 + 1))?;
        ensure!(sample.errors == 0, "{} errors", sample.errors);
        if crate::origin::requests(origin)? == before {
            return Ok(());
        }
        for _ in 0..2 {
            let all = drive(wanted, &mut Each::new("/obj/", keys))?;
            ensure!(all.errors == 0, "{} errors", all.errors);
        }
    }
    Ok(())
}
