//! The files that come with the sources, as they stand. Paths in them count from the repository's root.

use seawall_config::{Kind, check_files, load_edge, load_services, load_shield};
use std::path::{Path, PathBuf};

#[test]
fn the_examples_are_good_and_fit_together() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::set_current_dir(root).unwrap();
    let file = |name: &str| PathBuf::from(format!("config/examples/{name}.toml"));
    let names = ["edge", "shield", "service"];
    let (kinds, faults) = check_files(&names.map(file));
    assert_eq!(faults, []);
    let kinds: Vec<_> = kinds.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(
        kinds,
        [Kind::Edge, Kind::Shield, Kind::Service].map(Some),
        "recognised by what they hold"
    );

    let edge = load_edge(&file("edge")).unwrap();
    let shield = load_shield(&file("shield")).unwrap();
    let entry = &edge.shields[0];
    assert_eq!(entry.id, shield.node.id);
    assert_eq!(
        format!("{}:{}", entry.host, entry.port),
        shield.node.listen[0].address.to_string()
    );
    assert_eq!(edge.node.fleet, shield.node.fleet);
    assert_ne!(edge.node.data, shield.node.data);
    let services = load_services(&edge.services).unwrap();
    assert!(services.find(b"any.example").is_some());
}
