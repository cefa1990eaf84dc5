//! pingora's hooks: where to connect, what goes out, what may come back, when to try again, what a failure says.

use crate::ask::{Ask, Failure, Hop, Phase, Role};
use async_trait::async_trait;
use http::{HeaderMap, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{HttpPeer, ProxyHttp, Session};
use pingora::protocols::Digest;
use pingora::proxy::FailToProxy;
use pingora::{Error, ErrorSource, ErrorType, Result};
use seawall_client_conn::{HoldHead, error_head};
use seawall_telemetry::Metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) struct App {
    pub(crate) metrics: Arc<Metrics>,
}

/// One exchange.
#[derive(Default)]
pub(crate) struct Context {
    ask: Option<Arc<Ask>>,
    /// Addresses still to be tried, the next one last; those of later servers are looked up when their turn comes.
    addresses: Vec<SocketAddr>,
    hop: usize,
    attempts: usize,
    current: Option<SocketAddr>,
    /// The last attempt failed on a connection from the pool: the same address again.
    again: bool,
    began: Option<Instant>,
    last: Option<Failure>,
    answered: bool,
}

impl Context {
    fn hop(&self) -> Option<&Hop> {
        self.ask.as_ref()?.hops.get(self.hop)
    }

    fn role(&self) -> Role {
        self.hop().map_or(Role::Origin, |hop| hop.role)
    }

    fn more(&self) -> bool {
        let Some(ask) = &self.ask else { return false };
        self.attempts < ask.attempts_max
            && (!self.addresses.is_empty() || self.hop + 1 < ask.hops.len())
    }

    /// The next address to try.
    async fn next(&mut self) -> Option<SocketAddr> {
        let ask = self.ask.clone()?;
        if std::mem::take(&mut self.again) {
            return self.current;
        }
        if self.current.is_some() && self.addresses.is_empty() {
            self.hop += 1;
        }
        loop {
            if let Some(address) = self.addresses.pop() {
                return Some(address);
            }
            let hop = ask.hops.get(self.hop)?;
            match hop.target.addresses().await {
                Ok(addresses) if !addresses.is_empty() => {
                    self.addresses = addresses.into_iter().rev().collect();
                }
                other => {
                    let why = other
                        .err()
                        .unwrap_or_else(|| "the name has no address".into());
                    self.last = Some(Failure {
                        status: 502,
                        phase: Phase::Resolve,
                        role: hop.role,
                        reason: format!("{}: {why}", hop.target.spec().host),
                        retry_after_secs: None,
                    });
                    self.hop += 1;
                }
            }
        }
    }

    fn tell_health(&self, well: bool) {
        if let (Some(hop), Some(address)) = (self.hop(), self.current) {
            if well {
                hop.target.health.succeeded(&address);
            } else {
                hop.target.health.failed(address, Instant::now());
            }
        }
    }
}

/// Which phase an error of pingora's belongs to, and whether time ran out.
fn phase(error: &Error, connected: bool, head_seen: bool) -> (Phase, bool) {
    use ErrorType as E;
    let timeout = matches!(
        error.etype(),
        E::ConnectTimedout | E::TLSHandshakeTimedout | E::ReadTimedout | E::WriteTimedout
    );
    let phase = match error.etype() {
        E::TLSHandshakeFailure | E::TLSHandshakeTimedout | E::InvalidCert | E::HandshakeError => {
            Phase::Tls
        }
        E::ConnectTimedout
        | E::ConnectRefused
        | E::ConnectNoRoute
        | E::ConnectError
        | E::BindError
        | E::SocketError => Phase::Connect,
        _ if !connected => Phase::Connect,
        E::WriteError | E::WriteTimedout => Phase::Request,
        _ if head_seen => Phase::ResponseBody,
        _ => Phase::ResponseHead,
    };
    (phase, timeout)
}

/// What of an error goes to clients: its kind and our own words, no addresses.
fn reason(error: &Error) -> String {
    let context = error
        .context
        .as_ref()
        .map(|c| c.as_str().to_owned())
        .unwrap_or_default();
    let kind = error.etype().as_str();
    let short = context
        .split("Peer:")
        .next()
        .unwrap_or_default()
        .trim()
        .trim_end_matches(',');
    if short.is_empty() || short.len() > 120 || short.contains("addr:") {
        kind.to_owned()
    } else {
        format!("{kind}, {short}")
    }
}

/// Heads that could be read in two ways, or that frame nothing (RFC 9112 §6.3): an error, never a stored object.
fn judge_head(fields: &HeaderMap, status: u16) -> std::result::Result<(), &'static str> {
    if !(100..=599).contains(&status) {
        return Err("a status outside 100 to 599");
    }
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if let Some(length) = length {
        let digits = length.as_bytes();
        if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
            return Err("malformed Content-Length");
        }
        if lengths.any(|other| other != length) {
            return Err("conflicting Content-Length fields");
        }
    }
    let codings: Vec<&[u8]> = fields
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    match codings[..] {
        [] => Ok(()),
        _ if length.is_some() => Err("both Content-Length and Transfer-Encoding"),
        [coding] if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("a transfer coding other than chunked"),
    }
}

