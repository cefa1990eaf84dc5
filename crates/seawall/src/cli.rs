//! The command line. Scripts rely on it: it is extended, not changed.

use crate::usage;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use seawall_config::ByteCount;
use seawall_control_plane::tokens::Role;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A content distribution network that you run yourself.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 accepted but not complete.\n\nExamples:\n  seawall up --origin https://www.example.com\n  seawall up --dir ./public --edges 2\n  seawall purge https://www.example.com/news\n  seawall check config/examples/*.toml"
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

impl Cli {
    /// The command line of this process. A wrong one is told, and ends the process with exit code 2.
    pub fn of_process() -> Self {
        let cli = Self::parse();
        if let Err(wrong) = usage::check(&cli) {
            wrong.exit();
        }
        cli
    }
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
    /// Run a control plane: services and purges come by its API, and nodes follow it.
    #[command(
        subcommand_negates_reqs = true,
        after_help = "Examples:\n  seawall control-plane --config config/examples/control-plane.toml\n  seawall control-plane backup --data ./seawall-data/control-plane --to backup.db\n  seawall control-plane restore --data ./seawall-data/control-plane --from backup.db\n\nSIGHUP reloads certificates and shields; SIGTERM ends it. Nodes serve on."
    )]
    ControlPlane(ControlPlaneArgs),
    /// Purge what is cached, on every node, and see where it is in force.
    #[command(
        after_help = "Examples:\n  seawall purge https://www.example.com/news https://www.example.com/\n  seawall purge --tag product-17 --soft\n  seawall purge --prefix www.example.com/shop --dry-run\n  seawall purge --everything --wait 30s\n  seawall purge show ID --signed > receipt.jws\n  seawall purge verify receipt.jws --key keys.json\n  seawall purge list --url https://www.example.com/news\n\nExit code 3: in the log, and not yet in force on every node; `seawall purge show ID` tells more."
    )]
    Purge {
        #[command(flatten)]
        admin: AdminArgs,
        #[command(flatten)]
        args: PurgeArgs,
    },
    /// Tell how a URL would be answered, and why: service, rule, key, and the copies on each node.
    #[command(
        after_help = "Examples:\n  seawall explain https://www.example.com/news\n  seawall explain https://www.example.com/ --header 'Accept-Language: de' --header 'Cookie: a=b'\n\nNothing is sent to origins, and nothing that is stored changes."
    )]
    Explain {
        #[command(flatten)]
        admin: AdminArgs,
        #[command(flatten)]
        args: ExplainArgs,
    },
    /// Services in force, and their versions.
    #[command(
        after_help = "Examples:\n  seawall service list\n  seawall service show site > site.toml\n  seawall service put site.toml --if-version 3\n  seawall service rollback site --to 2"
    )]
    Service {
        #[command(flatten)]
        admin: AdminArgs,
        #[command(subcommand)]
        command: ServiceCommand,
    },
    /// Members of the fleet.
    #[command(after_help = "Example:\n  seawall node list")]
    Node {
        #[command(flatten)]
        admin: AdminArgs,
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// Operators' tokens.
    #[command(after_help = "Example:\n  seawall token create --name ci --role purge")]
    Token {
        #[command(flatten)]
        admin: AdminArgs,
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Who changed what, and when: purges, services, tokens, nodes, keys; latest first.
    #[command(
        after_help = "Examples:\n  seawall audit --limit 100\n  seawall audit --kind service,token"
    )]
    Audit {
        #[command(flatten)]
        admin: AdminArgs,
        #[command(flatten)]
        args: AuditArgs,
    },
    /// The keys that receipts are signed with.
    #[command(
        after_help = "Examples:\n  seawall key list --json > keys.json\n  seawall key rotate\n\nThe public keys are a JSON Web Key Set; `seawall purge verify FILE --key keys.json` needs no control plane."
    )]
    Key {
        #[command(flatten)]
        admin: AdminArgs,
        #[command(subcommand)]
        command: KeyCommand,
    },
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

