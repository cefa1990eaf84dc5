//! The house's own rules: which crate may use which, and where versions are.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Which of our crates each may use. Another arrow is added here first, with its reason in the commit.
const ARROWS: &[(&str, &[&str])] = &[
    ("libz-ng-sys", &[]),
    ("seawall-http-cache", &[]),
    ("seawall-http2", &[]),
    ("seawall-purge", &[]),
    ("seawall-hash-ring", &[]),
    ("seawall-service-model", &["http-cache", "purge"]),
    ("seawall-config", &["service-model", "http-cache"]),
    ("seawall-telemetry", &["http-cache"]),
    ("seawall-client-conn", &["http-cache", "http2", "telemetry"]),
    ("seawall-cache-store", &["http-cache", "purge", "telemetry"]),
    ("seawall-control-protocol", &["config", "purge"]),
    (
        "seawall-upstream",
        &["service-model", "client-conn", "telemetry"],
    ),
    (
        "seawall-cache-proxy",
        &[
            "http-cache",
            "purge",
            "service-model",
            "cache-store",
            "client-conn",
            "upstream",
            "telemetry",
            // what a node tells of a request
            "control-protocol",
        ],
    ),
    // client-conn: listening is what edge and shield share (docs/decisions/0005-node-listens.md)
    (
        "seawall-node",
        &[
            "control-protocol",
            "config",
            "purge",
            "service-model",
            "telemetry",
            "client-conn",
        ],
    ),
    // a model of the protocol, which nothing uses
    ("seawall-model", &["purge"]),
    ("seawall-edge", TIER),
    ("seawall-origin-shield", TIER),
    (
        "seawall-control-plane",
        &[
            "control-protocol",
            "config",
            "service-model",
            "purge",
            "hash-ring",
            "telemetry",
        ],
    ),
];

const TIER: &[&str] = &[
    "cache-proxy",
    "upstream",
    "client-conn",
    "cache-store",
    "node",
    "service-model",
    "hash-ring",
    "purge",
    "http-cache",
    "config",
    "telemetry",
];

/// These compose all others, and nothing depends on them.
const TOPS: &[&str] = &["seawall", "seawall-tests", "seawall-bench"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn members() -> Vec<cargo_metadata::Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    metadata.packages
}

#[test]
fn no_crate_uses_another_that_the_table_does_not_allow() {
    let packages = members();
    let ours: BTreeSet<String> = packages.iter().map(|p| p.name.to_string()).collect();
    let mut wrong = Vec::new();
    for package in &packages {
        let name = package.name.as_str();
        if TOPS.contains(&name) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(crate_name, _)| *crate_name == name) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        for dependency in &package.dependencies {
            let used = dependency.name.as_str();
            let short = used.strip_prefix("seawall-").unwrap_or(used);
            if dependency.kind != DependencyKind::Development
                && ours.contains(used)
                && !allowed.contains(&short)
            {
                wrong.push(format!("{name} -> {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the table lacks: {wrong:#?}");
}

#[test]
fn every_member_takes_versions_and_lints_from_the_root() {
    let mut wrong = Vec::new();
    for package in members() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') && !line.contains("workspace = true") {
                wrong.push(format!("{}: {line}", package.name));
            }
        }
        if !manifest.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{}: no [lints] workspace = true", package.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_architecture_page_tells_every_room() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for package in members() {
        let dir = package.manifest_path.parent().unwrap().to_string();
        let base = fs::canonicalize(root()).unwrap();
        let room = Path::new(&dir)
            .strip_prefix(&base)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            page.contains(&format!("`{room}`")),
            "docs/architecture.md does not tell {room}"
        );
    }
}

#[test]
fn the_pure_crates_know_no_clock_socket_or_runtime() {
    for package in members() {
        if ![
            "seawall-http-cache",
            "seawall-purge",
            "seawall-hash-ring",
            "seawall-service-model",
        ]
        .contains(&package.name.as_str())
        {
            continue;
        }
        let forbidden = ["tokio", "pingora", "foyer", "hyper", "socket2"];
        let used = package
            .dependencies
            .iter()
            .find(|d| forbidden.contains(&d.name.as_str()));
        assert!(
            used.is_none(),
            "{} uses {}",
            package.name,
            used.unwrap().name
        );
    }
}

/// Where the tests of a module that docs/rfc.md names may be.
fn files_of(path: &[&str]) -> Vec<String> {
    match path {
        ["specs", rest @ ..] => vec![format!("tests/tests/specs/{}.rs", rest.join("/"))],
        ["model"] => vec!["crates/service-model/tests/model.rs".to_owned()],
        [module] => vec![
            format!("crates/http-cache/src/{module}/tests.rs"),
            format!("crates/http-cache/src/{module}.rs"),
            format!("crates/http-cache/src/storable/tests/{module}.rs"),
            format!("crates/service-model/src/{module}.rs"),
        ],
        _ => Vec::new(),
    }
}

#[test]
fn every_test_that_the_page_of_rules_names_is_one() {
    let page = fs::read_to_string(root().join("docs/rfc.md")).unwrap();
    let named: Vec<&str> = page.split('`').filter(|name| name.contains("::")).collect();
    assert!(named.len() > 80, "{}", named.len());
    let missing: Vec<&&str> = named
        .iter()
        .filter(|name| {
            let path: Vec<&str> = name.split("::").collect();
            let (test, module) = path.split_last().expect("a name has parts");
            let is_there = |file: &String| {
                let text = fs::read_to_string(root().join(file)).unwrap_or_default();
                text.contains(&format!("fn {test}("))
            };
            !files_of(module).iter().any(is_there)
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
