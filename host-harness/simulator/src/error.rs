//! Why the simulator could not start, or not do what it was asked for.

use std::io;
use std::net::SocketAddr;

use super::applications::ApplicationError;
use super::authority::AuthorityError;
use super::files::FileError;
use super::ledger::LedgerError;

/// The simulator could not start, or not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A file of its directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its authority, or a certificate of it.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Its applications.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// Its ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An address to listen on.
    #[error("can't listen on `{address}`; choose another address, or port 0 for any free one")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// TLS.
    #[error("can't set up TLS")]
    Tls(#[from] rustls::Error),
    /// Its client certificates' verifier.
    #[error("can't set up the verification of client certificates")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A certificate that was to be lent to whoever comes without one.
    #[error("the certificate to lend can't be read")]
    Lent(#[source] rustls::pki_types::pem::Error),
    /// There is no such license, or it was used or returned already.
    #[error("license `{license_token_id}` is not there to be redeemed: unknown, used or returned")]
    NotRedeemable {
        /// Which.
        license_token_id: String,
    },
}
