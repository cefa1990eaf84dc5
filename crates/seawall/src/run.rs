//! What each command does. Text for people and JSON for scripts go to standard output from here, and from nowhere else.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line prints"
)]

mod control_plane;

use crate::cli::{Cli, Command, NodeArgs, UpArgs};
use crate::up::{Up, next_steps};
use crate::{open_files, operator};
use anyhow::{Context, Result};
use clap::CommandFactory;
use seawall_config::{Fault, check_files, load_edge, load_services, load_shield};
use seawall_control_plane::server::TOKEN_FILE;
use seawall_edge::Edge;
use seawall_origin_shield::Shield;
use seawall_telemetry::{LogFormat, init_tracing};
use serde_json::json;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long `up` lets running exchanges finish.
const UP_DRAIN: Duration = Duration::from_secs(30);

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    init_tracing(
        if cli.json {
            LogFormat::Json
        } else {
            LogFormat::Text
        },
        cli.log.as_deref(),
    );
    open_files::raise_limit();
    // an error means that a provider is installed already
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match cli.command {
        Command::Up(args) => up(&args, cli.json).map(|()| ExitCode::SUCCESS),
        Command::Edge(args) => edge(&args, cli.json).map(|()| ExitCode::SUCCESS),
        Command::Shield(args) => shield(&args, cli.json).map(|()| ExitCode::SUCCESS),
        Command::ControlPlane(args) => {
            control_plane::control_plane(&args, cli.json).map(|()| ExitCode::SUCCESS)
        }
        Command::Purge { admin, args } => operator::purge(&admin, &args, &output(cli.json)),
        Command::Explain { admin, args } => operator::explain(&admin, &args, &output(cli.json)),
        Command::Service { admin, command } => {
            operator::service(&admin, &command, &output(cli.json))
        }
        Command::Node { admin, command } => operator::node(&admin, &command, &output(cli.json)),
        Command::Token { admin, command } => operator::token(&admin, &command, &output(cli.json)),
        Command::Audit { admin, args } => operator::audit(&admin, &args, &output(cli.json)),
        Command::Key { admin, command } => operator::key(&admin, &command, &output(cli.json)),
        Command::Check { files } => Ok(check(&files, cli.json)),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "seawall", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("seawall: {error:#}");
        if error.is::<crate::usage::Usage>() {
            ExitCode::from(crate::usage::EXIT_CODE)
        } else {
            ExitCode::FAILURE
        }
    })
}

fn output(as_json: bool) -> operator::Output {
    operator::Output { as_json, say }
}

/// Prints, and goes on where nobody reads.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(SocketAddr::to_string).collect()
}

/// The signals that end or change a running command.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

#[derive(PartialEq, Eq)]
enum Told {
    End,
    Reload,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// Drains; a second signal ends the process at once.
fn finish(
    runtime: &tokio::runtime::Runtime,
    mut signals: Signals,
    drain: impl FnOnce() -> bool + Send + 'static,
) {
    runtime.block_on(async {
        let drained = tokio::task::spawn_blocking(drain);
        tokio::select! {
            finished = drained => {
                if !finished.unwrap_or(false) {
                    eprintln!("seawall: some exchanges did not finish in time and were cut");
                }
            }
            () = async { while signals.next().await != Told::End {} } => {
                eprintln!("seawall: ended at once by a second signal");
                std::process::exit(0);
            }
        }
    });
}

fn up(args: &UpArgs, as_json: bool) -> Result<()> {
    let runtime = runtime()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let up = Up::start(args)?;
    if as_json {
        let ready = json!({
            "edges": texts(&up.edge_addresses()),
            "shields": texts(&up.shield_addresses()),
            "admin": up.admin_address().to_string(),
            "origin": up.origin_url(),
            "data": args.data,
            "token_file": args.data.join(TOKEN_FILE),
            "disk_bytes": up.disk().map(|size| size.0),
            "notes": up.notes(),
        });
        say(&format!("{ready}\n"));
    } else {
        say(&next_steps(&up, &args.data));
    }
    runtime.block_on(async { while signals.next().await != Told::End {} });
    finish(&runtime, signals, move || up.drain(UP_DRAIN));
    Ok(())
}

/// What `edge` and `shield` have in common: announce, serve, reload, drain.
struct Serving<N> {
    kind: &'static str,
    node: N,
    listen: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    grace: Duration,
}

impl<N: Send + 'static> Serving<N> {
    fn run(
        self,
        runtime: &tokio::runtime::Runtime,
        mut signals: Signals,
        as_json: bool,
        reload: impl Fn(&N) -> Result<()>,
        drain: impl FnOnce(N, Duration) -> bool + Send + 'static,
    ) {
        let Self {
            kind,
            node,
            listen,
            admin,
            grace,
        } = self;
        let listen = texts(&listen);
        if as_json {
            let admin = admin.map(|a| a.to_string());
            say(&format!(
                "{}\n",
                json!({ "role": kind, "listen": listen, "admin": admin })
            ));
        } else {
            let admin = admin
                .map(|a| format!(", admin http://{a}"))
                .unwrap_or_default();
            say(&format!("{kind} serves {}{admin}\n", listen.join(", ")));
        }
        while runtime.block_on(signals.next()) == Told::Reload {
            match reload(&node) {
                Ok(()) => tracing::info!("files and certificates are reloaded"),
                Err(error) => {
                    tracing::error!("reload refused, the old state stays in force: {error:#}");
                }
            }
        }
        finish(runtime, signals, move || drain(node, grace));
    }
}

