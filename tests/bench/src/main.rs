//! Measures Seawall and its peers on one machine: `cargo run --release -p seawall-bench`.
//!
//! All servers, an origin and the floors (`floor/`: what the kernel, or a TLS or HTTP/2 library, charges for an answer)
//! are processes of their own on one core; load and origin are on another (`load/`, `origin/`). `peers/` starts servers,
//! `cases/` says what is measured, `plan` in which order, `report/` tells it. Everything stays on loopback, is bounded in
//! time, and is ended by the ids of its processes.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints"
)]

mod against;
mod args;
mod bodies;
mod cases;
mod floor;
mod load;
mod machine;
mod origin;
mod peers;
mod plan;
mod poller;
mod process;
mod programs;
mod report;

use anyhow::{Context, Result, bail};
use args::{Args, Part};
use clap::Parser;
use peers::{Certificate, Ground, Origin};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let files = open_files()?;
    match &args.part {
        Some(Part::Floor(args)) => return floor::run(args).map(|()| ExitCode::SUCCESS),
        Some(Part::Origin(args)) => return origin::run(args).map(|()| ExitCode::SUCCESS),
        None => {}
    }
    args.check()?;
    if args.list {
        for case in &cases::CASES {
            println!("{:10} {}", case.id, case.title);
        }
        println!("{:10} how fast purges are in force", args::PURGES);
        return Ok(ExitCode::SUCCESS);
    }
    if args.install {
        println!("{}", programs::install());
        return Ok(ExitCode::SUCCESS);
    }
    end_when_told()?;
    let mut amounts = args.amounts();
    // a server has one open file for each, some have two
    let connections = (files.saturating_sub(2000) / 2).min(20_000);
    amounts.idle = amounts.idle.min(connections);
    let machine = machine::Machine::here();
    if let Some(wanted) = args.against.wanted() {
        let lines = args.against.run(wanted, amounts.repeats, amounts.seconds)?;
        println!("{}", lines.join("\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let (seawall, purges) = programs::ours(args.seawall.as_deref())?;
    let cores = process::cores()?;
    let (server, load) = (
        args.server_core.or(cores.first().copied()).unwrap_or(0),
        args.load_core
            .or(cores.get(1).copied())
            .or(cores.first().copied())
            .unwrap_or(0),
    );
    if server == load {
        eprintln!("one core for servers and load: rates say nothing, processor times little");
    }
    let mut named = tempfile::Builder::new();
    named.prefix("seawall-bench-");
    let dir = named.tempdir()?;
    peers::open_dir(dir.path())?;
    let shared_memory = PathBuf::from("/dev/shm");
    let memory = if shared_memory.is_dir() {
        named.tempdir_in(shared_memory)?
    } else {
        named.tempdir_in(dir.path())?
    };
    peers::open_dir(memory.path())?;
    process::remove_with(&[dir.path(), memory.path()]);
    process::stay_on(&[load])?;
    let ground = Ground {
        certificate: Certificate::make(dir.path())?,
        origin: Origin::start(dir.path(), load)?,
        dir: dir.path().to_owned(),
        memory: memory.path().to_owned(),
        seawall,
        core: server,
        all_cores: cores.clone(),
        connections,
    };
    let bench = cases::Bench {
        ground,
        amounts,
        wrk: peers::find("wrk").is_some(),
        h2load: peers::find("h2load").is_some(),
        oha: peers::find("oha").is_some(),
    };
    let tell = |line: &str| eprintln!("{line}");
    let report = plan::Plan::new(bench, machine, &args, &tell).run(&purges, &cores)?;
    process::remove_segments(dir.path());
    println!("{}", report::text(&report));
    if let Some(file) = &args.json {
        let json = serde_json::to_string_pretty(&report::json(&report))?;
        std::fs::write(file, json + "\n").with_context(|| file.display().to_string())?;
    }
    if let Some(dir) = &args.svg {
        for file in report::svg::write(&report, dir)? {
            println!("{}", file.display());
        }
    }
    Ok(if report.is_at_fault() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// How many this process may have open, and those that it starts: as many as they want, or this user may have.
fn open_files() -> Result<usize> {
    const WANTED: u64 = 65_536;
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    // root may ask for more than there is
    for limit in [hard.max(WANTED), hard] {
        let both = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        if setrlimit(Resource::Nofile, both).is_ok() {
            return Ok(limit.min(WANTED) as usize);
        }
    }
    bail!("the limit of open files cannot be raised to {hard}")
}

/// Ctrl-C, SIGTERM and SIGHUP end all servers, and then this program.
fn end_when_told() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        let told = runtime.block_on(async {
            let mut terminated = signal(SignalKind::terminate())?;
            let mut hung_up = signal(SignalKind::hangup())?;
            tokio::select! {
                told = tokio::signal::ctrl_c() => told,
                _ = terminated.recv() => Ok(()),
                _ = hung_up.recv() => Ok(()),
            }
        });
        if told.is_ok() {
            process::end_all();
            std::process::exit(130);
        }
    });
    if cfg!(debug_assertions) {
        eprintln!("a debug build: the load and the floors are slower than they could be");
    }
    if !cfg!(target_os = "linux") {
        bail!("it reads /proc: Linux alone");
    }
    Ok(())
}
