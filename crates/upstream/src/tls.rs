//! Certificates towards servers, as pingora wants them.

use crate::target::TargetError;
use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let fault = |reason: String| TargetError::File {
        path: path.to_owned(),
        reason,
    };
    let certs: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| fault(e.to_string()))?
        .collect();
    let certs = certs.map_err(|e| fault(e.to_string()))?;
    // pingora takes what it is given for a certificate and panics where it is none
    let mut store = RootCertStore::empty();
    for cert in &certs {
        store.add(cert.clone()).map_err(|e| fault(e.to_string()))?;
    }
    if certs.is_empty() {
        Err(fault("it holds no certificate".into()))
    } else {
        Ok(certs)
    }
}

/// Authorities from a PEM file.
pub(crate) fn authorities(path: &Path) -> Result<Arc<CaType>, TargetError> {
    let certs = certificates(path)?;
    let wrapped: Vec<WrappedX509> = certs
        .into_iter()
        .map(|cert| WrappedX509::new(cert.to_vec(), parse_x509))
        .collect();
    Ok(wrapped.into())
}

/// This node's certificate and key, from PEM files.
pub(crate) fn client_certificate(cert: &Path, key: &Path) -> Result<Arc<CertKey>, TargetError> {
    let chain = certificates(cert)?
        .into_iter()
        .map(|c| c.to_vec())
        .collect();
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| TargetError::File {
        path: key.to_owned(),
        reason: e.to_string(),
    })?;
    Ok(Arc::new(CertKey::new(chain, key.secret_der().to_vec())))
}
