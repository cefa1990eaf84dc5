//! The order of things: which servers and cases, round by round, within a time.

use crate::args::{Args, PURGES};
use crate::cases::{self, Bench, CASES, Case, Servers};
use crate::machine::Machine;
use crate::peers::{KINDS, Kind, Server, Setting};
use crate::process;
use crate::report::{Measured, Report, Run};
use anyhow::Result;
use std::path::Path;
use std::time::{Duration, Instant};

/// No load begins after this, so that with the purges all is told within half an hour, or three minutes.
const TIME: Duration = Duration::from_mins(26);
const QUICK_TIME: Duration = Duration::from_secs(150);

/// A run of cases, and what has come of it so far.
pub(crate) struct Plan<'a> {
    bench: Bench,
    args: &'a Args,
    kinds: Vec<Kind>,
    began: Instant,
    report: Report,
    /// Told of each step.
    tell: &'a dyn Fn(&str),
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        bench: Bench,
        machine: Machine,
        args: &'a Args,
        tell: &'a dyn Fn(&str),
    ) -> Self {
        let wanted = KINDS.into_iter().filter(|k| args.wants_server(k.name()));
        let (kinds, missing): (Vec<Kind>, Vec<Kind>) = wanted.partition(|k| k.is_here());
        let mut notes = Vec::new();
        for kind in missing {
            let note = format!("{}: not installed (see --install)", kind.name());
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let mut versions: Vec<(&'static str, String)> = Vec::new();
        for kind in &kinds {
            if let Some(version) = kind.version()
                && versions.iter().all(|v| v.0 != kind.name())
            {
                versions.push((kind.name(), version));
            }
        }
        let amounts = bench.amounts;
        if amounts.idle < args.amounts().idle {
            let open = amounts.idle;
            notes.push(format!(
                "idle: {open} connections, for want of open files (ulimit -Hn)"
            ));
        }
        let usual = if bench.wrk { "wrk" } else { "its own loop" };
        let others = [(bench.h2load, "h2load"), (bench.oha, "oha")];
        let others = others.iter().filter(|(here, _)| *here);
        let generators: Vec<&str> = std::iter::once(usual)
            .chain(others.map(|(_, name)| *name))
            .collect();
        let generators = generators.join(", ");
        let settings = format!(
            "one server core, one load core; loads of {} s, rounds: {}, interleaved; load by {generators}",
            amounts.seconds, amounts.repeats
        );
        Self {
            bench,
            args,
            kinds,
            began: Instant::now(),
            report: Report {
                machine,
                versions,
                settings,
                measured: Vec::new(),
                purges: Vec::new(),
                notes,
            },
            tell,
        }
    }

    /// Everything that is wanted; faults of a server are told in the report.
    pub(crate) fn run(mut self, purges: &Path, cores: &[usize]) -> Result<Report> {
        for case in &CASES {
            if !self.args.wants_case(case.id, case.quick) {
                continue;
            }
            match case.lacks(&self.bench) {
                Some(program) => {
                    let note = format!("{}: {program} is not installed (see --install)", case.id);
                    self.report.notes.push(note);
                }
                None => self.report.measured.push(Measured {
                    case,
                    runs: Vec::new(),
                }),
            }
        }
        self.shared();
        self.alone();
        if self.args.wants_case(PURGES, true) && self.args.wants_server("seawall") {
            // a fleet, clients and all, which has no core of its own
            process::stay_on(cores)?;
            (self.tell)("purges");
            let ran = if purges.is_file() {
                cases::purges::run(purges, &self.bench.ground.dir, self.args.quick)
            } else {
                Err(anyhow::anyhow!("{} is not built", purges.display()))
            };
            match ran {
                Ok(lines) => self.report.purges = lines,
                Err(e) => self.report.notes.push(format!("{PURGES}: {e:#}")),
            }
        }
        Ok(self.report)
    }

    fn has_time(&self) -> bool {
        let time = if self.args.quick { QUICK_TIME } else { TIME };
        // what was asked for by name or with other settings takes as long as it takes
        let own = !self.args.cases.is_empty()
            || self.args.seconds.is_some()
            || self.args.repeats.is_some();
        own || self.began.elapsed() < time
    }

    /// Cases of servers that all run all the time: round by round, and in each round case by case.
    fn shared(&mut self) {
        let shared = |case: &Case| case.servers() == Servers::Shared;
        let cases: Vec<usize> = (0..self.report.measured.len())
            .filter(|at| shared(self.report.measured[*at].case))
            .collect();
        let mut servers = Vec::new();
        for kind in self.kinds.clone() {
            let wanted = cases
                .iter()
                .any(|at| self.report.measured[*at].case.is_for(kind));
            if !wanted {
                continue;
            }
            (self.tell)(&format!("start {}", kind.name()));
            match Server::start(&self.bench.ground, kind, Setting::USUAL) {
                Ok(server) => servers.push(server),
                Err(e) => self.report.notes.push(format!("{}: {e:#}", kind.name())),
            }
        }
        for round in 1..=self.bench.amounts.repeats {
            for at in &cases {
                let case = self.report.measured[*at].case;
                if round > case.rounds(self.bench.amounts.repeats) {
                    continue;
                }
                if !self.has_time() {
                    let note = format!("{}, round {round}: no time left", case.id);
                    self.report.notes.push(note);
                    continue;
                }
                for server in servers.iter_mut().filter(|s| case.is_for(s.kind)) {
                    let run = case.run(&self.bench, server, round);
                    (self.tell)(&step(case, &run));
                    self.report.measured[*at].runs.push(run);
                }
            }
        }
    }

    /// Cases that want a server to themselves, and an empty one.
    fn alone(&mut self) {
        for at in 0..self.report.measured.len() {
            let case = self.report.measured[at].case;
            let Servers::Own(cache) = case.servers() else {
                continue;
            };
            for kind in self.kinds.clone() {
                if !case.is_for(kind) {
                    continue;
                }
                if !self.has_time() {
                    let note = format!("{}, {}: no time left", case.id, kind.name());
                    self.report.notes.push(note);
                    continue;
                }
                let setting = Setting {
                    cache,
                    ..Setting::USUAL
                };
                match Server::start(&self.bench.ground, kind, setting) {
                    Ok(mut server) => {
                        let run = case.run(&self.bench, &mut server, 1);
                        (self.tell)(&step(case, &run));
                        self.report.measured[at].runs.push(run);
                    }
                    Err(e) => {
                        let note = format!("{}, {}: {e:#}", case.id, kind.name());
                        self.report.notes.push(note);
                    }
                }
            }
        }
    }
}

/// One line of a run.
fn step(case: &Case, run: &Run) -> String {
    let figures = run.figures.iter();
    let figures: Vec<String> = figures
        .map(|f| format!("{} {}", f.0.show(f.1), f.0.label()))
        .collect();
    let other = run.other.map_or_else(String::new, |other| {
        format!(", {:.0} % other", other * 100.0)
    });
    let faults: Vec<String> = run.faults.iter().map(|f| format!(" ! {f}")).collect();
    format!(
        "round {} {} {}: {}{other}{}",
        run.round,
        case.id,
        run.server,
        figures.join(", "),
        faults.concat()
    )
}
