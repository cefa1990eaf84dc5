//! One node's metrics. There are no globals: several nodes live in one process.

use crate::by_result::{
    ChangeCounters, CutCounters, FillCounters, OriginBudgetCounters, PartCounters,
    UpstreamConnectionCounters, UpstreamSeconds,
};
use crate::catalogue::{self, MetricInfo};
use crate::requests::{CLASSES, RequestCounters};
use prometheus::core::Collector;
use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use seawall_http_cache::Outcome;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    Edge,
    Shield,
}

impl NodeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Shield => "shield",
        }
    }
}

/// A gauge that can be held: it counts what exists at the moment.
#[derive(Clone, Debug)]
pub struct Gauge(IntGauge);

/// Counts for as long as it lives.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Gauge {
    pub fn guard(&self) -> InFlight {
        self.0.inc();
        InFlight(self.0.clone())
    }

    pub fn get(&self) -> i64 {
        self.0.get()
    }

    pub fn set(&self, value: i64) {
        self.0.set(value);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The metrics of one disk.
#[derive(Clone, Debug)]
pub struct DiskMetrics {
    pub up: Gauge,
    pub capacity: Gauge,
    pub written: IntCounter,
    pub dropped: IntCounter,
    pub hits: IntCounter,
    pub misses: IntCounter,
    pub corrupt: IntCounter,
}

/// The families behind [`DiskMetrics`], by directory.
#[derive(Debug)]
struct Disks {
    up: IntGaugeVec,
    capacity: IntGaugeVec,
    written: IntCounterVec,
    dropped: IntCounterVec,
    reads: IntCounterVec,
    corrupt: IntCounterVec,
}

/// All metrics of one node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub requests: Arc<RequestCounters>,
    request_seconds: Histogram,
    pub connections_open: Gauge,
    pub connections: IntCounter,
    pub connections_refused: IntCounter,
    pub connections_cut: CutCounters,
    pub pipelined: IntCounter,
    pub tls_failures: IntCounter,
    pub rejected: IntCounterVec,
    pub cache_objects: Gauge,
    pub cache_bytes: Gauge,
    pub cache_evictions: IntCounter,
    disks: Disks,
    pub fills: FillCounters,
    pub fills_in_flight: Gauge,
    pub fill_bytes_in_flight: Gauge,
    pub parts: PartCounters,
    pub compressions: IntCounter,
    pub decompressions: IntCounter,
    pub changes: ChangeCounters,
    pub upstream_requests: IntCounterVec,
    pub upstream_retries: IntCounter,
    pub origin_budget: OriginBudgetCounters,
    pub upstream_connections: UpstreamConnectionCounters,
    pub upstream_seconds: UpstreamSeconds,
    pub access_log_dropped: IntCounter,
    pub reloads: IntCounterVec,
    pub control_plane_connected: Gauge,
    pub lease_seconds: Gauge,
    pub lease_fenced_services: Gauge,
    pub lease_fenced_answers: IntCounter,
    pub purges_applied: IntCounter,
    pub purge_sequence: Gauge,
    pub purge_table_records: Gauge,
}

/// Seconds: from a tenth of a millisecond to half a minute.
const BUCKETS: [f64; 14] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn put<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let made = made.expect("the catalogue's names and labels are legal");
        self.0
            .register(Box::new(made.clone()))
            .expect("the catalogue's names are unique");
        made
    }

    fn counter(&self, info: MetricInfo) -> IntCounter {
        self.put(IntCounter::new(info.name, info.help))
    }

    fn counters(&self, info: MetricInfo) -> IntCounterVec {
        self.put(IntCounterVec::new(
            Opts::new(info.name, info.help),
            info.labels,
        ))
    }

    fn gauge(&self, info: MetricInfo) -> Gauge {
        Gauge(self.put(IntGauge::new(info.name, info.help)))
    }

    fn gauges(&self, info: MetricInfo) -> IntGaugeVec {
        self.put(IntGaugeVec::new(
            Opts::new(info.name, info.help),
            info.labels,
        ))
    }

    fn histograms(&self, info: MetricInfo) -> HistogramVec {
        let opts = HistogramOpts::new(info.name, info.help).buckets(BUCKETS.to_vec());
        self.put(HistogramVec::new(opts, info.labels))
    }
}

