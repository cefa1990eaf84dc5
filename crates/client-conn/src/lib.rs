//! A client's connection: accept, strict framing, HTTP/1.1 and HTTP/2, TLS, and the hand-over of an exchange to pingora.
//!
//! A connection shows each plain head, still in its read buffer, to [`Handler::quick`]; what is not answered on the spot
//! becomes an [`Exchange`] over a [`Wire`]. The handler writes to the wire itself, or turns the exchange into a
//! [`ClientSession`] and gives that to pingora's `HttpProxy`; when either is dropped the wire is back with its connection.
//! This crate must never know caching, services or upstreams.
//!
//! - [`head`], [`target`], [`body`]: what a request must look like (RFC 9112, strictly); [`framing`]: response heads
//! - [`wire`], [`session`], [`exchange`]: one exchange, whatever the protocol
//! - `conn`, `h1`, `idle`: an HTTP/1 connection, its loop, and what ends it between requests; `h2`: HTTP/2's
//! - `accept`, `first`, `open`: connections are accepted, looked at where they were, and counted; `conduct`: and how their
//!   clients treat them
//! - [`tls`], [`listener`], [`server`]: certificates, sockets, workers and draining
//! - [`limits`], [`clock`], [`answer`]: bounds, coarse time, error answers of our own

mod accept;
pub mod answer;
pub mod body;
mod buffers;
pub mod clock;
mod conduct;
mod conn;
pub mod exchange;
mod first;
pub mod framing;
mod h1;
mod h2;
pub mod head;
mod hold;
mod idle;
pub mod info;
mod io;
pub mod limits;
pub mod listener;
mod open;
pub mod server;
pub mod session;
pub mod target;
pub mod tls;
pub mod wire;

pub use answer::{ALLOW, error_head};
pub use clock::{now, now_ms, with_date};
pub use exchange::{Exchange, Handler, QuickBody};
pub use head::RequestHead;
pub use hold::HoldHead;
pub use info::{ConnInfo, PeerIdentity, Protocol, Scheme};
pub use io::Stream;
pub use limits::ConnLimits;
pub use listener::{Bound, bind};
pub use server::{Listen, Server, ServerSpec, serve, start};
pub use session::{ClientSession, Slot, Tally, Tap};
pub use tls::{CertFiles, ClientAuth, TlsError, TlsSettings};
pub use wire::Wire;

/// Turns true when connections should end after what they are doing.
pub type ShutdownWatch = tokio::sync::watch::Receiver<bool>;
