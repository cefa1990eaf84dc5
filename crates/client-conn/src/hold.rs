//! A head that waits for the first of its body: what breaks until then is an error answer, and not a broken one.

use pingora::http::ResponseHeader;
use pingora_core::protocols::http::HttpTask;
use std::time::{Duration, Instant};

/// Put into a head's extensions: it goes out with the first of its body, or with the body's end, and after this time in
/// any case. Nothing that has come waits.
#[derive(Clone, Copy, Debug)]
pub struct HoldHead(pub Duration);

/// A head that waits.
pub(crate) struct Held {
    pub(crate) head: Box<ResponseHeader>,
    pub(crate) until: Instant,
}

impl Held {
    /// `Err`: it goes out at once.
    pub(crate) fn of(head: Box<ResponseHeader>) -> Result<Self, Box<ResponseHeader>> {
        match head.extensions.get::<HoldHead>().copied() {
            Some(HoldHead(time)) => Ok(Self {
                head,
                until: Instant::now() + time,
            }),
            None => Err(head),
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// Whether `task` shows that the body is sound so far.
pub(crate) fn is_of_body(task: &HttpTask) -> bool {
    match task {
        HttpTask::Header(..) | HttpTask::Failed(_) => false,
        HttpTask::Body(data, end) | HttpTask::UpgradedBody(data, end) => {
            *end || data.as_ref().is_some_and(|data| !data.is_empty())
        }
        HttpTask::Trailer(_) | HttpTask::Done => true,
    }
}
