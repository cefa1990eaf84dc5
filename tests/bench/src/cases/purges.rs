//! What purges cost: by a program of its own, whose lines are passed on.

use crate::process::Process;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest that one run of it may take: a disk that is still writing what other cases left makes it slow.
const AT_MOST: Duration = Duration::from_secs(300);

/// Its lines, which go through files in `dir`: of a real fleet, and of 200 and 1,000 simulated nodes on one control plane.
/// `quick`: fewer purges, a shorter time, and 200 nodes alone.
pub(crate) fn run(program: &Path, dir: &Path, quick: bool) -> Result<Vec<String>> {
    let (purges, seconds, objects) = if quick {
        ("100", "2", "1000")
    } else {
        ("500", "10", "20000")
    };
    let real = [
        "--purges",
        purges,
        "--seconds",
        seconds,
        "--objects",
        objects,
    ];
    let mut lines = said(program, &real, dir)?;
    let fleets = [("200", purges), ("1000", purges)];
    for (nodes, purges) in fleets.into_iter().take(if quick { 1 } else { 2 }) {
        let simulated = ["fleet", "--nodes", nodes, "--purges", purges];
        lines.extend(said(program, &simulated, dir)?);
    }
    Ok(lines)
}

fn said(program: &Path, arguments: &[&str], dir: &Path) -> Result<Vec<String>> {
    let mut command = Command::new(program);
    command.args(arguments).env("TMPDIR", dir);
    // its last words are the reason
    command.env("RUST_BACKTRACE", "0");
    let said = dir.join(format!("purges{}", arguments.join("")));
    let (mut process, began) = (Process::spawn(command, &[], &said)?, Instant::now());
    let status = loop {
        if let Some(status) = process.ended() {
            break status;
        }
        ensure!(began.elapsed() < AT_MOST, "not done after {AT_MOST:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let name = program.display();
    ensure!(status.success(), "{name} failed: {}", process.last_words());
    let said = std::fs::read_to_string(said).with_context(|| format!("{name} said nothing"))?;
    Ok(said.lines().map(str::to_owned).collect())
}
