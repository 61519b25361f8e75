//! A way in without TLS and without certificates, for software that can't present one: its connections are passed on
//! to the simulator's own listeners over TLS, with one client certificate that is lent to every client.
//!
//! The simulator itself stays as strict as it is; only the check of the client's own certificate is lost.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::authority::IssuedCertificate;
use super::error::SimulatorError;
use super::{server, tls};

/// A listener without TLS in front of a listener with TLS.
pub(super) struct PlainHttp {
    listener: TcpListener,
    address: SocketAddr,
    behind: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl PlainHttp {
    /// Listens on a free port of the loopback interface, whatever the listener behind it does.
    ///
    /// # Errors
    /// When there is no free port, or the certificate can't be used.
    pub(super) async fn before(
        behind: SocketAddr,
        authority: CertificateDer<'static>,
        lent: &IssuedCertificate,
    ) -> Result<PlainHttp, SimulatorError> {
        let tls = client_tls(authority, lent)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (listener, port) = server::bind(address)
            .await
            .map_err(|source| SimulatorError::Listen { address, source })?;
        Ok(PlainHttp {
            listener,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            behind,
            tls,
        })
    }

    /// The address on which this listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes everything on until `stopped` changes or its sender is gone; what is still open then is cut off.
    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stopped.changed() => return,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok((plain, _)) => {
                    let connector = TlsConnector::from(Arc::clone(&self.tls));
                    let behind = self.behind;
                    connections.spawn(async move {
                        if let Err(error) = pass_on(plain, behind, connector).await {
                            tracing::debug!(%error, "a plain HTTP connection to the simulator ended with an error");
                        }
                    });
                }
                Err(error) => {
                    server::not_accepted(&error).await;
                }
            }
        }
    }
}

async fn pass_on(mut plain: TcpStream, behind: SocketAddr, connector: TlsConnector) -> io::Result<()> {
    let tcp = TcpStream::connect(behind).await?;
    // Requests are small and written whole: waiting for more to send would only make them late.
    tcp.set_nodelay(true)?;
    plain.set_nodelay(true)?;
    // The simulator's certificate is good for this name, whatever address the simulator listens on.
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let mut secured = connector.connect(name, tcp).await?;
    copy_bidirectional(&mut plain, &mut secured).await.map(drop)
}

/// The TLS configuration toward the simulator, without ALPN: the clients speak HTTP/1.1, which is passed on as it is.
fn client_tls(
    authority: CertificateDer<'static>,
    lent: &IssuedCertificate,
) -> Result<Arc<ClientConfig>, SimulatorError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let chain =
        CertificateDer::from_pem_slice(lent.certificate_pem.as_bytes()).map_err(SimulatorError::Lent)?;
    let key = PrivateKeyDer::from_pem_slice(lent.private_key_pem.as_bytes()).map_err(SimulatorError::Lent)?;
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![chain], key)?;
    Ok(Arc::new(config))
}
