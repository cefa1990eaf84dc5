//! A certificate for loopback, made for one run: P-256, signed by itself.

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Chain and key, in files.
pub(crate) struct Certificate {
    pub(crate) dir: PathBuf,
}

impl Certificate {
    /// Writes it into `dir`.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)?;
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        fs::write(dir.join("cert.pem"), &cert)?;
        fs::write(dir.join("key.pem"), &key)?;
        fs::write(dir.join("both.pem"), cert + &key)?;
        Ok(Self::read(dir))
    }

    /// As it was written by [`Certificate::make`].
    pub(crate) fn read(dir: &Path) -> Self {
        let dir = dir.to_owned();
        Self { dir }
    }

    pub(crate) fn cert(&self) -> PathBuf {
        self.dir.join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.join("key.pem")
    }

    /// Chain and key in one file.
    pub(crate) fn both(&self) -> PathBuf {
        self.dir.join("both.pem")
    }

    fn chain(&self) -> Result<CertificateDer<'static>> {
        CertificateDer::from_pem_file(self.cert()).context("the run's certificate")
    }

    /// A server that shows it and speaks TLS 1.3 alone.
    pub(crate) fn server(&self, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from_pem_file(self.key()).context("the run's key")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![self.chain()?], key)?;
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// A client that believes it alone.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.chain()?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}
