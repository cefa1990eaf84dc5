//! The one timer of an HTTP/2 connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The coarse clock may be so late behind the timer.
const GRAIN: Duration = Duration::from_millis(5);

/// Wakes at the time that it was asked for last; it may wake before that, for one that it was asked for earlier.
#[derive(Default)]
pub(super) struct Deadline {
    timer: Option<Pin<Box<Sleep>>>,
    due: Duration,
}

impl Deadline {
    /// Ready: `due` is over. Both times are [`uptime`](crate::clock::uptime)'s.
    pub(super) fn poll(&mut self, due: Duration, now: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let left = due.saturating_sub(now);
        if left.is_zero() {
            return Poll::Ready(());
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
        if self.due != due {
            self.due = due;
            timer.as_mut().reset(Instant::now() + left);
        }
        while timer.as_mut().poll(cx).is_ready() {
            timer.as_mut().reset(Instant::now() + left.max(GRAIN));
        }
        Poll::Pending
    }
}
