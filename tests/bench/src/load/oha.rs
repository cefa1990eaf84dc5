//! oha: closed loops of HTTP/1.1. From 1.9 on, which tells its figures as JSON.

use super::{Latencies, Outcome};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Runs it for whole seconds. It inherits the core that its caller is on.
pub(crate) fn run(url: &str, connections: usize, seconds: u64) -> Result<Outcome> {
    let mut command = Command::new("oha");
    command.args(["--no-tui", "--output-format", "json", "--no-color"]);
    command.args(["-z", &format!("{seconds}s"), "-t", "20s"]);
    command.args(["-c", &connections.to_string()]);
    let ran = command.arg(url).output().context("oha does not start")?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(
        ran.status.success(),
        "oha failed: {}{}",
        said.trim(),
        String::from_utf8_lossy(&ran.stderr).trim()
    );
    parse(&said).with_context(|| format!("oha said: {}", said.trim()))
}

/// What was under way when the time was over; no error.
const OVER: &str = "aborted due to deadline";

/// Reads what it prints.
fn parse(said: &str) -> Result<Outcome> {
    let said: Value = serde_json::from_str(said)?;
    let counts = |name: &str| -> Result<Vec<(String, u64)>> {
        let counts = said[name].as_object().with_context(|| name.to_owned())?;
        let counts = counts.iter();
        Ok(counts
            .filter_map(|(what, count)| Some((what.clone(), count.as_u64()?)))
            .collect())
    };
    let (statuses, errors) = (
        counts("statusCodeDistribution")?,
        counts("errorDistribution")?,
    );
    let total = said["summary"]["total"].as_f64().context("no time")?;
    let seconds = |name: &str| said["latencyPercentiles"][name].as_f64();
    let answered: u64 = statuses.iter().map(|(_, count)| count).sum();
    let other = statuses.iter().filter(|(status, _)| status != "200");
    let failed = errors.iter().filter(|(what, _)| what != OVER);
    let (other, failed): (u64, u64) = (
        other.map(|(_, count)| count).sum(),
        failed.map(|(_, count)| count).sum(),
    );
    let latencies = match (seconds("p50"), seconds("p99")) {
        (Some(p50), Some(p99)) => Latencies::Said {
            p50: p50 * 1e6,
            p99: p99 * 1e6,
        },
        _ => Latencies::default(),
    };
    Ok(Outcome {
        requests: answered + failed,
        errors: other + failed,
        took: Duration::try_from_secs_f64(total)?,
        latencies,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = r#"{
      "summary": { "successRate": 0.999, "total": 2.5, "requestsPerSec": 404.0 },
      "latencyPercentiles": { "p10": 0.0002, "p50": 0.00057, "p99": 0.00125, "p99.9": null },
      "statusCodeDistribution": { "200": 1000, "503": 7 },
      "errorDistribution": { "aborted due to deadline": 64, "connection closed": 3 }
    }"#;

    #[test]
    fn what_oha_prints_is_read_and_what_the_end_cut_off_is_no_error() {
        let outcome = parse(SAID).unwrap();
        assert_eq!((outcome.requests, outcome.errors), (1010, 10));
        assert_eq!(outcome.took, Duration::from_millis(2500));
        let Latencies::Said { p50, p99 } = outcome.latencies else {
            panic!("{outcome:?}");
        };
        assert!((p50 - 570.0).abs() < 1e-6 && (p99 - 1250.0).abs() < 1e-6);
    }

    #[test]
    fn without_counts_nothing_is_believed() {
        assert!(parse("no").is_err());
        assert!(parse("{}").is_err());
    }
}
