//! A server's side of HTTP/2 (RFC 9113) as a state machine: what a client sent goes in, frames for it come out, and nothing
//! here touches a socket, waits, or knows what a request means.
//!
//! Whoever runs a [`Connection`] gives it what came ([`Connection::receive`]), answers each [`Asked`] at once
//! ([`Connection::answer`]) or keeps its stream for a task of its own ([`Connection::hold`]), and writes what
//! [`Connection::out`] has. Tasks find the connection behind a lock, and leave a waker where they have to wait.
//!
//! - `hpack`: field sections, compressed (RFC 7541); `head`: a request's head, and what makes it malformed
//! - `frame`, `reason`: frames and error codes; `out`: what waits to be written
//! - `connection`: the state of a connection and its end; `receive`, `control`: frames that come; `send`: those that go
//! - `stream`: one stream, and what its task may do; `closed`: how the last of those ended that are gone

mod closed;
mod connection;
mod control;
mod frame;
mod head;
mod hpack;
mod out;
mod reason;
mod receive;
mod send;
mod stream;

pub use connection::{Asked, Connection, Limits};
pub use frame::PAYLOAD_BYTES_MAX;
pub use head::{Fault, Head};
pub use out::Out;
pub use reason::{Fatal, Reason};
pub use send::Body;
pub use stream::{Gone, Trailers};

/// What a client begins a connection with (RFC 9113 §3.4); no HTTP/1 request begins so.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests;
