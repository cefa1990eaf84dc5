//! The same for programs: every run, and what was made of them.

use super::summary::{best_peer, rows};
use super::{Report, Run};
use serde_json::{Map, Value, json};

/// All of it.
pub(crate) fn json(report: &Report) -> Value {
    let cases = report.measured.iter().map(|measured| {
        let rows = rows(&measured.runs);
        let best = best_peer(&rows);
        let servers = rows.iter().map(|row| {
            let figures = row.figures.iter().map(|(measure, spread)| {
                let values = json!({
                    "median": spread.median,
                    "least": spread.least,
                    "most": spread.most,
                });
                (measure.label().to_owned(), values)
            });
            let to_best = best
                .zip(row.main())
                .map(|((_, best), ours)| ours.1.median / best);
            json!({
                "server": row.server,
                "figures": figures.collect::<Map<_, _>>(),
                "runs": row.runs,
                "kept": row.kept,
                "to_floor": row.to_floor,
                "to_best_peer": to_best,
                "faults": row.faults,
            })
        });
        json!({
            "case": measured.case.id,
            "title": measured.case.title,
            "best_peer": best.map(|(server, _)| server),
            "servers": servers.collect::<Vec<_>>(),
            "runs": measured.runs.iter().map(run).collect::<Vec<_>>(),
        })
    });
    let versions = report
        .versions
        .iter()
        .map(|(server, version)| ((*server).to_owned(), Value::from(version.as_str())));
    json!({
        "machine": report.machine.json(),
        "settings": report.settings,
        "versions": versions.collect::<Map<_, _>>(),
        "cases": cases.collect::<Vec<_>>(),
        "purges": report.purges,
        "left_out": report.notes,
    })
}

fn run(run: &Run) -> Value {
    let figures = run.figures.iter();
    let figures = figures.map(|f| (f.0.label().to_owned(), Value::from(f.1)));
    json!({
        "server": run.server,
        "round": run.round,
        "figures": figures.collect::<Map<_, _>>(),
        "other_share": run.other,
        "faults": run.faults,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn each_case_has_its_servers_with_their_ratios_and_all_runs() {
        let json = json(&report());
        let case = &json["cases"][0];
        assert_eq!(case["best_peer"], "haproxy");
        assert_eq!(case["servers"][1]["server"], "seawall");
        assert_eq!(case["servers"][1]["to_floor"], 1.2);
        assert_eq!(
            case["servers"][1]["figures"]["CPU us/request"]["median"],
            6.0
        );
        assert_eq!(case["runs"].as_array().unwrap().len(), 4);
        assert_eq!(
            json["cases"][1]["servers"][0]["faults"][0],
            "3 of 9 were no hits"
        );
    }
}
