//! Access tokens of Microsoft Entra: client credentials with a certificate, kept until shortly before
//! they expire (learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).

mod answer;
mod assertion;
mod version;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::instance_settings::Settings;
use crate::platform::{Platform, SigningFailure};
use answer::Again;
use bss_plugin::failures::{Problem, ReadFailure};
use bss_plugin::form::values::authority_name;
use bss_plugin::http::{HttpRequest, HttpResponse, Method, SendFailure};
use bss_plugin::secret::Secret;
use version::Version;

/// The option that names another authority than Microsoft's global one: a national cloud, a simulator.
pub(crate) const LOGIN_AUTHORITY_OPTION: &str = "login-authority";
const LOGIN_AUTHORITY: &str = "login.microsoftonline.com";
/// The option that chooses the older form of the exchange, by the value `v1`.
pub(crate) const VERSION_OPTION: &str = "entra-version";
/// The header field by which a client names an exchange with Entra.
pub(crate) const CORRELATION_HEADER: &str = "client-request-id";
/// The longest answer that is read: most have a few kilobytes, those for applications with many roles tens.
const RESPONSE_BYTES_MAX: usize = 256 * 1024;

/// The authority that access tokens come from: the option's, or Microsoft's global one.
///
/// # Errors
/// When the option names no host. The global authority does not take its place: it is another cloud.
pub(crate) fn login_authority(platform: &impl Platform) -> Result<String, Problem> {
    let Some(option) = platform.option(LOGIN_AUTHORITY_OPTION) else {
        return Ok(LOGIN_AUTHORITY.to_owned());
    };
    // Microsoft's own pages name authorities as URLs.
    let bare = option.trim().strip_prefix("https://").unwrap_or(option.trim());
    let bare = bare.trim_end_matches('/');
    let is_bare = !bare.contains(['/', '?', '#', '@']);
    let name = authority_name(&format!("https://{bare}")).filter(|_name| is_bare);
    name.ok_or_else(|| {
        Problem::new(
            "login-authority-invalid",
            format!("The option `{LOGIN_AUTHORITY_OPTION}` is not a host name."),
            format!("Create an instance with the host name alone, such as `{LOGIN_AUTHORITY}`."),
        )
    })
}

/// The endpoint, client and resource for which an instance asks for access tokens.
pub(crate) struct Entra<'a, P> {
    platform: &'a P,
    settings: &'a Settings,
    version: Version,
    authority: String,
    endpoint: String,
    certificate: Vec<u8>,
    cache_name: String,
}

impl<'a, P: Platform> Entra<'a, P> {
    /// Reads the options and the instance's certificate; sends nothing.
    ///
    /// # Errors
    /// Refused, when the instance has no certificate.
    pub(crate) fn new(platform: &'a P, settings: &'a Settings) -> Result<Self, ReadFailure> {
        let version = match platform.option(VERSION_OPTION).as_deref() {
            Some("v1") => Version::V1,
            _ => Version::V2,
        };
        let path = match version {
            Version::V1 => "oauth2/token",
            Version::V2 => "oauth2/v2.0/token",
        };
        let authority = login_authority(platform).map_err(ReadFailure::Misconfigured)?;
        let endpoint = format!("https://{authority}/{}/{path}", settings.tenant);
        let certificate = platform
            .certificate()
            .ok_or_else(|| ReadFailure::Misconfigured(signing_problem(&SigningFailure::NoCertificate)))?;
        let cache_name = format!(
            "{endpoint} {} {} {}",
            settings.client_id,
            settings.resource,
            Base64UrlUnpadded::encode_string(&Sha256::digest(&certificate))
        );
        Ok(Self {
            platform,
            settings,
            version,
            authority,
            endpoint,
            certificate,
            cache_name,
        })
    }

    /// An access token, from the cache or from Entra.
    ///
    /// # Errors
    /// When Entra can't be reached, refuses, or answers what can't be read. The request that needs the access
    /// token was not carried out then.
    pub(crate) fn access_token(&self) -> Result<Secret, ReadFailure> {
        if let Some(access_token) = self.platform.cached_access_token(&self.cache_name) {
            return Ok(access_token);
        }
        let mut granted = self.ask();
        if let Err(denial) = &granted
            && denial.again != Again::Never
        {
            if denial.again == Again::AfterAPause {
                self.platform.pause(answer::OUTAGE_PAUSE_MS);
            }
            granted = self.ask();
        }
        let granted = granted.map_err(|denial| denial.failure)?;
        let expires_at_ms = granted.expires_at_ms(self.platform.now_ms());
        self.platform
            .cache_access_token(&self.cache_name, &granted.access_token, expires_at_ms);
        Ok(granted.access_token)
    }

