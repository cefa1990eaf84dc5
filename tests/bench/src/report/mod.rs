//! What was measured, and how it is told.

mod json;
mod measure;
mod summary;
pub(crate) mod svg;
mod text;

pub(crate) use json::json;
pub(crate) use measure::Measure;
pub(crate) use text::text;

use crate::cases::Case;
use crate::machine::Machine;

/// One number of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure(pub(crate) Measure, pub(crate) f64);

/// One server, once. The first figure is the one that is compared.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) server: &'static str,
    pub(crate) round: u32,
    pub(crate) figures: Vec<Figure>,
    /// Why the figures do not say what they should.
    pub(crate) faults: Vec<String>,
    /// What else ran on the machine, as a share of a core.
    pub(crate) other: Option<f64>,
}

impl Run {
    fn get(&self, measure: Measure) -> Option<f64> {
        let found = self.figures.iter().find(|f| f.0 == measure);
        found.map(|f| f.1)
    }
}

/// All runs of a case.
pub(crate) struct Measured {
    pub(crate) case: &'static Case,
    pub(crate) runs: Vec<Run>,
}

/// Everything.
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// Servers with their versions.
    pub(crate) versions: Vec<(&'static str, String)>,
    /// How it was run.
    pub(crate) settings: String,
    pub(crate) measured: Vec<Measured>,
    /// Lines of the purges' own program.
    pub(crate) purges: Vec<String>,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Whether the floor or Seawall did something else than what was measured.
    pub(crate) fn is_at_fault(&self) -> bool {
        let mut runs = self.measured.iter().flat_map(|m| &m.runs);
        runs.any(|run| ["floor", "seawall"].contains(&run.server) && !run.faults.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::CASES;

    /// Four servers in one case, and one that is at fault in another.
    pub(super) fn report() -> Report {
        let run = |server, cpu: f64| Run {
            server,
            round: 1,
            figures: vec![
                Figure(Measure::CpuMicros, cpu),
                Figure(Measure::PerSecond, 1e6 / cpu),
            ],
            faults: Vec::new(),
            other: Some(0.01),
        };
        let runs = vec![
            run("floor", 5.0),
            run("seawall", 6.0),
            run("nginx", 10.0),
            run("haproxy", 9.0),
        ];
        let mut fault = run("haproxy", 9.0);
        fault.faults.push("3 of 9 were no hits".to_owned());
        Report {
            machine: Machine::here(),
            versions: vec![("nginx", "nginx <1> & \"more\"".to_owned())],
            settings: "1 round".to_owned(),
            measured: vec![
                Measured {
                    case: &CASES[0],
                    runs,
                },
                Measured {
                    case: &CASES[1],
                    runs: vec![fault],
                },
            ],
            purges: Vec::new(),
            notes: vec!["https-1k: wrk is not here".to_owned()],
        }
    }

    #[test]
    fn only_our_own_faults_are_the_reports() {
        let mut report = report();
        assert!(!report.is_at_fault());
        report.measured[0].runs[1].faults.push("a fault".to_owned());
        assert!(report.is_at_fault());
    }
}
