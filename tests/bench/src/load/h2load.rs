//! h2load: closed loops of HTTP/2, with and without TLS.

use super::{Outcome, wrk::time};
use anyhow::{Context, Result, ensure};
use std::process::Command;

/// Runs it for whole seconds, with `streams` at a time on each connection. `http://` is HTTP/2 with prior knowledge.
pub(crate) fn run(url: &str, connections: usize, streams: usize, seconds: u64) -> Result<Outcome> {
    load(url, connections, streams, &format!("-D{seconds}"))
}

/// Asks twice, one after the other: as this load's requests are written, which some have in their keys.
pub(crate) fn twice(url: &str) -> Result<Outcome> {
    load(url, 1, 1, "-n2")
}

fn load(url: &str, connections: usize, streams: usize, much: &str) -> Result<Outcome> {
    let mut command = Command::new("h2load");
    // one cipher, whatever the server prefers; a server that is silent is given up after 20 s
    let cipher = "--tls13-ciphers=TLS_AES_256_GCM_SHA384";
    command.args(["-t1", "-N20s", cipher, much]);
    command.arg(format!("-c{connections}"));
    command.arg(format!("-m{streams}"));
    let ran = command.arg(url).output().context("h2load does not start")?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(
        ran.status.success(),
        "h2load failed: {}{}",
        said.trim(),
        String::from_utf8_lossy(&ran.stderr).trim()
    );
    parse(&said).with_context(|| format!("h2load said: {}", said.trim()))
}

/// Reads what it prints.
fn parse(said: &str) -> Result<Outcome> {
    let (mut outcome, mut seen) = (Outcome::default(), 0);
    for line in said.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("finished in ") {
            outcome.took = time(rest.split(',').next().unwrap_or_default())?;
            seen += 1;
        } else if let Some(counts) = line.strip_prefix("requests:") {
            outcome.requests = counted(counts, "succeeded")? + counted(counts, "failed")?;
            outcome.errors = counted(counts, "failed")?;
            seen += 1;
        }
    }
    ensure!(seen == 2, "no count of requests");
    Ok(outcome)
}

/// The number before a word, in `12 total, 11 succeeded`.
fn counted(counts: &str, word: &str) -> Result<u64> {
    let mut pairs = counts.split(',').map(|c| c.trim().split_once(' '));
    let found = pairs.find_map(|pair| pair.filter(|(_, w)| *w == word));
    let (number, _) = found.with_context(|| format!("it does not say how many {word}"))?;
    Ok(number.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SAID: &str = "starting benchmark...
spawning thread #0: 8 total client(s). Timing-based test with 0s of warm-up time and 2s of main duration for measurements.
TLS Protocol: TLSv1.3
Application protocol: h2
finished in 2.00s, 97554.50 req/s, 106.20MB/s
requests: 195109 total, 195173 started, 195109 done, 195100 succeeded, 9 failed, 3 errored, 0 timeout
status codes: 195109 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 212.41MB (222725272) total, 7.81MB (8195298) headers (space savings 91.39%), 190.54MB (199791616) data
";

    #[test]
    fn what_h2load_prints_is_read() {
        let outcome = parse(SAID).unwrap();
        assert_eq!(outcome.requests, 195_109);
        assert_eq!(outcome.errors, 9);
        assert_eq!(outcome.took, Duration::from_secs(2));
    }

    #[test]
    fn without_a_count_nothing_is_believed() {
        assert!(parse("finished in 2.00s, 1 req/s, 1B/s").is_err());
        assert!(parse("requests: 1 total").is_err());
    }
}
