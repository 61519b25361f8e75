//! Why a PFX file can't be read.

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use der::asn1::ObjectIdentifier;

use super::limits::{BAGS_MAX, ITERATIONS_MAX, PFX_BYTES_MAX};

/// Why a PFX file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PfxError {
    /// More bytes than a key with its chain can have.
    #[error("the PFX file has {bytes} bytes, more than the limit of {PFX_BYTES_MAX}")]
    TooLarge {
        /// The size of the file.
        bytes: usize,
    },
    /// Not the structure of a PFX file, or cut off.
    #[error("the file is not a PFX file, or is damaged or incomplete")]
    NotAPfx(#[source] der::Error),
    /// The BER form with indefinite lengths, which some old tools write.
    #[error("the PFX file uses the BER form with indefinite lengths, which is not supported")]
    IndefiniteLengths,
    /// Nothing proves the code to be right, nor the file to be unaltered.
    #[error("the PFX file has no MAC, so it can't be verified")]
    NoMac,
    /// The MAC does not fit the code and the content.
    #[error("the code of the PFX file is wrong, or the file was altered")]
    WrongCode,
    /// The MAC is right, but a part can't be decrypted.
    #[error("a part of the PFX file can't be decrypted, although the code fits the file's MAC")]
    NotDecrypted,
    /// The file uses an algorithm that is not read.
    #[error("the PFX file uses the algorithm `{algorithm}` for its {use_of}, which is not supported")]
    UnsupportedAlgorithm {
        /// The part of the file that the algorithm protects.
        use_of: &'static str,
        /// The algorithm's object identifier.
        algorithm: String,
    },
    /// A key derivation would take too long.
    #[error(
        "the PFX file asks for {iterations} iterations to derive a key, more than the limit of {}",
        ITERATIONS_MAX
    )]
    TooManyIterations {
        /// The iterations that the file asks for.
        iterations: u64,
    },
    /// All key derivations together would take too long.
    #[error("the PFX file asks for too many iterations to derive all of its keys")]
    TooMuchWork,
    /// More keys and certificates than one identity has.
    #[error("the PFX file holds more than {BAGS_MAX} keys and certificates")]
    TooManyBags,
}

impl Diagnose for PfxError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::TooLarge { .. } => Diagnosis::new(ErrorKind::Invalid, "pfx-too-large")
                .say("export only the certificate with its key and chain"),
            Self::NotAPfx(_) => Diagnosis::new(ErrorKind::Invalid, "not-a-pfx").say(
                "export the certificate again (PEM files can be converted with `openssl pkcs12 -export`)",
            ),
            Self::IndefiniteLengths => Diagnosis::new(ErrorKind::Invalid, "indefinite-lengths")
                .say("import the file into a current tool and export the certificate from there"),
            Self::NoMac => {
                Diagnosis::new(ErrorKind::Invalid, "no-mac").say("export the certificate again with a code")
            }
            Self::WrongCode => Diagnosis::new(ErrorKind::Invalid, "wrong-code")
                .say("check the code, blanks and keyboard layout included"),
            Self::NotDecrypted => Diagnosis::new(ErrorKind::Invalid, "not-decrypted")
                .say("export the certificate again with one code for the whole file"),
            Self::UnsupportedAlgorithm { .. } => Diagnosis::new(ErrorKind::Invalid, "algorithm-unsupported")
                .say("export the certificate again with AES-256 and SHA-256"),
            Self::TooManyIterations { .. } => Diagnosis::new(ErrorKind::Invalid, "too-many-iterations")
                .say("export the certificate again with fewer iterations"),
            Self::TooMuchWork => Diagnosis::new(ErrorKind::Invalid, "too-much-work")
                .say("export only the certificate with its key and chain"),
            Self::TooManyBags => Diagnosis::new(ErrorKind::Invalid, "too-many-bags")
                .say("export only the certificate with its key and chain"),
        }
    }
}

impl From<der::Error> for PfxError {
    fn from(source: der::Error) -> Self {
        Self::NotAPfx(source)
    }
}

pub(super) fn unsupported(use_of: &'static str, algorithm: ObjectIdentifier) -> PfxError {
    PfxError::UnsupportedAlgorithm {
        use_of,
        algorithm: algorithm.to_string(),
    }
}
