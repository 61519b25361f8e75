//! The options for a plugin that an operator gives an instance: only those that the plugin reads, and servers where servers are meant.

use std::collections::BTreeMap;

use bss_model::text::visible;
use bss_model::{Diagnose, Diagnosis, ErrorKind, PluginDescription};
use bss_sandbox::outbound_https::Authority;

use crate::settings_gate::AUTHORITY_OPTION;

/// Why an instance is not given an option, or keeps one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// The plugin reads no option of that name.
    #[error("plugin `{plugin}` reads no option `{option}`")]
    NotRead {
        /// The plugin's name.
        plugin: String,
        /// The option.
        option: String,
        /// The options that the plugin reads.
        options: Vec<String>,
    },
    /// An option that names a server has a value that names none.
    #[error(
        "option `{option}` names a server, as `login.example.com` or `login.example.com:8443`, and `{value}` is neither"
    )]
    NotAServer {
        /// The option.
        option: String,
        /// The option's value.
        value: String,
    },
    /// The instance does not have the option that is to be removed.
    #[error("instance `{instance}` has no option `{option}`")]
    NotGiven {
        /// The instance's name.
        instance: String,
        /// The option.
        option: String,
    },
}

impl Diagnose for OptionError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotRead { options, .. } => {
                let said = match options.is_empty() {
                    true => "it reads no option".to_owned(),
                    false => format!("it reads {}", options.join(", ")),
                };
                Diagnosis::new(ErrorKind::NotFound, "no-option").say(said)
            }
            Self::NotAServer { .. } => Diagnosis::new(ErrorKind::Invalid, "option-not-a-server")
                .say("give the host name alone, without `https://` and without a path"),
            Self::NotGiven { .. } => Diagnosis::new(ErrorKind::NotFound, "option-not-given"),
        }
    }
}

/// Checks options that are given to an instance of a plugin.
///
/// # Errors
/// When the plugin does not read one of them, or one names a server and has another value.
pub(crate) fn check_options(
    plugin: &PluginDescription,
    given: &BTreeMap<String, String>,
) -> Result<(), OptionError> {
    let is_read = |option: &&String| plugin.options.contains(option) || option.ends_with(AUTHORITY_OPTION);
    if let Some(option) = given.keys().find(|option| !is_read(option)) {
        return Err(OptionError::NotRead {
            plugin: plugin.id.clone(),
            option: option.clone(),
            options: plugin.options.clone(),
        });
    }
    let mut servers = given
        .iter()
        .filter(|(option, _)| option.ends_with(AUTHORITY_OPTION));
    match servers.find(|(_, value)| value.parse::<Authority>().is_err()) {
        None => Ok(()),
        // With another server than the one that is meant, the instance would be at another cloud.
        Some((option, value)) => Err(OptionError::NotAServer {
            option: option.clone(),
            value: visible(value).into_owned(),
        }),
    }
}
