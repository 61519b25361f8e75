//! Every error of the host's parts, which becomes the one of its face.

use crate::error::Error;

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
    bss_record::AcknowledgeError,
    bss_keys::HostKeyError,
    bss_keys::NotAPlatformKey,
    bss_keys::PasswordError,
    bss_keys::PfxError,
    bss_model::NotAnId,
    bss_model::NotAnOutcomeCursor,
    bss_model::NotAnOwner,
    bss_record::ApiClientError,
    bss_record::BackupError,
    bss_record::CancelError,
    bss_record::CorrectCustomerError,
    bss_record::CreateError,
    bss_record::DecideError,
    bss_record::EraseCustomerError,
    bss_record::ImportError,
    bss_record::MakeError,
    bss_record::OperatorError,
    bss_record::OutcomesError,
    bss_record::PlaceError,
    bss_record::PlatformError,
    bss_record::ProductError,
    bss_record::RecordError,
    bss_record::RemoveError,
    bss_record::RemoveInstanceError,
    bss_record::RemovePluginError,
    bss_record::RemoveRequestError,
    bss_record::RenameError,
    bss_record::ResendMailError,
    bss_record::RetryError,
    bss_record::RetryMailError,
    bss_record::SaveError,
    bss_record::SpendingLimitError,
    bss_record::WebhookError,
    bss_record::WithdrawError,
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
    crate::webhooks::NewWebhookError,
}

#[cfg(feature = "mail")]
becomes_an_error! {
    crate::mail::MailSettingsError,
    crate::mail::TestMailError,
}

#[cfg(test)]
mod tests {
    use bss_record::RecordError;

    use bss_model::{Advice, Diagnose as _, ErrorKind};

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
