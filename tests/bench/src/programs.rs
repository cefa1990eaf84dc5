//! Programs that are needed: ours beside this one, others from packages.

use crate::peers::{KINDS, find};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const PURGES: &str = "seawall-bench-purges";

/// This program once more, for a part of it in a process of its own: the same one even if its file was replaced.
pub(crate) fn this() -> Command {
    Command::new("/proc/self/exe")
}

/// Seawall, and the program of the purges. Under cargo both are built first, so that what is measured is this source.
pub(crate) fn ours(seawall: Option<&Path>) -> Result<(PathBuf, PathBuf)> {
    let this = std::env::current_exe()?;
    let dir = this.parent().context("this program lies somewhere")?;
    if let Some(seawall) = seawall {
        ensure!(seawall.is_file(), "{} is not there", seawall.display());
        return Ok((seawall.to_owned(), dir.join(PURGES)));
    }
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        // not this program itself, which runs
        build.args(["build", "-p", "seawall", "--bin", "seawall"]);
        build.args(["-p", "seawall-bench", "--bin", PURGES]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        ensure!(build.status()?.success(), "seawall cannot be built");
    }
    let seawall = dir.join("seawall");
    if !seawall.is_file() {
        bail!(
            "{} is not there: build it, or --seawall PATH",
            seawall.display()
        );
    }
    Ok((seawall, dir.join(PURGES)))
}

/// What brings all that is missing.
pub(crate) fn install() -> String {
    let tools = [("wrk", "wrk"), ("h2load", "nghttp2-client")];
    let tools = tools.iter().filter(|(name, _)| find(name).is_none());
    let mut missing: Vec<&str> = tools.map(|(_, package)| *package).collect();
    for kind in KINDS.iter().filter(|k| !k.is_here()) {
        missing.extend(kind.package().filter(|p| !missing.contains(p)));
    }
    let mut lines = Vec::new();
    if !missing.is_empty() {
        lines.push(format!(
            "apt-get install --no-install-recommends {}\n\
             (their daemons may start: disable them, they take no part)",
            missing.join(" ")
        ));
    }
    if find("oha").is_none() {
        // no package of Debian's
        lines.push("cargo install --locked oha   (for the case of that name alone)".to_owned());
    }
    if lines.is_empty() {
        return "all of it is installed".to_owned();
    }
    lines.join("\n")
}
