//! What purges cost: on a fleet of four edges and a shield in one process, every fsync included, and in the table; with
//! `fleet`, on hundreds of simulated nodes.
//!
//! Loads are bounded in time, and stay on loopback. The disk is that of the temporary directory (TMPDIR).
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../simulated.rs"]
mod simulated;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use seawall_cache_store::Purges;
use seawall_cache_store::memo::Memo;
use seawall_purge::lineage::Held;
use seawall_purge::{Epoch, Label, Purge, PurgeSeq, ScopeId, Strength, Table};
use seawall_tests::{Client, Fleet, FleetSpec, Origin};
use serde_json::{Value, json};
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Figures of purges.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Purges one after the other.
    #[arg(long, default_value_t = 1000)]
    purges: u32,
    /// Purges a second at a fixed rate.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Seconds at that rate, at most 120.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=120))]
    seconds: u64,
    /// Objects on disk at a restart.
    #[arg(long, default_value_t = 100_000)]
    objects: u32,
}

#[derive(Subcommand)]
enum Command {
    /// Simulated nodes on one control plane, by mutual TLS: how long until a purge is applied on all of them.
    Fleet(simulated::FleetArgs),
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(Command::Fleet(fleet)) = &args.command {
        return simulated::run(fleet);
    }
    table()?;
    check();
    matching()?;
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let spec = FleetSpec {
        edges: 4,
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    one_by_one(&fleet, args.purges)?;
    let lasting = Duration::from_secs(args.seconds);
    at_a_rate(fleet.admin(), fleet.token(), tag, args.rate, lasting)?;
    drop(fleet);
    restart(&origin, args.objects)
}

fn at(n: u64) -> PurgeSeq {
    PurgeSeq::new(Epoch(1), n)
}

fn purge(n: u64, scope: u64) -> Purge {
    Purge {
        at: at(n),
        term: 1,
        appended_ms: n,
        strength: Strength::Hard,
        scopes: vec![ScopeId(digest(scope))],
        pace: None,
    }
}

/// Spreads numbers as digests are: the steps of splitmix64 (Steele, Lea, Flood, 2014).
fn digest(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn resident_bytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .context("/proc/self/statm")?;
    Ok(pages * 4096)
}

fn table() -> Result<()> {
    for strength in [Strength::Hard, Strength::Soft] {
        let before = resident_bytes()?;
        let table = Table::new(at(0));
        for n in 1..=1_000_000 {
            table.apply(&Purge {
                strength,
                ..purge(n, n)
            })?;
        }
        let bytes = resident_bytes()?.saturating_sub(before);
        let (records, mib) = (table.records(), bytes as f64 / f64::from(1 << 20));
        println!("table: {records} records ({strength:?}), {mib:.1} MiB resident");
        // the next one is not to be filled into what this one leaves
        std::mem::forget(table);
    }
    Ok(())
}

/// One check of a copy when nothing new arrived, and one when something did.
fn check() {
    let table = Table::new(at(0));
    for n in 1..=1000 {
        let _ = table.apply(&purge(n, n));
    }
    let (memo, label) = (Memo::default(), Label(at(3)));
    memo.set_live(table.at());
    const TURNS: u32 = 100_000_000;
    let begun = Instant::now();
    let mut live = 0_u64;
    for _ in 0..TURNS {
        live += u64::from(black_box(&memo).is_live(black_box(label), black_box(&table).at()));
    }
    let memoised = begun.elapsed().as_secs_f64() * 1e9 / f64::from(TURNS);
    black_box(live);
    let scopes: Vec<ScopeId> = (0..10).map(|i| ScopeId(u64::MAX / (i + 3))).collect();
    const JUDGED: u32 = 1_000_000;
    let begun = Instant::now();
    for _ in 0..JUDGED {
        black_box(table.judge(black_box(label), &scopes));
    }
    let judged = begun.elapsed().as_secs_f64() * 1e9 / f64::from(JUDGED);
    println!(
        "check: {memoised:.1} ns when nothing new arrived, {judged:.0} ns for 10 scopes when it did"
    );
}

/// A purge names a scope; how many copies carry it, it does not ask. Durable, in the table, in S.
fn matching() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let purges = Purges::open(dir.path())?;
    let held = Held { at: at(0), term: 1 };
    purges.start_empty(held, || ())?;
    let copies = |count: u64| {
        (0..count)
            .map(|i| [ScopeId(7), ScopeId(i << 8)])
            .collect::<Vec<_>>()
    };
    let mut n = 0;
    for count in [1, 1_000_000] {
        let copies = copies(count);
        let mut times = Vec::new();
        for _ in 0..200 {
            n += 1;
            let mut one = purge(n, n);
            one.scopes = vec![ScopeId(7)];
            let begun = Instant::now();
            purges.apply(&[one])?;
            times.push(begun.elapsed());
        }
        let gone = copies.iter().filter(|scopes| {
            let verdict = purges.table().judge(Label(at(0)), &scopes[..]);
            verdict == seawall_purge::Verdict::Gone
        });
        let gone = gone.count();
        println!(
            "matching {gone} copies: a purge on a node {}",
            quantiles(&mut times)
        );
    }
    Ok(())
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |q: f64| {
        let index = ((times.len() as f64 - 1.0) * q) as usize;
        times.get(index).map_or(0.0, |t| t.as_secs_f64() * 1e3)
    };
    format!(
        "p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

/// A connection to the admin API.
struct Asker {
    client: Client,
    bearer: String,
}

impl Asker {
    fn new(admin: SocketAddr, token: &str) -> Self {
        Self {
            client: Client::connect(admin),
            bearer: format!("Bearer {token}"),
        }
    }

    /// From the request to the complete receipt.
    fn purge(&mut self, what: &Value) -> Result<Duration> {
        let body = what.to_string();
        let begun = Instant::now();
        let fields = [("authorization", self.bearer.as_str())];
        self.client
            .request("POST", "/v1/purges", &fields, body.as_bytes());
        let answer = self.client.response("POST")?;
        anyhow::ensure!(
            answer.status == 200,
            "a purge was not complete: {}",
            answer.text()
        );
        Ok(begun.elapsed())
    }
}

fn tag(n: u64) -> Value {
    json!({ "tags": [format!("t{n}")], "wait_ms": 10_000 })
}

fn one_by_one(fleet: &Fleet, count: u32) -> Result<()> {
    let mut asker = Asker::new(fleet.admin(), fleet.token());
    let mut times = Vec::new();
    for n in 0..count {
        times.push(asker.purge(&tag(u64::from(n)))?);
    }
    let told = quantiles(&mut times);
    println!("accepted to applied on 4 edges and a shield, one by one: {told}");
    Ok(())
}

/// An open loop: each purge has its time to begin, and its lag counts from there.
fn at_a_rate(
    admin: SocketAddr,
    token: &str,
    what: fn(u64) -> Value,
    rate: u32,
    lasting: Duration,
) -> Result<()> {
    const ASKERS: u64 = 32;
    let total = u64::from(rate) * lasting.as_secs();
    let (next, times) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let begun = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let askers: Vec<_> = (0..ASKERS)
            .map(|_| {
                let (next, times) = (&next, &times);
                scope.spawn(move || -> Result<()> {
                    let mut asker = Asker::new(admin, token);
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= total {
                            return Ok(());
                        }
                        let due = Duration::from_secs_f64(n as f64 / f64::from(rate));
                        std::thread::sleep(due.saturating_sub(begun.elapsed()));
                        asker.purge(&what(n))?;
                        let lag = begun.elapsed().saturating_sub(due);
                        if let Ok(mut times) = times.lock() {
                            times.push((n, lag));
                        }
                    }
                })
            })
            .collect();
        for asker in askers {
            asker
                .join()
                .map_err(|_| anyhow::anyhow!("an asker ended early"))??;
        }
        Ok(())
    })?;
    let took = begun.elapsed();
    let times = times.into_inner().unwrap_or_default();
    let of = |from: u64, to: u64| {
        let within = times.iter().filter(|(n, _)| (from..to).contains(n));
        quantiles(&mut within.map(|(_, lag)| *lag).collect::<Vec<_>>())
    };
    println!(
        "{total} purges at {rate}/s took {:.1} s",
        took.as_secs_f64()
    );
    println!("  lag, first tenth: {}", of(0, total / 10));
    println!("  lag, last tenth:  {}", of(total - total / 10, total));
    Ok(())
}