impl Metrics {
    /// The metrics of the node `node` of `kind`; each line carries the labels `node` and `node_kind`.
    pub fn new(kind: NodeKind, node: &str) -> Arc<Self> {
        let labels = [
            ("node".to_owned(), node.to_owned()),
            ("node_kind".to_owned(), kind.as_str().to_owned()),
        ];
        let registry =
            Registry::new_custom(None, Some(labels.into())).expect("constant labels are legal");
        let register = Register(&registry);
        let requests = Arc::new(RequestCounters::default());
        let collector = Requests::new(requests.clone());
        registry
            .register(Box::new(collector))
            .expect("the catalogue's names are unique");
        let fills = register.counters(catalogue::FILLS);
        let fill = |result| fills.with_label_values(&[result]);
        let parts = register.counters(catalogue::PARTS);
        let part = |result| parts.with_label_values(&[result]);
        let budget = register.counters(catalogue::ORIGIN_BUDGET);
        let connections = register.counters(catalogue::UPSTREAM_CONNECTIONS);
        let connection = |reused| connections.with_label_values(&[reused]);
        let upstream = register.histograms(catalogue::UPSTREAM_SECONDS);
        let seconds = |phase| upstream.with_label_values(&[phase]);
        let turn = |result| budget.with_label_values(&[result]);
        let cuts = register.counters(catalogue::CONNECTIONS_CUT);
        let cut = |reason| cuts.with_label_values(&[reason]);
        let changes = register.counters(catalogue::CHANGE_PURGES);
        let change = |result| changes.with_label_values(&[result]);
        let opts = HistogramOpts::new(
            catalogue::REQUEST_SECONDS.name,
            catalogue::REQUEST_SECONDS.help,
        );
        Arc::new(Self {
            requests,
            request_seconds: register.put(Histogram::with_opts(opts.buckets(BUCKETS.to_vec()))),
            connections_open: register.gauge(catalogue::CONNECTIONS_OPEN),
            connections: register.counter(catalogue::CONNECTIONS),
            connections_refused: register.counter(catalogue::CONNECTIONS_REFUSED),
            connections_cut: CutCounters {
                unread: cut("unread"),
                reset: cut("reset"),
            },
            pipelined: register.counter(catalogue::PIPELINED),
            tls_failures: register.counter(catalogue::TLS_FAILURES),
            rejected: register.counters(catalogue::REJECTED),
            cache_objects: register.gauge(catalogue::CACHE_OBJECTS),
            cache_bytes: register.gauge(catalogue::CACHE_BYTES),
            cache_evictions: register.counter(catalogue::CACHE_EVICTIONS),
            disks: Disks {
                up: register.gauges(catalogue::DISK_UP),
                capacity: register.gauges(catalogue::DISK_CAPACITY),
                written: register.counters(catalogue::DISK_WRITTEN),
                dropped: register.counters(catalogue::DISK_DROPPED),
                reads: register.counters(catalogue::DISK_READS),
                corrupt: register.counters(catalogue::DISK_CORRUPT),
            },
            fills: FillCounters {
                stored: fill("stored"),
                revalidated: fill("revalidated"),
                failed: fill("failed"),
                unscoped: fill("unscoped"),
            },
            fills_in_flight: register.gauge(catalogue::FILLS_IN_FLIGHT),
            fill_bytes_in_flight: register.gauge(catalogue::FILL_BYTES),
            parts: PartCounters {
                fetched: part("fetched"),
                refused: part("refused"),
                failed: part("failed"),
            },
            compressions: register.counter(catalogue::COMPRESSIONS),
            decompressions: register.counter(catalogue::DECOMPRESSIONS),
            changes: ChangeCounters {
                asked: change("asked"),
                failed: change("failed"),
                dropped: change("dropped"),
            },
            upstream_requests: register.counters(catalogue::UPSTREAM_REQUESTS),
            upstream_retries: register.counter(catalogue::UPSTREAM_RETRIES),
            origin_budget: OriginBudgetCounters {
                at_once: turn("at_once"),
                queued: turn("queued"),
                refused: turn("refused"),
                put_off: turn("put_off"),
            },
            upstream_connections: UpstreamConnectionCounters {
                reused: connection("yes"),
                opened: connection("no"),
            },
            upstream_seconds: UpstreamSeconds {
                connect: seconds("connect"),
                first_byte: seconds("first_byte"),
            },
            access_log_dropped: register.counter(catalogue::ACCESS_LOG_DROPPED),
            reloads: register.counters(catalogue::RELOADS),
            control_plane_connected: register.gauge(catalogue::CONTROL_PLANE_CONNECTED),
            lease_seconds: register.gauge(catalogue::LEASE_SECONDS),
            lease_fenced_services: register.gauge(catalogue::LEASE_FENCED_SERVICES),
            lease_fenced_answers: register.counter(catalogue::LEASE_FENCED_ANSWERS),
            purges_applied: register.counter(catalogue::PURGES_APPLIED),
            purge_sequence: register.gauge(catalogue::PURGE_SEQUENCE),
            purge_table_records: register.gauge(catalogue::PURGE_TABLE_RECORDS),
            registry,
        })
    }

