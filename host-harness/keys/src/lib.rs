//! Keys and certificates: PFX files, identities that sign, and the host key that seals secrets at rest.
//!
//! A part of `host-harness`, which re-exports what embedders need; everything else is `pub` for the crates beside it.

mod api_key;
mod ber;
mod certificate;
mod certificate_file;
mod certificate_signature;
mod encoded;
mod file_kind;
mod host_key;
mod host_key_error;
mod host_key_file;
mod host_key_source;
mod identity;
mod inspect;
mod inspect_error;
mod inspection;
mod key_digest;
mod key_id;
mod names;
mod new_certificate;
mod ownership;
mod password;
mod pfx;
mod platform_key;
mod private_key;
mod random_code;
mod sealing_key;
pub mod signing_input;
mod unusable;
mod x509;

pub use api_key::{ApiKey, ApiKeyNotMade};
pub use certificate::{InstalledCertificate, KeyKind};
pub use certificate_file::certificates_alone;
pub use encoded::{text as decoded_text, to_pem};
pub use file_kind::FileKind;
pub use host_key::{HostKey, KEYS_TEXT_BYTES_MAX};
pub use host_key_error::HostKeyError;
pub use host_key_source::{HOST_KEY_FILE, HOST_KEY_VARIABLE, HostKeySource};
pub use identity::{Identity, SignatureAlgorithm};
pub use inspect::{InspectedPfx, inspect_pfx, match_certificates, read_pfx};
pub use inspect_error::InspectError;
pub use inspection::{KeyWithCertificates, describe};
pub use key_digest::KeyDigest;
pub use key_id::KeyId;
pub use new_certificate::{
    NewCertificate, NewKey, NotMade, describe_request, make_request, make_self_signed, public_key_thumbprint,
};
pub use ownership::Foreign;
pub use password::{PasswordError, PasswordHash};
pub use pfx::{PfxCode, PfxError};
pub use platform_key::{NotAPlatformKey, PlatformKey};
pub use random_code::{CodeNotMade, random_code};
pub use unusable::{Caution, Unusable, UnusableReason};
