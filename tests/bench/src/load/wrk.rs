//! wrk: closed loops of HTTP/1.1, with and without TLS.

use super::{Latencies, Outcome};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Duration;

/// Runs it: one thread, for whole seconds. It inherits the core that its caller is on.
pub(crate) fn run(url: &str, connections: usize, seconds: u64, close: bool) -> Result<Outcome> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "--latency", "--timeout", "20"]);
    command.arg(format!("-c{connections}"));
    command.arg(format!("-d{seconds}"));
    if close {
        command.args(["-H", "Connection: close"]);
    }
    let ran = command.arg(url).output().context("wrk does not start")?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(
        ran.status.success(),
        "wrk failed: {}{}",
        said.trim(),
        String::from_utf8_lossy(&ran.stderr).trim()
    );
    parse(&said).with_context(|| format!("wrk said: {}", said.trim()))
}

/// Reads what it prints.
fn parse(said: &str) -> Result<Outcome> {
    let (mut outcome, mut p50, mut p99) = (Outcome::default(), None, None);
    let mut seen = false;
    for line in said.lines().map(str::trim) {
        if let Some((count, rest)) = line.split_once(" requests in ") {
            outcome.requests = count.parse()?;
            outcome.took = time(rest.split(',').next().unwrap_or_default())?;
            seen = true;
        } else if let Some(value) = line.strip_prefix("50%") {
            p50 = Some(time(value)?);
        } else if let Some(value) = line.strip_prefix("99%") {
            p99 = Some(time(value)?);
        } else if let Some(counts) = line.strip_prefix("Socket errors:") {
            for count in counts.split(',') {
                let count = count.split_whitespace().last().unwrap_or_default();
                outcome.errors += count.parse::<u64>()?;
            }
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            outcome.errors += count.trim().parse::<u64>()?;
        }
    }
    ensure!(seen, "no count of requests");
    if let (Some(p50), Some(p99)) = (p50, p99) {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        outcome.latencies = Latencies::Said {
            p50: micros(p50),
            p99: micros(p99),
        };
    }
    Ok(outcome)
}

/// As in `512.00us`, `1.17ms`, `2.00s`, `1.02m`.
pub(super) fn time(text: &str) -> Result<Duration> {
    let text = text.trim();
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .context("a time without a unit")?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        other => anyhow::bail!("a time in {other}"),
    };
    let seconds = number.parse::<f64>()? * seconds;
    Duration::try_from_secs_f64(seconds).context("a time")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:8080/1k
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   602.72us  192.54us   7.60ms   88.59%
    Req/Sec   105.04k     6.12k  111.81k    85.00%
  Latency Distribution
     50%  570.00us
     75%  640.00us
     90%  765.00us
     99%    1.25ms
  209021 requests in 2.01s, 258.79MB read
Requests/sec: 103999.97
Transfer/sec:    128.76MB
";

    #[test]
    fn what_wrk_prints_is_read() {
        let outcome = parse(SAID).unwrap();
        let expected = Outcome {
            requests: 209_021,
            errors: 0,
            took: Duration::from_millis(2010),
            latencies: Latencies::Said {
                p50: 570.0,
                p99: 1250.0,
            },
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn errors_of_sockets_and_of_answers_count_alike() {
        let errors = "  Socket errors: connect 1, read 20, write 0, timeout 300\n  Non-2xx or 3xx responses: 4000\n";
        assert_eq!(parse(&format!("{SAID}{errors}")).unwrap().errors, 4321);
    }

    #[test]
    fn without_a_count_nothing_is_believed() {
        assert!(parse("unable to connect to 127.0.0.1:1 Connection refused").is_err());
        assert!(parse("x requests in 2.00s").is_err());
    }
}
