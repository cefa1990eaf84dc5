//! A control plane that takes its certificates and shields anew while its fleet is there, and strangers at its door.

use crate::secure::fleet as files;
use seawall_config::{EdgeModel, FleetTls};
use seawall_control_plane::ShieldEntry;
use seawall_edge::Edge;
use seawall_service_model::ServiceSet;
use seawall_tests::client::get;
use seawall_tests::{Client, Fleet, FleetSpec, Origin, PATIENCE, eventually};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NAME: &str = "shield.fleet";

fn origin() -> Origin {
    Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=3600"), ("surrogate-key", "t")];
        reply.answer(200, &fields, b"body")
    })
}

fn node(fleet: &Fleet, id: &str) -> Value {
    let (_, told) = fleet.get("/v1/nodes");
    let nodes = told["nodes"].as_array().cloned().unwrap_or_default();
    let mut nodes = nodes.into_iter();
    nodes.find(|node| node["id"] == id).unwrap_or(Value::Null)
}

/// A counter of the control plane's, with this label.
fn count(fleet: &Fleet, name: &str, label: &str) -> u64 {
    let metrics = get(fleet.admin(), "/metrics", &[]).text();
    let mut lines = metrics.lines();
    let line = lines.find(|line| line.starts_with(name) && line.contains(label));
    let value = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
    value.unwrap_or_else(|| panic!("there is no {name} {label}"))
}

fn refused(fleet: &Fleet) -> u64 {
    count(fleet, "seawall_tls_handshake_failures_total", "")
}

fn reloads(fleet: &Fleet) -> (u64, u64) {
    let of = |label| count(fleet, "seawall_reloads_total", label);
    (of("result=\"ok\""), of("result=\"refused\""))
}

/// A fleet with certificates, whose files lie in `dir`.
fn secured(dir: &Path, origin: &Origin) -> Fleet {
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        tls: Some((files(dir), NAME.into())),
        ..FleetSpec::default()
    };
    Fleet::start(spec, origin)
}

/// One more edge, which shows these certificates.
fn edge(fleet: &mut Fleet, tls: FleetTls) -> (String, Edge) {
    let index = fleet.another_edge();
    let mut model = fleet.edge_model(index);
    model.node.fleet.tls = Some(tls);
    let edge = Edge::start(&model, ServiceSet::default()).expect("an edge starts");
    (format!("edge-{index}"), edge)
}

fn joins(fleet: &mut Fleet, tls: FleetTls) {
    let (id, edge) = edge(fleet, tls);
    eventually("it joins", || fleet.is_up_to_date(&id));
    edge.drain(Duration::ZERO);
    eventually("it is gone", || !fleet.is_up_to_date(&id));
    fleet.ask("DELETE", &format!("/v1/nodes/{id}"), "", &[]);
}

fn is_refused(fleet: &mut Fleet, tls: FleetTls) {
    let before = refused(fleet);
    let (id, edge) = edge(fleet, tls);
    eventually("it is refused", || refused(fleet) > before);
    assert_eq!(node(fleet, &id), Value::Null);
    edge.drain(Duration::ZERO);
}

/// What happens in the fleet from now on.
struct Listening(Client);

impl Listening {
    fn to(fleet: &Fleet) -> Self {
        let mut client = Client::connect(fleet.admin());
        let bearer = format!("Bearer {}", fleet.token());
        client.request("GET", "/v1/events", &[("authorization", &bearer)], b"");
        assert_eq!(client.head().unwrap().0, 200);
        Self(client)
    }

    /// All that was told, up to the purge that is made now.
    fn until_a_purge(&mut self, fleet: &Fleet) -> String {
        fleet.purge_everywhere(json!({ "tags": ["t"] }));
        let mut told = String::new();
        while !told.contains("event: purge") {
            told += &String::from_utf8_lossy(&self.0.bytes(1).unwrap());
        }
        told
    }
}

