//! Tables for people.

use super::summary::{Row, best_peer, disturbed, rows};
use super::{Measure, Measured, Report};
use crate::cases::Group;

/// All of it.
pub(crate) fn text(report: &Report) -> String {
    let mut text = format!("{}\n{}\n", report.machine.line(), report.settings);
    let versions = report.versions.iter().map(|(_, version)| version.as_str());
    let versions: Vec<&str> = versions.collect();
    if !versions.is_empty() {
        text += &format!("{}\n", versions.join("; "));
    }
    let runs = || report.measured.iter().flat_map(|m| &m.runs);
    let (disturbed, all) = (disturbed(runs()), runs().count());
    if disturbed > 0 {
        text += &format!(
            "In {disturbed} of {all} runs something else took more than 15 % of a core.\n"
        );
    }
    for (group, title) in [
        (
            Group::Hits,
            "Hits in memory: CPU us per request (requests/s)",
        ),
        (
            Group::Secure,
            "TLS and HTTP/2: CPU us per request (requests/s)",
        ),
    ] {
        let cases: Vec<&Measured> = of(report, group);
        if !cases.is_empty() {
            text += &format!("\n{title}\n{}", matrix(&cases));
        }
    }
    for measured in of(report, Group::Rest) {
        text += &format!("\n{}\n{}", measured.case.title, details(&measured.runs));
    }
    if !report.purges.is_empty() {
        text += &format!("\nPurges\n  {}\n", report.purges.join("\n  "));
    }
    let faults = faults(report);
    if !faults.is_empty() {
        text += &format!("\nNot what it should be (!):\n  {}\n", faults.join("\n  "));
    }
    if !report.notes.is_empty() {
        text += &format!("\nLeft out:\n  {}\n", report.notes.join("\n  "));
    }
    text
}

fn of(report: &Report, group: Group) -> Vec<&Measured> {
    let all = report.measured.iter();
    all.filter(|m| m.case.group == group && !m.runs.is_empty())
        .collect()
}

/// Servers down, cases across; then Seawall's ratios.
fn matrix(cases: &[&Measured]) -> String {
    let columns: Vec<Vec<Row>> = cases.iter().map(|m| rows(&m.runs)).collect();
    let mut table = Table::new(std::iter::once("").chain(cases.iter().map(|m| m.case.title)));
    for server in servers(&columns) {
        let cells = columns.iter().map(|rows| {
            let row = rows.iter().find(|r| r.server == server);
            row.map_or_else(String::new, cell)
        });
        table.row(std::iter::once(server.to_owned()).chain(cells));
    }
    let ours = |rows: &[Row]| {
        let row = rows.iter().find(|r| r.server == "seawall")?;
        Some((row.to_floor, row.main()?.1.median))
    };
    if columns.iter().any(|rows| ours(rows).is_some()) {
        let to_floor = columns.iter().map(|rows| {
            let ratio = ours(rows).and_then(|(to_floor, _)| to_floor);
            ratio.map_or_else(String::new, |r| format!("{r:.2}"))
        });
        table.row(std::iter::once("seawall x floor".to_owned()).chain(to_floor));
        let to_best = columns.iter().map(|rows| {
            let pair = ours(rows).zip(best_peer(rows));
            pair.map_or_else(String::new, |((_, ours), (peer, best))| {
                format!("{:.2} {peer}", ours / best)
            })
        });
        table.row(std::iter::once("seawall x best peer".to_owned()).chain(to_best));
    }
    table.show()
}

/// In the order in which they appear, over all cases.
fn servers(columns: &[Vec<Row>]) -> Vec<&'static str> {
    let mut servers = Vec::new();
    for row in columns.iter().flatten() {
        if !servers.contains(&row.server) {
            servers.push(row.server);
        }
    }
    servers
}

