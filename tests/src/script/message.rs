//! Messages as they lie in a pipe.

use std::fmt;

/// A request's or an answer's head.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The first line.
    pub line: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Takes a whole head from the front of `bytes`; `None`: there is none yet.
    pub fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let end = crate::origin::find(bytes, b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes.drain(..end + 4);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Self { line, fields })
    }

    pub fn bytes(&self) -> Vec<u8> {
        format!("{self}\r\n").into_bytes()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Of an answer.
    pub fn status(&self) -> u16 {
        let status = self.line.split(' ').nth(1);
        status.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Of a request.
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\r\n", self.line)?;
        self.fields
            .iter()
            .try_for_each(|(name, value)| write!(f, "{name}: {value}\r\n"))
    }
}

/// Reads an answer's body, by its head's framing.
#[derive(Clone, Debug)]
pub enum Body {
    /// So many bytes are still to come.
    Length(usize),
    Chunked,
    /// Until the connection ends.
    Close,
    Whole,
}

impl Body {
    /// What follows `head`, the answer to a request by `method`.
    pub fn after(head: &Head, method: &str) -> Self {
        if method == "HEAD" || matches!(head.status(), 204 | 304) {
            return Self::Whole;
        }
        if head.field("transfer-encoding").is_some() {
            return Self::Chunked;
        }
        match head.field("content-length").and_then(|n| n.parse().ok()) {
            Some(0) => Self::Whole,
            Some(length) => Self::Length(length),
            None => Self::Close,
        }
    }

    /// Takes what has come of the body from the front of `bytes`, decoded into `to`.
    pub fn read(&mut self, bytes: &mut Vec<u8>, to: &mut Vec<u8>) {
        match self {
            Self::Length(left) => {
                let n = bytes.len().min(*left);
                to.extend(bytes.drain(..n));
                *left -= n;
                if *left == 0 {
                    *self = Self::Whole;
                }
            }
            Self::Chunked => {
                while let Some(end) = crate::origin::find(bytes, b"\r\n") {
                    let size = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
                    let size = usize::from_str_radix(size, 16).unwrap_or(0);
                    if bytes.len() < end + 2 + size + 2 {
                        return;
                    }
                    to.extend_from_slice(&bytes[end + 2..end + 2 + size]);
                    bytes.drain(..end + 2 + size + 2);
                    if size == 0 {
                        *self = Self::Whole;
                        return;
                    }
                }
            }
            Self::Close => to.append(bytes),
            Self::Whole => {}
        }
    }

    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }
}
