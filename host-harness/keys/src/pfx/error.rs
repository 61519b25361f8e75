//! Why a PFX file can't be read.

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use der::asn1::ObjectIdentifier;

use super::limits::{BAGS_MAX, ITERATIONS_MAX, PFX_BYTES_MAX};

/// Why a PFX file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PfxError {
    /// More bytes than a key with its chain can have.
    #[error("the file has {bytes} bytes, more than the {PFX_BYTES_MAX} that are read")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// Not the structure of a PFX file, or cut off.
    #[error("the file is not a PFX file, or it is damaged or cut off")]
    NotAPfx(#[source] der::Error),
    /// In BER form with indefinite lengths, as some old tools write it.
    #[error("the file is in the BER form with indefinite lengths, which is not read")]
    IndefiniteLengths,
    /// Nothing proves the code to be right, nor the file to be unaltered.
    #[error("the file has no MAC, so nothing proves that it was not altered")]
    NoMac,
    /// The MAC does not come out.
    #[error("the code is wrong, or the file was altered")]
    WrongCode,
    /// The MAC is right, but a part can't be decrypted.
    #[error("a part of the file can't be decrypted with the code that its MAC is right for")]
    NotDecrypted,
    /// The file uses an algorithm that is not read.
    #[error("the file uses the algorithm `{algorithm}` for its {use_of}, which is not read")]
    UnsupportedAlgorithm {
        /// The part of the file that the algorithm protects.
        use_of: &'static str,
        /// The algorithm's object identifier.
        algorithm: String,
    },
    /// A key derivation would take too long.
    #[error(
        "the file asks for {iterations} iterations to derive a key, more than the {} that are done",
        ITERATIONS_MAX
    )]
    TooManyIterations {
        /// The iterations that the file asks for.
        iterations: u64,
    },
    /// All key derivations together would take too long.
    #[error("the file asks for too much work to derive all of its keys")]
    TooMuchWork,
    /// More keys and certificates than one identity has.
    #[error("the file holds more than {BAGS_MAX} keys and certificates")]
    TooManyBags,
}

impl Diagnose for PfxError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::TooLarge { .. } => Diagnosis::new(ErrorKind::Invalid, "pfx-too-large")
                .say("export the certificate with its chain alone"),
            Self::NotAPfx(_) => Diagnosis::new(ErrorKind::Invalid, "not-a-pfx")
                .say("export it again (PEM files can be converted with `openssl pkcs12 -export`)"),
            Self::IndefiniteLengths => Diagnosis::new(ErrorKind::Invalid, "indefinite-lengths")
                .say("import it into a current tool and export it from there"),
            Self::NoMac => Diagnosis::new(ErrorKind::Invalid, "no-mac").say("export it again with a code"),
            Self::WrongCode => Diagnosis::new(ErrorKind::Invalid, "wrong-code")
                .say("check the code, blanks and keyboard layout included"),
            Self::NotDecrypted => Diagnosis::new(ErrorKind::Invalid, "not-decrypted")
                .say("export it again with one code for all of it"),
            Self::UnsupportedAlgorithm { .. } => Diagnosis::new(ErrorKind::Invalid, "algorithm-unsupported")
                .say("export it again with AES-256 and SHA-256"),
            Self::TooManyIterations { .. } => Diagnosis::new(ErrorKind::Invalid, "too-many-iterations")
                .say("export it again with fewer iterations"),
            Self::TooMuchWork => Diagnosis::new(ErrorKind::Invalid, "too-much-work")
                .say("export the certificate with its chain alone"),
            Self::TooManyBags => Diagnosis::new(ErrorKind::Invalid, "too-many-bags")
                .say("export the certificate with its chain alone"),
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