/// An origin's head waits this long for the first of its body: one that is broken from its start is a 502.
const HEAD_HOLD: Duration = Duration::from_millis(500);

/// Whether somebody may need the head before there is a body: a stream of events has none until there is an event.
fn may_be_held(response: &ResponseHeader) -> bool {
    let content_type = response.headers.get(header::CONTENT_TYPE);
    let of_events = content_type.is_some_and(|value| {
        let kind = value.as_bytes().split(|&b| b == b';').next();
        kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
    });
    response.status != 101 && !of_events
}

#[async_trait]
impl ProxyHttp for App {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::default()
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        if ctx.ask.is_none() {
            ctx.ask = session.req_header().extensions.get::<Arc<Ask>>().cloned();
        }
        let Some(ask) = ctx.ask.clone() else {
            return Error::e_explain(ErrorType::InternalError, "an exchange without a question");
        };
        if ctx.attempts > 0 {
            self.metrics.upstream_retries.inc();
        }
        ctx.attempts += 1;
        let Some(address) = ctx.next().await else {
            if ctx.last.is_none() {
                ctx.last = Some(Failure {
                    status: 503,
                    phase: Phase::NoServer,
                    role: ctx.role(),
                    reason: "there is nobody to ask".into(),
                    retry_after_secs: None,
                });
            }
            return Error::e_explain(ErrorType::ConnectError, "no server is left");
        };
        ctx.current = Some(address);
        if let Some(turn) = ctx.hop().and_then(|hop| ask.attempt.turn(hop))
            && let Err(failure) = turn.await
        {
            ctx.last = Some(failure);
            return Error::e_explain(ErrorType::ConnectError, "it may not be asked now");
        }
        ctx.began = Some(Instant::now());
        let hop = ctx
            .hop()
            .ok_or_else(|| Error::new(ErrorType::InternalError))?;
        Ok(Box::new(hop.target.peer(address, &ask.timeouts)))
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        #[cfg(unix)] _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Context,
    ) -> Result<()> {
        self.metrics
            .upstream_connections
            .with_label_values(&[if reused { "yes" } else { "no" }])
            .inc();
        if let (false, Some(began)) = (reused, ctx.began) {
            self.metrics
                .upstream_seconds
                .with_label_values(&["connect"])
                .observe(began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let (Some(ask), Some(hop)) = (ctx.ask.clone(), ctx.hop()) else {
            return Ok(());
        };
        request.remove_header(&header::EXPECT);
        request.set_version(http::Version::HTTP_11);
        ask.attempt.before(hop, request);
        if let Some(host) = &hop.host_header {
            request.insert_header(header::HOST, host.clone())?;
        }
        Ok(())
    }

    /// Runs for every head, interim ones too, before pingora batches what follows: a 103 that came together with a
    /// final answer is passed on here and nowhere else.
    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let status = response.status.as_u16();
        if response.status.is_informational() && status != 101 {
            if let Some(ask) = &ctx.ask {
                ask.attempt.interim(response);
            }
            return session
                .downstream_session
                .write_response_header_ref(response)
                .await;
        }
        let asked_to_switch = session.req_header().headers.contains_key(header::UPGRADE);
        let judged = match status {
            // RFC 9110 §7.8: bytes that nobody can read would follow
            101 if !asked_to_switch => Err("a change of protocol that nobody asked for"),
            _ => judge_head(&response.headers, status),
        };
        if let Err(fault) = judged {
            let mut error = Error::explain(ErrorType::InvalidHTTPHeader, fault);
            error.as_up();
            return Err(error);
        }
        if let Some(began) = ctx.began {
            self.metrics
                .upstream_seconds
                .with_label_values(&["first_byte"])
                .observe(began.elapsed().as_secs_f64());
        }
        ctx.answered = true;
        ctx.tell_health(true);
        let (Some(ask), Some(hop)) = (ctx.ask.clone(), ctx.hop()) else {
            return Ok(());
        };
        ask.clear_failure();
        // a shield has held it already
        if hop.role == Role::Origin && may_be_held(response) {
            response.extensions_mut().insert(HoldHead(HEAD_HOLD));
        }
        if let Some(settling) = ask.attempt.head(hop, response) {
            settling.await;
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        ctx.tell_health(false);
        let (phase, timeout) = phase(&error, false, false);
        ctx.last = Some(Failure {
            status: if timeout { 504 } else { 502 },
            phase,
            role: ctx.role(),
            reason: reason(&error),
            retry_after_secs: None,
        });
        // nothing was sent: any request may be tried elsewhere
        error.set_retry(ctx.more());
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        let head_seen = ctx.answered || session.response_written().is_some();
        let of_upstream = *error.esource() == ErrorSource::Upstream;
        if of_upstream {
            let (phase, timeout) = phase(&error, true, head_seen);
            if !client_reused {
                ctx.tell_health(false);
            }
            ctx.last = Some(Failure {
                status: if timeout { 504 } else { 502 },
                phase,
                role: ctx.role(),
                reason: reason(&error),
                retry_after_secs: None,
            });
            let replayable = session.req_header().method.is_idempotent()
                && !session.as_ref().retry_buffer_truncated();
            // a pooled connection that the server had closed says nothing of the server: the same address again.
            // Time that ran out, and an answer that had begun, are not tried twice
            let same = client_reused && replayable && !head_seen && !timeout;
            let other = !client_reused && replayable && !head_seen && !timeout && ctx.more();
            let attempts_left = ctx
                .ask
                .as_ref()
                .is_some_and(|ask| ctx.attempts < ask.attempts_max);
            ctx.again = same && attempts_left;
            error.set_retry((same && attempts_left) || other);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        let head_seen = session.response_written().is_some();
        let of_client = *error.esource() == ErrorSource::Downstream;
        let mut retry_after = None;
        let (status, text) = match (error.etype(), of_client) {
            (ErrorType::HTTPStatus(status), _) => {
                let why = error
                    .context
                    .as_ref()
                    .map_or("the request cannot be served", |c| c.as_str());
                (*status, why.to_owned())
            }
            // the client is gone, or its own side broke
            (_, true) => (0, String::new()),
            _ => {
                let failure = ctx.last.take().unwrap_or_else(|| {
                    let (phase, timeout) =
                        phase(error, ctx.current.is_some(), head_seen || ctx.answered);
                    Failure {
                        status: if timeout { 504 } else { 502 },
                        phase,
                        role: ctx.role(),
                        reason: reason(error),
                        retry_after_secs: None,
                    }
                });
                let told = (failure.status, failure.to_string());
                retry_after = failure.retry_after_secs;
                self.metrics
                    .upstream_requests
                    .with_label_values(&[failure.role.as_str(), failure.phase.as_str()])
                    .inc();
                if let Some(ask) = &ctx.ask {
                    ask.set_failure(failure);
                }
                told
            }
        };
        if status > 0 && !head_seen {
            let (mut head, body) = error_head(status, &text);
            if let Some(seconds) = retry_after {
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
            error_code: status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, _session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        if error.is_none() && ctx.answered {
            self.metrics
                .upstream_requests
                .with_label_values(&[ctx.role().as_str(), "ok"])
                .inc();
        }
    }

    /// Failures are counted, told to the client and, where a service asks for it, logged: not once more by pingora.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&str, &str)], expect: std::result::Result<(), &str>) {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        assert_eq!(judge_head(&map, 200), expect, "{fields:?}");
    }

    #[test]
    fn a_head_waits_for_its_body_unless_somebody_may_need_it_before() {
        for (status, kind, expect) in [
            (200, None, true),
            (200, Some("text/html"), true),
            (404, Some("text/plain"), true),
            (200, Some("text/event-stream"), false),
            (200, Some("Text/Event-Stream ; charset=utf-8"), false),
            (200, Some("text/event-streams"), true),
            (101, None, false),
        ] {
            let mut head = ResponseHeader::build(status, None).unwrap();
            if let Some(kind) = kind {
                head.insert_header(header::CONTENT_TYPE, kind).unwrap();
            }
            assert_eq!(may_be_held(&head), expect, "{status} {kind:?}");
        }
    }

    #[test]
    fn a_head_that_could_be_read_in_two_ways_is_an_error() {
        check(&[("content-length", "5")], Ok(()));
        check(&[("content-length", "5"), ("content-length", "5")], Ok(()));
        check(
            &[("content-length", "5"), ("content-length", "6")],
            Err("conflicting Content-Length fields"),
        );
        check(
            &[("content-length", "5, 6")],
            Err("malformed Content-Length"),
        );
        check(&[("content-length", "-1")], Err("malformed Content-Length"));
        check(&[("content-length", "")], Err("malformed Content-Length"));
        check(&[("transfer-encoding", "chunked")], Ok(()));
        check(
            &[("transfer-encoding", "chunked"), ("content-length", "5")],
            Err("both Content-Length and Transfer-Encoding"),
        );
        check(
            &[("transfer-encoding", "gzip, chunked")],
            Err("a transfer coding other than chunked"),
        );
        assert!(judge_head(&HeaderMap::new(), 999).is_err());
    }
}