/// Where the control plane is, and the token for it.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// The admin API's address (also: SEAWALL_ADMIN) [default: 127.0.0.1:8081].
    #[arg(long, value_name = "HOST:PORT|URL", global = true)]
    pub admin: Option<String>,
    /// A file with an operator's token (also: SEAWALL_TOKEN); on the control plane's machine it is found by itself.
    #[arg(long, value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ControlPlaneArgs {
    /// The control plane's file.
    #[arg(long, value_name = "FILE", required = true)]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Option<ControlPlaneCommand>,
}

#[derive(Debug, Subcommand)]
pub enum ControlPlaneCommand {
    /// Copy the store into a new file, also while it runs.
    Backup {
        /// The control plane's data directory (of `up`: its --data).
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The new file.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Put a backup in the store's place; no control plane may be running there. Nodes start empty afterwards.
    Restore {
        /// The control plane's data directory (of `up`: its --data).
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The backup.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
}

impl ControlPlaneCommand {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Backup { .. } => "backup",
            Self::Restore { .. } => "restore",
        }
    }
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The URL as a client asks for it.
    #[arg(value_name = "URL")]
    pub url: String,
    /// A header of the request, as in "Accept-Language: de"; any number of times.
    #[arg(long, value_name = "HEADER", value_parser = parse_header)]
    pub header: Vec<String>,
}

