//! A neighbour knows of purges that a node has not heard of yet: its request waits for them. The node is made by hand,
//! and is told at a moment that a spec chooses.

use http::HeaderMap;
use seawall_cache_proxy::{
    CacheProxy, Changed, Link, ProxyConfig, ProxyParts, PurgeAnswer, PurgeAsked, Refusal, Tier,
    TierKind, link,
};
use seawall_cache_store::{CacheStore, Purges, StoreConfig};
use seawall_client_conn::{ConnInfo, ConnLimits, Listen, Server, ServerSpec, bind, start};
use seawall_purge::lineage::Held;
use seawall_purge::{Epoch, Purge, PurgeSeq, Scope, Strength};
use seawall_service_model::{HostPattern, Service, ServiceSet};
use seawall_telemetry::{Metrics, NodeKind};
use seawall_tests::{Client, Gate, Origin, Response, eventually};
use seawall_upstream::{Hop, NextHop, Upstream, origin_hops};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A request with this field finds, once it was placed, that the log began anew.
const LATE: &str = "x-late";

const BEFORE: PurgeSeq = PurgeSeq::new(Epoch(11), 4);
const AFTER: PurgeSeq = PurgeSeq::new(Epoch(12), 9);

fn begins(at: PurgeSeq) -> Held {
    Held { at, term: 1 }
}

/// A shield that believes its neighbours.
struct Believing {
    upstream: Arc<Upstream>,
    proxy: OnceLock<Arc<CacheProxy>>,
    /// Requests that came; what they wait for is looked up at once.
    admitted: AtomicUsize,
}

impl NextHop for Believing {
    fn hops(&self, service: &Arc<Service>, _key: u64) -> Arc<[Hop]> {
        origin_hops(&self.upstream, service)
    }
}

impl Tier for Believing {
    fn kind(&self) -> TierKind {
        TierKind::Shield
    }

    /// What the request sees of services and purges was read before this.
    fn admit(&self, _: &ConnInfo, fields: &HeaderMap) -> Result<Link, Refusal> {
        self.admitted.fetch_add(1, Ordering::AcqRel);
        if fields.contains_key(LATE) {
            let proxy = self.proxy.get().expect("it was made");
            proxy.start_empty(begins(AFTER)).expect("a good disk");
        }
        link::read_request(fields).ok_or_else(|| Refusal::new(400, "not of the fleet"))
    }

    fn sign(&self, _: &Hop, _: &mut HeaderMap) {}

    fn fleet_id(&self) -> &'static str {
        "specs"
    }

    fn purge(&self, _: PurgeAsked) -> PurgeAnswer<'_> {
        Box::pin(std::future::ready(Err(Refusal::new(405, "not here"))))
    }

    fn changed(&self, _: Changed) {}

    fn trusts_forwarded(&self, _: IpAddr) -> bool {
        true
    }
}

/// A running shield, at [`BEFORE`].
struct Shield {
    server: Server,
    proxy: Arc<CacheProxy>,
    tier: Arc<Believing>,
    _data: tempfile::TempDir,
}

impl Shield {
    fn start(origin: &Origin) -> Self {
        Self::waiting(origin, ProxyConfig::default().catch_up_max)
    }

    /// One that waits at most so long for what a neighbour knows.
    fn waiting(origin: &Origin, catch_up_max: Duration) -> Self {
        let data = tempfile::tempdir().unwrap();
        let metrics = Metrics::new(NodeKind::Shield, "shield");
        let upstream = Upstream::new(metrics.clone());
        let origin = seawall_service_model::Origin {
            host: origin.address().ip().to_string(),
            port: origin.address().port(),
            tls: None,
            host_header: None,
        };
        let service = Service::new("site", vec![HostPattern::Any], origin);
        let tier = Arc::new(Believing {
            upstream: upstream.clone(),
            proxy: OnceLock::new(),
            admitted: AtomicUsize::new(0),
        });
        let parts = ProxyParts {
            tier: tier.clone(),
            services: ServiceSet::new(vec![service]).unwrap(),
            purges: Arc::new(Purges::open(data.path()).unwrap()),
            store: Arc::new(CacheStore::new(&StoreConfig::default(), &metrics)),
            upstream,
            metrics: metrics.clone(),
            access_log: None,
        };
        let config = ProxyConfig {
            catch_up_max,
            ..ProxyConfig::default()
        };
        let proxy = CacheProxy::new(parts, config);
        proxy.start_empty(begins(BEFORE)).unwrap();
        assert!(tier.proxy.set(proxy.clone()).is_ok());
        let workers = 2;
        let bound = bind(([127, 0, 0, 1], 0).into(), workers).unwrap();
        let spec = ServerSpec {
            listens: vec![Listen { bound, tls: None }],
            workers,
            limits: Arc::new(ConnLimits::default()),
            metrics,
        };
        Self {
            server: start(spec, &proxy).unwrap(),
            proxy,
            tier,
            _data: data,
        }
    }

    /// Asks as an edge that knows as much as `at`.
    fn ask(&self, at: PurgeSeq, more: &[(&str, &str)]) -> Response {
        self.begin(at, more).response("GET").unwrap()
    }

    fn begin(&self, at: PurgeSeq, more: &[(&str, &str)]) -> Client {
        let at = at.to_string();
        let known = [
            ("seawall-link", "1"),
            ("seawall-scheme", "http"),
            ("seawall-hops", "1"),
            ("seawall-sequence", at.as_str()),
        ];
        let mut client = Client::connect(self.server.addresses()[0]);
        client.request("GET", "/", &[&known, more].concat(), b"");
        client
    }
}