fn cell(row: &Row) -> String {
    let Some((measure, spread)) = row.main() else {
        return "!".to_owned();
    };
    let mut cell = measure.show(spread.median);
    if let Some(rate) = row.get(Measure::PerSecond) {
        cell += &match rate {
            10_000.0.. => format!(" ({:.0}k)", rate / 1e3),
            _ => format!(" ({rate:.0})"),
        };
    }
    if !row.faults.is_empty() {
        cell += " !";
    }
    cell
}

/// Servers down, figures across.
fn details(runs: &[super::Run]) -> String {
    let rows = rows(runs);
    let mut measures: Vec<Measure> = Vec::new();
    for (measure, _) in rows.iter().flat_map(|r| &r.figures) {
        if !measures.contains(measure) {
            measures.push(*measure);
        }
    }
    let heads = measures.iter().map(|m| m.label());
    let best = best_peer(&rows);
    let floors = rows.iter().any(|r| r.server == "floor");
    let mut table = Table::new(
        std::iter::once("")
            .chain(heads)
            .chain(floors.then_some("x floor"))
            .chain(best.map(|_| "x best peer")),
    );
    for row in &rows {
        let mark = if row.faults.is_empty() { "" } else { " !" };
        let figures = measures.iter().map(|m| {
            let value = row.get(*m);
            value.map_or_else(String::new, |v| m.show(v))
        });
        let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |r| format!("{r:.2}"));
        let to_best = best.and_then(|(_, best)| {
            let ours = row.main()?.1.median;
            (best > 0.0).then(|| ours / best)
        });
        table.row(
            std::iter::once(format!("{}{mark}", row.server))
                .chain(figures)
                .chain(floors.then(|| ratio(row.to_floor)))
                .chain(best.map(|_| ratio(to_best))),
        );
    }
    table.show()
}

fn faults(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for measured in &report.measured {
        for row in rows(&measured.runs) {
            for fault in row.faults {
                lines.push(format!("{}, {}: {fault}", measured.case.id, row.server));
            }
        }
    }
    lines
}

/// Columns as wide as what is in them; the first to the left, the others to the right.
struct Table(Vec<Vec<String>>);

impl Table {
    fn new<'a>(heads: impl Iterator<Item = &'a str>) -> Self {
        Self(vec![heads.map(str::to_owned).collect()])
    }

    fn row(&mut self, cells: impl Iterator<Item = String>) {
        self.0.push(cells.collect());
    }

    fn show(&self) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                let cells = self.0.iter().filter_map(|row| row.get(c));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut shown = String::new();
        for row in &self.0 {
            let cells = row.iter().zip(&widths).enumerate();
            let line: Vec<String> = cells
                .map(|(at, (cell, width))| match at {
                    0 => format!("{cell:width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            shown += line.join("  ").trim_end();
            shown.push('\n');
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_table_has_servers_down_and_cases_across_with_seawalls_ratios() {
        let text = text(&report());
        let table = text.split("(requests/s)\n").nth(1).unwrap();
        let table: Vec<&str> = table.lines().take(7).collect();
        let expected = [
            "                            1 KiB        10 KiB",
            "floor                  5.0 (200k)",
            "seawall                6.0 (167k)",
            "nginx                 10.0 (100k)",
            "haproxy                9.0 (111k)  9.0 (111k) !",
            "seawall x floor              1.20",
            "seawall x best peer  0.67 haproxy",
        ];
        assert_eq!(table, expected);
    }

    #[test]
    fn what_is_not_as_it_should_be_is_marked_and_told() {
        let text = text(&report());
        assert!(text.contains("10k, haproxy: 3 of 9 were no hits"), "{text}");
        assert!(!text.contains("something else"), "{text}");
        assert!(
            text.contains("Left out:\n  https-1k: wrk is not here\n"),
            "{text}"
        );
    }

    #[test]
    fn a_machine_that_does_something_else_is_told() {
        let mut report = report();
        report.measured[0].runs[2].other = Some(0.4);
        let text = text(&report);
        assert!(
            text.contains("In 1 of 5 runs something else took"),
            "{text}"
        );
    }
}
