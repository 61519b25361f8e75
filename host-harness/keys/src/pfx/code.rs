//! The code that opens a PFX file.

use std::fmt;

use zeroize::Zeroizing;

/// The code (password) that a PFX file was handed over with. May be empty.
#[derive(Clone)]
pub struct PfxCode(Zeroizing<String>);

/// The bytes of a code, as one kind of program takes them.
pub(super) struct Spelling {
    /// What the algorithms of PKCS #12 itself are given.
    pub(super) pkcs12: Zeroizing<Vec<u8>>,
    /// What PBES2 and PBMAC1 are given.
    pub(super) pbes2: Zeroizing<Vec<u8>>,
}

impl PfxCode {
    /// The code as it was typed in: blanks belong to it.
    pub fn new(code: impl Into<String>) -> Self {
        Self(Zeroizing::new(code.into()))
    }

    /// Whether the code has no character.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The code in every spelling that programs are known to use, the standard's first (RFC 7292, B.1; RFC 9579, section 5).
    pub(super) fn spellings(&self) -> Vec<Spelling> {
        let spelling = |pkcs12, pbes2: &[u8]| Spelling {
            pkcs12,
            pbes2: Zeroizing::new(pbes2.to_vec()),
        };
        let utf8 = self.0.as_bytes();
        let mut spellings = vec![spelling(utf16(self.0.chars()), utf8)];
        if utf8.is_empty() {
            // "No code" can mean an empty text with its closing zero, or nothing at all: Windows writes both.
            spellings.push(spelling(Zeroizing::default(), utf8));
        }
        if !utf8.is_ascii() {
            // OpenSSL 1.0 took each byte of UTF-8 for a character (OpenSSL's passphrase-encoding(7)).
            spellings.push(spelling(utf16(utf8.iter().copied().map(char::from)), utf8));
            // Programs that take a character for a byte, as OpenSSL 1.0 in a terminal of Latin-1.
            if self.0.chars().all(|character| u8::try_from(character).is_ok()) {
                let mut latin1 = Zeroizing::new(Vec::with_capacity(utf8.len()));
                latin1.extend(
                    self.0
                        .chars()
                        .filter_map(|character| u8::try_from(character).ok()),
                );
                spellings.push(spelling(utf16(self.0.chars()), &latin1));
            }
        }
        spellings
    }
}

/// Characters as UTF-16, the high byte first, with a zero at the end.
fn utf16(characters: impl Iterator<Item = char> + Clone) -> Zeroizing<Vec<u8>> {
    let units: usize = characters.clone().map(char::len_utf16).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * units + 2));
    for character in characters.chain(['\0']) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            bytes.extend_from_slice(&unit.to_be_bytes());
        }
    }
    bytes
}

impl fmt::Debug for PfxCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        formatter.write_str("PfxCode([elided])")
    }
}