    /// The metrics of the disk tier in the directory `disk`.
    pub fn disk(&self, disk: &str) -> DiskMetrics {
        let of = &self.disks;
        DiskMetrics {
            up: Gauge(of.up.with_label_values(&[disk])),
            capacity: Gauge(of.capacity.with_label_values(&[disk])),
            written: of.written.with_label_values(&[disk]),
            dropped: of.dropped.with_label_values(&[disk]),
            hits: of.reads.with_label_values(&[disk, "hit"]),
            misses: of.reads.with_label_values(&[disk, "miss"]),
            corrupt: of.corrupt.with_label_values(&[disk]),
        }
    }

    /// Counts one finished request. `seconds` is 0 where it was not timed.
    pub fn request(&self, outcome: Outcome, status: u16, bytes: u64, seconds: f64) {
        self.requests.count(outcome, status, bytes);
        if seconds > 0.0 {
            self.request_seconds.observe(seconds);
        }
    }

    /// All metrics in Prometheus' text format.
    pub fn gather(&self) -> String {
        Self::gather_all(&[self])
    }

    /// The metrics of several nodes as one text: each metric is described once.
    pub fn gather_all(nodes: &[&Self]) -> String {
        text_of(nodes.iter().map(|node| &node.registry))
    }
}

/// The metrics of the control plane.
#[derive(Debug)]
pub struct ControlPlaneMetrics {
    registry: Registry,
    pub purges_hard: IntCounter,
    pub purges_soft: IntCounter,
    pub purge_log_position: Gauge,
    pub purge_append_seconds: Histogram,
    pub nodes_connected: Gauge,
    pub nodes_away: Gauge,
    pub leases_held: Gauge,
    pub leases_lost: Gauge,
    pub tls_failures: IntCounter,
    pub reloads_ok: IntCounter,
    pub reloads_refused: IntCounter,
}

