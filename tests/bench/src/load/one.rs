//! One request after the other, on a connection that blocks.

use anyhow::{Context, Result, bail};
use memchr::memmem;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a connection, and for the next bytes of an answer.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Connected to a port on loopback.
pub(crate) fn connect(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, WAIT_MAX)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(WAIT_MAX))?;
    Ok(stream)
}

/// What `Host` says: as wrk and h2load have it, unless there is another one.
pub(crate) fn host(port: u16, host: Option<&str>) -> String {
    host.map_or_else(|| format!("127.0.0.1:{port}"), str::to_owned)
}

/// What counts of an answer's head.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    /// Of the head itself, blank line included.
    pub(crate) bytes: usize,
    pub(crate) status: u16,
    pub(crate) length: Option<u64>,
    pub(crate) closes: bool,
}

impl Head {
    /// None until the blank line is there. What is no head has status 0.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let end = memmem::find(text, b"\r\n\r\n")?;
        let mut lines = text[..end].split(|b| *b == b'\n');
        let first = std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
        let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut head = Self {
            bytes: end + 4,
            status: status.unwrap_or(0),
            length: None,
            closes: false,
        };
        for line in lines {
            let field = |name: &[u8]| {
                let (start, value) = line.split_at_checked(name.len())?;
                let value = start.eq_ignore_ascii_case(name).then_some(value)?;
                Some(value.trim_ascii())
            };
            if let Some(value) = field(b"content-length:") {
                head.length = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
            } else if let Some(value) = field(b"connection:") {
                head.closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        Some(head)
    }
}

/// A whole answer, which had a `Content-Length`.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// Asked on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> Result<Answer> {
    ask(&mut connect(port)?, &host(port, None), path)
}

/// Asked on a connection that stays.
pub(crate) fn ask(stream: &mut TcpStream, host: &str, path: &str) -> Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut got, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    let head = loop {
        if let Some(head) = Head::read(&got) {
            break head;
        }
        match stream.read(&mut part)? {
            0 => bail!("the connection was closed before the head was there"),
            n => got.extend_from_slice(&part[..n]),
        }
    };
    let length = head.length.context("the answer has no Content-Length")?;
    let mut body = got.split_off(head.bytes);
    while (body.len() as u64) < length {
        match stream.read(&mut part)? {
            0 => bail!("the connection was closed before the body was there"),
            n => body.extend_from_slice(&part[..n]),
        }
    }
    Ok(Answer {
        status: head.status,
        head: got,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_its_blank_line_is_there() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\nConnection: Close\r\n\r\nbody";
        let expected = Head {
            bytes: text.len() - 4,
            status: 200,
            length: Some(12),
            closes: true,
        };
        assert_eq!(Head::read(text), Some(expected));
        assert_eq!(
            Head::read(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"),
            None
        );
        let none = Head::read(b"HTTP/1.1 503 Busy\r\nX-Content-Length: 3\r\n\r\n");
        assert_eq!(none.map(|h| (h.status, h.length)), Some((503, None)));
        assert_eq!(Head::read(b"\r\n\r\n").map(|h| h.status), Some(0));
    }
}
