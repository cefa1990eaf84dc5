//! pingora's hooks: where to connect, what goes out, what may come back, when to try again, what a failure says.

use crate::ask::Ask;
use crate::attempts::Attempts;
use async_trait::async_trait;
use http::header;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{HttpPeer, ProxyHttp, Session};
use pingora::protocols::Digest;
use pingora::proxy::FailToProxy;
use pingora::{Error, Result};
use seawall_client_conn::{HoldHead, error_head};
use seawall_telemetry::Metrics;
use std::sync::Arc;

pub(crate) struct App {
    pub(crate) metrics: Arc<Metrics>,
}

#[async_trait]
impl ProxyHttp for App {
    type CTX = Attempts;

    fn new_ctx(&self) -> Attempts {
        Attempts::default()
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        attempts: &mut Attempts,
    ) -> Result<Box<HttpPeer>> {
        attempts.set_ask(|| session.req_header().extensions.get::<Arc<Ask>>().cloned());
        let address = attempts.begin(&self.metrics).await?;
        attempts.peer(address)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        #[cfg(unix)] _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        attempts: &mut Attempts,
    ) -> Result<()> {
        attempts.connected(&self.metrics, reused);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        attempts: &mut Attempts,
    ) -> Result<()> {
        request.set_version(http::Version::HTTP_11);
        let mut fields = request.headers.clone();
        attempts.before(&mut fields);
        let old: Vec<_> = request.headers.keys().cloned().collect();
        for name in old {
            request.remove_header(&name);
        }
        for (name, value) in &fields {
            // legal ones, out of a map of such
            request.append_header(name, value.clone())?;
        }
        Ok(())
    }

    /// Runs for every head, interim ones too, before pingora batches what follows: a 103 that came together with a
    /// final answer is passed on here and nowhere else.
    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        attempts: &mut Attempts,
    ) -> Result<()> {
        if response.status.is_informational() && response.status != 101 {
            attempts.interim(response);
            return session
                .downstream_session
                .write_response_header_ref(response)
                .await;
        }
        let asked_to_switch = session.req_header().headers.contains_key(header::UPGRADE);
        let hold = attempts
            .answered(&self.metrics, response, asked_to_switch)
            .await?;
        if let Some(hold) = hold {
            response.extensions_mut().insert(HoldHead(hold));
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        attempts: &mut Attempts,
        error: Box<Error>,
    ) -> Box<Error> {
        attempts.not_connected(error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        attempts: &mut Attempts,
        client_reused: bool,
    ) -> Box<Error> {
        let head_written = session.response_written().is_some();
        let replayable = session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated();
        attempts.broke(error, head_written, replayable, client_reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        attempts: &mut Attempts,
    ) -> FailToProxy {
        let head_written = session.response_written().is_some();
        let told = attempts.failed(&self.metrics, error, head_written);
        if told.status > 0 && !head_written {
            let (mut head, body) = error_head(told.status, &told.text);
            if let Some(seconds) = told.retry_after_secs {
                // digits are a field's value
                let _ = head.insert_header(header::RETRY_AFTER, seconds);
            }
            let downstream = &mut session.downstream_session;
            // a client that is gone by now needs no answer
            if downstream
                .write_response_header(Box::new(head))
                .await
                .is_ok()
            {
                let _ = downstream.write_response_body(body, true).await;
            }
        }
        FailToProxy {
            error_code: told.status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(
        &self,
        _session: &mut Session,
        error: Option<&Error>,
        attempts: &mut Attempts,
    ) {
        if error.is_none() {
            attempts.ended(&self.metrics);
        }
    }

    /// Failures are counted, told to the client and, where a service asks for it, logged: not once more by pingora.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Attempts, _error: &Error) -> bool {
        true
    }
}
