//! Where the content of `up` comes from: the origin of the command line, or one that is built in.

use crate::cli::UpArgs;
use crate::origin::{DemoOrigin, OriginError, StaticOrigin};
use anyhow::{Context, Result};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What a built-in origin served last, and on which port.
const NOTE_FILE: &str = "built-in-origin";
const DEMO: &str = "demo";

/// The content; a built-in origin ends when it is dropped.
pub(super) struct Content {
    _origin: BuiltIn,
    pub(super) url: String,
    /// A built-in origin served something else the last time: copies of that are of no use.
    pub(super) is_other: bool,
    note: Option<(PathBuf, String)>,
}

enum BuiltIn {
    None,
    Static(#[allow(dead_code, reason = "held for as long as it serves")] StaticOrigin),
    Demo(#[allow(dead_code, reason = "held for as long as it serves")] DemoOrigin),
}

impl Content {
    /// Starts a built-in origin where none is named, on the port of the last time if it is free: an operator's version of
    /// the service may name it.
    pub(super) fn start(args: &UpArgs) -> Result<Self> {
        if let Some(url) = &args.origin {
            return Ok(Self {
                _origin: BuiltIn::None,
                url: url.clone(),
                is_other: false,
                note: None,
            });
        }
        let path = args.data.join(NOTE_FILE);
        let last = fs::read_to_string(&path).unwrap_or_default();
        let (last_port, last_served) = last.trim_end().split_once(' ').unwrap_or_default();
        let last_port = last_port.parse().unwrap_or(0);
        let (origin, address) = start(args, last_port)?;
        let serves = match &args.dir {
            Some(dir) => dir.canonicalize().unwrap_or_else(|_| dir.clone()),
            None => PathBuf::from(DEMO),
        };
        let serves = serves.display().to_string();
        Ok(Self {
            _origin: origin,
            url: format!("http://{address}"),
            is_other: !last_served.is_empty() && last_served != serves,
            note: Some((path, format!("{} {serves}\n", address.port()))),
        })
    }

    /// Writes down what is served, once copies of what was served before are purged.
    pub(super) fn remember(&self) -> Result<()> {
        let Some((path, text)) = &self.note else {
            return Ok(());
        };
        put(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Whole or not at all.
fn put(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

fn start(args: &UpArgs, port: u16) -> Result<(BuiltIn, SocketAddr), OriginError> {
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let started = match &args.dir {
        Some(dir) => StaticOrigin::start(address, dir, args.ttl).map(|origin| {
            let address = origin.address();
            (BuiltIn::Static(origin), address)
        }),
        None => DemoOrigin::start(address).map(|origin| {
            let address = origin.address();
            (BuiltIn::Demo(origin), address)
        }),
    };
    match started {
        // somebody else has it by now
        Err(OriginError::Listen { .. }) if port != 0 => start(args, 0),
        started => started,
    }
}
