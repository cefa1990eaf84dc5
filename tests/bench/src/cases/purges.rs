//! What purges cost: by a program of its own, whose lines are passed on.

use crate::process::Process;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest that it may take.
const AT_MOST: Duration = Duration::from_secs(100);

/// Its lines, which go through a file in `dir`. `quick`: fewer purges, a shorter time.
pub(crate) fn run(program: &Path, dir: &Path, quick: bool) -> Result<Vec<String>> {
    let mut command = Command::new(program);
    let (purges, seconds, objects) = if quick {
        ("100", "2", "1000")
    } else {
        ("500", "10", "20000")
    };
    command.args(["--purges", purges, "--seconds", seconds]);
    command.args(["--objects", objects]);
    command.env("TMPDIR", dir);
    let said = dir.join("purges");
    let (mut process, began) = (Process::spawn(command, None, &said)?, Instant::now());
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