#[derive(Debug, Args)]
pub struct PurgeArgs {
    #[command(subcommand)]
    pub command: Option<PurgeCommand>,
    /// URLs of either scheme; all variants go.
    #[arg(value_name = "URL")]
    pub urls: Vec<String>,
    /// Surrogate keys, of --service where there are several.
    #[arg(long, value_name = "T", num_args = 1..)]
    pub tag: Vec<String>,
    /// Paths and all below them: URLs or host/path.
    #[arg(long, value_name = "P", num_args = 1..)]
    pub prefix: Vec<String>,
    /// Bare host names.
    #[arg(long, value_name = "H", num_args = 1..)]
    pub host: Vec<String>,
    /// Everything that is cached.
    #[arg(long, conflicts_with_all = ["urls", "tag", "prefix", "host", "service"])]
    pub everything: bool,
    /// Whose tags they are; alone: all of this service.
    #[arg(long, value_name = "S")]
    pub service: Option<String>,
    /// What is covered becomes stale, and is not gone.
    #[arg(long)]
    pub soft: bool,
    /// What is gone is asked for anew no faster than N times a second, by each node that asks an origin.
    #[arg(long, value_name = "N/s", value_parser = parse_pace, conflicts_with = "soft")]
    pub pace: Option<u32>,
    /// Purge nothing: estimate what would go.
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait for all nodes. Without it: for the connected ones, at most 5s.
    #[arg(long, value_name = "TIME", value_parser = parse_wait)]
    pub wait: Option<Duration>,
    /// Write the signed receipt to this file as well; one that is there is replaced.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub receipt: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum PurgeCommand {
    /// One purge as it stands now.
    Show {
        id: String,
        /// The receipt, signed by the control plane, to be kept.
        #[arg(long)]
        signed: bool,
    },
    /// Whether a receipt that was kept is one of the control plane's, and what it says. Exit code 3: it is, and the purge
    /// was not in force everywhere.
    Verify {
        file: PathBuf,
        /// Public keys, as `seawall key list --json` prints them; without them the control plane is asked.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// The last purges, newest first: all of them, or those that cover what is looked for.
    List {
        /// Those that cover this URL: by itself, its prefixes, host, service, and of everything.
        #[arg(long, value_name = "URL", conflicts_with_all = ["tag", "prefix", "host"])]
        url: Option<String>,
        /// Those that cover all that carries this surrogate key, of --service where there are several.
        #[arg(long, value_name = "T", conflicts_with_all = ["prefix", "host"])]
        tag: Option<String>,
        /// Those that cover a path and all below it.
        #[arg(long, value_name = "P", conflicts_with = "host")]
        prefix: Option<String>,
        /// Those that cover all of a host.
        #[arg(long, value_name = "H")]
        host: Option<String>,
        /// Whose tag it is; alone: those that cover all of this service.
        #[arg(long, value_name = "S")]
        service: Option<String>,
        /// Older ones than this purge.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
}

impl PurgeCommand {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Show { .. } => "show",
            Self::Verify { .. } => "verify",
            Self::List { .. } => "list",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// The services in force.
    List,
    /// A service's file, as it is in force.
    Show { id: String },
    /// Put a service file in force, as a new version; the file says which service.
    Put {
        file: PathBuf,
        /// Only where this version is in force.
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
    },
    /// The versions of a service, newest first.
    History { id: String },
    /// Put an earlier version in force, as a new version.
    Rollback {
        id: String,
        /// The version whose text is wanted again.
        #[arg(long, value_name = "N")]
        to: u64,
        /// Only where this version is in force.
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
    },
    /// Take a service out of force; its history stays.
    Delete {
        id: String,
        /// Only where this version is in force.
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// The members, and how far each is.
    List,
    /// Remove a member that is gone for good: no receipt waits for it any more.
    Remove { id: String },
}

#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Of these kinds alone: purge, service, token, node, key.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kind: Vec<String>,
    /// Go on where an earlier list said that it does.
    #[arg(long, value_name = "NEXT")]
    pub after: Option<String>,
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// The public keys: the one that signs, and those before it.
    List,
    /// Have a new key sign from now on; receipts of earlier ones stay valid.
    Rotate,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// All tokens, without their texts.
    List,
    /// Make a token; it is printed this once.
    Create {
        /// A name for people and for the purges it asks for.
        #[arg(long)]
        name: String,
        /// read, purge or admin.
        #[arg(long, value_name = "ROLE")]
        role: Role,
    },
    /// Make a token nothing.
    Revoke { id: String },
}

fn parse_header(text: &str) -> Result<String, &'static str> {
    let (name, value) = text
        .split_once(':')
        .ok_or("a header is written as in Accept-Language: de")?;
    let legal = http::HeaderName::from_bytes(name.trim().as_bytes()).is_ok()
        && http::HeaderValue::from_str(value.trim()).is_ok();
    legal.then(|| text.to_owned()).ok_or("that is no header")
}

fn parse_pace(text: &str) -> Result<u32, &'static str> {
    let pace = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    let pace = pace.filter(|pace| (1..=1_000_000).contains(pace));
    pace.ok_or("1/s to 1000000/s is wanted here")
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    let wait = seawall_config::units::parse_duration(text)?;
    if wait > Duration::from_secs(60) {
        return Err("at most 60s".into());
    }
    Ok(wait)
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
    /// Address of the admin API, and of health, readiness and metrics of all nodes.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub admin: SocketAddr,
    /// Directory for what nodes and the control plane keep; the operator's token is written there.
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
    /// Disk for cached copies, of each node: they are there after a restart. 0: memory alone [default: 4GiB, and less where
    /// all nodes together would take more than a quarter of what is free].
    #[arg(long, value_name = "SIZE", value_parser = parse_disk)]
    pub disk: Option<ByteCount>,
    /// How long files of --dir are fresh.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seawall_config::units::parse_duration)]
    pub ttl: Duration,
    /// The origin sees the Host that clients sent, instead of its URL's.
    #[arg(long)]
    pub pass_host: bool,
    /// Serve on the last good state where the control plane's store is damaged: nothing can be purged or changed then.
    #[arg(long)]
    pub serve_last_good: bool,
    /// Threads of each node; the number of processors by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
}

fn parse_disk(text: &str) -> Result<ByteCount, &'static str> {
    let size: ByteCount = text.parse()?;
    if (1..seawall_config::node::DISK_BYTES_MIN).contains(&size.0) {
        Err("a disk holds at least 64MiB; 0 is none")
    } else {
        Ok(size)
    }
}

fn parse_memory(text: &str) -> Result<ByteCount, &'static str> {
    let size: ByteCount = text.parse()?;
    if size.0 < 1 << 20 {
        Err("a node needs at least 1MiB")
    } else {
        Ok(size)
    }
}