impl ControlPlaneMetrics {
    /// Each line carries the label `node_kind`.
    pub fn new() -> Arc<Self> {
        let labels = [("node_kind".to_owned(), "control-plane".to_owned())];
        let registry =
            Registry::new_custom(None, Some(labels.into())).expect("constant labels are legal");
        let register = Register(&registry);
        let purges = register.counters(catalogue::PURGES);
        let reloads = register.counters(catalogue::RELOADS);
        let info = catalogue::NODES;
        let nodes = register.put(IntGaugeVec::new(
            Opts::new(info.name, info.help),
            info.labels,
        ));
        let info = catalogue::LEASES;
        let leases = register.put(IntGaugeVec::new(
            Opts::new(info.name, info.help),
            info.labels,
        ));
        let info = catalogue::PURGE_APPEND_SECONDS;
        let opts = HistogramOpts::new(info.name, info.help).buckets(BUCKETS.to_vec());
        Arc::new(Self {
            purges_hard: purges.with_label_values(&["hard"]),
            purges_soft: purges.with_label_values(&["soft"]),
            purge_log_position: register.gauge(catalogue::PURGE_LOG_POSITION),
            purge_append_seconds: register.put(Histogram::with_opts(opts)),
            nodes_connected: Gauge(nodes.with_label_values(&["connected"])),
            nodes_away: Gauge(nodes.with_label_values(&["away"])),
            leases_held: Gauge(leases.with_label_values(&["held"])),
            leases_lost: Gauge(leases.with_label_values(&["lost"])),
            tls_failures: register.counter(catalogue::TLS_FAILURES),
            reloads_ok: reloads.with_label_values(&["ok"]),
            reloads_refused: reloads.with_label_values(&["refused"]),
            registry,
        })
    }

    /// All metrics in Prometheus' text format.
    pub fn gather(&self) -> String {
        text_of([&self.registry])
    }
}

/// Several registries as one text: each metric is described once.
fn text_of<'a>(registries: impl IntoIterator<Item = &'a Registry>) -> String {
    let mut families: Vec<MetricFamily> = Vec::new();
    for mut family in registries.into_iter().flat_map(Registry::gather) {
        match families
            .iter_mut()
            .find(|known| known.name() == family.name())
        {
            Some(known) => known.mut_metric().extend(family.take_metric()),
            None => families.push(family),
        }
    }
    let mut text = Vec::new();
    match TextEncoder::new().encode(&families, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("# metrics could not be encoded: {error}\n"),
    }
}

/// Reads the request counters when metrics are gathered.
struct Requests {
    counters: Arc<RequestCounters>,
    descs: Vec<prometheus::core::Desc>,
}

const CLASS_NAMES: [&str; CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

impl Requests {
    fn new(counters: Arc<RequestCounters>) -> Self {
        let descs = [catalogue::REQUESTS, catalogue::RESPONSE_BYTES].map(|info| {
            let labels = info.labels.iter().map(|&l| l.to_owned()).collect();
            prometheus::core::Desc::new(info.name.into(), info.help.into(), labels, [].into())
                .expect("the catalogue's names and labels are legal")
        });
        Self {
            counters,
            descs: descs.into(),
        }
    }
}

fn sample(labels: &[(&str, &str)], value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    let mut metric = Metric::from_label(pairs.collect());
    metric.set_counter(counter);
    metric
}

fn family(info: MetricInfo, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(info.name.to_owned());
    family.set_help(info.help.to_owned());
    family.set_field_type(MetricType::COUNTER);
    family.set_metric(samples);
    family
}

impl Collector for Requests {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut counts = Vec::new();
        let mut bytes = Vec::new();
        for &outcome in Outcome::ALL {
            for (class, name) in CLASS_NAMES.iter().enumerate() {
                let n = self.counters.requests(outcome, class);
                // outcomes that can come are shown at zero, odd classes only once they came
                if n > 0 || *name == "2xx" {
                    counts.push(sample(
                        &[("outcome", outcome.as_str()), ("status", name)],
                        n,
                    ));
                }
            }
            bytes.push(sample(
                &[("outcome", outcome.as_str())],
                self.counters.bytes(outcome),
            ));
        }
        vec![
            family(catalogue::REQUESTS, counts),
            family(catalogue::RESPONSE_BYTES, bytes),
        ]
    }
}
