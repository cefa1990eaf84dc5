//! Every metric that a node serves. `docs/reference/metrics.md` is generated from here.

use std::fmt::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// The declaration of one metric.
#[derive(Clone, Copy, Debug)]
pub struct MetricInfo {
    pub name: &'static str,
    pub kind: MetricKind,
    /// Base unit, or what is counted.
    pub unit: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricInfo {
    MetricInfo {
        name,
        kind,
        unit,
        labels,
        help,
    }
}

use MetricKind::{Counter, Gauge, Histogram};

pub const REQUESTS: MetricInfo = metric(
    "seawall_requests_total",
    Counter,
    "requests",
    &["outcome", "status"],
    "Requests answered, by what happened to them and by class of status (2xx, 3xx, 4xx, 5xx).",
);
pub const RESPONSE_BYTES: MetricInfo = metric(
    "seawall_response_bytes_total",
    Counter,
    "bytes",
    &["outcome"],
    "Bytes of response bodies sent, by what happened to the request.",
);
pub const REQUEST_SECONDS: MetricInfo = metric(
    "seawall_request_seconds",
    Histogram,
    "seconds",
    &[],
    "Time from a request's head to the end of its answer. Plain hits written by the connection's loop are not timed: reading the clock would cost more than it tells.",
);
pub const CONNECTIONS_OPEN: MetricInfo = metric(
    "seawall_connections_open",
    Gauge,
    "connections",
    &[],
    "Client connections open now; one that has said nothing is among them from its second second on.",
);
pub const CONNECTIONS: MetricInfo = metric(
    "seawall_connections_total",
    Counter,
    "connections",
    &[],
    "Client connections accepted.",
);
pub const CONNECTIONS_REFUSED: MetricInfo = metric(
    "seawall_connections_refused_total",
    Counter,
    "connections",
    &[],
    "Client connections closed at once, because as many as are allowed were open.",
);
pub const CONNECTIONS_CUT: MetricInfo = metric(
    "seawall_connections_cut_total",
    Counter,
    "connections",
    &["reason"],
    "Client connections that came to no good end, by reason: unread (the client took nothing of its answer, or of one over HTTP/2, for the write timeout), reset (the client reset it).",
);
pub const PIPELINED: MetricInfo = metric(
    "seawall_pipelined_requests_total",
    Counter,
    "requests",
    &[],
    "Requests over HTTP/1 that came before the answer to the one before them had gone out.",
);
pub const TLS_FAILURES: MetricInfo = metric(
    "seawall_tls_handshake_failures_total",
    Counter,
    "handshakes",
    &[],
    "TLS handshakes with clients (control plane: with nodes) that failed or took too long.",
);
pub const REJECTED: MetricInfo = metric(
    "seawall_rejected_requests_total",
    Counter,
    "requests",
    &["status"],
    "Requests refused by the codec before they were looked at: malformed, too large, too slow.",
);
pub const CACHE_OBJECTS: MetricInfo = metric(
    "seawall_cache_entries",
    Gauge,
    "entries",
    &[],
    "Heads, variant records and chunks in memory.",
);
pub const CACHE_BYTES: MetricInfo = metric(
    "seawall_cache_bytes",
    Gauge,
    "bytes",
    &[],
    "Memory that these entries are charged with.",
);
pub const CACHE_EVICTIONS: MetricInfo = metric(
    "seawall_cache_evictions_total",
    Counter,
    "entries",
    &[],
    "Entries that left memory to make room for others.",
);
pub const DISK_UP: MetricInfo = metric(
    "seawall_disk_up",
    Gauge,
    "disks",
    &["disk"],
    "1 while the disk tier in this directory is used; 0 after it was turned off (a write failed, the directory or a file went away). The node goes on from memory; restart it when the disk is well again.",
);
pub const DISK_CAPACITY: MetricInfo = metric(
    "seawall_disk_capacity_bytes",
    Gauge,
    "bytes",
    &["disk"],
    "Space allocated for cached records in this directory.",
);
pub const DISK_WRITTEN: MetricInfo = metric(
    "seawall_disk_records_written_total",
    Counter,
    "records",
    &["disk"],
    "Records (heads, variant records, chunks) that were written and are indexed.",
);
pub const DISK_DROPPED: MetricInfo = metric(
    "seawall_disk_records_dropped_total",
    Counter,
    "records",
    &["disk"],
    "Records that were not written: the queue was full, the record too long, or the disk tier off.",
);
pub const DISK_READS: MetricInfo = metric(
    "seawall_disk_reads_total",
    Counter,
    "reads",
    &["disk", "result"],
    "Reads of records that the index knew: hit, or miss (not readable, damaged, replaced or invalidated since). Keys that the index does not know cost no read and are not counted.",
);
pub const DISK_CORRUPT: MetricInfo = metric(
    "seawall_disk_records_corrupt_total",
    Counter,
    "records",
    &["disk"],
    "Records that were indexed but did not come back whole (wrong checksum, length or format; a few may have been reclaimed while they were read). Each was answered as a miss.",
);
pub const FILLS: MetricInfo = metric(
    "seawall_fills_total",
    Counter,
    "fills",
    &["result"],
    "Fills by result: stored, revalidated (a 304 refreshed the stored copy), failed (no complete answer), unscoped (not stored: what it can be purged by is not known in full).",
);
pub const FILLS_IN_FLIGHT: MetricInfo = metric(
    "seawall_fills_in_flight",
    Gauge,
    "fills",
    &[],
    "Fills running now.",
);
pub const FILL_BYTES: MetricInfo = metric(
    "seawall_fill_bytes",
    Gauge,
    "bytes",
    &[],
    "Bytes held by copies that are being written.",
);
pub const PARTS: MetricInfo = metric(
    "seawall_parts_total",
    Counter,
    "fetches",
    &["result"],
    "Fetches of chunks that a stored copy had lost, by Range, by result: fetched; refused (the answer was not that part of that version: the copy was retired); failed (no answer: the copy stays).",
);
pub const COMPRESSIONS: MetricInfo = metric(
    "seawall_compressions_total",
    Counter,
    "copies",
    &[],
    "Copies that were coded and stored; each is coded once in each coding.",
);
pub const DECOMPRESSIONS: MetricInfo = metric(
    "seawall_decompressions_total",
    Counter,
    "copies",
    &[],
    "Copies that came coded and were decoded and stored; each is decoded once.",
);
pub const CHANGE_PURGES: MetricInfo = metric(
    "seawall_change_purges_total",
    Counter,
    "purges",
    &["result"],
    "Purges that this edge asked for because an unsafe request changed something (invalidate = \"fleet\"), by result: asked, failed (refused, no answer, or no control plane), dropped (too many at once).",
);
pub const UPSTREAM_REQUESTS: MetricInfo = metric(
    "seawall_upstream_requests_total",
    Counter,
    "requests",
    &["role", "result"],
    "Exchanges with the next server (role: shield or origin) by result: ok, or the phase that failed.",
);
pub const UPSTREAM_RETRIES: MetricInfo = metric(
    "seawall_upstream_retries_total",
    Counter,
    "attempts",
    &[],
    "Further attempts of one exchange, at the same or another address.",
);
pub const ORIGIN_BUDGET: MetricInfo = metric(
    "seawall_origin_budget_total",
    Counter,
    "turns",
    &["result"],
    "Turns of questions to origins, of their service's budget and of a purge's pace (a question that waits for both takes one of each), by result: at_once; queued (it waited for its turn, and was sent); refused (its turn would have come too late: a stale copy or a 503 answered); put_off (a refreshment in the background, which waits for no turn).",
);
pub const UPSTREAM_CONNECTIONS: MetricInfo = metric(
    "seawall_upstream_connections_total",
    Counter,
    "connections",
    &["reused"],
    "Connections used for exchanges with the next server, new ones and reused ones.",
);
pub const UPSTREAM_SECONDS: MetricInfo = metric(
    "seawall_upstream_seconds",
    Histogram,
    "seconds",
    &["phase"],
    "Time until the next server was connected (connect) and until its head came (first_byte).",
);
pub const ACCESS_LOG_DROPPED: MetricInfo = metric(
    "seawall_access_log_dropped_total",
    Counter,
    "lines",
    &[],
    "Access log lines dropped because the queue was full or the file could not be written.",
);
pub const RELOADS: MetricInfo = metric(
    "seawall_reloads_total",
    Counter,
    "reloads",
    &["result"],
    "Reloads of files and certificates: ok, or refused (the old state stayed in force).",
);
pub const CONTROL_PLANE_CONNECTED: MetricInfo = metric(
    "seawall_control_plane_connected",
    Gauge,
    "0 or 1",
    &[],
    "Whether the stream to the control plane is up. 0: the node serves on its last good state.",
);
pub const PURGES_APPLIED: MetricInfo = metric(
    "seawall_purges_applied_total",
    Counter,
    "purges",
    &[],
    "Purges put in force and acknowledged since the node's start.",
);
pub const PURGE_SEQUENCE: MetricInfo = metric(
    "seawall_purge_sequence",
    Gauge,
    "position",
    &[],
    "Position in the purge log up to which everything is in force on this node.",
);
pub const PURGE_TABLE_RECORDS: MetricInfo = metric(
    "seawall_purge_table_records",
    Gauge,
    "records",
    &[],
    "Scopes with a purge of their own in the table; beyond a million the older half folds.",
);
/// Of the control plane.
pub const PURGES: MetricInfo = metric(
    "seawall_purges_total",
    Counter,
    "purges",
    &["strength"],
    "Purges appended to the log (control plane), hard or soft.",
);
pub const PURGE_LOG_POSITION: MetricInfo = metric(
    "seawall_purge_log_position",
    Gauge,
    "position",
    &[],
    "The last position of the purge log (control plane).",
);
pub const PURGE_APPEND_SECONDS: MetricInfo = metric(
    "seawall_purge_append_seconds",
    Histogram,
    "seconds",
    &[],
    "Time until an append to the purge log was durable (control plane).",
);
pub const NODES: MetricInfo = metric(
    "seawall_nodes",
    Gauge,
    "nodes",
    &["state"],
    "Members of the fleet by state: connected or away (control plane).",
);

pub const LEASES: MetricInfo = metric(
    "seawall_leases",
    Gauge,
    "nodes",
    &["state"],
    "Members by their lease: held, or lost (it ran out, or none was given since the control plane started).",
);
pub const LEASE_SECONDS: MetricInfo = metric(
    "seawall_lease_seconds",
    Gauge,
    "seconds",
    &[],
    "How long the node's lease runs on, in whole seconds; 0: it has none.",
);
pub const LEASE_FENCED_SERVICES: MetricInfo = metric(
    "seawall_lease_fenced_services",
    Gauge,
    "services",
    &[],
    "Services from which the node answers nothing that the origin has not confirmed just now: it has no lease, and they ask for that (on_lease_loss = \"revalidate\").",
);
pub const LEASE_FENCED_ANSWERS: MetricInfo = metric(
    "seawall_lease_fenced_answers_total",
    Counter,
    "requests",
    &[],
    "Requests to such services while the node had no lease.",
);

/// All of them, in the order of the reference page.
pub const CATALOGUE: &[MetricInfo] = &[
    REQUESTS,
    RESPONSE_BYTES,
    REQUEST_SECONDS,
    CONNECTIONS_OPEN,
    CONNECTIONS,
    CONNECTIONS_REFUSED,
    CONNECTIONS_CUT,
    PIPELINED,
    TLS_FAILURES,
    REJECTED,
    CACHE_OBJECTS,
    CACHE_BYTES,
    CACHE_EVICTIONS,
    DISK_UP,
    DISK_CAPACITY,
    DISK_WRITTEN,
    DISK_DROPPED,
    DISK_READS,
    DISK_CORRUPT,
    FILLS,
    FILLS_IN_FLIGHT,
    FILL_BYTES,
    PARTS,
    COMPRESSIONS,
    DECOMPRESSIONS,
    CHANGE_PURGES,
    UPSTREAM_REQUESTS,
    UPSTREAM_RETRIES,
    ORIGIN_BUDGET,
    UPSTREAM_CONNECTIONS,
    UPSTREAM_SECONDS,
    ACCESS_LOG_DROPPED,
    RELOADS,
    CONTROL_PLANE_CONNECTED,
    LEASE_SECONDS,
    LEASE_FENCED_SERVICES,
    LEASE_FENCED_ANSWERS,
    PURGES_APPLIED,
    PURGE_SEQUENCE,
    PURGE_TABLE_RECORDS,
    PURGES,
    PURGE_LOG_POSITION,
    PURGE_APPEND_SECONDS,
    NODES,
    LEASES,
];

/// The reference page, from the declarations.
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\nEvery node serves these at `/metrics` of its admin address (Prometheus text format). This page is\n\
         generated from `crates/telemetry/src/catalogue.rs`.\n\n| name | kind | unit | labels | what it tells |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for m in CATALOGUE {
        let kind = format!("{:?}", m.kind).to_lowercase();
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {} | {} | {} |",
            m.name,
            m.unit,
            m.labels.join(", "),
            m.help
        );
    }
    page.push_str("\n## Outcomes\n\nThe label `outcome`, the log field of the same name and `Cache-Status` come from one list.\n\n| outcome | meaning |\n| --- | --- |\n");
    for outcome in seawall_http_cache::Outcome::ALL {
        let _ = writeln!(page, "| `{}` | {} |", outcome.as_str(), outcome.describe());
    }
    page
}
