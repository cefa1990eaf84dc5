//! A service: hosts, origins and rules that belong together.

use crate::host::HostPattern;
use crate::rule::{Policy, Rule};
use http::HeaderMap;
use seawall_http_cache::Fields;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A service's name: letters, digits, dots, dashes and underscores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceId(pub Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// How an https origin is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginTls {
    /// Name that is asked for and verified.
    pub sni: String,
    /// Certificate authorities in PEM; the system's where `None`.
    pub ca_file: Option<PathBuf>,
    /// Whether the certificate is verified.
    pub verify: bool,
}

/// A server that the content comes from. Several of them are tried in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name or address; every address that a name has is tried.
    pub host: String,
    pub port: u16,
    pub tls: Option<OriginTls>,
    /// `Host` towards this origin; the client's where `None`.
    pub host_header: Option<String>,
}

/// Sizes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A longer request body is refused with 413.
    pub request_body_bytes_max: u64,
    /// A longer body is not stored.
    pub object_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_body_bytes_max: 1 << 30,
            object_bytes_max: 5 << 30,
        }
    }
}

/// How long each phase of an exchange with the next server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// TCP and TLS together.
    pub tls: Duration,
    /// From the request's end to the answer's head, and between two reads of the answer.
    pub read: Duration,
    /// Without progress while the request is sent.
    pub write: Duration,
    /// A pooled connection is kept this long.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            tls: Duration::from_secs(6),
            read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            idle: Duration::from_secs(50),
        }
    }
}

/// What clients are told beside the response itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseOptions {
    /// `Cache-Status` (RFC 9211).
    pub cache_status: bool,
    /// The cache key in `Cache-Status`.
    pub cache_status_key: bool,
    /// `Via`.
    pub via: bool,
    /// `Surrogate-Key`, `xkey` and `Cache-Tag` stay in answers.
    pub keep_surrogate_key: bool,
    /// Targeted fields (RFC 9213) stay in answers, for caches between here and the client that know them too. The one
    /// that is meant for Seawall alone never does.
    pub keep_targeted: bool,
}

impl Default for ResponseOptions {
    fn default() -> Self {
        Self {
            cache_status: true,
            cache_status_key: false,
            via: true,
            keep_surrogate_key: false,
            keep_targeted: true,
        }
    }
}

/// Whether clients may have copies validated that are fresh (RFC 9111 §5.2.1: `no-cache`, `max-age`, `min-fresh`, or
/// `Pragma`). Such directives are advice; each costs a question to the next server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRevalidation {
    /// Else they count for nothing.
    pub allowed: bool,
    /// Nor do they for a copy that was received or validated less than this ago, in seconds: the origin is asked on a
    /// client's word at most once in that time for each key and variant. 0: no limit but that one question at a time is
    /// asked for them.
    pub interval_secs: u64,
}

impl Default for ClientRevalidation {
    fn default() -> Self {
        Self {
            allowed: true,
            interval_secs: 0,
        }
    }
}

/// Whose copies a change ends that an unsafe request brings about (RFC 9111 §4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Invalidate {
    /// Those of the nodes that it passes.
    #[default]
    Local,
    /// Those of the whole fleet, by a purge that the edge asks for.
    Fleet,
}

/// What a node does with a service's copies when its lease has run out: it has not heard from the control plane for so
/// long that purges may have passed it by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLeaseLoss {
    /// It answers with them as before. Receipts wait for it.
    #[default]
    Serve,
    /// It answers with nothing that the origin itself has not confirmed just now; receipts say that it is fenced.
    Revalidate,
}

/// How often the origin of a service is asked, by each node that asks it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginBudget {
    /// At least one.
    pub requests_per_second: NonZeroU32,
    /// A request waits at most this long for its turn.
    pub queue_wait: Duration,
}

impl OriginBudget {
    /// What a request waits where nothing else is said.
    pub const QUEUE_WAIT: Duration = Duration::from_secs(2);
}

/// One service, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub id: ServiceId,
    /// Counts changes; it is no part of keys or scopes.
    pub version: u64,
    pub hosts: Vec<HostPattern>,
    /// At least one.
    pub origins: Vec<Origin>,
    /// Whether edges ask a shield; else they ask the origin themselves.
    pub shield: bool,
    /// The first that matches decides.
    pub rules: Vec<Rule>,
    /// Where no rule matches.
    pub default: Policy,
    pub limits: Limits,
    pub timeouts: Timeouts,
    pub response: ResponseOptions,
    pub client_revalidation: ClientRevalidation,
    pub invalidate: Invalidate,
    pub on_lease_loss: OnLeaseLoss,
    /// No bound where `None`.
    pub origin_budget: Option<OriginBudget>,
}

impl Service {
    /// A service with nothing but its name, its hosts and one origin.
    pub fn new(id: &str, hosts: Vec<HostPattern>, origin: Origin) -> Self {
        Self {
            id: ServiceId(id.into()),
            version: 1,
            hosts,
            origins: vec![origin],
            shield: true,
            rules: Vec::new(),
            default: Policy::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            response: ResponseOptions::default(),
            client_revalidation: ClientRevalidation::default(),
            invalidate: Invalidate::default(),
            on_lease_loss: OnLeaseLoss::default(),
            origin_budget: None,
        }
    }

    /// The policy of the first rule that matches, with its index; else the default.
    pub fn policy(
        &self,
        method: &str,
        path: &str,
        fields: &dyn Fields,
    ) -> (&Policy, Option<usize>) {
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.matcher.matches(method, path, fields) {
                return (&rule.policy, Some(index));
            }
        }
        (&self.default, None)
    }

    /// The same for fields in a map.
    pub fn policy_of(
        &self,
        method: &str,
        path: &str,
        fields: &HeaderMap,
    ) -> (&Policy, Option<usize>) {
        self.policy(method, path, fields)
    }
}