#[test]
fn after_a_reload_nodes_of_the_new_authority_join_and_those_of_the_old_are_refused() {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let origin = origin();
    let mut fleet = secured(dir.path(), &origin);
    for name in ["node.pem", "node.key", "ca.pem"] {
        fs::copy(dir.path().join(name), old.path().join(name)).unwrap();
    }
    let mut listening = Listening::to(&fleet);
    let new = files(dir.path());
    fleet.reload_control_plane(None).unwrap();

    // who was there is there, without having come again
    let told = listening.until_a_purge(&fleet);
    assert!(!told.contains("event: node"), "{told}");

    joins(&mut fleet, new.clone());
    // it believes the control plane; that does not believe it
    let stranger = FleetTls {
        cert: old.path().join("node.pem"),
        key: old.path().join("node.key"),
        ca: new.ca.clone(),
    };
    is_refused(&mut fleet, stranger);
    // the certificate that is shown is another one too
    let of_before = FleetTls {
        ca: old.path().join("ca.pem"),
        ..new
    };
    is_refused(&mut fleet, of_before);
    let told = listening.until_a_purge(&fleet);
    assert!(!told.contains("edge-0"), "{told}");
    assert_eq!(reloads(&fleet), (1, 0));
}

#[test]
fn while_the_file_holds_both_authorities_nodes_of_either_join() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let origin = origin();
    let mut fleet = secured(dir.path(), &origin);
    let (old, new) = (files(dir.path()), files(other.path()));
    let both = fs::read_to_string(&old.ca).unwrap() + &fs::read_to_string(&new.ca).unwrap();
    fs::write(&old.ca, both).unwrap();
    let ca = old.ca.clone();
    let new = FleetTls { ca, ..new };

    fleet.reload_control_plane(None).unwrap();
    joins(&mut fleet, old.clone());
    joins(&mut fleet, new.clone());
    // the certificate follows
    fs::copy(&new.cert, &old.cert).unwrap();
    fs::copy(&new.key, &old.key).unwrap();
    fleet.reload_control_plane(None).unwrap();
    joins(&mut fleet, new);
}

#[test]
fn a_reload_with_a_file_that_cannot_be_used_changes_nothing_and_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let origin = origin();
    let mut fleet = secured(dir.path(), &origin);
    let good = files(dir.path());
    fleet.reload_control_plane(None).unwrap();
    let elsewhere = files(other.path());
    let shields = || {
        let shield = ShieldEntry {
            id: "shield-9".into(),
            host: "127.0.0.1".into(),
            port: 9,
            weight: 1,
            tls_name: None,
        };
        Some(vec![shield])
    };
    let key = fs::read(&elsewhere.key).unwrap();
    let mut listening = Listening::to(&fleet);
    for (path, content, why) in [
        (&good.cert, &b"no certificate"[..], "holds no certificate"),
        (&good.ca, b"", "holds no certificate"),
        (
            &good.key,
            b"-----BEGIN PRIVATE KEY-----\n",
            "cannot be read as PEM",
        ),
        (&good.key, &key, "do not fit together"),
    ] {
        let kept = fs::read(path).unwrap();
        fs::write(path, content).unwrap();
        let refused = fleet
            .reload_control_plane(shields())
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains(path.to_str().unwrap()) && refused.contains(why),
            "{refused}"
        );
        assert_eq!(refused.lines().count(), 1);
        fs::write(path, kept).unwrap();
    }
    fs::rename(&good.ca, dir.path().join("away")).unwrap();
    let refused = fleet
        .reload_control_plane(shields())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("ca.pem"), "{refused}");
    fs::rename(dir.path().join("away"), &good.ca).unwrap();

    // nodes of before join, and no shield was told
    joins(&mut fleet, good);
    is_refused(
        &mut fleet,
        FleetTls {
            ca: dir.path().join("ca.pem"),
            ..elsewhere
        },
    );
    let told = listening.until_a_purge(&fleet);
    assert!(!told.contains("edge-0"), "{told}");
    assert_eq!(node(&fleet, "edge-0")["documents"]["shields"], Value::Null);
    assert_eq!(reloads(&fleet), (1, 5));
}

