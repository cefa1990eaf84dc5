//! Medians of runs, and ratios within one round.

use super::{Measure, Run};

/// Runs in which more than this of a core went to something else are dropped, where two others remain.
const OTHER_MAX: f64 = 0.15;

/// A number over several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// One server in one case.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) server: &'static str,
    pub(super) runs: usize,
    /// Of them, those that were not disturbed.
    pub(super) kept: usize,
    /// In the order of the runs' figures.
    pub(super) figures: Vec<(Measure, Spread)>,
    /// Of the figure that is compared, to that of the floor in the same round.
    pub(super) to_floor: Option<f64>,
    pub(super) faults: Vec<String>,
}

impl Row {
    /// The figure that is compared.
    pub(super) fn main(&self) -> Option<(Measure, Spread)> {
        self.figures.first().copied()
    }

    pub(super) fn get(&self, measure: Measure) -> Option<f64> {
        let found = self.figures.iter().find(|f| f.0 == measure);
        found.map(|f| f.1.median)
    }
}

/// How many of these runs something else disturbed.
pub(super) fn disturbed<'r>(runs: impl Iterator<Item = &'r Run>) -> usize {
    runs.filter(|run| is_disturbed(run)).count()
}

fn is_disturbed(run: &Run) -> bool {
    run.other.is_some_and(|other| other > OTHER_MAX)
}

/// A row for each server, in the order of the runs.
pub(super) fn rows(runs: &[Run]) -> Vec<Row> {
    let mut servers: Vec<&'static str> = Vec::new();
    for run in runs {
        if !servers.contains(&run.server) {
            servers.push(run.server);
        }
    }
    servers.into_iter().map(|s| row(s, runs)).collect()
}

/// Another project's server with the best figure, if it did what it was measured for.
pub(super) fn best_peer(rows: &[Row]) -> Option<(&'static str, f64)> {
    let peers = rows
        .iter()
        .filter(|r| !["floor", "seawall"].contains(&r.server) && r.faults.is_empty());
    let figures = peers.filter_map(|r| Some((r.server, r.main()?)));
    let best = figures.reduce(|a, b| {
        let (measure, x, y) = (a.1.0, a.1.1.median, b.1.1.median);
        let second = if measure.more_is_better() {
            y > x
        } else {
            y < x
        };
        if second { b } else { a }
    });
    best.map(|(server, (_, spread))| (server, spread.median))
}

fn row(server: &'static str, runs: &[Run]) -> Row {
    let all: Vec<&Run> = runs.iter().filter(|r| r.server == server).collect();
    let measured: Vec<&Run> = all
        .iter()
        .copied()
        .filter(|r| !r.figures.is_empty())
        .collect();
    let quiet: Vec<&Run> = measured
        .iter()
        .copied()
        .filter(|r| !is_disturbed(r))
        .collect();
    let kept = if quiet.len() >= 2 { quiet } else { measured };
    let measures = kept.first().map(|r| r.figures.iter().map(|f| f.0));
    let figures = measures.into_iter().flatten().filter_map(|measure| {
        let values = kept.iter().filter_map(|r| r.get(measure));
        Some((measure, spread(values.collect())?))
    });
    let ratios = kept.iter().filter_map(|run| {
        let mut floors = runs.iter().filter(|r| r.server == "floor");
        let floor = floors.find(|r| r.round == run.round)?.figures.first()?;
        let ours = run.get(floor.0)?;
        (floor.1 > 0.0).then(|| ours / floor.1)
    });
    let mut faults = Vec::new();
    for fault in all.iter().flat_map(|r| &r.faults) {
        if !faults.contains(fault) {
            faults.push(fault.clone());
        }
    }
    Row {
        server,
        runs: all.len(),
        kept: kept.len(),
        to_floor: spread(ratios.collect()).map(|s| s.median),
        figures: figures.collect(),
        faults,
    }
}

/// None of no values.
fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    };
    Some(Spread {
        median,
        least,
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Figure;
    use super::*;

    fn run(server: &'static str, round: u32, cpu: f64, other: f64) -> Run {
        Run {
            server,
            round,
            figures: vec![Figure(Measure::CpuMicros, cpu)],
            faults: Vec::new(),
            other: Some(other),
        }
    }

    fn median(row: &Row) -> f64 {
        row.get(Measure::CpuMicros).unwrap()
    }

    #[test]
    fn disturbed_runs_are_dropped_where_two_others_remain() {
        let two = [
            run("nginx", 1, 10.0, 0.02),
            run("nginx", 2, 30.0, 0.16),
            run("nginx", 3, 12.0, 0.15),
        ];
        let row = &rows(&two)[0];
        assert_eq!((row.kept, row.runs, median(row)), (2, 3, 11.0));
        let one = [
            run("nginx", 1, 10.0, 0.02),
            run("nginx", 2, 30.0, 0.5),
            run("nginx", 3, 12.0, 0.5),
        ];
        let row = &rows(&one)[0];
        assert_eq!((row.kept, row.runs, median(row)), (3, 3, 12.0));
    }

    #[test]
    fn a_ratio_is_that_of_one_round() {
        // the machine was twice as slow in the second round
        let runs = [
            run("floor", 1, 5.0, 0.0),
            run("seawall", 1, 6.0, 0.0),
            run("floor", 2, 10.0, 0.0),
            run("seawall", 2, 12.0, 0.0),
        ];
        let rows = rows(&runs);
        assert_eq!(rows[1].to_floor, Some(1.2));
        assert_eq!(rows[0].to_floor, Some(1.0));
    }

    #[test]
    fn the_best_peer_is_another_project_that_did_what_it_should() {
        let mut liar = run("squid", 1, 1.0, 0.0);
        liar.faults.push("no hits".to_owned());
        let runs = [
            run("floor", 1, 5.0, 0.0),
            run("seawall", 1, 6.0, 0.0),
            run("nginx", 1, 10.0, 0.0),
            run("haproxy", 1, 9.0, 0.0),
            liar,
        ];
        assert_eq!(best_peer(&rows(&runs)), Some(("haproxy", 9.0)));
        let mut rates = [run("nginx", 1, 0.0, 0.0), run("haproxy", 1, 0.0, 0.0)];
        rates[0].figures = vec![Figure(Measure::PerSecond, 7.0)];
        rates[1].figures = vec![Figure(Measure::PerSecond, 3.0)];
        assert_eq!(best_peer(&rows(&rates)), Some(("nginx", 7.0)));
    }

    #[test]
    fn a_run_without_figures_is_told_and_does_not_count() {
        let mut broken = run("nginx", 1, 0.0, 0.0);
        broken.figures.clear();
        broken.faults.push("it ended".to_owned());
        let rows = rows(&[broken, run("nginx", 2, 8.0, 0.0)]);
        assert_eq!((rows[0].kept, rows[0].runs, median(&rows[0])), (1, 2, 8.0));
        assert_eq!(rows[0].faults, ["it ended"]);
    }
}
