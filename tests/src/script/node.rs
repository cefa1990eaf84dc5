//! An edge or a shield in memory: the real life of an exchange, without sockets, disks or a control plane.

use crate::script::pipe::{NodeEnd, Pipe, pipe};
use http::HeaderMap;
use seawall_cache_proxy::{
    CacheProxy, Changed, Link, ProxyConfig, ProxyParts, PurgeAnswer, PurgeAsked, Refusal, Tier,
    TierKind, link,
};
use seawall_cache_store::{CacheStore, Purges, StoreConfig};
use seawall_client_conn::{ConnInfo, ConnLimits, Protocol, Scheme, Stream, serve};
use seawall_purge::lineage::{Contact, Held};
use seawall_purge::{Epoch, Purge, PurgeSeq};
use seawall_service_model::{HostPattern, Origin, Service, ServiceSet};
use seawall_telemetry::{Metrics, NodeKind};
use seawall_upstream::{Dial, Hop, NextHop, Role, TargetSpec, Upstream, origin_hops};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

pub const EPOCH: Epoch = Epoch(7);
pub const SERVICE: &str = "site";
pub const HOST: &str = "www.example";

/// Two addresses each, at a port that each world has for itself: an attempt that failed is made once more, at the other one.
const SHIELD: [&str; 2] = ["10.0.0.1", "10.0.0.2"];
const ORIGIN: [&str; 2] = ["10.1.0.1", "10.1.0.2"];

/// A shield that lags waits so long for the purges that an edge knows, should it wait at all: longer than any script.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Whom a node asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Shield,
    Origin,
}

/// Connections that a node has opened, and that the script has not seen yet.
#[derive(Debug, Default)]
struct Opened(Mutex<Vec<(To, Pipe)>>);

impl Dial for Opened {
    fn dial(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let host = address.ip().to_string();
        let to = if SHIELD.contains(&host.as_str()) {
            To::Shield
        } else {
            To::Origin
        };
        let (pipe, end) = pipe();
        self.0.lock().expect("no holder panics").push((to, pipe));
        Ok(Box::new(end))
    }
}

/// What a node asks by. It is costly to make (authorities are read) and is made once for each place and thread. What it
/// remembers are the servers that failed, which are others in each world.
#[derive(Clone)]
struct Asking {
    upstream: Arc<Upstream>,
    opened: Arc<Opened>,
}

thread_local! {
    static MADE: RefCell<HashMap<usize, Asking>> = RefCell::default();
}

impl Asking {
    fn of(place: usize, metrics: &Arc<Metrics>) -> Self {
        MADE.with_borrow_mut(|made| {
            let asking = made.entry(place).or_insert_with(|| {
                let opened = Arc::<Opened>::default();
                Self {
                    upstream: Upstream::dialled_by(metrics.clone(), opened.clone()),
                    opened,
                }
            });
            // of a script that ended before it was looked at
            asking.opened.0.lock().expect("no holder panics").clear();
            asking.clone()
        })
    }
}

struct InMemory {
    kind: TierKind,
    world: u16,
    upstream: Arc<Upstream>,
}

impl NextHop for InMemory {
    fn hops(&self, service: &Arc<Service>, _key: u64) -> Arc<[Hop]> {
        if self.kind == TierKind::Shield {
            return origin_hops(&self.upstream, service);
        }
        let hop = |host: &&str| Hop {
            target: self
                .upstream
                .target(target(host, self.world))
                .expect("no files"),
            role: Role::Shield,
            host_header: None,
        };
        SHIELD.iter().map(hop).collect()
    }
}

fn target(host: &str, world: u16) -> TargetSpec {
    TargetSpec {
        host: host.into(),
        port: world,
        tls: None,
    }
}

impl Tier for InMemory {
    fn kind(&self) -> TierKind {
        self.kind
    }

    fn admit(&self, _: &ConnInfo, fields: &HeaderMap) -> Result<Link, Refusal> {
        match self.kind {
            TierKind::Edge => Ok(Link::Client),
            TierKind::Shield => {
                link::read_request(fields).ok_or_else(|| Refusal::new(400, "not of the fleet"))
            }
        }
    }

