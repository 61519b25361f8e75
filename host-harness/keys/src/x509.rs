//! X.509 certificates, read more strictly than by the library that takes them apart.

use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The first octet of a sequence (X.690, section 8.9.1). The library also takes what has this number in another class, which
/// is no certificate to anybody else, and whose thumbprint is another one.
const SEQUENCE: u8 = 0x30;

/// The certificate that bytes begin with, and what stands behind it. `None`: they begin with none.
pub(crate) fn read(bytes: &[u8]) -> Option<(X509Certificate<'_>, &[u8])> {
    if bytes.first() != Some(&SEQUENCE) {
        return None;
    }
    let (rest, certificate) = X509Certificate::from_der(bytes).ok()?;
    Some((certificate, rest))
}
