//! One question to the next server.

use crate::target::Target;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use seawall_service_model::{Service, Timeouts};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// What a server is to the one who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Shield,
    Origin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shield => "shield",
            Self::Origin => "origin",
        }
    }
}

/// A server that may be asked. Those of one question are tried in order.
#[derive(Clone, Debug)]
pub struct Hop {
    pub target: Arc<Target>,
    pub role: Role,
    /// `Host` for it; the client's where `None`.
    pub host_header: Option<HeaderValue>,
}

/// Says who is asked next for a key; implemented by edge and shield.
pub trait NextHop: Send + Sync + 'static {
    fn hops(&self, service: &Arc<Service>, key: u64) -> Arc<[Hop]>;
}

/// What has to come to its end before an answer goes on.
pub type Settling = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits until a server may be asked; ends soon in any case. An error: it is not asked, and this is why.
pub type Turn = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Called around each attempt.
pub trait Attempt: Send + Sync + 'static {
    /// Before a connection to `hop` is sought: what has to be waited for. Where that fails, so does the exchange, and no
    /// other server is tried.
    fn turn(&self, _hop: &Hop) -> Option<Turn> {
        None
    }
    /// Before the request's head is sent to `hop`; may change its fields.
    fn before(&self, hop: &Hop, fields: &mut HeaderMap);
    /// With each interim head (1xx but 101), before it goes on; may change it.
    fn interim(&self, response: &mut ResponseHeader);
    /// With each final head, before it goes on; may change it. It does not go on before what is returned has ended,
    /// which has to be soon in any case.
    fn head(&self, hop: &Hop, response: &mut ResponseHeader) -> Option<Settling>;
}

/// Where an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    NoServer,
    /// As many requests as it may be asked wait for it already.
    OriginBudget,
    Resolve,
    Connect,
    Tls,
    Request,
    ResponseHead,
    ResponseBody,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoServer => "no server",
            Self::OriginBudget => "origin budget",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Request => "request",
            Self::ResponseHead => "response head",
            Self::ResponseBody => "response body",
        }
    }
}

/// Why the next server gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// 504 for what took too long, 503 where there is nobody to ask or its turn would come too late, else 502.
    pub status: u16,
    pub phase: Phase,
    pub role: Role,
    pub reason: String,
    /// Seconds after which it is worth asking again, where that is known.
    pub retry_after_secs: Option<u32>,
}

/// One line, for the client.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} failed in phase {}: {}",
            self.role.as_str(),
            self.phase.as_str(),
            self.reason
        )
    }
}

/// A question: to whom, how long, and what came of it.
pub struct Ask {
    pub hops: Arc<[Hop]>,
    pub timeouts: Timeouts,
    /// Over all servers and addresses; at least one.
    pub attempts_max: usize,
    pub attempt: Box<dyn Attempt>,
    failure: Mutex<Option<Failure>>,
}

impl Ask {
    pub fn new(
        hops: Arc<[Hop]>,
        timeouts: Timeouts,
        attempts_max: usize,
        attempt: Box<dyn Attempt>,
    ) -> Self {
        Self {
            hops,
            timeouts,
            attempts_max: attempts_max.max(1),
            attempt,
            failure: Mutex::new(None),
        }
    }

    /// Why there was no answer, or why its body broke off. It is set before an error answer of ours is written to the
    /// session, so that this one can be told from the server's own.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    /// The first failure told is the one that counts, unless a later attempt tells its own.
    pub(crate) fn set_failure(&self, failure: Failure) {
        *self.failure.lock() = Some(failure);
    }

    pub(crate) fn clear_failure(&self) {
        *self.failure.lock() = None;
    }
}
