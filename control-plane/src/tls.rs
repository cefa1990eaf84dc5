//! The fleet's certificates, as nodes are met with them; replaced while connections run.

use arc_swap::ArcSwap;
use rustls::crypto::ring::default_provider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The fleet's certificates (PEM files): the control plane's own chain and key, and the authorities of its nodes.
#[derive(Clone, Debug)]
pub struct SyncTls {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
}

/// Why certificates cannot be used; one line with the file.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{path} cannot be read as PEM: {reason}")]
    Pem { path: PathBuf, reason: String },
    #[error("{path} holds no certificate")]
    Empty { path: PathBuf },
    #[error("{path} holds no authority that can be used: {reason}")]
    Authority { path: PathBuf, reason: String },
    #[error("certificate {cert} and key {key} do not fit together: {reason}")]
    Pair {
        cert: PathBuf,
        key: PathBuf,
        reason: String,
    },
    #[error("tls: {0}")]
    Rustls(String),
}

/// What handshakes use.
#[derive(Debug)]
pub(crate) struct TlsSettings {
    current: ArcSwap<ServerConfig>,
}

impl TlsSettings {
    pub(crate) fn new(files: &SyncTls) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read(files)?);
        Ok(Arc::new(Self { current }))
    }

    /// Handshakes that begin from now on use this one.
    pub(crate) fn replace(&self, config: ServerConfig) {
        self.current.store(Arc::new(config));
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Whether nothing has replaced this one.
    pub(crate) fn is_current(&self, config: &Arc<ServerConfig>) -> bool {
        Arc::ptr_eq(&self.current.load(), config)
    }
}

/// Reads the files. Who connects must show a certificate of the authorities.
pub(crate) fn read(files: &SyncTls) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(default_provider());
    let authority = |reason: String| TlsError::Authority {
        path: files.ca.clone(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for cert in certificates(&files.ca)? {
        roots
            .add(cert)
            .map_err(|error| authority(error.to_string()))?;
    }
    let nodes = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| authority(error.to_string()))?;
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| pem(&files.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Rustls(error.to_string()))?
        .with_client_cert_verifier(nodes)
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::Pair {
            cert: files.cert.clone(),
            key: files.key.clone(),
            reason: error.to_string(),
        })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // every connection proves itself by its certificate: none is taken on the word of an earlier one
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| pem(path, &error))?
        .collect();
    let certs = certs.map_err(|error| pem(path, &error))?;
    if certs.is_empty() {
        let path = path.to_owned();
        return Err(TlsError::Empty { path });
    }
    Ok(certs)
}

fn pem(path: &Path, error: &rustls_pki_types::pem::Error) -> TlsError {
    TlsError::Pem {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
