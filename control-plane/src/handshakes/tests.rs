use super::*;
use crate::tls::SyncTls;
use futures::StreamExt;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::Path;
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(20);

/// An authority, and a certificate of it.
fn files(dir: &Path) -> SyncTls {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::from_params(&params, &authority_key);
    let key = KeyPair::generate().unwrap();
    let node = CertificateParams::new(vec!["node.fleet".to_owned()]).unwrap();
    let node = node.signed_by(&key, &issuer).unwrap();
    let files = SyncTls {
        cert: dir.join("node.pem"),
        key: dir.join("node.key"),
        ca: dir.join("ca.pem"),
    };
    std::fs::write(&files.cert, node.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    std::fs::write(&files.ca, authority.pem()).unwrap();
    files
}

fn client(files: &SyncTls) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&files.ca).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_file(&files.cert).unwrap()],
            PrivateKeyDer::from_pem_file(&files.key).unwrap(),
        )
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

struct Running {
    address: SocketAddr,
    settings: Arc<TlsSettings>,
    metrics: Arc<ControlPlaneMetrics>,
    verified: tokio::sync::mpsc::UnboundedReceiver<Held<TlsStream<TcpStream>>>,
}

async fn serve(files: &SyncTls, handshakes: usize, each: Duration) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = TlsSettings::new(files).unwrap();
    let metrics = ControlPlaneMetrics::new();
    let bounds = Bounds {
        connections: 64,
        handshakes,
        each,
    };
    let stream = verified(listener, bounds, settings.clone(), metrics.clone());
    let (out, verified) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(Ok(held)) = stream.next().await {
            let _ = out.send(held);
        }
    });
    Running {
        address,
        settings,
        metrics,
        verified,
    }
}

impl Running {
    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A node connects, and is let in.
    async fn lets_in(&mut self, node: &TlsConnector) {
        let name = ServerName::try_from("node.fleet").unwrap();
        let tcp = self.tcp().await;
        let let_in = async {
            let shown = node.connect(name, tcp).await.unwrap();
            (shown, self.verified.recv().await.unwrap())
        };
        tokio::time::timeout(PATIENCE, let_in).await.unwrap();
    }
}

/// The other side ends it.
async fn is_cut(mut stream: TcpStream) {
    let mut bytes = [0; 64];
    let ended = async { while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test]
async fn where_all_places_are_taken_the_oldest_handshake_is_cut_and_a_node_gets_in() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    // nothing ends by its time here
    let mut running = serve(&files, 2, Duration::from_secs(3600)).await;
    let node = client(&files);
    let oldest = running.tcp().await;
    let second = running.tcp().await;
    running.lets_in(&node).await;
    is_cut(oldest).await;
    assert_eq!(running.metrics.tls_failures.get(), 1);
    // what has ended takes no place
    running.lets_in(&node).await;
    running.lets_in(&node).await;
    assert_eq!(running.metrics.tls_failures.get(), 1);
    drop(second);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let running = serve(&files, 8, Duration::from_millis(50)).await;
    is_cut(running.tcp().await).await;
    let counted = async {
        while running.metrics.tls_failures.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_was_overtaken_by_a_reload_is_no_connection() {
    let dir = tempfile::tempdir().unwrap();
    let old = files(dir.path());
    let mut running = serve(&old, 8, PATIENCE).await;
    let node = client(&old);
    // as far as the server's certificate: what the client says next ends the handshake
    let mut stream = running.tcp().await;
    let name = ServerName::try_from("node.fleet").unwrap();
    let mut begun = rustls::ClientConnection::new(node.config().clone(), name).unwrap();
    let mut hello = Vec::new();
    begun.write_tls(&mut hello).unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &hello)
        .await
        .unwrap();
    while begun.is_handshaking() {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        begun.read_tls(&mut &bytes[..read]).unwrap();
        begun.process_new_packets().unwrap();
    }
    let new = files(dir.path());
    running.settings.replace(crate::tls::read(&new).unwrap());
    let mut last = Vec::new();
    while begun.wants_write() {
        begun.write_tls(&mut last).unwrap();
    }
    tokio::io::AsyncWriteExt::write_all(&mut stream, &last)
        .await
        .unwrap();
    is_cut(stream).await;
    running.lets_in(&client(&new)).await;
    assert_eq!(running.metrics.tls_failures.get(), 1);
    assert!(running.verified.try_recv().is_err());
}

#[test]
fn refusals_are_told_at_a_bounded_rate_and_none_is_left_out_of_the_count() {
    let mut refusals = Refusals::default();
    let start = Instant::now();
    let after = |ms| start + Duration::from_millis(ms);
    assert_eq!(refusals.note(start), Some(1));
    for ms in 1..10_000 {
        assert_eq!(refusals.note(after(ms)), None);
    }
    assert_eq!(refusals.note(after(10_000)), Some(10_000));
    assert_eq!(refusals.note(after(10_001)), None);
}
