//! What is asked, and when.

use super::engine::{Next, Plan};
use super::random::{Numbers, Zipf};
use std::io::Write;
use std::time::Duration;

/// Writing into memory does not fail.
fn get(out: &mut Vec<u8>, host: &str, path: std::fmt::Arguments) {
    let _ = write!(out, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
}

/// How keys are drawn.
pub(crate) enum Draw {
    Uniform,
    Zipf(Zipf),
}

/// A closed loop over `/obj/0` to `/obj/N-1`, for a time.
pub(crate) struct Keys {
    pub(crate) count: u64,
    pub(crate) draw: Draw,
    pub(crate) numbers: Numbers,
    pub(crate) lasting: Duration,
}

impl Plan for Keys {
    fn next(&mut self, elapsed: Duration, host: &str, out: &mut Vec<u8>) -> Next {
        if elapsed >= self.lasting {
            return Next::Over;
        }
        let key = match &self.draw {
            Draw::Uniform => self.numbers.below(self.count),
            Draw::Zipf(zipf) => zipf.draw(&mut self.numbers),
        };
        get(out, host, format_args!("/obj/{key}"));
        Next::Ask { due: elapsed }
    }
}

/// A closed loop over one path, for a time.
pub(crate) struct Same<'a> {
    pub(crate) path: &'a str,
    pub(crate) lasting: Duration,
}

impl Plan for Same<'_> {
    fn next(&mut self, elapsed: Duration, host: &str, out: &mut Vec<u8>) -> Next {
        if elapsed >= self.lasting {
            return Next::Over;
        }
        get(out, host, format_args!("{}", self.path));
        Next::Ask { due: elapsed }
    }
}

/// Each of `PREFIX0` to `PREFIXn-1` exactly once.
pub(crate) struct Each {
    prefix: String,
    objects: u64,
    asked: u64,
}

impl Each {
    pub(crate) fn new(prefix: impl Into<String>, objects: u64) -> Self {
        Self {
            prefix: prefix.into(),
            objects,
            asked: 0,
        }
    }
}

impl Plan for Each {
    fn next(&mut self, elapsed: Duration, host: &str, out: &mut Vec<u8>) -> Next {
        if self.asked >= self.objects {
            return Next::Over;
        }
        get(out, host, format_args!("{}{}", self.prefix, self.asked));
        self.asked += 1;
        Next::Ask { due: elapsed }
    }
}

/// One path, so many times, as soon as a connection is free.
pub(crate) struct Times<'a> {
    pub(crate) path: &'a str,
    pub(crate) left: u64,
}

impl Plan for Times<'_> {
    fn next(&mut self, elapsed: Duration, host: &str, out: &mut Vec<u8>) -> Next {
        if self.left == 0 {
            return Next::Over;
        }
        self.left -= 1;
        get(out, host, format_args!("{}", self.path));
        Next::Ask { due: elapsed }
    }
}

/// An open loop: requests at a fixed rate, whatever the server does. A latency counts from when the request was due, so
/// that a stall is not hidden.
pub(crate) struct Rate<'a> {
    pub(crate) path: &'a str,
    pub(crate) per_second: u32,
    pub(crate) total: u64,
    pub(crate) asked: u64,
}

impl Plan for Rate<'_> {
    fn next(&mut self, elapsed: Duration, host: &str, out: &mut Vec<u8>) -> Next {
        if self.asked >= self.total {
            return Next::Over;
        }
        let due = Duration::from_secs_f64(self.asked as f64 / f64::from(self.per_second));
        if elapsed < due {
            return Next::Later;
        }
        self.asked += 1;
        get(out, host, format_args!("{}", self.path));
        Next::Ask { due }
    }
}