#[test]
fn a_changed_list_of_shields_reaches_edges_that_are_there_and_those_that_come_back() {
    let origin = origin();
    let spec = FleetSpec {
        edges: 1,
        disk: Some(64 << 20),
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    // its own file names none
    let index = fleet.another_edge();
    let mut model = fleet.edge_model(index);
    model.shields.clear();
    let start =
        |model: &EdgeModel| Edge::start(model, ServiceSet::default()).expect("an edge starts");
    let edge = start(&model);
    let address = edge.addrs()[0];
    eventually("it joins", || fleet.is_up_to_date("edge-1"));
    let mut asked = 0;
    // each time another path: nothing of it is stored
    let mut asks_shield = |address: SocketAddr| {
        asked += 1;
        let answer = get(address, &format!("/{asked}"), &[]);
        let status = answer.field("cache-status").unwrap_or_default();
        status.contains("seawall-shield")
    };
    assert!(!asks_shield(address));
    let generation = |fleet: &Fleet, id: &str| node(fleet, id)["documents"]["shields"].as_u64();
    assert_eq!(generation(&fleet, "edge-1"), None);
    let shield = |weight| ShieldEntry {
        id: "shield-0".into(),
        host: fleet.shield(0).ip().to_string(),
        port: fleet.shield(0).port(),
        weight,
        tls_name: None,
    };
    let (one, two) = (vec![shield(1)], vec![shield(2)]);
    let mut listening = Listening::to(&fleet);

    fleet.reload_control_plane(Some(one.clone())).unwrap();
    eventually("it asks the shield", || asks_shield(address));
    eventually("it says so", || generation(&fleet, "edge-1").is_some());
    let first = generation(&fleet, "edge-1");
    fleet.reload_control_plane(Some(two.clone())).unwrap();
    eventually("another list is another generation", || {
        generation(&fleet, "edge-1") > first
    });
    let second = generation(&fleet, "edge-1");
    fleet.reload_control_plane(Some(two)).unwrap();
    let told = listening.until_a_purge(&fleet);
    assert!(!told.contains("event: node"), "{told}");
    assert_eq!(generation(&fleet, "edge-1"), second);

    // it is away when the list is taken back: its copies are not in doubt for that
    get(address, "/kept", &[]);
    assert!(get(address, "/kept", &[]).is_hit());
    edge.drain(Duration::ZERO);
    eventually("it is gone", || !fleet.is_up_to_date("edge-1"));
    fleet.reload_control_plane(None).unwrap();
    model.node.listen[0].address = address;
    let edge = start(&model);
    eventually("it is back", || fleet.is_up_to_date("edge-1"));
    eventually("its own file says", || !asks_shield(address));
    assert!(get(address, "/kept", &[]).is_hit());
    edge.drain(Duration::ZERO);
}

/// Until the other side ends it.
fn is_cut(mut stream: impl Read) {
    let mut bytes = [0; 1024];
    let deadline = Instant::now() + PATIENCE;
    while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
        assert!(Instant::now() < deadline, "it is not cut");
    }
}

fn connect(fleet: &Fleet) -> TcpStream {
    let stream = TcpStream::connect(fleet.sync()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Says as a client that has no certificate what a node would.
fn without_certificate(fleet: &Fleet, ca: &Path) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(NAME).unwrap();
    let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::StreamOwned::new(session, connect(fleet));
    let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    is_cut(stream);
}

#[test]
fn strangers_at_the_nodes_address_are_refused_and_counted_and_hold_up_nobody() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let origin = origin();
    let mut fleet = secured(dir.path(), &origin);
    let good = FleetTls {
        cert: dir.path().join("node.pem"),
        key: dir.path().join("node.key"),
        ca: dir.path().join("ca.pem"),
    };

    let one_counts = |what: &dyn Fn()| {
        let before = refused(&fleet);
        what();
        eventually("it is counted", || refused(&fleet) > before);
        assert_eq!(refused(&fleet), before + 1);
    };
    one_counts(&|| without_certificate(&fleet, &good.ca));
    one_counts(&|| {
        let mut plain = connect(&fleet);
        plain
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        is_cut(plain);
    });
    let of_another = files(other.path());
    let ca = good.ca.clone();
    is_refused(&mut fleet, FleetTls { ca, ..of_another });

    // handshakes that never end: half of one's first record, and nothing at all
    let before = refused(&fleet);
    let mut hanging: Vec<TcpStream> = (0..64).map(|_| connect(&fleet)).collect();
    for stream in &mut hanging[..32] {
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    }
    joins(&mut fleet, good.clone());
    for stream in hanging {
        is_cut(stream);
    }
    eventually("all are counted", || refused(&fleet) >= before + 64);
    joins(&mut fleet, good);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
}
