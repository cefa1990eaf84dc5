//! Who is no node of the fleet and asks for the nodes' stream all the same, where certificates decide.

use seawall_config::{ControlPlaneEntryModel, FleetTls};
use seawall_edge::Edge;
use seawall_service_model::ServiceSet;
use seawall_tests::client::get;
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The name in the fleet's certificates.
const NAME: &str = "shield.fleet";

/// Asks as HTTP/2 does, over TLS, with the certificate of `shown` or with none. What came back: nothing where it is
/// turned away.
fn ask(address: SocketAddr, ca: &Path, shown: Option<&FleetTls>) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = vec![CertificateDer::from_pem_file(&files.cert).unwrap()];
            let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(NAME).unwrap();
    let tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = rustls::StreamOwned::new(tls, tcp);
    let mut answer = vec![0; 64];
    // the preface, and settings without a word
    let asked = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let read = asked.and_then(|()| stream.read(&mut answer)).unwrap_or(0);
    answer.truncate(read);
    answer
}

#[test]
fn strangers_are_turned_away_from_the_nodes_stream_and_the_fleet_goes_on() {
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = crate::secure::fleet(own.path());
    let foreign = crate::secure::fleet(other.path());
    let origin = Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=3600"), ("surrogate-key", "t")];
        reply.answer(200, &fields, b"body")
    });
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        tls: Some((files.clone(), NAME.into())),
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);

    // no certificate, and one of another authority; the fleet's own is answered
    let ask = |shown| ask(fleet.sync(), &files.ca, shown);
    assert!(ask(None).is_empty());
    assert!(ask(Some(&foreign)).is_empty());
    assert!(!ask(Some(&files)).is_empty());
    // no TLS at all, with the fleet's secret too
    let mut plain = TcpStream::connect(fleet.sync()).unwrap();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    // at most an alert of TLS
    assert!(
        answer.len() < 16 && answer.first().is_none_or(|byte| *byte == 21),
        "{answer:?}"
    );

    // a whole edge of another fleet, that would take this control plane for its own
    let index = fleet.another_edge();
    let mut model = fleet.edge_model(index);
    model.node.fleet.tls = Some(FleetTls {
        ca: files.ca.clone(),
        ..foreign
    });
    model.node.control_plane = Some(ControlPlaneEntryModel {
        address: fleet.sync().to_string(),
        tls_name: Some(NAME.into()),
    });
    let stranger = Edge::start(&model, ServiceSet::default()).unwrap();
    let (_, told) = fleet.get("/v1/nodes");
    assert_eq!(told["nodes"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(stranger.metrics().control_plane_connected.get(), 0);

    // receipts wait for no stranger, and who belongs here goes on and comes back
    get(fleet.edge(0), "/", &[]);
    let told = fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert_eq!(told["nodes"], json!(1));
    assert!(!get(fleet.edge(0), "/", &[]).is_hit());
    fleet.stop_edge(0);
    fleet.start_edge(0);
    eventually("it is back", || fleet.is_up_to_date("edge-0"));
    stranger.drain(Duration::ZERO);
}
