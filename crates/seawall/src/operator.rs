//! What operators do by the command line: each command asks the admin API and tells its answer.

mod audit;
mod client;
mod explain;
mod find;
mod key;
mod node;
mod purge;
mod service;
mod table;
mod token;
mod verify;

pub use find::remember;

use crate::cli::{
    AdminArgs, AuditArgs, ExplainArgs, KeyCommand, NodeCommand, PurgeArgs, PurgeCommand,
    ServiceCommand, TokenCommand,
};
use anyhow::Result;
use client::Client;
use std::process::ExitCode;

/// What was asked for is in the log, and not on every node yet.
pub(crate) const INCOMPLETE: u8 = 3;

/// Where commands print.
pub(crate) struct Output {
    pub(crate) as_json: bool,
    pub(crate) say: fn(&str),
}

impl Output {
    /// JSON as it came, or what `text` makes of it.
    fn tell(&self, body: &serde_json::Value, text: impl FnOnce() -> String) {
        if self.as_json {
            (self.say)(&format!("{body}\n"));
        } else {
            (self.say)(&text());
        }
    }
}

pub(crate) fn purge(admin: &AdminArgs, args: &PurgeArgs, output: &Output) -> Result<ExitCode> {
    // with keys at hand, no control plane is looked for
    if let Some(PurgeCommand::Verify { file, key }) = &args.command {
        return verify::run(admin, file, key.as_deref(), output);
    }
    purge::run(&Client::new(admin)?, args, output)
}

pub(crate) fn audit(admin: &AdminArgs, args: &AuditArgs, output: &Output) -> Result<ExitCode> {
    audit::run(&Client::new(admin)?, args, output)
}

pub(crate) fn key(admin: &AdminArgs, command: &KeyCommand, output: &Output) -> Result<ExitCode> {
    key::run(&Client::new(admin)?, command, output)
}

pub(crate) fn explain(admin: &AdminArgs, args: &ExplainArgs, output: &Output) -> Result<ExitCode> {
    explain::run(&Client::new(admin)?, args, output)
}

pub(crate) fn service(
    admin: &AdminArgs,
    command: &ServiceCommand,
    output: &Output,
) -> Result<ExitCode> {
    service::run(&Client::new(admin)?, command, output)
}

pub(crate) fn node(admin: &AdminArgs, command: &NodeCommand, output: &Output) -> Result<ExitCode> {
    node::run(&Client::new(admin)?, command, output)
}

pub(crate) fn token(
    admin: &AdminArgs,
    command: &TokenCommand,
    output: &Output,
) -> Result<ExitCode> {
    token::run(&Client::new(admin)?, command, output)
}
