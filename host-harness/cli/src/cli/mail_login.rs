//! Options for logging in to a mail server with an access token, and what they are by default: those of the mail service
//! that takes no passwords any more.

use bss_model::{AccessTokenLogin, Thumbprint};
use clap::Args;
use host_harness::Authority;

use super::failure::Failure;
use super::input::read_text;

/// The options of a login with an access token.
#[derive(Debug, Args)]
pub(super) struct AccessTokenArguments {
    /// Log in with an access token of this Microsoft Entra tenant (a domain or an id) instead of a password
    #[arg(long, value_name = "TENANT", value_parser = tenant, requires_all = ["user", "client_id", "certificate"],
          conflicts_with_all = ["directory", "password_file", "unencrypted"])]
    tenant: Option<String>,
    /// The client id of the application that may send as the user
    #[arg(long, value_name = "ID", requires = "tenant")]
    client_id: Option<String>,
    /// The installed certificate that is registered with the application
    #[arg(long, value_name = "THUMBPRINT", requires = "tenant")]
    certificate: Option<Thumbprint>,
    /// Where access tokens come from, `HOST` or `HOST:PORT`; another one in a sovereign cloud
    #[arg(
        long,
        value_name = "HOST",
        requires = "tenant",
        default_value = "login.microsoftonline.com"
    )]
    login_authority: Authority,
    /// The scope of the access token; another one in a sovereign cloud
    #[arg(
        long,
        value_name = "SCOPE",
        requires = "tenant",
        default_value = "https://outlook.office365.com/.default"
    )]
    scope: String,
    /// Trust the server that access tokens come from by the certificate authorities in this PEM file, instead of the
    /// system's
    #[arg(long, value_name = "FILE", requires = "tenant")]
    login_trust: Option<std::path::PathBuf>,
}

impl AccessTokenArguments {
    /// The login that the options describe. `None`: they describe none.
    pub(super) fn login(&self) -> Result<Option<AccessTokenLogin>, Failure> {
        let (Some(tenant), Some(client_id), Some(certificate)) =
            (&self.tenant, &self.client_id, self.certificate)
        else {
            return Ok(None);
        };
        let trust = self.login_trust.as_deref();
        Ok(Some(AccessTokenLogin {
            token_endpoint: format!("https://{}/{tenant}/oauth2/v2.0/token", self.login_authority),
            scope: self.scope.clone(),
            client_id: client_id.clone(),
            certificate,
            trusted_authorities_pem: trust.map(|path| read_text(path, "PEM file")).transpose()?,
        }))
    }
}

/// Reads a tenant: nothing that would make another address of it.
fn tenant(text: &str) -> Result<String, String> {
    let is_of_tenant = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    match !text.is_empty() && text.bytes().all(is_of_tenant) && !text.starts_with('.') {
        true => Ok(text.to_owned()),
        false => Err("expected the domain or the id of a tenant".to_owned()),
    }
}
