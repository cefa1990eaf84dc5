//! An answer as it comes over a connection: read here as long as it is plain, else by pingora's session.

use super::plain::{Plain, Read};
use super::replay::Replay;
use pingora::Result;
use pingora::protocols::Stream;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::v1::client::HttpSession;
use seawall_service_model::Timeouts;
use std::time::Duration;

pub(super) struct Answer {
    way: Way,
    write_timeout: Duration,
}

enum Way {
    Plain(Plain),
    Pingora(Box<HttpSession>),
    /// Between the two.
    None,
}

impl Answer {
    pub(super) fn new(stream: Stream, timeouts: &Timeouts) -> Self {
        Self {
            way: Way::Plain(Plain::new(stream, timeouts.read)),
            write_timeout: timeouts.write,
        }
    }

    /// What comes next: heads, the body, its end. Not cancel-safe.
    pub(super) async fn next(&mut self) -> Result<HttpTask> {
        if let Way::Plain(plain) = &mut self.way {
            match plain.next().await? {
                Read::Task(task) => return Ok(task),
                Read::NotPlain => self.hand_over(),
            }
        }
        match &mut self.way {
            Way::Pingora(session) => Box::pin(session.read_response_task()).await,
            Way::Plain(_) | Way::None => Ok(HttpTask::Done),
        }
    }

    /// What was read so far is read again, by pingora.
    fn hand_over(&mut self) {
        let Way::Plain(plain) = std::mem::replace(&mut self.way, Way::None) else {
            return;
        };
        let read_timeout = plain.timeout();
        let (stream, ahead) = plain.into_parts();
        let mut session = HttpSession::new(Box::new(Replay::new(ahead, stream)));
        session.read_timeout = Some(read_timeout);
        session.write_timeout = Some(self.write_timeout);
        self.way = Way::Pingora(Box::new(session));
    }

    /// The connection, if it may be asked again: the answer came to its end, and nothing came behind it.
    pub(super) async fn into_kept(self) -> Option<Stream> {
        match self.way {
            Way::Plain(plain) => plain.into_kept(),
            Way::Pingora(mut session) => {
                session.respect_keepalive();
                let kept = session.reuse().await?.into_any().downcast::<Replay>();
                kept.ok()?.into_stream()
            }
            Way::None => None,
        }
    }
}
