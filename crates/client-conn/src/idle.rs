//! What ends an idle connection besides its client: its idle time, and the server's stop.

use crate::ShutdownWatch;
use crate::clock::uptime;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Looks after one connection while it waits for a request.
///
/// Timer and stop are armed once and stay armed over the requests that follow: an idle moment then costs two loads,
/// instead of two entries into lists with locks and two removals.
pub(crate) struct IdleWatch {
    stop: ShutdownWatch,
    /// The stop is known, and no longer told of.
    stop_taken: bool,
    timeout: Duration,
    /// When the idle moment began, by [`uptime`].
    since: Duration,
    armed: Option<Armed>,
}

struct Armed {
    timer: Pin<Box<Sleep>>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whom both wake.
    waker: Waker,
}

impl IdleWatch {
    pub(crate) fn new(mut stop: ShutdownWatch, timeout: Duration) -> Self {
        if *stop.borrow() {
            // seen or not
            stop.mark_changed();
        }
        Self {
            stop,
            stop_taken: false,
            timeout,
            since: Duration::ZERO,
            armed: None,
        }
    }

    /// Whether the server stops: no further request is waited for.
    pub(crate) fn is_stopping(&self) -> bool {
        // an error: the server has gone without a word
        self.stop.has_changed().unwrap_or(true)
    }

    /// Whether the server stops, and that was not known here. From then on idle moments end by their time alone.
    pub(crate) fn takes_stop(&mut self) -> bool {
        let news = self.is_stopping() && !self.stop_taken;
        self.stop_taken |= news;
        news
    }

    /// An idle moment begins.
    pub(crate) fn begin(&mut self) {
        self.since = uptime();
    }

    /// Ready: the connection has to end.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_stopping() && !self.stop_taken {
            return Poll::Ready(());
        }
        if let Some(armed) = &self.armed
            && armed.waker.will_wake(cx.waker())
            && !armed.timer.is_elapsed()
        {
            return Poll::Pending;
        }
        self.arm(cx)
    }

    fn arm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self
            .timeout
            .saturating_sub(uptime().saturating_sub(self.since));
        if left.is_zero() {
            return Poll::Ready(());
        }
        let armed = self.armed.get_or_insert_with(|| {
            let mut stop = self.stop.clone();
            Armed {
                timer: Box::pin(tokio::time::sleep(left)),
                stopped: Box::pin(async move {
                    // stopped, or there is nobody left who could say so
                    let _ = stop.changed().await;
                }),
                waker: cx.waker().clone(),
            }
        });
        armed.waker.clone_from(cx.waker());
        // from before the last request: it goes on to where this moment ends
        if armed.timer.is_elapsed() {
            armed.timer.as_mut().reset(Instant::now() + left);
        }
        if !self.stop_taken && armed.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while armed.timer.as_mut().poll(cx).is_ready() {
            armed.timer.as_mut().reset(Instant::now() + left);
        }
        Poll::Pending
    }
}
