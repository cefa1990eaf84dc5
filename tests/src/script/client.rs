//! A client of a script: one request to an edge, and what came of it.

use crate::script::message::{Body, Head};
use crate::script::node::HOST;
use crate::script::origin::{PIECE, URL};
use crate::script::pipe::Pipe;
use crate::script::step::Asks;

/// A request, and its answer as far as it has come.
pub struct Client {
    pub edge: usize,
    pub asks: Asks,
    /// When it asked, by steps and by the clock, and which purge the edge had in force then.
    pub step: usize,
    pub clock: u64,
    pub at: u64,
    pipe: Pipe,
    raw: Vec<u8>,
    pub head: Option<Head>,
    body: Option<Body>,
    pub got: Vec<u8>,
    pub is_over: bool,
}

impl Client {
    /// Asks the edge at the other end of `pipe`. `version`: what the object is now.
    pub fn ask(
        pipe: Pipe,
        (edge, at): (usize, u64),
        asks: Asks,
        (step, clock): (usize, u64),
        version: u64,
    ) -> Self {
        let method = if asks == Asks::Head { "HEAD" } else { "GET" };
        let more = match asks {
            Asks::Get | Asks::Head => String::new(),
            Asks::NoCache => "cache-control: no-cache\r\n".into(),
            Asks::MaxStale => "cache-control: max-stale\r\n".into(),
            Asks::IfChanged => format!("if-none-match: W/\"v{version}\"\r\n"),
            Asks::Range => format!("range: bytes=0-{}\r\n", PIECE - 1),
        };
        pipe.write(format!("{method} {URL} HTTP/1.1\r\nhost: {HOST}\r\n{more}\r\n").as_bytes());
        Self {
            edge,
            asks,
            step,
            clock,
            at,
            pipe,
            raw: Vec::new(),
            head: None,
            body: None,
            got: Vec::new(),
            is_over: false,
        }
    }

    /// Takes in what came since. True: the answer is whole, or has broken off.
    pub fn look(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        self.raw.extend(self.pipe.take());
        if self.head.is_none() {
            self.head = Head::take(&mut self.raw);
            let method = if self.asks == Asks::Head {
                "HEAD"
            } else {
                "GET"
            };
            self.body = self.head.as_ref().map(|head| Body::after(head, method));
        }
        if let Some(body) = &mut self.body {
            body.read(&mut self.raw, &mut self.got);
        }
        self.is_over = self.is_whole() || self.pipe.is_ended();
        if self.is_over {
            self.pipe.end();
        }
        self.is_over
    }

    pub fn is_whole(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_whole)
    }

    pub fn leave(&mut self) {
        self.pipe.reset();
        self.is_over = true;
    }
}
