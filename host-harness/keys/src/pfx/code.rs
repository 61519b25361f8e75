//! The code that opens a PFX file.

use std::fmt;

use zeroize::Zeroizing;

/// The code (password) that a PFX file was handed over with. May be empty.
#[derive(Clone)]
pub struct PfxCode(Zeroizing<String>);

impl PfxCode {
    /// The code as it was typed in: blanks belong to it.
    pub fn new(code: impl Into<String>) -> Self {
        Self(Zeroizing::new(code.into()))
    }

    /// Whether the code has no character.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The code as PBES2 takes it.
    pub(super) fn utf8(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The code as the older algorithms take it (RFC 7292, B.1): UTF-16, the high byte first, with a zero at the end.
    pub(super) fn utf16(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * self.0.len() + 2));
        for unit in self.0.encode_utf16().chain([0]) {
            bytes.extend_from_slice(&unit.to_be_bytes());
        }
        bytes
    }
}

impl fmt::Debug for PfxCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        formatter.write_str("PfxCode([elided])")
    }
}
