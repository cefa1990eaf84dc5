//! The attempts of one exchange: who is asked next, what is told of each, when there is another one, and what a failure
//! says. Pingora's hooks and the shorter way of fills go by this alike.

use crate::ask::{Ask, Failure, Hop, Phase, Role};
use crate::judge::{judge_head, may_be_held, phase, reason};
use http::{HeaderMap, header};
use pingora::http::ResponseHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use seawall_telemetry::Metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An origin's head waits this long for the first of its body: one that is broken from its start is a 502.
const HEAD_HOLD: Duration = Duration::from_millis(500);

/// One exchange.
#[derive(Default)]
pub(crate) struct Attempts {
    ask: Option<Arc<Ask>>,
    /// Addresses still to be tried, the next one last; those of later servers are looked up when their turn comes.
    addresses: Vec<SocketAddr>,
    hop: usize,
    made: usize,
    current: Option<SocketAddr>,
    /// The last attempt failed on a connection from the pool: the same address again.
    again: bool,
    began: Option<Instant>,
    last: Option<Failure>,
    answered: bool,
}

/// What a failed exchange says to the client.
pub(crate) struct Told {
    /// Zero: nothing, since the client is gone.
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) retry_after_secs: Option<u32>,
}

impl Attempts {
    pub(crate) fn of(ask: Arc<Ask>) -> Self {
        Self {
            ask: Some(ask),
            ..Self::default()
        }
    }

    /// The question, where it is not known yet.
    pub(crate) fn set_ask(&mut self, find: impl FnOnce() -> Option<Arc<Ask>>) {
        if self.ask.is_none() {
            self.ask = find();
        }
    }

    pub(crate) fn ask(&self) -> Option<&Arc<Ask>> {
        self.ask.as_ref()
    }

    pub(crate) fn hop(&self) -> Option<&Hop> {
        self.ask.as_ref()?.hops.get(self.hop)
    }

    fn role(&self) -> Role {
        self.hop().map_or(Role::Origin, |hop| hop.role)
    }

