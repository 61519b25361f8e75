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

    /// Whether the same request may succeed later although nobody does anything: come again. Everything else needs a
    /// correction first.
    pub fn is_transient(&self) -> bool {
        self.diagnosis.kind == ErrorKind::Unavailable
    }
}

impl Error {
    fn of(error: impl Diagnose + Send + Sync + 'static) -> Self {
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

macro_rules! becomes_an_error {
    ($($error:ty,)*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::of(error)
            }
        })*
    };
}

becomes_an_error! {
    bss_keys::HostKeyError,
    bss_keys::PfxError,
    bss_model::NotAnId,
    bss_model::NotAnOutcomeCursor,
    bss_record::BackupError,
    bss_record::CancelError,
    bss_record::CreateError,
    bss_record::DecideError,
    bss_record::EraseCustomerError,
    bss_record::ImportError,
    bss_record::OutcomesError,
    bss_record::PlaceError,
    bss_record::ProductError,
    bss_record::RecordError,
    bss_record::RemoveError,
    bss_record::RemovePluginError,
    bss_record::RetryError,
    bss_record::RetryMailError,
    crate::builder::RestoredRecord,
    crate::certificate_rotation::RotateError,
    crate::connection::CheckError,
    crate::instance_plugin::CreateInstanceError,
    crate::instance_plugin::UpgradeError,
    crate::instance_settings::ConfigureError,
    crate::license_order::PlaceError,
    crate::license_refresh::RefreshError,
    crate::license_return::ReturnError,
    crate::plugins::PluginError,
    crate::services_definition::ServicesError,
}

#[cfg(feature = "mail")]
becomes_an_error! {
    crate::mail::MailSettingsError,
    crate::mail::TestMailError,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("diagnosis", &self.diagnosis)
            .field("source", &self.source)
            .finish()
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

#[cfg(test)]
mod tests {
    use bss_record::RecordError;

    use super::*;
    use crate::instance_settings::ConfigureError;
    use crate::license_order::PlaceError;

    #[test]
    fn an_error_says_what_its_caller_does_however_deep_it_came_from() {
        let error = Error::from(PlaceError::Instance(ConfigureError::NoInstance("x".to_owned())));
        assert_eq!(error.diagnosis().code, error.code());
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "no-instance"));
        assert_eq!(error.advice(), Some(&Advice::ListInstances));
        assert!(!error.is_transient());
        assert_eq!(error.to_string(), "there is no instance `x`");
        let shown = serde_json::to_value(&error).unwrap();
        assert_eq!(shown["advice"], "look at the list of instances");
        let busy = Error::from(PlaceError::Record(RecordError::TaskEnded));
        assert!(busy.is_transient());
    }
}
