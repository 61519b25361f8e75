//! The saved settings of an instance as the calls use them, parsed once.

use uuid::Uuid;

use super::Instance;
use super::fields::{FieldName, Values};
use super::{places, values};
use bss_plugin::failures::Problem;
use bss_plugin::form::values as every;

/// The settings of an instance that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The resource that the access token is asked for: Recourse API, exactly as it was typed.
    pub resource: String,
    /// Service URL without a slash at its end.
    pub service_url: String,
    /// The tenant: a GUID or a domain name.
    pub tenant: String,
    /// The Bill To Account ID.
    pub channel_id: String,
    /// The Application (client) ID.
    pub client_id: Uuid,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// BCP 47.
    pub language: &'static str,
    /// ISO 4217.
    pub currency: String,
}

impl Settings {
    /// Reads the saved settings. Run once at the start of every call but `configure-instance`, which
    /// is where an operator learns what is wrong in full.
    ///
    /// # Errors
    /// Names the first setting that is missing or can't be used.
    pub fn parse(instance: &Instance) -> Result<Self, Problem> {
        let saved = Values::of(&instance.values);
        let url = |name: FieldName| {
            let url = saved.get(name);
            every::https_url(url, name.label())
                .is_empty()
                .then(|| url.to_owned())
                .ok_or_else(|| unusable(name))
        };
        let line = |name: FieldName| {
            let text = saved.get(name);
            (!text.is_empty() && every::line(text, name.label(), name.length_max()).is_empty())
                .then(|| text.to_owned())
                .ok_or_else(|| unusable(name))
        };
        let tenant = saved.get(FieldName::Tenant);
        if !values::tenant(tenant, "").is_empty() {
            return Err(unusable(FieldName::Tenant));
        }
        let currency = &instance.currency;
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(Problem::new(
                "settings-incomplete",
                "The currency of the instance is not an ISO 4217 code.",
                "Set the currency of the instance, such as EUR.",
            ));
        }
        Ok(Self {
            resource: url(FieldName::ResourceApi)?,
            service_url: url(FieldName::ServiceUrl)?.trim_end_matches('/').to_owned(),
            tenant: tenant.to_owned(),
            channel_id: line(FieldName::ChannelId)?,
            client_id: values::guid(saved.get(FieldName::ClientId))
                .ok_or_else(|| unusable(FieldName::ClientId))?,
            country: places::country_code(saved.get(FieldName::Country))
                .ok_or_else(|| unusable(FieldName::Country))?,
            language: places::language_tag(saved.get(FieldName::Language))
                .ok_or_else(|| unusable(FieldName::Language))?,
            currency: currency.clone(),
        })
    }
}

fn unusable(name: FieldName) -> Problem {
    Problem::new(
        "settings-incomplete",
        format!("{} of the instance is missing or can't be used.", name.label()),
        "Complete the settings of the instance and save them.",
    )
}
