//! What all exchanges of a node share, and the handler that connections call.

use crate::asked::Asked;
use crate::coder::Undecodable;
use crate::deliver::{Delivered, Story};
use crate::equivalents::Equivalents;
use crate::fills::Fills;
use crate::growing::Budget;
use crate::last::{Decided, Last};
use crate::lease::Lease;
use crate::link::{self, HOPS_MAX};
use crate::parts::Parts;
use crate::placing::Placing;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::tier::{Link, Tier};
use crate::turns::Turns;
use crate::unstorable::Unstorable;
use crate::{coder, exchange, message, quick, request_id};
use arc_swap::{ArcSwap, Guard};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use seawall_cache_store::{CacheStore, Purges};
use seawall_client_conn::{
    ALLOW, ConnInfo, Exchange, Handler, QuickBody, RequestHead, Wire, error_head,
};
use seawall_http_cache::{CacheStatus, Fields, Outcome, cdn_loop_count};
use seawall_purge::PurgeSeq;
use seawall_service_model::{Scheme, Service, ServiceSet};
use seawall_telemetry::{AccessEntry, AccessLog, Metrics};
use seawall_upstream::Upstream;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore};

/// Bounds of one node's exchanges.
#[derive(Clone, Copy, Debug)]
pub struct ProxyConfig {
    /// Fills running at the same time; a request that would begin one more gets a 503.
    pub fills_max: usize,
    /// Bytes held by copies in progress; beyond it further copies pass without being stored.
    pub fill_bytes_max: u64,
    /// How long a request waits for this node to have heard of the purges that its sender knows; zero: not at all.
    pub catch_up_max: Duration,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            fills_max: 16_384,
            fill_bytes_max: 256 << 20,
            catch_up_max: Duration::from_millis(100),
        }
    }
}

/// What a node's exchanges are made of.
pub struct ProxyParts {
    pub tier: Arc<dyn Tier>,
    pub services: ServiceSet,
    pub purges: Arc<Purges>,
    pub store: Arc<CacheStore>,
    pub upstream: Arc<Upstream>,
    pub metrics: Arc<Metrics>,
    pub access_log: Option<Arc<AccessLog>>,
}

/// What all exchanges of a node share.
pub struct CacheProxy {
    tier: Arc<dyn Tier>,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// Services and purges are put in force one after the other: neither undoes the other.
    installing: Mutex<()>,
    purges: Arc<Purges>,
    /// S was raised.
    pub(crate) moved: Notify,
    pub(crate) catch_up_max: Duration,
    /// The last wait for S that was in vain.
    pub(crate) in_vain: Mutex<Option<(PurgeSeq, Instant)>>,
    store: Arc<CacheStore>,
    upstream: Arc<Upstream>,
    fills: Fills,
    /// Memory for coders.
    coders: Arc<Semaphore>,
    undecodable: Undecodable,
    parts: Arc<Parts>,
    budget: Arc<Budget>,
    unstorable: Unstorable,
    equivalents: Equivalents,
    last: Last,
    pub(crate) lease: Lease,
    turns: Turns,
    metrics: Arc<Metrics>,
    access_log: Option<Arc<AccessLog>>,
}

impl std::fmt::Debug for CacheProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheProxy")
            .field("tier", &self.tier.kind())
            .finish_non_exhaustive()
    }
}

impl CacheProxy {
    pub fn new(parts: ProxyParts, config: ProxyConfig) -> Arc<Self> {
        let ProxyParts {
            tier,
            services,
            purges,
            store,
            upstream,
            metrics,
            access_log,
        } = parts;
        let budget = Arc::new(Budget::new(config.fill_bytes_max));
        Arc::new(Self {
            tier,
            snapshot: ArcSwap::from_pointee(Snapshot {
                services,
                purges: purges.table_full(),
            }),
            installing: Mutex::new(()),
            purges,
            moved: Notify::new(),
            catch_up_max: config.catch_up_max,
            in_vain: Mutex::new(None),
            store,
            upstream,
            fills: Fills::new(config.fills_max, budget.clone()),
            coders: coder::memory(),
            undecodable: Undecodable::default(),
            parts: Arc::default(),
            budget,
            unstorable: Unstorable::default(),
            equivalents: Equivalents::default(),
            last: Last::default(),
            lease: Lease::default(),
            turns: Turns::default(),
            metrics,
            access_log,
        })
    }

    /// From the next request on the services are these.
    pub fn install_services(&self, services: ServiceSet) {
        self.install(Some(services));
    }

    pub(crate) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub(crate) fn tier(&self) -> &dyn Tier {
        &*self.tier
    }

    /// Puts services in force, or the table of purges that is in force by now, beside what the other is.
    pub(crate) fn install(&self, services: Option<ServiceSet>) {
        let _one = self.installing.lock();
        let services = services.unwrap_or_else(|| self.snapshot.load().services.clone());
        self.snapshot.store(Arc::new(Snapshot {
            services,
            purges: self.purges.table_full(),
        }));
    }

