//! The error of the library's face: what a caller does about a failure, whatever part it came from.

use std::error::Error as StdError;
use std::fmt;

use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind, with_causes};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// Why something was not done. Every error of the host becomes one.
///
/// ```
/// use host_harness::{Error, ErrorKind, PlaceError};
///
/// let error = Error::from(PlaceError::NoOrder(uuid::Uuid::nil()));
/// assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "no-order"));
/// assert!(!error.is_transient());
/// ```
#[derive(Debug)]
pub struct Error {
    diagnosis: Diagnosis,
    source: Box<dyn StdError + Send + Sync>,
}

impl Error {
    /// The kind, which a surface maps to one status each.
    pub fn kind(&self) -> ErrorKind {
        self.diagnosis.kind
    }

    /// A stable name for programs, in lower case with hyphens, such as `no-instance`. A plugin's refusal has the plugin's.
    pub fn code(&self) -> &str {
        &self.diagnosis.code
    }

    /// What helps, as data. `None`: nothing is known to help.
    pub fn advice(&self) -> Option<&Advice> {
        self.diagnosis.advice.as_ref()
    }

    /// Whether the same request may succeed later: the vendor, the network, the disk or this machine is in the way. Come again
    /// with a growing pause, and tell somebody where it goes on. Everything else needs a correction first.
    pub fn is_transient(&self) -> bool {
        self.diagnosis.kind == ErrorKind::Unavailable
    }

    /// The error as the part of the host made it. `None`: another part did.
    pub(crate) fn made_by<T: StdError + 'static>(&self) -> Option<&T> {
        self.source.downcast_ref()
    }

    /// The error of a part of the host.
    pub(crate) fn of(error: impl Diagnose + Send + Sync + 'static) -> Self {
        Self {
            diagnosis: error.diagnosis(),
            source: Box::new(error),
        }
    }
}

impl Diagnose for Error {
    fn diagnosis(&self) -> Diagnosis {
        self.diagnosis.clone()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}

impl Serialize for Error {
    /// An object of `kind`, `code`, `message` (with its causes), `advice` and `isTransient`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = serializer.serialize_struct("Error", 5)?;
        error.serialize_field("kind", self.kind().word())?;
        error.serialize_field("code", self.code())?;
        error.serialize_field("message", &with_causes(self))?;
        error.serialize_field("advice", &self.advice().map(Advice::sentence))?;
        error.serialize_field("isTransient", &self.is_transient())?;
        error.end()
    }
}
