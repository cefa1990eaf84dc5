//! Connections that stay open and are silent.

use super::one::{ask, connect, host};
use anyhow::{Result, ensure};
use std::io::ErrorKind;
use std::net::TcpStream;

/// Each has had one answer to `path`; they close when they are dropped.
pub(crate) fn open(port: u16, path: &str, connections: usize) -> Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(connections);
    let host = host(port, None);
    for _ in 0..connections {
        let mut stream = connect(port)?;
        let answer = ask(&mut stream, &host, path)?;
        ensure!(answer.status == 200, "answered with {}", answer.status);
        streams.push(stream);
    }
    Ok(streams)
}

/// How many have neither been closed nor sent more than was asked for.
pub(crate) fn still_open(streams: &[TcpStream]) -> usize {
    let open = streams.iter().filter(|stream| {
        let silent = stream.set_nonblocking(true).is_ok();
        let looked = stream.peek(&mut [0]);
        silent && matches!(looked, Err(e) if e.kind() == ErrorKind::WouldBlock)
    });
    open.count()
}
