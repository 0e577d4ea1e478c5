//! Encrypted streams: rustls with ring, certificates from files, names checked (RFC 5922).

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use duogate_configuration::{Sip, Transport};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// `tls:` needs them.
    #[error("sip.listen: tls needs sip.certificate and sip.key")]
    Missing,
    /// A file cannot be read.
    #[error("{key}: {path}: {reason}")]
    File {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Certificate and key do not belong together, or the like.
    #[error("sip.certificate: {0}")]
    Unusable(#[from] rustls::Error),
    /// Client certificates are asked for, and nobody is there to vouch for them.
    #[error("sip.client_certificates: {0}")]
    Authorities(String),
}

/// The certificates and keys that are used for new connections; those that are open keep what they began with. A node
/// without `tls:` has none.
#[derive(Clone, Debug)]
pub(crate) struct Papers(Option<Arc<ArcSwap<Tls>>>);

/// Certificates and keys that were read again and found good.
#[derive(Debug)]
pub(crate) struct Renewed(Option<Tls>);

impl Papers {
    /// Reads the files that the settings name.
    pub(super) fn read(sip: &Sip) -> Result<Self, TlsError> {
        let encrypted = sip.listen.iter().any(|listen| listen.transport == Transport::Tls);
        let tls = if encrypted { Some(Tls::new(sip)?) } else { None };
        Ok(Self(tls.map(|tls| Arc::new(ArcSwap::from_pointee(tls)))))
    }

    /// Reads the files again; nothing changes yet. May wait for a disk.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn read_again(&self, sip: &Sip) -> Result<Renewed, TlsError> {
        self.0.as_ref().map(|_| Tls::new(sip)).transpose().map(Renewed)
    }

    /// New connections use these from now on.
    pub(crate) fn renew(&self, renewed: Renewed) {
        if let (Some(papers), Renewed(Some(tls))) = (&self.0, renewed) {
            papers.store(Arc::new(tls));
        }
    }

    /// What to use for one connection.
    pub(super) fn now(&self) -> Option<Arc<Tls>> {
        self.0.as_ref().map(|papers| papers.load_full())
    }
}

/// Makes encrypted streams of plain ones.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(…)")
    }
}

impl Tls {
    pub(super) fn new(sip: &Sip) -> Result<Self, TlsError> {
        let (Some(certificate), Some(key)) = (&sip.certificate, &sip.key) else {
            return Err(TlsError::Missing);
        };
        let chain = certificates("sip.certificate", certificate)?;
        let read = |path| PrivateKeyDer::from_pem_file(path).map_err(|error| file("sip.key", path, &error));
        let mut roots = RootCertStore::empty();
        if let Some(authorities) = &sip.authorities {
            for authority in certificates("sip.authorities", authorities)? {
                roots.add(authority)?;
            }
        }
        let roots = Arc::new(roots);
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain.clone(), read(key)?)?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let server = if sip.client_certificates {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            server.with_client_cert_verifier(
                verifier.map_err(|error| TlsError::Authorities(error.to_string()))?,
            )
        } else {
            server.with_no_client_auth()
        };
        let server = server.with_single_cert(chain, read(key)?)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
        })
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await.map(TlsStream::from)
    }

    /// The certificate must be for the name that was looked up, or for the address itself (RFC 5922 section 7.1).
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        name: Option<&str>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = match name {
            Some(name) => {
                ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(io::Error::other)?
            }
            None => ServerName::IpAddress(peer.ip().into()),
        };
        self.connector.connect(name, stream).await.map(TlsStream::from)
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| file(key, path, &error))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| file(key, path, &error))?;
    if found.is_empty() {
        return Err(file(key, path, &"no certificate in it"));
    }
    Ok(found)
}

fn file(key: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { key, path: path.to_owned(), reason: reason.to_string() }
}
