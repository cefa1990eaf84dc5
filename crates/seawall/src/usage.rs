//! What makes a command line wrong beyond what its parser sees. All of it ends with exit code 2, before anything is asked
//! or started.

use crate::cli::{Cli, Command, ControlPlaneArgs, PurgeArgs};
use clap::CommandFactory;
use clap::error::ErrorKind;
use std::fmt;

/// The exit code of a wrong command line; the parser's own as well.
pub const EXIT_CODE: u8 = 2;

/// A wrong command line that is found where its values are used; one line.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Judges arguments beside each other. The parser cannot be told that arguments exclude subcommands: once it has seen
/// *any* argument, `--json` among them, it would take `list` for a URL.
pub fn check(cli: &Cli) -> Result<(), clap::Error> {
    match &cli.command {
        Command::Purge { args, .. } => purge(args).map_err(|why| refuse("purge", &why)),
        Command::ControlPlane(args) => {
            control_plane(args).map_err(|why| refuse("control-plane", &why))
        }
        _ => Ok(()),
    }
}

type Why = (ErrorKind, String);

fn purge(args: &PurgeArgs) -> Result<(), Why> {
    let names = [
        (!args.urls.is_empty(), "a URL"),
        (!args.tag.is_empty(), "--tag"),
        (!args.prefix.is_empty(), "--prefix"),
        (!args.host.is_empty(), "--host"),
        (args.everything, "--everything"),
        (args.service.is_some(), "--service"),
    ];
    let given = |(given, name): (bool, &'static str)| given.then_some(name);
    let Some(command) = &args.command else {
        if names.into_iter().any(|(given, _)| given) {
            return Ok(());
        }
        let why = "nothing is named: URLs, --tag, --prefix, --host, --everything, or --service for all of it";
        return Err((ErrorKind::MissingRequiredArgument, why.into()));
    };
    let purging = [
        (args.soft, "--soft"),
        (args.pace.is_some(), "--pace"),
        (args.dry_run, "--dry-run"),
        (args.wait.is_some(), "--wait"),
    ];
    match names.into_iter().chain(purging).find_map(given) {
        Some(name) => Err(beside(name, &format!("purge {}", command.name()))),
        None => Ok(()),
    }
}

fn control_plane(args: &ControlPlaneArgs) -> Result<(), Why> {
    match (&args.command, &args.config) {
        (Some(command), Some(_)) => Err(beside(
            "--config",
            &format!("control-plane {}", command.name()),
        )),
        _ => Ok(()),
    }
}

fn beside(argument: &str, command: &str) -> Why {
    let why = format!("{argument} cannot be used with 'seawall {command}'");
    (ErrorKind::ArgumentConflict, why)
}

/// The refusal as the parser words its own, with the command's usage.
fn refuse(command: &str, (kind, why): &Why) -> clap::Error {
    let mut all = Cli::command();
    all.build();
    match all.find_subcommand_mut(command) {
        Some(command) => command.error(*kind, why),
        None => all.error(*kind, why),
    }
}