fn edge(args: &NodeArgs, as_json: bool) -> Result<()> {
    let runtime = runtime()?;
    let signals = runtime.block_on(async { Signals::new() })?;
    let model = load_edge(&args.config)?;
    let services = load_services(&model.services)?;
    let started = Edge::start(&model, services)?;
    let config = args.config.clone();
    let reload = move |edge: &Edge| {
        let loaded = load_edge(&config).and_then(|model| {
            let services = load_services(&model.services)?;
            Ok((model, services))
        });
        match loaded {
            Ok((model, services)) => edge.reload(&model, services).context("reload"),
            Err(faults) => {
                edge.reload_refused();
                Err(faults.into())
            }
        }
    };
    let serving = Serving {
        kind: "edge",
        listen: started.addrs().to_vec(),
        admin: started.admin_addr(),
        grace: model.node.drain,
        node: started,
    };
    serving.run(&runtime, signals, as_json, reload, Edge::drain);
    Ok(())
}

fn shield(args: &NodeArgs, as_json: bool) -> Result<()> {
    let runtime = runtime()?;
    let signals = runtime.block_on(async { Signals::new() })?;
    let model = load_shield(&args.config)?;
    let services = load_services(&model.services)?;
    let started = Shield::start(&model, services)?;
    let config = args.config.clone();
    let reload = move |shield: &Shield| {
        let loaded = load_shield(&config).and_then(|model| {
            let services = load_services(&model.services)?;
            Ok((model, services))
        });
        match loaded {
            Ok((model, services)) => shield.reload(&model, services).context("reload"),
            Err(faults) => {
                shield.reload_refused();
                Err(faults.into())
            }
        }
    };
    let serving = Serving {
        kind: "shield",
        listen: started.addrs().to_vec(),
        admin: started.admin_addr(),
        grace: model.node.drain,
        node: started,
    };
    serving.run(&runtime, signals, as_json, reload, Shield::drain);
    Ok(())
}

fn check(files: &[PathBuf], as_json: bool) -> ExitCode {
    let (kinds, faults) = check_files(files);
    if as_json {
        let fault = |f: &Fault| json!({ "file": f.file, "line": f.line, "path": f.path, "message": f.message });
        let file = |(file, kind): &(PathBuf, Option<seawall_config::Kind>)| json!({ "file": file, "kind": kind.map(seawall_config::Kind::as_str) });
        let told = json!({
            "ok": faults.is_empty(),
            "files": kinds.iter().map(file).collect::<Vec<_>>(),
            "faults": faults.iter().map(fault).collect::<Vec<_>>(),
        });
        say(&format!("{told}\n"));
    } else {
        for (file, kind) in &kinds {
            let bad = faults.iter().any(|f| same_file(&f.file, file));
            if let (Some(kind), false) = (kind, bad) {
                say(&format!(
                    "{}: a good {} file\n",
                    file.display(),
                    kind.as_str()
                ));
            }
        }
        for fault in &faults {
            eprintln!("{fault}");
        }
    }
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b
}
