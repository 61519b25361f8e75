//! The errors of the simulator: it could not start, or could not do what a program asked of it.

use std::io;
use std::net::SocketAddr;

use super::applications::ApplicationError;
use super::authority::AuthorityError;
use super::files::FileError;
use super::ledger::LedgerError;

/// The simulator could not start, or could not do what a program asked of it.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A file of the simulator's directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// The simulator's authority, or a certificate of that authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The tenant's applications.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// The simulator's ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An address to listen on.
    #[error("the simulator can't listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// TLS.
    #[error("the simulator can't set up TLS")]
    Tls(#[from] rustls::Error),
    /// The verifier of client certificates.
    #[error("the simulator can't set up the verification of client certificates")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The certificate that is lent to clients without a certificate of their own.
    #[error("the client certificate that the simulator lends to clients over plain HTTP can't be read")]
    Lent(#[source] rustls::pki_types::pem::Error),
    /// The license is unknown, or was redeemed or returned before.
    #[error(
        "license `{license_token_id}` can't be redeemed: it is unknown, or was redeemed or returned before"
    )]
    NotRedeemable {
        /// The license token's id.
        license_token_id: String,
    },
}