    pub(crate) fn purges(&self) -> &Purges {
        &self.purges
    }

    pub(crate) fn store(&self) -> &Arc<CacheStore> {
        &self.store
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(crate) fn coders(&self) -> &Arc<Semaphore> {
        &self.coders
    }

    pub(crate) fn undecodable(&self) -> &Undecodable {
        &self.undecodable
    }

    pub(crate) fn fills(&self) -> &Fills {
        &self.fills
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    pub(crate) fn unstorable(&self) -> &Unstorable {
        &self.unstorable
    }

    pub(crate) fn equivalents(&self) -> &Equivalents {
        &self.equivalents
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    pub(crate) fn last(&self) -> &Last {
        &self.last
    }

    /// Notes what became of a request, for those who ask later.
    pub(crate) fn decided(
        &self,
        asked: &Asked,
        story: &Story,
        status: u16,
        stored: bool,
        detail: Option<Cow<'static, str>>,
    ) {
        let decided = Decided {
            at_ms: seawall_client_conn::now_ms(),
            method: asked.method.clone(),
            outcome: story.outcome,
            status,
            forward: story.forward,
            forward_status: story.forward_status,
            stored,
            collapsed: story.collapsed,
            detail,
        };
        self.last.note(asked.key.0, decided);
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Brings the gauges that nobody keeps up to date to where they are; called before metrics are read.
    pub fn refresh_gauges(&self) {
        let (objects, bytes) = self.store.usage();
        self.metrics.cache_objects.set(objects as i64);
        self.metrics.cache_bytes.set(bytes as i64);
        self.metrics
            .fill_bytes_in_flight
            .set(self.budget.used() as i64);
        self.refresh_lease_gauges();
        let table = self.purges.table();
        self.metrics.purge_sequence.set(table.at().n as i64);
        self.metrics.purge_table_records.set(table.records() as i64);
    }

    /// Fills running now; a drain waits for none.
    pub fn fills_running(&self) -> usize {
        self.fills.running()
    }

    /// Finds service, rule and key of a request, or says why it is not served.
    pub(crate) fn place<W: Wire>(&self, x: &mut Exchange<W>) -> Result<Asked, Refusal> {
        let snapshot = self.snapshot.load_full();
        let mut fields = std::mem::take(&mut x.request.headers);
        let mut link = self.tier.admit(&x.info, &fields)?;
        link::strip(&mut fields);
        if let Link::Fleet { hops, .. } = &mut link
            && *hops > HOPS_MAX
        {
            return Err(Refusal::new(
                508,
                "the request goes round in circles inside the fleet",
            ));
        }
        if link == Link::Client && cdn_loop_count(&fields, self.tier.fleet_id()) > 0 {
            return Err(Refusal::new(
                508,
                "this fleet has seen the request before (CDN-Loop)",
            ));
        }
        let host = fields
            .get(header::HOST)
            .map(|v| v.as_bytes().to_vec())
            .ok_or_else(|| Refusal::new(400, "no host"))?;
        let target = x.request.uri.path_and_query().map_or("/", |t| t.as_str());
        let Some(service) = snapshot.services.find(&host).cloned() else {
            let host = String::from_utf8_lossy(&host);
            return Err(Refusal::new(421, format!("no service for host {host}")));
        };
        if x.request.method == Method::CONNECT || x.request.method == Method::TRACE {
            return Err(Refusal::new(
                405,
                format!("method {} is not served", x.request.method),
            ));
        }
        let scheme = match link {
            Link::Fleet { scheme, .. } => scheme,
            Link::Client => {
                let stated = fields.get("x-forwarded-proto").map(HeaderValue::as_bytes);
                self.scheme(&x.info, stated)
            }
        };
        let target = target.to_owned();
        Ok(Self::placed(Placing {
            snapshot,
            service,
            info: x.info.clone(),
            link,
            scheme,
            method: x.request.method.clone(),
            version: x.request.version,
            host,
            target,
            fields,
            received: x.received,
        }))
    }

    /// The scheme the client used: the connection's, or what a listed proxy says of it in `X-Forwarded-Proto`.
    pub(crate) fn scheme(&self, info: &ConnInfo, stated: Option<&[u8]>) -> Scheme {
        match (info.scheme, stated) {
            (_, Some(stated)) if self.tier.trusts_forwarded(info.peer.ip().to_canonical()) => {
                if stated.eq_ignore_ascii_case(b"https") {
                    Scheme::Https
                } else {
                    Scheme::Http
                }
            }
            (seawall_client_conn::Scheme::Https, _) => Scheme::Https,
            (seawall_client_conn::Scheme::Http, _) => Scheme::Http,
        }
    }

    /// Answers with a refusal of our own.
    pub(crate) async fn refuse<W: Wire>(
        &self,
        x: &mut Exchange<W>,
        asked: Option<&Asked>,
        refusal: &Refusal,
    ) {
        let (mut head, body) = error_head(refusal.status, &refusal.reason);
        let key = asked.and_then(Asked::shown_key);
        let member = CacheStatus {
            cache: self.tier.kind().cache_name(),
            hit: false,
            forward: None,
            forward_status: None,
            ttl: None,
            stored: false,
            collapsed: false,
            key: key.as_deref(),
            detail: Some("refused"),
        };
        if let Ok(value) = HeaderValue::from_str(&member.to_string()) {
            let _ = head.insert_header("cache-status", value);
        }
        let length = body.len() as u64;
        send(x.wire(), &head, body).await;
        let outcome = if refusal.status < 500 {
            Outcome::Denied
        } else {
            Outcome::Error
        };
        let delivered = Delivered {
            outcome,
            status: refusal.status,
            bytes: length,
        };
        match asked {
            Some(asked) => {
                let reason = Cow::Owned(refusal.reason.clone());
                let story = Story::hit(outcome);
                self.decided(asked, &story, refusal.status, false, Some(reason));
                self.finished(asked, delivered);
            }
            None => self.metrics.request(
                outcome,
                refusal.status,
                length,
                x.received.elapsed().as_secs_f64(),
            ),
        }
    }

    /// Answers a request that may be forwarded no further (RFC 9110 §7.6.2), as far as a cache can.
    pub(crate) async fn end_here<W: Wire>(&self, x: &mut Exchange<W>, asked: &Asked) {
        let fields = [
            (header::ALLOW, HeaderValue::from_static(ALLOW)),
            (header::CONTENT_LENGTH, HeaderValue::from_static("0")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let head = message::response(StatusCode::OK, fields.into_iter().collect());
        send(x.wire(), &head, Bytes::new()).await;
        let delivered = Delivered {
            outcome: Outcome::Pass,
            status: 200,
            bytes: 0,
        };
        self.finished(asked, delivered);
    }

    /// Counts and logs a finished request.
    pub(crate) fn finished(&self, asked: &Asked, delivered: Delivered) {
        let took = asked.received.elapsed();
        let Delivered {
            outcome,
            status,
            bytes,
        } = delivered;
        self.metrics
            .request(outcome, status, bytes, took.as_secs_f64());
        if let Some(log) = &self.access_log {
            let text = |name| asked.fields.get(name).map(HeaderValue::as_bytes);
            log.log(&AccessEntry {
                time_ms: seawall_client_conn::now_ms(),
                request_id: asked.id,
                client: asked.info.peer.ip().to_canonical(),
                protocol: asked.info.protocol.as_str(),
                method: asked.method.as_str(),
                host: &asked.host,
                path: &asked.target,
                status,
                bytes,
                outcome,
                service: Some(&asked.service.id.0),
                key: Some(asked.key.0),
                total_us: took.as_micros() as u64,
                user_agent: text(header::USER_AGENT),
                referer: text(header::REFERER),
            });
        }
    }

    /// The same for a quick hit, which is not timed.
    pub(crate) fn finished_quick(
        &self,
        service: &Service,
        head: &RequestHead<'_>,
        info: &ConnInfo,
        key: u128,
        delivered: Delivered,
    ) {
        let Delivered {
            outcome,
            status,
            bytes,
        } = delivered;
        self.metrics.request(outcome, status, bytes, 0.0);
        if let Some(log) = &self.access_log {
            log.log(&AccessEntry {
                time_ms: seawall_client_conn::now_ms(),
                request_id: request_id::next(),
                client: info.peer.ip().to_canonical(),
                protocol: info.protocol.as_str(),
                method: head.method,
                host: head.host,
                path: head.target,
                status,
                bytes,
                outcome,
                service: Some(&service.id.0),
                key: Some(key),
                total_us: 0,
                user_agent: head.first("user-agent"),
                referer: head.first("referer"),
            });
        }
    }
}

/// Sends a whole answer of our own.
async fn send<W: Wire>(wire: &mut W, head: &ResponseHeader, body: Bytes) {
    let sent = async {
        wire.head(head, false).await?;
        wire.data(body, false).await?;
        wire.end(None).await?;
        wire.flush().await
    };
    if sent.await.is_err() {
        wire.abort();
    }
}

impl Handler for CacheProxy {
    fn quick(
        &self,
        head: &RequestHead<'_>,
        info: &ConnInfo,
        out: &mut BytesMut,
    ) -> Option<QuickBody> {
        if self.tier.kind() != crate::TierKind::Edge {
            return None;
        }
        quick::quick(self, head, info, out)
    }

    async fn exchange<W: Wire>(self: Arc<Self>, x: Exchange<W>) {
        exchange::answer(&self, x).await;
    }

    fn rejected(&self, _info: &ConnInfo, status: u16, _reason: &'static str) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let rejected = &self.metrics.rejected;
        rejected.with_label_values(&[status.as_str()]).inc();
        self.metrics
            .request(Outcome::Denied, status.as_u16(), 0, 0.0);
    }
}
