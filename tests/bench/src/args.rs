//! The command line.

use crate::against::Against;
use crate::cases::{Amounts, CASES};
use crate::floor::FloorArgs;
use crate::origin::OriginArgs;
use crate::peers::KINDS;
use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Measures Seawall and its peers on this machine: processor time per request against the kernel's floor, and the rest.
///
/// Starts an origin, the floors, Seawall and each peer that is installed, all on loopback and in a temporary directory,
/// and ends them. Only ratios of one run count: absolute figures move with the machine.
#[derive(Parser)]
#[command(name = "seawall-bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
    #[command(flatten)]
    pub(crate) against: Against,
    /// Only these cases (see --list).
    #[arg(long = "case", value_name = "ID", value_delimiter = ',')]
    pub(crate) cases: Vec<String>,
    /// Only these servers, and the floor: seawall, nginx, haproxy, varnish, trafficserver, squid.
    #[arg(long = "server", value_name = "NAME", value_delimiter = ',')]
    pub(crate) servers: Vec<String>,
    /// Seconds of each load [default: 2, with --quick 1].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) seconds: Option<u64>,
    /// Rounds, in which all servers take turns [default: 3, with --quick 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) repeats: Option<u32>,
    /// A look in three minutes: one round, fewer cases, keys and objects.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Keys of the cases over many of them [default: 100000, with --quick 10000].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    pub(crate) keys: Option<u64>,
    /// The program that is measured [default: seawall beside this one; under cargo it is built].
    #[arg(long, value_name = "PATH")]
    pub(crate) seawall: Option<PathBuf>,
    /// Core of the servers [default: the first].
    #[arg(long, value_name = "N")]
    pub(crate) server_core: Option<usize>,
    /// Core of the load and the origin [default: the second].
    #[arg(long, value_name = "N")]
    pub(crate) load_core: Option<usize>,
    /// Writes all runs and ratios to a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes charts into a directory, as in docs/bench.
    #[arg(long, value_name = "DIR")]
    pub(crate) svg: Option<PathBuf>,
    /// Says how to install the peers and load generators that are missing, and ends.
    #[arg(long)]
    pub(crate) install: bool,
    /// Lists the cases, and ends.
    #[arg(long)]
    pub(crate) list: bool,
}

/// What this program runs as in processes of its own.
#[derive(Subcommand)]
pub(crate) enum Part {
    #[command(hide = true)]
    Floor(FloorArgs),
    #[command(hide = true)]
    Origin(OriginArgs),
}

/// The case that is not one of ours.
pub(crate) const PURGES: &str = "purges";

impl Args {
    /// Refuses names that are none.
    pub(crate) fn check(&self) -> Result<()> {
        let known = |id: &String| id == PURGES || CASES.iter().any(|c| c.id == id);
        if let Some(id) = self.cases.iter().find(|id| !known(id)) {
            bail!("there is no case {id}: see --list");
        }
        let known = |name: &String| KINDS.iter().any(|k| k.name() == name);
        if let Some(name) = self.servers.iter().find(|name| !known(name)) {
            bail!("there is no server {name}");
        }
        Ok(())
    }

    /// Whether a case, or the purges, is to run.
    pub(crate) fn wants_case(&self, id: &str, quick: bool) -> bool {
        if self.cases.is_empty() {
            return quick || !self.quick;
        }
        self.cases.iter().any(|c| c == id)
    }

    pub(crate) fn wants_server(&self, name: &str) -> bool {
        self.servers.is_empty() || name == "floor" || self.servers.iter().any(|s| s == name)
    }

    pub(crate) fn amounts(&self) -> Amounts {
        let (seconds, repeats) = if self.quick { (1, 1) } else { (2, 3) };
        let (seconds, repeats) = (
            self.seconds.unwrap_or(seconds),
            self.repeats.unwrap_or(repeats),
        );
        if self.quick {
            Amounts {
                seconds,
                repeats,
                keys: self.keys.unwrap_or(10_000),
                fills: 5_000,
                objects: 20_000,
                idle: 1_000,
                kept: 10_000,
                rate: 20_000,
            }
        } else {
            Amounts {
                seconds,
                repeats,
                keys: self.keys.unwrap_or(100_000),
                fills: 20_000,
                objects: 200_000,
                idle: 10_000,
                kept: 50_000,
                rate: 20_000,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn cases_and_servers_are_chosen_by_name() {
        let args = Args::parse_from(["bench", "--case", "1k,open", "--server", "nginx"]);
        args.check().unwrap();
        assert!(args.wants_case("open", true) && !args.wants_case("close", true));
        assert!(args.wants_server("nginx") && args.wants_server("floor"));
        assert!(!args.wants_server("seawall"));
        let args = Args::parse_from(["bench", "--quick"]);
        assert!(args.wants_case("1k", true) && !args.wants_case("zipf", false));
        assert!(Args::parse_from(["bench", "--case", "2k"]).check().is_err());
        assert!(
            Args::parse_from(["bench", "--server", "apache"])
                .check()
                .is_err()
        );
    }
}