fn restart(origin: &Origin, objects: u32) -> Result<()> {
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        disk: Some(2 << 30),
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, origin);
    let ask = |fleet: &Fleet, from: u32, to: u32| -> Result<u32> {
        let mut client = Client::connect(fleet.edge(0));
        let mut hits = 0;
        for object in from..to {
            client.request("GET", &format!("/{object}"), &[], b"");
            let answer = client.response("GET")?;
            anyhow::ensure!(answer.status == 200);
            hits += u32::from(answer.is_hit());
        }
        Ok(hits)
    };
    let quarter = objects / 4;
    let all = |fleet: &Fleet| -> Result<u32> {
        std::thread::scope(|scope| {
            let parts: Vec<_> = (0..4)
                .map(|part| scope.spawn(move || ask(fleet, part * quarter, (part + 1) * quarter)))
                .collect();
            let mut hits = 0;
            for part in parts {
                hits += part
                    .join()
                    .map_err(|_| anyhow::anyhow!("a client ended early"))??;
            }
            Ok(hits)
        })
    };
    all(&fleet)?;
    let begun = Instant::now();
    fleet.stop_edge(0);
    let stopped = begun.elapsed();
    let begun = Instant::now();
    fleet.start_edge(0);
    let started = begun.elapsed();
    let first = ask(&fleet, 0, 1)?;
    let first_hit = begun.elapsed();
    let hits = all(&fleet)?;
    let ms = |t: Duration| t.as_secs_f64() * 1e3;
    println!(
        "restart with {objects} objects on disk: ended in {:.0} ms, started in {:.0} ms, first answer after {:.0} ms ({}), {:.2} % hits",
        ms(stopped),
        ms(started),
        ms(first_hit),
        if first == 1 { "a hit" } else { "a miss" },
        f64::from(hits) * 100.0 / f64::from(quarter * 4),
    );
    Ok(())
}