#[test]
fn a_request_waits_a_moment_for_what_its_sender_knows_before_it_costs_a_fetch() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let shield = Shield::start(&origin);
    shield.ask(BEFORE, &[]);
    let begun = Instant::now();
    let ahead = PurgeSeq::new(BEFORE.epoch, BEFORE.n + 1);
    let answer = shield.ask(ahead, &[]);
    // 100 ms, by a clock of coarse steps
    assert!(begun.elapsed() > Duration::from_millis(80));
    assert_eq!(answer.field("seawall-fetched"), Some("1"));
    assert_eq!(origin.count("/"), 2);
    shield.server.drain(Duration::ZERO);
}

/// An origin whose first answer waits at a gate; its answers are numbered from 1.
fn gated() -> (Origin, Gate) {
    let gate = Gate::default();
    let (held, count) = (gate.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |_, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        if n == 1 {
            held.pass();
        }
        reply.fresh(n.to_string().as_bytes())
    });
    (origin, gate)
}

#[test]
fn who_knows_more_than_the_node_joins_no_fill_of_those_who_know_less() {
    let (origin, gate) = gated();
    let shield = Shield::start(&origin);
    std::thread::scope(|scope| {
        let knows_less = scope.spawn(|| shield.ask(BEFORE, &[]));
        eventually("the origin is asked", || origin.count("/") == 1);
        let ahead = PurgeSeq::new(BEFORE.epoch, BEFORE.n + 1);
        assert_eq!(shield.ask(ahead, &[]).text(), "2");
        gate.open();
        assert_eq!(knows_less.join().unwrap().text(), "1");
    });
    shield.server.drain(Duration::ZERO);
}

#[test]
fn who_knows_another_record_than_the_node_waits_for_nothing_and_gets_nothing_from_before_it() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    // a request that waits is one that is never answered
    let shield = Shield::waiting(&origin, Duration::from_hours(1));
    shield.ask(BEFORE, &[]);
    let earlier = PurgeSeq::new(BEFORE.epoch, BEFORE.n - 1);
    let rows = [
        (BEFORE, "1", false),
        (BEFORE, "2", true),
        // which one lay there the node has never known
        (earlier, "1", true),
        // what was fetched for those is from after all that the node knows
        (BEFORE, "1", false),
    ];
    for (at, term, fetched) in rows {
        let before = origin.count("/");
        let answer = shield.ask(at, &[("seawall-term", term)]);
        let is_fetched = answer.field("seawall-fetched").is_some();
        assert_eq!(is_fetched, fetched, "{at} {term}");
        assert_eq!(
            origin.count("/"),
            before + usize::from(fetched),
            "{at} {term}"
        );
    }
    shield.server.drain(Duration::ZERO);
}

#[test]
fn who_knows_another_record_at_the_same_position_joins_no_fill_of_those_who_do_not() {
    let (origin, gate) = gated();
    let shield = Shield::start(&origin);
    let ahead = PurgeSeq::new(BEFORE.epoch, BEFORE.n + 1);
    std::thread::scope(|scope| {
        let before = scope.spawn(|| shield.ask(ahead, &[("seawall-term", "2")]));
        eventually("the origin is asked", || origin.count("/") == 1);
        let after = shield.ask(ahead, &[("seawall-term", "3")]);
        assert_eq!(after.text(), "2");
        gate.open();
        assert_eq!(before.join().unwrap().text(), "1");
    });
    shield.server.drain(Duration::ZERO);
}

#[test]
fn a_request_that_waited_while_the_log_began_anew_joins_no_fill_from_before_it() {
    let (origin, gate) = gated();
    let shield = Shield::start(&origin);
    std::thread::scope(|scope| {
        let before = scope.spawn(|| shield.ask(BEFORE, &[]));
        eventually("the origin is asked", || origin.count("/") == 1);
        let after = shield.ask(AFTER, &[(LATE, "1")]);
        assert_eq!(after.text(), "2");
        let label = after.field("seawall-label");
        assert_eq!(label, Some(AFTER.to_string().as_str()));
        gate.open();
        assert_eq!(before.join().unwrap().text(), "1");
    });
    // and what the one from before stored is of another epoch
    assert_ne!(shield.ask(AFTER, &[]).text(), "1");
    shield.server.drain(Duration::ZERO);
}

#[test]
fn who_insists_gets_nothing_from_before_a_purge_that_the_node_has_heard_of_since() {
    let gate = Gate::default();
    let (held, count) = (gate.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |_, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        if n == 1 {
            held.pass();
        }
        let fields = [("cache-control", "max-age=60"), ("cache-tag", "blue")];
        reply.answer(200, &fields, n.to_string().as_bytes())
    });
    let shield = Shield::start(&origin);
    let insists = [("seawall-insist", "1")];
    let mut before = shield.begin(BEFORE, &insists);
    eventually("the origin is asked", || origin.count("/") == 1);
    let blue = Scope::Tag {
        service: "site",
        tag: b"blue",
    };
    let purge = Purge {
        at: PurgeSeq::new(BEFORE.epoch, BEFORE.n + 1),
        term: 1,
        appended_ms: 0,
        strength: Strength::Hard,
        scopes: vec![blue.id()],
        pace: None,
    };
    shield.proxy.apply_purges(&[purge]).unwrap();
    // its sender knows as much as the first one's, which is less than the shield does by now
    let mut after = shield.begin(BEFORE, &insists);
    eventually("it waits too", || {
        shield.tier.admitted.load(Ordering::Acquire) == 2
    });
    gate.open();
    assert_eq!(before.response("GET").unwrap().text(), "1");
    assert_eq!(after.response("GET").unwrap().text(), "2");
    shield.server.drain(Duration::ZERO);
}
