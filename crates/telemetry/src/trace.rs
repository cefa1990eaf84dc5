//! The set-up of tracing, once a process.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Messages go to standard error, filtered by `filter` (else by `SEAWALL_LOG`, else warnings and Seawall's own news).
/// A second call changes nothing.
pub fn init_tracing(format: LogFormat, filter: Option<&str>) {
    let filter = match filter {
        Some(filter) => EnvFilter::try_new(filter).ok(),
        None => EnvFilter::try_from_env("SEAWALL_LOG").ok(),
    }
    // pingora reports each client that leaves as an error of its own
    .unwrap_or_else(|| EnvFilter::new("warn,seawall=info,pingora_proxy=off,pingora_core=off"));
    // a file or a journal would keep the letters of a colour
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false);
    // an error means that tracing is set up already, as in tests
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
