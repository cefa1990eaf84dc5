//! The command line. Scripts rely on it: it is extended, not changed.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use seawall_config::ByteCount;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A content distribution network that you run yourself.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage.\n\nExamples:\n  seawall up --origin https://www.example.com\n  seawall up --dir ./public --edges 2\n  seawall check config/examples/*.toml"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Print JSON for scripts instead of text for people.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to log to standard error, as in "info" or "warn,seawall_upstream=debug" (also: SEAWALL_LOG).
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole CDN in one process: edges, shields and, if none is named, an origin.
    #[command(
        after_help = "Without --origin and --dir a built-in demo origin is served.\n\nExamples:\n  seawall up\n  seawall up --origin http://127.0.0.1:3000\n  seawall up --dir ./public --ttl 5m\n  seawall up --origin https://www.example.com --edges 4 --shields 2 --listen 127.0.0.1:9000"
    )]
    Up(UpArgs),
    /// Run an edge: it answers clients, and asks the shields of its file.
    #[command(
        after_help = "Example:\n  seawall edge --config config/examples/edge.toml\n\nSIGHUP reloads files and certificates; SIGTERM drains."
    )]
    Edge(NodeArgs),
    /// Run an origin shield: it answers the edges of its fleet, and asks origins.
    #[command(
        after_help = "Example:\n  seawall shield --config config/examples/shield.toml\n\nSIGHUP reloads files and certificates; SIGTERM drains."
    )]
    Shield(NodeArgs),
    /// Judge node and service files: every fault at once, with file, line and setting. Nothing is started.
    #[command(after_help = "Example:\n  seawall check config/examples/*.toml")]
    Check {
        /// Files to judge; what each is shows from what it holds.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  seawall completions bash > /etc/bash_completion.d/seawall")]
    Completions { shell: Shell },
}

#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node's file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct UpArgs {
    /// Where the content comes from, as in http://127.0.0.1:3000.
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    pub origin: Option<String>,
    /// Serve this directory as the origin.
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
    /// Address of the first edge; further ones count up. Port 0: one that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address of health, readiness and metrics of all nodes.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub admin: SocketAddr,
    /// Directory for what nodes keep.
    #[arg(long, value_name = "DIR", default_value = "./seawall-data/up")]
    pub data: PathBuf,
    /// Number of edges.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub edges: u16,
    /// Number of shields; 0: edges ask the origin themselves.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub shields: u16,
    /// Memory for cached copies, of each node.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_memory)]
    pub memory: ByteCount,
    /// Disk for cached copies, of each node. Taken note of, and not used yet: copies are kept in memory.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub disk: Option<ByteCount>,
    /// How long files of --dir are fresh.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seawall_config::units::parse_duration)]
    pub ttl: Duration,
    /// The origin sees the Host that clients sent, instead of its URL's.
    #[arg(long)]
    pub pass_host: bool,
    /// Threads of each node; the number of processors by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
}

fn parse_size(text: &str) -> Result<ByteCount, &'static str> {
    text.parse()
}

fn parse_memory(text: &str) -> Result<ByteCount, &'static str> {
    let size: ByteCount = text.parse()?;
    if size.0 < 1 << 20 {
        Err("a node needs at least 1MiB")
    } else {
        Ok(size)
    }
}