    fn sign(&self, _: &Hop, _: &mut HeaderMap) {}

    fn fleet_id(&self) -> &'static str {
        "scripts"
    }

    fn purge(&self, _: PurgeAsked) -> PurgeAnswer<'_> {
        Box::pin(std::future::ready(Err(Refusal::new(405, "not here"))))
    }

    fn changed(&self, _: Changed) {}

    fn trusts_forwarded(&self, _: IpAddr) -> bool {
        false
    }
}

/// A running node.
pub struct Node {
    pub kind: TierKind,
    /// The position that is in force here.
    pub at: u64,
    proxy: Arc<CacheProxy>,
    opened: Arc<Opened>,
    limits: Arc<ConnLimits>,
    stop: watch::Sender<bool>,
}

impl Node {
    /// The node at `place` of world `world`, whose purges are kept in `dir`. `waits`: a shield that lags waits until it has
    /// caught up; else not at all.
    pub fn start(place: usize, world: u16, kind: TierKind, dir: &Path, waits: bool) -> Self {
        let told = match kind {
            TierKind::Edge => NodeKind::Edge,
            TierKind::Shield => NodeKind::Shield,
        };
        let metrics = Metrics::new(told, "script");
        let Asking { upstream, opened } = Asking::of(place, &metrics);
        let origin = |host: &&str| Origin {
            host: (*host).into(),
            port: world,
            tls: None,
            host_header: None,
        };
        let mut service = Service::new(SERVICE, vec![HostPattern::Any], origin(&ORIGIN[0]));
        service.origins = ORIGIN.iter().map(origin).collect();
        std::fs::create_dir_all(dir).expect("a directory");
        let parts = ProxyParts {
            tier: Arc::new(InMemory {
                kind,
                world,
                upstream: upstream.clone(),
            }),
            services: ServiceSet::new(vec![service]).expect("one service"),
            purges: Arc::new(Purges::open(dir).expect("a good directory")),
            store: Arc::new(CacheStore::new(
                &StoreConfig {
                    memory_bytes: 1 << 20,
                    ..StoreConfig::default()
                },
                &metrics,
            )),
            upstream,
            metrics,
            access_log: None,
        };
        let config = ProxyConfig {
            catch_up_max: if waits { FOR_EVER } else { Duration::ZERO },
            ..ProxyConfig::default()
        };
        let proxy = CacheProxy::new(parts, config);
        let held = Held {
            at: PurgeSeq::new(EPOCH, 0),
            term: 1,
        };
        proxy.start_empty(held).expect("a good directory");
        proxy.contact(Contact::CaughtUp);
        let (stop, _) = watch::channel(false);
        Self {
            kind,
            at: 0,
            proxy,
            opened,
            limits: Arc::default(),
            stop,
        }
    }

    /// A connection to it, from whoever asks.
    pub fn connect(&self) -> Pipe {
        let (pipe, end): (Pipe, NodeEnd) = pipe();
        let info = ConnInfo {
            peer: ([10, 9, 9, 9], 999).into(),
            local: ([10, 0, 0, 1], 80).into(),
            scheme: Scheme::Http,
            protocol: Protocol::Http1,
            client_identity: None,
        };
        let (limits, handler) = (self.limits.clone(), self.proxy.clone());
        let stop = self.stop.subscribe();
        tokio::spawn(serve(Box::new(end), info, limits, handler, stop));
        pipe
    }

    /// The connections that it has opened since.
    pub fn opened(&self) -> Vec<(To, Pipe)> {
        std::mem::take(&mut *self.opened.0.lock().expect("no holder panics"))
    }

    /// Puts the next purge in force, as a node does that is told of it.
    pub fn apply(&mut self, purge: &Purge) {
        let purges = std::slice::from_ref(purge);
        let at = self.proxy.apply_purges(purges).expect("a good directory");
        self.at = at.n;
    }
}
