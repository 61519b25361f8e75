//! Addresses of the contract: what a call is, however its path is written. Every address is entered one by one in the platform, so
//! that several spellings are in use.

/// A call of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    FieldsGet,
    FieldsValidate,
    ServiceDefinition,
    AdditionalInfo,
    SyncOptions,
    Synchronize,
    Exists,
    DeleteAccount,
    /// Buys a license.
    Create,
    /// Looks a license up, after its subscription was edited and saved.
    Update,
    /// Returns a license.
    Cancel,
    /// Ends a suspension, in which a license never is.
    Activate,
    Discover,
    /// A call that a license does not have.
    NotOffered(String),
}

impl Call {
    /// Whether a form, a list of problems or a catalog is asked for: any other answer could be taken for an empty one.
    pub(crate) fn asks_for_list(&self) -> bool {
        matches!(
            self,
            Self::FieldsGet | Self::FieldsValidate | Self::ServiceDefinition
        )
    }

    /// Whether the call changes nothing, so that it may be made by GET.
    pub(crate) fn is_read(&self) -> bool {
        match self {
            Self::FieldsGet | Self::ServiceDefinition | Self::AdditionalInfo | Self::SyncOptions => true,
            Self::Discover | Self::NotOffered(_) => true,
            Self::FieldsValidate | Self::Synchronize | Self::Exists | Self::DeleteAccount => false,
            Self::Create | Self::Update | Self::Cancel | Self::Activate => false,
        }
    }
}

/// Reads the path after the application's name. `None`: there is nothing of that name.
pub(crate) fn call(path: &str) -> Option<Call> {
    let path = path.trim_matches('/').to_ascii_lowercase();
    let path = path.strip_prefix("api/").unwrap_or(&path);
    let (section, action) = path.split_once('/').unwrap_or((path, ""));
    let call = match (section.strip_suffix('s').unwrap_or(section), action) {
        ("field", "get") => Call::FieldsGet,
        ("field", "validate") => Call::FieldsValidate,
        ("field", "servicedefinition") => Call::ServiceDefinition,
        ("field", "additionalinfo") => Call::AdditionalInfo,
        ("account", "syncoptions") => Call::SyncOptions,
        ("account", "synchronize") => Call::Synchronize,
        ("account", "exists") => Call::Exists,
        ("account", "delete") => Call::DeleteAccount,
        ("asset" | "subscription", action) => match action {
            "create" => Call::Create,
            "update" => Call::Update,
            "cancel" => Call::Cancel,
            "activate" => Call::Activate,
            "suspend" | "upgradetopaid" | "upgradedowngrade" => Call::NotOffered(path.to_owned()),
            _ => return None,
        },
        ("addon" | "user" | "ppu", action) if !action.is_empty() => Call::NotOffered(path.to_owned()),
        ("discover", "") => Call::Discover,
        _ => return None,
    };
    Some(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_however_its_path_is_written() {
        for path in [
            "Assets/Create",
            "assets/create",
            "api/Assets/Create",
            "API/Asset/Create/",
            "Subscriptions/Create",
            "api/subscription/create",
        ] {
            assert_eq!(call(path), Some(Call::Create), "{path}");
        }
        assert_eq!(call("Fields/Get"), Some(Call::FieldsGet));
        assert_eq!(call("Field/ServiceDefinition"), Some(Call::ServiceDefinition));
        assert_eq!(call("Discover"), Some(Call::Discover));
        assert_eq!(
            call("Users/Get/List"),
            Some(Call::NotOffered("users/get/list".to_owned()))
        );
    }

    #[test]
    fn nothing_is_bought_or_returned_by_a_call_that_only_reads() {
        for path in [
            "Assets/Create",
            "Subscriptions/Update",
            "Assets/Cancel",
            "Accounts/Delete",
        ] {
            assert!(call(path).is_some_and(|call| !call.is_read()), "{path}");
        }
        for path in ["Fields/Get", "Fields/ServiceDefinition", "Discover"] {
            assert!(call(path).is_some_and(|call| call.is_read()), "{path}");
        }
    }

    #[test]
    fn what_the_contract_has_not_is_no_call() {
        for path in [
            "",
            "/",
            "api",
            "Assets",
            "Assets/",
            "Assets/Buy",
            "Assets/Create/x",
            "Users",
            "Registration",
            "Discover/x",
        ] {
            assert_eq!(call(path), None, "{path}");
        }
    }
}
