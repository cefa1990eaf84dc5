//! The reference pages say what the code declares.

use seawall_telemetry::{CATALOGUE, ControlPlaneMetrics, Metrics, NodeKind};
use std::path::Path;

fn check(page: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/reference")
        .join(page);
    if std::env::var_os("SEAWALL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/reference/{page} is out of date: run the test with SEAWALL_BLESS=1"
    );
}

#[test]
fn the_metrics_page_lists_every_metric_as_it_is_declared() {
    check("metrics.md", &seawall_telemetry::reference());
}

#[test]
fn the_access_log_page_lists_every_field_as_it_is_declared() {
    check("access-log.md", &seawall_telemetry::access_log::reference());
}

#[test]
fn every_metric_of_the_catalogue_is_served() {
    let metrics = Metrics::new(NodeKind::Edge, "edge-1");
    metrics.rejected.with_label_values(&["400"]).inc();
    metrics
        .upstream_requests
        .with_label_values(&["origin", "ok"])
        .inc();
    metrics.upstream_connections.opened.inc();
    metrics.upstream_seconds.connect.observe(0.1);
    metrics.disk("data/cache").up.set(1);
    metrics.reloads.with_label_values(&["ok"]).inc();
    let text = metrics.gather() + &ControlPlaneMetrics::new().gather();
    for metric in CATALOGUE {
        assert!(
            text.contains(&format!("# TYPE {} ", metric.name)),
            "{} is not served",
            metric.name
        );
    }
    assert!(text.contains("node_kind=\"edge\""));
}
