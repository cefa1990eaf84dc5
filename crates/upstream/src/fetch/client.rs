//! Who gets the answer: its head waits for the first of its body where it should, as in exchanges at large.

use crate::attempts::Told;
use bytes::Bytes;
use http::header;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use seawall_client_conn::{Wire, error_head};
use std::pin::pin;
use std::time::{Duration, Instant};

pub(super) struct Client<'w, W> {
    wire: &'w mut W,
    /// A head that waits, at most until then.
    held: Option<(Box<ResponseHeader>, Instant)>,
    has_head: bool,
    ended: bool,
}

impl<'w, W: Wire> Client<'w, W> {
    pub(super) fn new(wire: &'w mut W) -> Self {
        Self {
            wire,
            held: None,
            has_head: false,
            ended: false,
        }
    }

    /// Whether a final head was written to it.
    pub(super) fn has_head(&self) -> bool {
        self.has_head
    }

    /// What `next` comes to, unless nobody needs it any more. A head that has waited long enough goes out meanwhile.
    pub(super) async fn while_there<T>(&mut self, next: impl Future<Output = T>) -> Result<T> {
        let mut next = pin!(next);
        if let Some((_, until)) = &self.held {
            let left = until.saturating_duration_since(Instant::now());
            let event = either(next.as_mut(), &mut *self.wire);
            if let Ok(event) = pingora_timeout::timeout(left, event).await {
                return event;
            }
            self.release().await.map_err(Error::into_down)?;
            self.wire.push().await.map_err(Error::into_down)?;
        }
        either(next, &mut *self.wire).await
    }

    pub(super) async fn interim(&mut self, response: &ResponseHeader) -> Result<()> {
        // 100 is for the one who sent a body, and a final head has been the last
        if self.has_head || response.status == 100 {
            return Ok(());
        }
        self.wire.head(response, false).await
    }

    /// The final head; `hold`: so long it may wait for the first of its body.
    pub(super) async fn head(
        &mut self,
        response: Box<ResponseHeader>,
        end: bool,
        hold: Option<Duration>,
    ) -> Result<()> {
        match hold {
            Some(hold) if !end => {
                self.held = Some((response, Instant::now() + hold));
                Ok(())
            }
            _ => self.write_head(response, end).await,
        }
    }

    async fn write_head(&mut self, response: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.has_head = true;
        self.ended |= end;
        self.wire.take_head(response, end).await
    }

    async fn release(&mut self) -> Result<()> {
        match self.held.take() {
            Some((response, _)) => self.write_head(response, false).await,
            None => Ok(()),
        }
    }

    pub(super) async fn data(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.release().await?;
        self.ended |= end;
        self.wire.data(data, end).await
    }

    /// The answer is complete.
    pub(super) async fn end(&mut self) -> Result<()> {
        self.release().await?;
        if !std::mem::replace(&mut self.ended, true) {
            self.wire.end(None).await?;
        }
        self.wire.flush().await
    }

    /// There is no answer, or it broke off: without a head so far this is told by one.
    pub(super) async fn fail(mut self, told: Told) {
        self.held = None;
        if told.status > 0 && !self.has_head {
            let (mut head, body) = error_head(told.status, &told.text);
            if let Some(seconds) = told.retry_after_secs {
                // digits are a field's value
                let _ = head.insert_header(header::RETRY_AFTER, seconds);
            }
            // a client that is gone by now needs no answer
            if self.write_head(Box::new(head), false).await.is_ok() {
                let _ = self.wire.data(body, true).await;
                let _ = self.wire.flush().await;
            }
        }
        self.wire.abort();
    }
}

async fn either<T, W: Wire>(next: impl Future<Output = T>, wire: &mut W) -> Result<T> {
    tokio::select! { biased;
        next = next => Ok(next),
        idle = wire.idle() => {
            idle.map_err(Error::into_down)?;
            let gone = Error::explain(ErrorType::ConnectionClosed, "the client is gone");
            Err(gone.into_down())
        }
    }
}
