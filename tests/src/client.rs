//! A client that sends bytes as they are and reads answers strictly.

use crate::PATIENCE;
use crate::origin::find;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Statuses of the interim answers before it.
    pub interim: Vec<u16>,
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// This node's own word in `Cache-Status`.
    pub fn edge_status(&self) -> &str {
        let all = self.field("cache-status").unwrap_or_default();
        all.rsplit(", ").next().unwrap_or_default()
    }

    pub fn is_hit(&self) -> bool {
        self.edge_status().starts_with("seawall-edge; hit")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address, PATIENCE).expect("the node listens")
    }

    /// The same where the node may be away; a read that takes longer than `patience` is an error.
    pub fn try_connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the node reads");
    }

    /// Sends as far as the node takes it.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn shutdown_write(&self) {
        self.stream
            .shutdown(Shutdown::Write)
            .expect("the connection is open");
    }

    pub fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) {
        self.send(&request(method, target, fields, body));
    }

    /// Reads one answer; an error says how it broke off.
    pub fn response(&mut self, method: &str) -> io::Result<Response> {
        let mut interim = Vec::new();
        loop {
            let (status, fields) = self.head()?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let body = self.body(method, status, &fields)?;
            return Ok(Response {
                status,
                fields,
                body,
                interim,
            });
        }
    }

    /// Reads a head alone.
    pub fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let end = self.until(b"\r\n\r\n")?;
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect())
            .map_err(|_| io::Error::other("a head that is no text"))?;
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("no status line: {first:?}")))?;
        let fields = lines
            .map(|line| {
                line.split_once(": ")
                    .ok_or_else(|| io::Error::other(format!("no field: {line:?}")))
            })
            .map(|field| field.map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())))
            .collect::<io::Result<Vec<_>>>()?;
        Ok((status, fields))
    }

    /// Reads exactly so many bytes of what follows.
    pub fn bytes(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < n {
            self.more()?;
        }
        Ok(self.buffer.drain(..n).collect())
    }

    /// Reads the body behind a head.
    pub fn body(
        &mut self,
        method: &str,
        status: u16,
        fields: &[(String, String)],
    ) -> io::Result<Vec<u8>> {
        let field = |name: &str| {
            fields
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
        };
        if method == "HEAD" || matches!(status, 101 | 204 | 304) {
            return Ok(Vec::new());
        }
        if field("transfer-encoding") == Some("chunked") {
            assert!(
                field("content-length").is_none(),
                "both framings in one answer"
            );
            let mut body = Vec::new();
            loop {
                let end = self.until(b"\r\n")?;
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let size = std::str::from_utf8(&line[..end]).ok();
                let size = size.and_then(|s| usize::from_str_radix(s, 16).ok());
                let size = size.ok_or_else(|| io::Error::other("no chunk size"))?;
                body.extend(self.bytes(size)?);
                assert_eq!(self.bytes(2)?, b"\r\n");
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match field("content-length") {
            Some(length) => self.bytes(length.parse().map_err(io::Error::other)?),
            None => {
                while self.more().is_ok() {}
                Ok(std::mem::take(&mut self.buffer))
            }
        }
    }

    fn until(&mut self, what: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(end) = find(&self.buffer, what) {
                return Ok(end);
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut part = vec![0; 64 * 1024];
        let n = self.stream.read(&mut part)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&part[..n]);
        Ok(n)
    }

    /// Whether the node has closed the connection, and sent nothing more.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && self.more().is_err()
    }

    pub fn get(&mut self, target: &str, fields: &[(&str, &str)]) -> Response {
        self.request("GET", target, fields, b"");
        self.response("GET").expect("a whole answer")
    }
}

/// A request with a length where it has a body. `host` is `www.example` unless given.
pub fn request(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !fields.iter().any(|(name, _)| *name == "host") {
        head.push_str("host: www.example\r\n");
    }
    for (name, value) in fields {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(head, "content-length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// One request on a connection of its own.
pub fn get(address: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Response {
    Client::connect(address).get(target, fields)
}
