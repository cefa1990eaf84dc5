//! A question by GET without a body, the shorter way: over pingora's connections, and without its proxy.
//!
//! What that does for exchanges at large (a request's body, upgrades, two directions at once) is most of what a fill of
//! a small object would cost, and no fill needs it. Attempts, time-outs and failures are those of [`Attempts`], here as
//! there. A plain answer is read here; whatever is not plain is read by pingora's own session.

mod answer;
mod client;
mod head;
mod plain;
mod replay;
#[cfg(test)]
mod tests;

use crate::ask::Ask;
use crate::attempts::Attempts;
use crate::idle::Server;
use crate::upstream::Upstream;
use answer::Answer;
use client::Client;
use http::HeaderMap;
use pingora::protocols::Stream;
use pingora::{Error, ErrorType, OrErr, Result};
use pingora_core::protocols::http::HttpTask;
use seawall_client_conn::Wire;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

impl Upstream {
    /// Asks for `target` (origin form) by GET and without a body. `fields` makes the end-to-end fields of each attempt. The
    /// answer, or an error answer of ours, is written to `wire`; an answer that breaks off, or that `wire` does not take,
    /// aborts it.
    pub async fn fetch<W: Wire>(
        &self,
        wire: &mut W,
        target: &str,
        fields: impl Fn() -> HeaderMap,
        ask: &Arc<Ask>,
    ) {
        let mut attempts = Attempts::of(ask.clone());
        let mut client = Client::new(wire);
        loop {
            let attempt = self.attempt(&mut client, target, &fields, &mut attempts);
            let Err(error) = attempt.await else {
                return attempts.ended(&self.metrics);
            };
            // of which there are as many as the question allows
            if !error.retry() {
                let told = attempts.failed(&self.metrics, &error, client.has_head());
                return client.fail(told).await;
            }
        }
    }

    async fn attempt<W: Wire>(
        &self,
        client: &mut Client<'_, W>,
        target: &str,
        fields: &impl Fn() -> HeaderMap,
        attempts: &mut Attempts,
    ) -> Result<()> {
        let address = attempts.begin(&self.metrics).await?;
        let Some(hop) = attempts.hop() else {
            return Error::e_explain(ErrorType::InternalError, "an attempt without a server");
        };
        let server = Server {
            group: hop.target.group,
            address,
        };
        let (stream, reused) = match self.idle.take(&server) {
            Some(stream) => (stream, true),
            None => {
                let peer = attempts.peer(address)?;
                match Box::pin(self.connector.new_stream(&*peer)).await {
                    Ok(stream) => (stream, false),
                    Err(mut error) => {
                        error.as_up();
                        return Err(attempts.not_connected(error).into_up());
                    }
                }
            }
        };
        attempts.connected(&self.metrics, reused);
        match self.run(client, stream, target, fields, attempts).await {
            Ok(kept) => {
                if let (Some(stream), Some(ask)) = (kept, attempts.ask()) {
                    self.idle.put(server, stream, ask.timeouts.idle);
                }
                Ok(())
            }
            Err(error) => Err(attempts.broke(error, client.has_head(), true, reused)),
        }
    }

    /// One attempt over `stream`, which is returned when it may be asked again.
    async fn run<W: Wire>(
        &self,
        client: &mut Client<'_, W>,
        mut stream: Stream,
        target: &str,
        fields: &impl Fn() -> HeaderMap,
        attempts: &mut Attempts,
    ) -> Result<Option<Stream>> {
        let Some(timeouts) = attempts.ask().map(|ask| ask.timeouts) else {
            return Error::e_explain(ErrorType::InternalError, "an exchange without a question");
        };
        let mut fields = fields();
        attempts.before(&mut fields);
        let head = head::request(target, &fields)?;
        drop(fields);
        send(&mut stream, &head, timeouts.write)
            .await
            .map_err(Error::into_up)?;
        let mut answer = Answer::new(stream, &timeouts);
        loop {
            let task = client.while_there(answer.next()).await?;
            let task = task.map_err(Error::into_up)?;
            let is_end = task.is_end();
            let written = match task {
                HttpTask::Header(mut response, _)
                    if response.status.is_informational() && response.status != 101 =>
                {
                    attempts.interim(&mut response);
                    client.interim(&response).await
                }
                HttpTask::Header(mut response, end) => {
                    let hold = attempts
                        .answered(&self.metrics, &mut response, false)
                        .await?;
                    client.head(response, end, hold).await
                }
                HttpTask::Body(Some(data), end) | HttpTask::UpgradedBody(Some(data), end)
                    if !data.is_empty() =>
                {
                    client.data(data, end).await
                }
                _ if is_end => client.end().await,
                _ => Ok(()),
            };
            written.map_err(Error::into_down)?;
            if is_end {
                break;
            }
        }
        client.end().await.map_err(Error::into_down)?;
        Ok(answer.into_kept().await)
    }
}

async fn send(stream: &mut Stream, head: &[u8], within: Duration) -> Result<()> {
    match pingora_timeout::timeout(within, stream.write_all(head)).await {
        Ok(sent) => sent.or_err(ErrorType::WriteError, "while writing request headers")?,
        Err(_) => {
            let why = "while writing request headers (timeout)";
            return Error::e_explain(ErrorType::WriteTimedout, why);
        }
    }
    let flushed = stream.flush().await;
    flushed.or_err(ErrorType::WriteError, "flushing request header")
}
