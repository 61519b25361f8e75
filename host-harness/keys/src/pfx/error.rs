//! Why a PFX file can't be read.

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use der::asn1::ObjectIdentifier;

use super::limits::{BAGS_MAX, ITERATIONS_MAX, PFX_BYTES_MAX};
use crate::file_kind::FileKind;

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
    /// Not the structure of a PFX file.
    #[error("the file is {}", kind.name())]
    NotAPfx {
        /// What the file is.
        kind: FileKind,
    },
    /// The beginning of a PFX file, whose rest is missing or altered.
    #[error("the PFX file is damaged or incomplete")]
    Damaged,
    /// The file was protected with a code, and none was given.
    #[error("no code was given for the PFX file, and it has one")]
    NoCode,
    /// The MAC does not fit the code and the content.
    #[error("the code of the PFX file is wrong, or the file was altered")]
    WrongCode,
    /// Windows protected the file for a group of its users, not with a code.
    #[error("the PFX file is protected for users or groups of a Windows domain, and not with a code")]
    ForWindowsGroup,
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
            Self::NotAPfx { kind } => Diagnosis::new(ErrorKind::Invalid, "not-a-pfx").say(kind.advice()),
            Self::Damaged => Diagnosis::new(ErrorKind::Invalid, "pfx-damaged")
                .say("copy the file again in binary mode, or export the certificate again"),
            Self::NoCode => {
                Diagnosis::new(ErrorKind::Invalid, "no-code").say("give the code that came with the file")
            }
            Self::WrongCode => Diagnosis::new(ErrorKind::Invalid, "wrong-code")
                .say("check the code, blanks, keyboard layout and letters with accents included"),
            Self::ForWindowsGroup => Diagnosis::new(ErrorKind::Invalid, "pfx-for-windows-group").say(
                "export the certificate again, and choose a password in place of the group or user name",
            ),
            Self::NotDecrypted => Diagnosis::new(ErrorKind::Invalid, "not-decrypted")
                .say("export the certificate again with one code for the whole file"),
            Self::UnsupportedAlgorithm { .. } => Diagnosis::new(ErrorKind::Invalid, "algorithm-unsupported")
                .say("export the certificate again with AES-256 and SHA-256"),
            Self::TooManyIterations { .. } => Diagnosis::new(ErrorKind::Invalid, "too-many-iterations")
                .say("export the certificate again with fewer iterations"),
            Self::TooMuchWork => Diagnosis::new(ErrorKind::Invalid, "too-much-work")
                .say("export the certificate again with fewer iterations, such as 100000"),
            Self::TooManyBags => Diagnosis::new(ErrorKind::Invalid, "too-many-bags")
                .say("export only the certificate with its key and chain"),
        }
    }
}

/// What DER says is missing helps nobody who exports a file.
impl From<der::Error> for PfxError {
    fn from(_: der::Error) -> Self {
        Self::Damaged
    }
}

pub(super) fn unsupported(use_of: &'static str, algorithm: ObjectIdentifier) -> PfxError {
    PfxError::UnsupportedAlgorithm {
        use_of,
        algorithm: algorithm.to_string(),
    }
}
