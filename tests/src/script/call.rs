//! A connection that a node has opened: what it asked, and how far the answer has come.

use crate::script::message::{Body, Head};
use crate::script::node::To;
use crate::script::pipe::Pipe;

/// What of a connection waits for the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Nothing,
    Request,
    Head,
    Body,
    /// The shield ended the connection before its answer was whole.
    BrokenOff,
}

/// A connection from a node to the shield or the origin; one exchange.
pub struct Call {
    pub from: usize,
    pub to: To,
    /// When it was opened, by the script's steps and by its clock.
    pub opened: usize,
    pub clock: u64,
    /// Tags of the copy that surely lay at the node by then.
    pub over: Option<[bool; 2]>,
    /// To the node that asks.
    up: Pipe,
    /// To the shield, once the request was let through.
    down: Option<Pipe>,
    /// When the request was let through, and which purge the shield had in force then.
    pub through: Option<(usize, u64)>,
    /// When the head of the answer came from the shield, or the origin made it.
    pub answered: Option<usize>,
    /// The step by which it was over.
    pub ended: Option<usize>,
    asked: Vec<u8>,
    pub request: Option<Head>,
    /// What has come from the shield and waits.
    raw: Vec<u8>,
    /// The answer's.
    pub head: Option<Head>,
    head_is_through: bool,
    body: Option<Body>,
    unread: Vec<u8>,
    /// Pieces that the origin has still to send.
    rest: Vec<Vec<u8>>,
    pub is_over: bool,
}

impl Call {
    pub fn new(from: usize, to: To, up: Pipe, (opened, clock): (usize, u64)) -> Self {
        Self {
            from,
            to,
            opened,
            clock,
            over: None,
            up,
            down: None,
            through: None,
            answered: None,
            ended: None,
            asked: Vec::new(),
            request: None,
            raw: Vec::new(),
            head: None,
            head_is_through: false,
            body: None,
            unread: Vec::new(),
            rest: Vec::new(),
            is_over: false,
        }
    }

    /// Takes in what came since. Returns the request's head, or the answer's, if it came just now.
    pub fn look(&mut self) -> (bool, bool) {
        if self.is_over {
            return (false, false);
        }
        let mut came = (false, false);
        if self.request.is_none() {
            self.asked.extend(self.up.take());
            self.request = Head::take(&mut self.asked);
            came.0 = self.request.is_some();
        }
        if let Some(down) = &self.down {
            let more = down.take();
            self.raw.extend_from_slice(&more);
            self.unread.extend_from_slice(&more);
            if self.head.is_none() {
                self.head = Head::take(&mut self.raw);
                came.1 = self.head.is_some();
                self.unread.clone_from(&self.raw);
                let method = self.request.as_ref().map_or("GET", Head::method);
                self.body = self.head.as_ref().map(|head| Body::after(head, method));
            }
            if let Some(body) = &mut self.body {
                body.read(&mut self.unread, &mut Vec::new());
            }
        }
        if self.up.is_ended() {
            // who asked has left: that is known at the other end at once
            self.close();
        }
        came
    }

    fn close(&mut self) {
        self.is_over = true;
        self.up.reset();
        if let Some(down) = &self.down {
            down.reset();
        }
    }

    pub fn held(&self) -> Held {
        if self.is_over || self.to == To::Origin || self.request.is_none() {
            return Held::Nothing;
        }
        if self.down.is_none() {
            return Held::Request;
        }
        if self.head.is_some() && !self.head_is_through {
            return Held::Head;
        }
        if self.head_is_through && !self.raw.is_empty() {
            return Held::Body;
        }
        if self.down.as_ref().is_some_and(Pipe::is_ended) {
            return Held::BrokenOff;
        }
        Held::Nothing
    }

    /// The request goes on to the shield, over `down`.
    pub fn let_request(&mut self, down: Pipe, step: usize, shield_at: u64) {
        if let Some(request) = &self.request {
            down.write(&request.bytes());
        }
        self.down = Some(down);
        self.through = Some((step, shield_at));
    }

    /// The next of the answer goes on to the edge. Connections are used once, so that each is one exchange.
    pub fn let_answer(&mut self) {
        match self.held() {
            Held::Head => {
                let mut head = self.head.clone().expect("it is held");
                head.fields.retain(|(name, _)| name != "connection");
                head.fields.push(("connection".into(), "close".into()));
                self.up.write(&head.bytes());
                self.head_is_through = true;
                self.end_if_whole();
            }
            Held::Body => {
                let raw = std::mem::take(&mut self.raw);
                self.up.write(&raw);
                self.end_if_whole();
            }
            Held::BrokenOff => self.lose(),
            Held::Nothing | Held::Request => {}
        }
    }

    fn end_if_whole(&mut self) {
        if let (Some(body), true) = (&self.body, self.raw.is_empty())
            && body.is_whole()
        {
            self.end();
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        self.up.end();
        if let Some(down) = &self.down {
            down.end();
        }
    }

    /// Whether it asks the origin, and nothing was answered yet.
    pub fn asks_origin(&self) -> bool {
        !self.is_over && self.to == To::Origin && self.request.is_some() && self.head.is_none()
    }

    pub fn has_more(&self) -> bool {
        !self.is_over && !self.rest.is_empty()
    }

    /// The origin's answer was made, and waits. Its head is in the first of `pieces`.
    pub fn answer(&mut self, pieces: Vec<Vec<u8>>) {
        self.head = pieces
            .first()
            .and_then(|first| Head::take(&mut first.clone()));
        self.rest = pieces;
    }

    /// The next piece of the origin's answer goes on.
    pub fn piece(&mut self) {
        let piece = self.rest.remove(0);
        self.up.write(&piece);
        self.head_is_through = true;
        if self.rest.is_empty() {
            self.end();
        }
    }

    /// The connection is lost, for both.
    pub fn lose(&mut self) {
        self.close();
    }

    /// Whether some of its answer has come to the node that asks.
    pub fn has_begun(&self) -> bool {
        self.head_is_through
    }
}
