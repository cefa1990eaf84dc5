//! Bounds of a connection. Each part of a request has its own size and time.

use std::time::Duration;

/// Sizes in bytes unless said otherwise.
#[derive(Clone, Debug)]
pub struct ConnLimits {
    /// Request line and fields together; beyond: 431.
    pub head_bytes_max: usize,
    /// The request target; beyond: 414.
    pub target_bytes_max: usize,
    /// From a head's first byte to its last; beyond: 408.
    pub head_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// Between two reads of a request's body; beyond: 408.
    pub body_idle_timeout: Duration,
    /// Without progress while a response is written.
    pub write_idle_timeout: Duration,
    /// After the last response, for the client to take it and close.
    pub linger: Duration,
    /// TLS handshake.
    pub handshake_timeout: Duration,
    /// Open connections of a node; further ones are closed at once.
    pub connections_max: usize,
    /// HTTP/2: streams open at the same time on one connection.
    pub h2_streams_max: u32,
}

/// Fields of one request; beyond: 431. A constant, as heads are parsed on the stack.
pub const FIELDS_MAX: usize = 100;

impl Default for ConnLimits {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            target_bytes_max: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_idle_timeout: Duration::from_secs(30),
            write_idle_timeout: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(10),
            connections_max: 65_536,
            h2_streams_max: 128,
        }
    }
}
