//! One request over TLS.

use super::one::{Head, connect, host};
use anyhow::{Result, bail};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::sync::Arc;

/// The status that is answered with, once the body is there.
pub(crate) fn get(port: u16, path: &str, tls: Arc<ClientConfig>) -> Result<u16> {
    let connection = ClientConnection::new(tls, ServerName::try_from("127.0.0.1")?)?;
    let mut stream = StreamOwned::new(connection, connect(port)?);
    let host = host(port, None);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    stream.flush()?;
    let (mut got, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        if let Some(head) = Head::read(&got)
            && let Some(length) = head.length
            && got.len() as u64 >= head.bytes as u64 + length
        {
            return Ok(head.status);
        }
        match stream.read(&mut part)? {
            0 => bail!("the connection was closed before the answer was there"),
            n => got.extend_from_slice(&part[..n]),
        }
    }
}
