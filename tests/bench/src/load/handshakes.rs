//! Connections of TLS 1.3 that have one answer each.
//!
//! The certificate is believed as it is: a client that checks it takes longer for a handshake than a server does, and the
//! rate would be its own.

use super::Outcome;
use super::one::{Head, connect, host};
use anyhow::{Result, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme,
    StreamOwned,
};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which handshake it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    Full,
    /// By a ticket of the connection before.
    Resumed,
}

/// Connections at a time, each on a thread of its own: while one waits, another works.
const AT_ONCE: usize = 16;
const PATH: &str = "/1k";

/// Opens one connection after the other for so long. Another handshake than the one that is wanted is an error.
pub(crate) fn run(port: u16, wanted: Handshake, lasting: Duration) -> Result<Outcome> {
    let began = Instant::now();
    let one = || -> Result<Outcome> {
        let config = Arc::new(config(wanted)?);
        let mut outcome = Outcome::default();
        if wanted == Handshake::Resumed {
            // brings the first tickets
            once(port, &config)?;
        }
        while began.elapsed() < lasting {
            let asked = Instant::now();
            let went = once(port, &config);
            let kind = match wanted {
                Handshake::Full => HandshakeKind::Full,
                Handshake::Resumed => HandshakeKind::Resumed,
            };
            outcome.requests += 1;
            outcome.errors += u64::from(!went.is_ok_and(|went| went == kind));
            outcome.latencies.note(asked.elapsed());
        }
        Ok(outcome)
    };
    let mut all = Outcome::default();
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one)).collect();
        for thread in threads {
            let Ok(outcome) = thread.join() else {
                bail!("a client ended early");
            };
            all.add(outcome?);
        }
        Ok(())
    })?;
    all.took = began.elapsed();
    Ok(all)
}

fn config(wanted: Handshake) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believes))
        .with_no_client_auth();
    config.resumption = match wanted {
        Handshake::Full => Resumption::disabled(),
        Handshake::Resumed => Resumption::store(Arc::new(ClientSessionMemoryCache::new(8))),
    };
    Ok(config)
}

/// One connection, from its beginning to its end.
fn once(port: u16, config: &Arc<ClientConfig>) -> Result<HandshakeKind> {
    let connection = ClientConnection::new(config.clone(), ServerName::try_from("127.0.0.1")?)?;
    let mut stream = StreamOwned::new(connection, connect(port)?);
    let host = host(port, None);
    write!(
        stream,
        "GET {PATH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    stream.flush()?;
    let (mut got, mut part) = (Vec::new(), vec![0; 4096]);
    loop {
        if let Some(head) = Head::read(&got)
            && let Some(length) = head.length
            && got.len() as u64 >= head.bytes as u64 + length
        {
            ensure!(head.status == 200, "answered with {}", head.status);
            break;
        }
        match stream.read(&mut part)? {
            0 => bail!("the connection was closed before the answer was there"),
            n => got.extend_from_slice(&part[..n]),
        }
    }
    match stream.conn.handshake_kind() {
        Some(kind) => Ok(kind),
        None => bail!("no handshake"),
    }
}

/// Believes every certificate.
#[derive(Debug)]
struct Believes;

impl ServerCertVerifier for Believes {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bodies;
    use crate::floor::{listen, serve_secure};
    use crate::peers::Certificate;

    #[test]
    fn handshakes_are_those_that_are_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let certificate = Certificate::make(dir.path()).unwrap();
        let tls = certificate.server(&[b"http/1.1"]).unwrap();
        let listener = listen(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = vec![bodies::answer(1024, "")];
        std::thread::spawn(move || serve_secure(&listener, &tls, &answers));
        for wanted in [Handshake::Full, Handshake::Resumed] {
            let outcome = run(port, wanted, Duration::from_millis(200)).unwrap();
            assert!(
                outcome.requests > 0 && outcome.errors == 0,
                "{wanted:?}: {outcome:?}"
            );
        }
    }

    #[test]
    fn a_handshake_that_is_not_resumed_is_an_error_where_that_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let certificate = Certificate::make(dir.path()).unwrap();
        let mut tls = certificate.server(&[b"http/1.1"]).unwrap();
        Arc::get_mut(&mut tls).unwrap().send_tls13_tickets = 0;
        let listener = listen(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = vec![bodies::answer(1024, "")];
        std::thread::spawn(move || serve_secure(&listener, &tls, &answers));
        let outcome = run(port, Handshake::Resumed, Duration::from_millis(100)).unwrap();
        assert!(
            outcome.requests > 0 && outcome.errors == outcome.requests,
            "{outcome:?}"
        );
    }
}
