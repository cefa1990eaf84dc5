//! A server beside one that differs in one setting: what that costs.

use super::hits::{Hits, Wire};
use super::{Bench, Came, meter};
use crate::load::Outcome;
use crate::peers::{Server, Setting};
use crate::process::on_cores;
use crate::report::{Figure, Measure};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// What one has and the other has not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    /// A line of an access log for each request.
    Log,
    /// Two threads that serve, on both cores, which the load then has too.
    TwoWorkers,
}

/// Each of the two is loaded as often as this, the one after the other.
const TURNS: u32 = 2;
/// Until a line is written after its request was answered.
const LINES_WAIT: Duration = Duration::from_secs(2);

/// The load of both: 1 KiB, plain.
const LOAD: Hits = Hits {
    path: "/1k",
    connections: 64,
    wire: Wire::Plain,
};

/// `without` is the one that all cases share; the other is started for this.
pub(super) fn run(bench: &Bench, without: &Server, with: With) -> Result<Came> {
    let setting = match with {
        With::Log => Setting {
            log: true,
            ..Setting::USUAL
        },
        With::TwoWorkers => Setting {
            workers: 2,
            ..Setting::USUAL
        },
    };
    let other = Server::start(&bench.ground, without.kind, setting)?;
    let mut came = Came::default();
    let (mut base, mut ours, mut ratios) = (Mean::default(), Mean::default(), Vec::new());
    for turn in 0..TURNS {
        let mut cpu = [0.0; 2];
        // each goes first once: what came before leaves the caches as it likes
        for which in [turn % 2, (turn + 1) % 2] {
            let (server, mean) = match which {
                0 => (without, &mut base),
                _ => (&other, &mut ours),
            };
            let load = || bench_load(bench, server, with);
            let metered = bench.meter(server, load)?;
            if which == 1 && with == With::Log {
                came.faults.extend(missing(server, metered.0.requests)?);
            }
            let one = meter::hits(metered);
            cpu[which as usize] = mean.add(&one);
            came.faults.extend(one.faults);
            came.other = one
                .other
                .map(|other| other.max(came.other.unwrap_or_default()));
        }
        ratios.push(cpu[1] / cpu[0].max(1e-9));
    }
    let ratio = ratios.iter().sum::<f64>() / f64::from(TURNS);
    came.figures = vec![
        Figure(Measure::ToWithout, ratio),
        Figure(Measure::CpuMicros, ours.cpu / f64::from(TURNS)),
        Figure(Measure::WithoutCpuMicros, base.cpu / f64::from(TURNS)),
        Figure(Measure::PerSecond, ours.rate / f64::from(TURNS)),
        Figure(Measure::WithoutPerSecond, base.rate / f64::from(TURNS)),
    ];
    Ok(came)
}

fn bench_load(bench: &Bench, server: &Server, with: With) -> Result<Outcome> {
    // also for the one with one worker, so that both have the same load
    let cores = match with {
        With::Log => &[][..],
        With::TwoWorkers => &bench.ground.all_cores,
    };
    LOAD.warm(bench, server)?;
    on_cores(cores, || LOAD.load(bench, server))?
}

/// Sums over the turns.
#[derive(Default)]
struct Mean {
    cpu: f64,
    rate: f64,
}

impl Mean {
    /// The processor time of this one.
    fn add(&mut self, one: &Came) -> f64 {
        let figure = |measure| {
            let found = one.figures.iter().find(|figure| figure.0 == measure);
            found.map_or(0.0, |figure| figure.1)
        };
        self.cpu += figure(Measure::CpuMicros);
        self.rate += figure(Measure::PerSecond);
        figure(Measure::CpuMicros)
    }
}

/// Waits for the lines of `requests`, and takes them away.
fn missing(server: &Server, requests: u64) -> Result<Option<String>> {
    let (file, began) = (server.access_log(), Instant::now());
    let mut written = lines(&file)?;
    while written < requests && began.elapsed() < LINES_WAIT {
        std::thread::sleep(Duration::from_millis(20));
        written = lines(&file)?;
    }
    // it is appended to: the next line is then the first
    File::options().write(true).open(&file)?.set_len(0)?;
    Ok((written < requests).then(|| format!("{written} lines of {requests} requests")))
}

fn lines(file: &Path) -> Result<u64> {
    let mut file = File::open(file).with_context(|| file.display().to_string())?;
    let (mut lines, mut part) = (0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(lines),
            n => lines += memchr::memchr_iter(b'\n', &part[..n]).count() as u64,
        }
    }
}
