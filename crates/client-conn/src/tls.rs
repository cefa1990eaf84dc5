//! TLS towards clients: certificates by SNI from files, replaced while connections run.

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// A certificate chain and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Names it is presented for, exact or `*.example.com`; the first of all certificates is the default.
    pub names: Vec<String>,
}

/// Whether clients must show a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    None,
    /// One that these authorities (PEM) have signed.
    Required(PathBuf),
}

/// Why TLS cannot be set up; one line with the file.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{path} cannot be read as PEM: {reason}")]
    Pem { path: PathBuf, reason: String },
    #[error("{path} holds no certificate")]
    Empty { path: PathBuf },
    #[error("certificate {cert} and key {key} do not fit together: {reason}")]
    Pair {
        cert: PathBuf,
        key: PathBuf,
        reason: String,
    },
    #[error("no certificate is given")]
    None,
    #[error("tls: {0}")]
    Rustls(String),
}

/// What handshakes use; [`TlsSettings::reload`] replaces it as a whole.
#[derive(Debug)]
pub struct TlsSettings {
    current: ArcSwap<rustls::ServerConfig>,
}

impl TlsSettings {
    pub fn new(certs: &[CertFiles], clients: &ClientAuth) -> Result<Arc<Self>, TlsError> {
        let config = server_config(certs, clients)?;
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(config),
        }))
    }

    /// Reads the files anew. An error leaves the old state in force.
    pub fn reload(&self, certs: &[CertFiles], clients: &ClientAuth) -> Result<(), TlsError> {
        self.current.store(Arc::new(server_config(certs, clients)?));
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<rustls::ServerConfig> {
        self.current.load_full()
    }
}

fn server_config(
    certs: &[CertFiles],
    clients: &ClientAuth,
) -> Result<rustls::ServerConfig, TlsError> {
    let provider = Arc::new(default_provider());
    let resolver = Arc::new(BySni::new(certs)?);
    let rustls = |error: rustls::Error| TlsError::Rustls(error.to_string());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(rustls)?;
    let builder = match clients {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Required(path) => {
            let mut roots = RootCertStore::empty();
            for cert in certificates(path)? {
                roots.add(cert).map_err(rustls)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| TlsError::Rustls(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(rustls)?;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |error: rustls_pki_types::pem::Error| TlsError::Pem {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let certs: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(pem)?.collect();
    let certs = certs.map_err(pem)?;
    if certs.is_empty() {
        Err(TlsError::Empty {
            path: path.to_owned(),
        })
    } else {
        Ok(certs)
    }
}

/// Certificates by name; the first is shown to clients that name none, or one that is not there.
#[derive(Debug)]
struct BySni {
    exact: HashMap<String, Arc<CertifiedKey>>,
    below: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl BySni {
    fn new(certs: &[CertFiles]) -> Result<Self, TlsError> {
        let (mut exact, mut below, mut default) = (HashMap::new(), HashMap::new(), None);
        for files in certs {
            let chain = certificates(&files.cert)?;
            let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| TlsError::Pem {
                path: files.key.clone(),
                reason: error.to_string(),
            })?;
            let pair = |reason: String| TlsError::Pair {
                cert: files.cert.clone(),
                key: files.key.clone(),
                reason,
            };
            let key = any_supported_type(&key).map_err(|e| pair(e.to_string()))?;
            let certified = Arc::new(CertifiedKey::new(chain, key));
            match certified.keys_match() {
                Ok(())
                | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
                Err(error) => return Err(pair(error.to_string())),
            }
            for name in &files.names {
                let name = name.to_ascii_lowercase();
                match name.strip_prefix("*.") {
                    Some(parent) => below.insert(parent.to_owned(), certified.clone()),
                    None => exact.insert(name, certified.clone()),
                };
            }
            default.get_or_insert(certified);
        }
        Ok(Self {
            exact,
            below,
            default: default.ok_or(TlsError::None)?,
        })
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        let found = self.exact.get(&name).or_else(|| {
            // a wildcard stands for one label (RFC 9525 §6.3)
            name.split_once('.')
                .and_then(|(_, parent)| self.below.get(parent))
        });
        Some(found.unwrap_or(&self.default).clone())
    }
}
