//! TLS and HTTP/2.

use seawall_config::FleetTls;
use seawall_config::node::CertificateModel;
use seawall_tests::client::get;
use seawall_tests::{Client, Cluster, ClusterSpec, Origin};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

struct Pki {
    dir: tempfile::TempDir,
    roots: rustls::RootCertStore,
    certificates: Vec<CertificateModel>,
}

/// Self-signed certificates, one for each name.
fn certificates(names: &[&str]) -> Pki {
    let dir = tempfile::tempdir().unwrap();
    let mut pki = Pki {
        dir,
        roots: rustls::RootCertStore::empty(),
        certificates: Vec::new(),
    };
    for name in names {
        let made = rcgen::generate_simple_self_signed(vec![(*name).to_owned()]).unwrap();
        let file = |extension: &str| pki.dir.path().join(format!("{name}.{extension}"));
        write(&file("pem"), &made.cert.pem());
        write(&file("key"), &made.signing_key.serialize_pem());
        pki.roots.add(made.cert.der().clone()).unwrap();
        pki.certificates.push(CertificateModel {
            cert: file("pem"),
            key: file("key"),
            names: vec![(*name).to_owned()],
        });
    }
    pki
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

async fn connect(
    address: SocketAddr,
    name: &str,
    alpn: &[u8],
    roots: &rustls::RootCertStore,
) -> TlsStream<TcpStream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

async fn h2_get<T>(io: T, uri: &str) -> (u16, http::HeaderMap, Vec<u8>)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut send, connection) = h2::client::handshake(io).await.unwrap();
    let running = tokio::spawn(async move {
        let _ = connection.await;
    });
    let request = http::Request::get(uri).body(()).unwrap();
    let (response, _) = send.send_request(request, true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        bytes.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    running.abort();
    (head.status.as_u16(), head.headers, bytes)
}

fn start(origin: &Origin, pki: &Pki) -> Cluster {
    let mut spec = ClusterSpec::new(origin.address());
    spec.certificates.clone_from(&pki.certificates);
    spec.start()
}

#[tokio::test]
async fn certificates_are_chosen_by_sni_and_http2_by_alpn() {
    let origin =
        Origin::start(|request, reply| reply.fresh(&request.target.as_bytes().repeat(50_000)));
    let pki = certificates(&["one.example", "two.example"]);
    let cluster = start(&origin, &pki);

    for name in ["one.example", "two.example"] {
        for round in 0..2 {
            // each name is verified against its own certificate
            let stream = connect(cluster.edge(0), name, b"h2", &pki.roots).await;
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (status, fields, body) = h2_get(stream, &format!("https://{name}/a")).await;
            assert_eq!((status, body.len()), (200, 100_000), "{name}");
            let word = fields
                .get("cache-status")
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            assert_eq!(word.contains("seawall-edge; hit"), round > 0, "{word}");
        }
    }
    let seen = origin.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].field("x-forwarded-proto"), Some("https"));
    assert_eq!(seen[0].field("host"), Some("one.example"));
}

#[tokio::test]
async fn https_without_http2_serves_quick_hits_too() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let origin = Origin::start(|_, reply| reply.fresh(b"hello"));
    let pki = certificates(&["one.example"]);
    let cluster = start(&origin, &pki);
    let mut stream = connect(cluster.edge(0), "one.example", b"http/1.1", &pki.roots).await;
    let mut all = String::new();
    for last in [false, false, true] {
        let close = if last { "connection: close\r\n" } else { "" };
        let request = format!("GET / HTTP/1.1\r\nhost: one.example\r\n{close}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    }
    stream.read_to_string(&mut all).await.unwrap();

    assert_eq!(all.matches("HTTP/1.1 200").count(), 3, "{all}");
    assert_eq!(all.matches("seawall-edge; hit").count(), 2, "{all}");
}

#[tokio::test]
async fn http2_is_spoken_in_the_clear_to_who_knows_it_and_two_hosts_are_refused() {
    let origin = Origin::start(|_, reply| reply.fresh(b"hello"));
    let cluster = Cluster::of(&origin);
    let stream = TcpStream::connect(cluster.edge(0)).await.unwrap();
    let (status, _, body) = h2_get(stream, "http://www.example/").await;
    assert_eq!((status, body.as_slice()), (200, &b"hello"[..]));

    let stream = TcpStream::connect(cluster.edge(0)).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let request = http::Request::get("http://a/")
        .header("host", "b")
        .body(())
        .unwrap();
    let (response, _) = send.send_request(request, true).unwrap();
    assert!(response.await.is_err());
}

/// An authority, and a node's certificate that it signed for `shield.fleet`.
pub(crate) fn fleet(dir: &Path) -> FleetTls {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::from_params(&params, &authority_key);
    let node_key = KeyPair::generate().unwrap();
    let node = CertificateParams::new(vec!["shield.fleet".to_owned()]).unwrap();
    let node = node.signed_by(&node_key, &issuer).unwrap();
    let files = FleetTls {
        cert: dir.join("node.pem"),
        key: dir.join("node.key"),
        ca: dir.join("ca.pem"),
    };
    write(&files.cert, &node.pem());
    write(&files.key, &node_key.serialize_pem());
    write(&files.ca, &authority.pem());
    files
}

#[test]
fn a_fleet_is_linked_by_certificates_and_a_shield_turns_others_away() {
    let origin = Origin::start(|_, reply| reply.fresh(b"hello"));
    let dir = tempfile::tempdir().unwrap();
    let mut spec = ClusterSpec::new(origin.address());
    spec.fleet_tls = Some((fleet(dir.path()), "shield.fleet".into()));
    let cluster = spec.start();

    assert_eq!(get(cluster.edge(0), "/", &[]).text(), "hello");
    assert!(get(cluster.edge(0), "/", &[]).is_hit());

    // without a certificate of the fleet there is no handshake
    let mut plain = Client::connect(cluster.shield(0));
    plain.request("GET", "/", &[], b"");
    assert!(plain.response("GET").is_err());
    assert_eq!(origin.count("/"), 1);
}

/// Keeps the directory of the files alive for as long as nodes may read them.
impl Drop for Pki {
    fn drop(&mut self) {
        assert!(self.dir.path().exists());
    }
}
