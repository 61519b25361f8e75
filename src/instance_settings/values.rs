//! Checks a single value of Microsoft's, whatever the other fields hold.

use bss_plugin::form::values::is_dns_name;
use uuid::Uuid;

use bss_plugin::failures::Problem;

/// A problem with one value of the form.
pub(super) fn problem(code: &str, message: impl Into<String>, advice: impl Into<String>) -> Problem {
    Problem::new(code, message, advice)
}

/// Checks a tenant: its GUID, or a domain name that is verified for it.
pub(super) fn tenant(value: &str, label: &str) -> Vec<Problem> {
    if guid(value).is_some() || (value.contains('.') && is_dns_name(value)) {
        return Vec::new();
    }
    vec![problem(
        "not-a-tenant",
        format!("{label} is neither a GUID nor a domain name."),
        "Copy the Directory (tenant) ID from Microsoft Entra, or type a verified domain such as `contoso.onmicrosoft.com`.",
    )]
}

/// Checks a client id: a GUID.
pub(super) fn client_id(value: &str, label: &str) -> Vec<Problem> {
    if guid(value).is_some() {
        return Vec::new();
    }
    vec![problem(
        "not-a-guid",
        format!("{label} is not a GUID."),
        "Copy the Application (client) ID, such as `11111111-2222-3333-4444-555555555555`.",
    )]
}

/// A GUID in its usual form with hyphens; no braces, no URN.
pub(crate) fn guid(value: &str) -> Option<Uuid> {
    (value.len() == 36).then(|| Uuid::try_parse(value).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codes(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.code.as_str()).collect()
    }

    #[test]
    fn a_tenant_is_a_guid_or_a_domain() {
        assert!(tenant("contoso.onmicrosoft.com", "Tenant").is_empty());
        assert!(tenant("0f8fad5b-d9cb-469f-a165-70867728950e", "Tenant").is_empty());
        for value in [
            "contoso",
            "a b.com",
            "../evil.com",
            "contoso.com/x",
            "{0f8fad5b-d9cb-469f-a165-70867728950e}",
        ] {
            assert_eq!(codes(&tenant(value, "Tenant")), ["not-a-tenant"], "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_breaks_a_check(value in any::<String>()) {
            let _ = tenant(&value, "Tenant");
            let _ = client_id(&value, "Client ID");
        }
    }
}