    /// Another access token than the one that was refused.
    ///
    /// # Errors
    /// As [`Self::access_token`].
    pub(crate) fn access_token_instead_of(&self, refused: &Secret) -> Result<Secret, ReadFailure> {
        self.forget(refused);
        self.access_token()
    }

    /// Drops an access token that was refused, so that the next call does not try it.
    pub(crate) fn forget(&self, refused: &Secret) {
        self.platform.drop_refused_access_token(&self.cache_name, refused);
    }

    /// Asks Entra once, with a new assertion: Entra takes none twice.
    fn ask(&self) -> Result<answer::Granted, answer::Denial> {
        let assertion = assertion::signed(
            self.platform,
            self.version,
            &self.endpoint,
            self.settings.client_id,
            &self.certificate,
        )
        .map_err(|failure| answer::Denial::from(ReadFailure::Misconfigured(signing_problem(&failure))))?;
        let correlation_id = crate::exchange::fresh_guid(self.platform);
        let request = self.request(&assertion, &correlation_id);
        let response = self.platform.exchange(&request).map_err(|failure| {
            let problem = Problem::new(
                failure.code(),
                format!(
                    "Microsoft Entra (`{}`) did not issue an access token: {failure}.",
                    self.authority
                ),
                advice(&failure),
            );
            answer::Denial::from(ReadFailure::Unavailable(
                problem.in_exchange(&correlation_id).into(),
            ))
        })?;
        self.read(&response, &correlation_id)
    }

    fn read(&self, response: &HttpResponse, correlation_id: &str) -> Result<answer::Granted, answer::Denial> {
        match response.status {
            200 => answer::granted(response, correlation_id),
            _ => Err(answer::denied(response, correlation_id, self.platform.now_ms())),
        }
    }

    fn request(&self, assertion: &Secret, correlation_id: &str) -> HttpRequest {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.settings.client_id.to_string())
            .append_pair(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )
            .append_pair("client_assertion", assertion.expose());
        let resource = &self.settings.resource;
        match self.version {
            Version::V1 => form.append_pair("resource", resource),
            Version::V2 => form.append_pair("scope", &format!("{resource}/.default")),
        };
        let header = |name, value: &str| (name, Secret::new(value.to_owned()));
        HttpRequest {
            method: Method::Post,
            url: self.endpoint.clone(),
            headers: vec![
                header("accept", "application/json"),
                header("content-type", "application/x-www-form-urlencoded"),
                header(CORRELATION_HEADER, correlation_id),
            ],
            body: Zeroizing::new(form.finish().into_bytes()),
            response_bytes_max: RESPONSE_BYTES_MAX,
        }
    }
}

/// The advice to an operator when Entra gives no answer. No field of the form holds Entra's host, so the
/// advice names the option.
fn advice(failure: &SendFailure) -> &'static str {
    match failure {
        SendFailure::NameNotResolved => {
            "Check the DNS that the host machine uses, and the option `login-authority` if the instance has that option."
        }
        SendFailure::Unreachable | SendFailure::ConnectTimeout => {
            "Check that the firewall lets the host machine connect to Microsoft Entra, and check the option `login-authority` if the instance has that option."
        }
        // Microsoft Entra asks for no certificate in the handshake.
        SendFailure::ServerNotTrusted | SendFailure::TlsAlert(Some(42..=49 | 112 | 116)) => {
            "Check that no proxy replaces the certificate of Microsoft Entra, and check the option `login-authority` if the instance has that option."
        }
        SendFailure::TlsFailed => {
            "Check that no proxy or firewall answers in place of Microsoft Entra, and check the option `login-authority` if the instance has that option."
        }
        SendFailure::AddressProhibited => {
            "Check the option `login-authority`; if the host in that option is on a network of your own, allow that network for the instance."
        }
        other => crate::platform::advice(other),
    }
}

fn signing_problem(failure: &SigningFailure) -> Problem {
    let code = match failure {
        SigningFailure::NoCertificate => "certificate-missing",
        SigningFailure::Unusable(_) => "certificate-unusable",
    };
    Problem::new(
        code,
        format!("The plugin can't request an access token: {failure}."),
        "Choose another certificate in Certificate Thumbprint.",
    )
}

#[cfg(test)]
mod tests;
