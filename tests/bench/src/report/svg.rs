//! Charts: a panel for each case, a bar for each server.

use super::summary::{Row, rows};
use super::{Measure, Measured, Report};
use crate::cases::Group;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

const COLUMNS: usize = 2;
const PANEL_WIDTH: usize = 460;
const MARGIN: usize = 24;
const TOP: usize = 76;
const BAR: usize = 15;
const STEP: usize = 20;
/// Room for the names of servers, and for the figures behind the bars.
const NAMES: usize = 96;
const FIGURES: usize = 92;

/// Writes a chart for each table that has something in it.
pub(crate) fn write(report: &Report, dir: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    let mut written = Vec::new();
    for (group, name, title) in [
        (
            Group::Hits,
            "hits.svg",
            "Hits in memory: processor time per request",
        ),
        (
            Group::Secure,
            "tls.svg",
            "TLS and HTTP/2: processor time per request",
        ),
        (Group::Rest, "rest.svg", "Misses, waiting, memory, restart"),
    ] {
        let panels: Vec<&Measured> = report
            .measured
            .iter()
            .filter(|m| m.case.group == group && !m.runs.is_empty())
            .collect();
        if panels.is_empty() {
            continue;
        }
        let file = dir.join(name);
        fs::write(&file, chart(title, report, &panels))?;
        written.push(file);
    }
    Ok(written)
}

fn chart(title: &str, report: &Report, panels: &[&Measured]) -> String {
    let panels: Vec<(&str, Vec<Row>)> = panels
        .iter()
        .map(|m| (m.case.title, rows(&m.runs)))
        .collect();
    let mut body = String::new();
    let mut y = TOP;
    for line in panels.chunks(COLUMNS) {
        for (column, (title, rows)) in line.iter().enumerate() {
            body += &panel(MARGIN + column * PANEL_WIDTH, y, title, rows);
        }
        let tallest = line.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0);
        y += 34 + tallest * STEP + 18;
    }
    let (width, height) = (2 * MARGIN + COLUMNS * PANEL_WIDTH, y + MARGIN);
    let (title, machine) = (escape(title), escape(&report.machine.line()));
    let settings = escape(&report.settings);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"30\" font-size=\"18\" font-weight=\"bold\" fill=\"#1b2733\">{title}</text>\n\
         <text x=\"{MARGIN}\" y=\"48\" fill=\"#5b6875\">{machine}</text>\n\
         <text x=\"{MARGIN}\" y=\"64\" fill=\"#5b6875\">{settings}</text>\n\
         {body}</svg>\n"
    )
}

fn panel(x: usize, y: usize, title: &str, rows: &[Row]) -> String {
    let measure = rows.iter().find_map(Row::main).map(|m| m.0);
    let unit = measure.map_or("", Measure::label);
    let better = if measure.is_some_and(Measure::more_is_better) {
        "more is better"
    } else {
        "less is better"
    };
    let mut panel = format!(
        "<text x=\"{x}\" y=\"{}\" font-weight=\"bold\" fill=\"#1b2733\">{}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\" font-size=\"11\" fill=\"#5b6875\">{} ({better})</text>\n",
        y + 18,
        escape(title),
        x + PANEL_WIDTH - MARGIN,
        y + 18,
        escape(unit),
    );
    let figures = rows.iter().filter_map(Row::main);
    let longest = figures.map(|m| m.1.median).fold(0.0, f64::max);
    let room = (PANEL_WIDTH - MARGIN - NAMES - FIGURES) as f64;
    for (at, row) in rows.iter().enumerate() {
        let top = y + 30 + at * STEP;
        let line = top + BAR - 3;
        let color = match row.server {
            "seawall" => "#0b6e99",
            "floor" => "#8a97a3",
            _ => "#c3ced8",
        };
        let (length, figure) = match row.main() {
            Some((measure, spread)) if longest > 0.0 => {
                let mark = if row.faults.is_empty() { "" } else { " !" };
                let ratio = row.to_floor.filter(|_| row.server == "seawall");
                let ratio = ratio.map_or_else(String::new, |r| format!(" ({r:.2} x floor)"));
                (
                    (spread.median / longest * room).max(1.0),
                    format!("{}{ratio}{mark}", measure.show(spread.median)),
                )
            }
            Some((measure, spread)) => (1.0, measure.show(spread.median)),
            None => (0.0, "failed".to_owned()),
        };
        let bar = x + NAMES;
        panel += &format!(
            "<text x=\"{}\" y=\"{line}\" text-anchor=\"end\" fill=\"#1b2733\">{}</text>\n\
             <rect x=\"{bar}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{color}\"/>\n\
             <text x=\"{:.1}\" y=\"{line}\" font-size=\"11\" fill=\"#1b2733\">{}</text>\n",
            bar - 6,
            escape(row.server),
            bar as f64 + length + 5.0,
            escape(&figure),
        );
    }
    panel
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    /// Every tag is closed in its order, every attribute quoted, and no text holds what has to be escaped.
    fn check_well_formed(text: &str) {
        let (mut open, mut rest) = (Vec::new(), text.trim_end());
        while let Some(at) = rest.find('<') {
            let between = &rest[..at];
            assert!(!between.contains('>'), "{between}");
            for entity in between.split('&').skip(1) {
                assert!(entity.contains(';'), "{between}");
            }
            let end = rest[at..].find('>').expect("a tag ends") + at;
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None => {
                    assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
                    assert_eq!(tag.matches('"').count(), 2 * tag.matches("=\"").count());
                    if !tag.ends_with('/') {
                        open.push(tag.split(' ').next().unwrap());
                    }
                }
            }
            assert!(!open.is_empty() || rest.is_empty(), "one root");
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn a_chart_is_well_formed_whatever_the_machine_is_called() {
        let mut report = report();
        report.machine.processor = "A <\"fast\"> & rare one".to_owned();
        let panels: Vec<&Measured> = report.measured.iter().collect();
        let chart = chart("Title", &report, &panels);
        check_well_formed(&chart);
        assert!(chart.contains("A &lt;&quot;fast&quot;&gt; &amp; rare one"));
        assert!(chart.contains("6.0 (1.20 x floor)"));
        assert!(chart.contains(&report.machine.date));
        assert!(chart.contains("9.0 !"), "a fault is marked");
    }

    #[test]
    fn charts_are_written_for_tables_that_have_something_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let written = write(&report(), dir.path()).unwrap();
        assert_eq!(written, [dir.path().join("hits.svg")]);
    }
}
