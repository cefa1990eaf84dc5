//! Built-in origins: what `seawall up` puts behind its shield when no other origin is named.
//!
//! They speak plain HTTP/1.1 on a socket and from a thread of their own, as any origin would: nothing of the cache is
//! shared with them. Tests use them, too.
//!
//! - [`StaticOrigin`]: a directory
//! - [`DemoOrigin`]: a few pages that show what a cache does

mod body;
mod demo;
mod listener;
mod path;
mod representation;
mod static_files;
#[cfg(test)]
mod testing;

pub use demo::DemoOrigin;
pub use listener::OriginError;
pub use static_files::StaticOrigin;