    fn more(&self) -> bool {
        let Some(ask) = &self.ask else { return false };
        self.made < ask.attempts_max
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
                Ok(mut addresses) if !addresses.is_empty() => {
                    addresses.reverse();
                    self.addresses = addresses;
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

    /// Begins an attempt: whom to connect to, when it is its turn. An error: nobody may be asked now.
    pub(crate) async fn begin(&mut self, metrics: &Metrics) -> Result<SocketAddr> {
        let Some(ask) = self.ask.clone() else {
            return Error::e_explain(ErrorType::InternalError, "an exchange without a question");
        };
        if self.made > 0 {
            metrics.upstream_retries.inc();
        }
        self.made += 1;
        let Some(address) = self.next().await else {
            if self.last.is_none() {
                self.last = Some(Failure {
                    status: 503,
                    phase: Phase::NoServer,
                    role: self.role(),
                    reason: "there is nobody to ask".into(),
                    retry_after_secs: None,
                });
            }
            return Error::e_explain(ErrorType::ConnectError, "no server is left");
        };
        self.current = Some(address);
        if let Some(turn) = self.hop().and_then(|hop| ask.attempt.turn(hop))
            && let Err(failure) = turn.await
        {
            self.last = Some(failure);
            return Error::e_explain(ErrorType::ConnectError, "it may not be asked now");
        }
        self.began = Some(Instant::now());
        Ok(address)
    }

    /// How the server of this attempt is connected to.
    pub(crate) fn peer(&self, address: SocketAddr) -> Result<Box<HttpPeer>> {
        let (Some(ask), Some(hop)) = (&self.ask, self.hop()) else {
            return Error::e_explain(ErrorType::InternalError, "an attempt without a server");
        };
        Ok(Box::new(hop.target.peer(address, &ask.timeouts)))
    }

    /// A connection is there. `reused`: from the pool.
    pub(crate) fn connected(&self, metrics: &Metrics, reused: bool) {
        let connections = &metrics.upstream_connections;
        if reused {
            connections.reused.inc();
            return;
        }
        connections.opened.inc();
        if let Some(began) = self.began {
            let seconds = began.elapsed().as_secs_f64();
            metrics.upstream_seconds.connect.observe(seconds);
        }
    }

    /// Before the request's head is sent.
    pub(crate) fn before(&self, fields: &mut HeaderMap) {
        let (Some(ask), Some(hop)) = (&self.ask, self.hop()) else {
            return;
        };
        fields.remove(header::EXPECT);
        ask.attempt.before(hop, fields);
        if let Some(host) = &hop.host_header {
            fields.insert(header::HOST, host.clone());
        }
    }

    /// With an interim head, before it goes on.
    pub(crate) fn interim(&self, response: &mut ResponseHeader) {
        if let Some(ask) = &self.ask {
            ask.attempt.interim(response);
        }
    }

    /// With the final head, before it goes on. An error: it could be read in two ways. Else: how long it may wait for the
    /// first of its body.
    pub(crate) async fn answered(
        &mut self,
        metrics: &Metrics,
        response: &mut ResponseHeader,
        asked_to_switch: bool,
    ) -> Result<Option<Duration>> {
        let status = response.status.as_u16();
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
        if let Some(began) = self.began {
            let seconds = began.elapsed().as_secs_f64();
            metrics.upstream_seconds.first_byte.observe(seconds);
        }
        self.answered = true;
        self.tell_health(true);
        let (Some(ask), Some(hop)) = (&self.ask, self.hop()) else {
            return Ok(None);
        };
        ask.clear_failure();
        // a shield has held it already
        let held = hop.role == Role::Origin && may_be_held(response);
        if let Some(settling) = ask.attempt.head(hop, response) {
            settling.await;
        }
        Ok(held.then_some(HEAD_HOLD))
    }

    /// Notes why the attempt failed: in which phase, and whether by running out of time.
    fn failed_in(&mut self, (phase, timeout): (Phase, bool), error: &Error) {
        self.last = Some(Failure {
            status: if timeout { 504 } else { 502 },
            phase,
            role: self.role(),
            reason: reason(error),
            retry_after_secs: None,
        });
    }

    /// No connection came about. The error says whether there is another attempt.
    pub(crate) fn not_connected(&mut self, mut error: Box<Error>) -> Box<Error> {
        self.tell_health(false);
        self.failed_in(phase(&error, false, false), &error);
        // nothing was sent: any request may be tried elsewhere
        error.set_retry(self.more());
        error
    }

    /// The exchange broke off. `head_written`: the client has a head; `replayable`: the same may be asked once more;
    /// `reused`: the connection was from the pool. The error says whether there is another attempt.
    pub(crate) fn broke(
        &mut self,
        mut error: Box<Error>,
        head_written: bool,
        replayable: bool,
        reused: bool,
    ) -> Box<Error> {
        let head_seen = self.answered || head_written;
        if *error.esource() != ErrorSource::Upstream {
            error.set_retry(false);
            return error;
        }
        let (phase, timeout) = phase(&error, true, head_seen);
        if !reused {
            self.tell_health(false);
        }
        self.failed_in((phase, timeout), &error);
        // a pooled connection that the server had closed says nothing of the server: the same address again.
        // Time that ran out, and an answer that had begun, are not tried twice
        let may_again = replayable && !head_seen && !timeout;
        let attempts_left = self
            .ask
            .as_ref()
            .is_some_and(|ask| self.made < ask.attempts_max);
        self.again = reused && may_again && attempts_left;
        error.set_retry(self.again || (!reused && may_again && self.more()));
        error
    }

    /// The exchange has failed for good. Counts it, and tells the question of it.
    pub(crate) fn failed(&mut self, metrics: &Metrics, error: &Error, head_written: bool) -> Told {
        let of_client = *error.esource() == ErrorSource::Downstream;
        match (error.etype(), of_client) {
            (ErrorType::HTTPStatus(status), _) => {
                let why = error
                    .context
                    .as_ref()
                    .map_or("the request cannot be served", |c| c.as_str());
                Told {
                    status: *status,
                    text: why.to_owned(),
                    retry_after_secs: None,
                }
            }
            // the client is gone, or its own side broke
            (_, true) => Told {
                status: 0,
                text: String::new(),
                retry_after_secs: None,
            },
            _ => {
                let failure = self.last.take().unwrap_or_else(|| {
                    let head_seen = head_written || self.answered;
                    let (phase, timeout) = phase(error, self.current.is_some(), head_seen);
                    Failure {
                        status: if timeout { 504 } else { 502 },
                        phase,
                        role: self.role(),
                        reason: reason(error),
                        retry_after_secs: None,
                    }
                });
                metrics
                    .upstream_requests
                    .with_label_values(&[failure.role.as_str(), failure.phase.as_str()])
                    .inc();
                let told = Told {
                    status: failure.status,
                    text: failure.to_string(),
                    retry_after_secs: failure.retry_after_secs,
                };
                if let Some(ask) = &self.ask {
                    ask.set_failure(failure);
                }
                told
            }
        }
    }

    /// The exchange has come to its end, without an error.
    pub(crate) fn ended(&self, metrics: &Metrics) {
        if self.answered {
            metrics
                .upstream_requests
                .with_label_values(&[self.role().as_str(), "ok"])
                .inc();
        }
    }
}
