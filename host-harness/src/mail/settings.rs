//! Checks of mail settings before they are saved.

use std::io;
use std::path::{Path, PathBuf};

use bss_model::text::without_secrets;
use bss_model::{
    AccessTokenLogin, Advice, Diagnose, Diagnosis, ErrorKind, MailDelivery, MailSettings, SmtpProtection,
    SmtpServer,
};
use bss_record::RecordError;
use bss_sandbox::outbound_https::Authority;
use bss_sandbox::system_roots::roots_of_pem;

use super::directory;
use super::letter::{ComposeError, sender};
use super::smtp::{TlsSetupError, check_tls, is_hello_name};
use super::templates::{self, TemplateError};
use super::text::one_line;

/// The port for submitting mail with TLS from the first byte (RFC 8314 section 7.3).
const SUBMISSIONS_PORT: u16 = 465;
/// The port for submitting mail (RFC 6409 section 3.1).
const SUBMISSION_PORT: u16 = 587;
/// The port on which mail servers take mail (RFC 5321 section 4.5.4.2), as a relay on the same machine does.
const RELAY_PORT: u16 = 25;

/// The most bytes of each text of a login with an access token.
const ACCESS_TOKEN_LOGIN_BYTES: usize = 1_000;

/// Why the address of a mail server was not understood.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` is not the URL of a mail server: {why}")]
pub struct UrlError {
    given: String,
    why: &'static str,
}

impl Diagnose for UrlError {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "invalid-mail-server")
            .say("give `smtps://HOST[:PORT]`, or `smtp://HOST[:PORT]` for STARTTLS")
    }
}

/// Why mail settings were not saved. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailSettingsError {
    /// The sender is no address.
    #[error(transparent)]
    Sender(#[from] ComposeError),
    /// A user without a password or an access token, or one of these without a user.
    #[error(
        "the mail settings have a user without a password or an access token, or one of these without a user"
    )]
    HalfLogin,
    /// A password or an access token would go over the network unencrypted.
    #[error("the password or the access token can't be sent to the mail server without TLS")]
    UnprotectedPassword,
    /// The authorities to be trusted hold no certificate that can be read.
    #[error(
        "the trusted certificate authorities for the mail server, or for where its access tokens come from, contain no certificate that can be read"
    )]
    TrustedAuthorities,
    /// TLS can't be set up.
    #[error("TLS to the mail server can't be set up")]
    Tls(#[source] TlsSetupError),
    /// The name for the greeting is neither a fully qualified name nor an address.
    #[error("`{0}` is neither a fully qualified name nor an address in brackets")]
    HelloName(String),
    /// Where access tokens come from can't be right.
    #[error("the mail settings can't get an access token: {0}")]
    AccessToken(&'static str),
    /// The directory can't be written.
    #[error("mail directory `{}` can't be written", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The name of a directory is no text, and can't be kept on record.
    #[error("the name of directory `{}` is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// The templates can't be used.
    #[error(transparent)]
    Templates(#[from] TemplateError),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for MailSettingsError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Sender(error) => error.diagnosis(),
            Self::HalfLogin => Diagnosis::new(ErrorKind::Invalid, "half-login")
                .say("give a user with a password or an access token, or neither"),
            Self::UnprotectedPassword => Diagnosis::new(ErrorKind::Invalid, "unprotected-password")
                .say("encrypt the connection, or leave the user out"),
            Self::TrustedAuthorities => Diagnosis::new(ErrorKind::Invalid, "no-trusted-authority")
                .advise(Advice::NameTrustedAuthorities),
            Self::Tls(_) => Diagnosis::new(ErrorKind::Invalid, "mail-tls"),
            Self::HelloName(_) => Diagnosis::new(ErrorKind::Invalid, "invalid-hello-name")
                .say("give a name as in `mail.example.com`, or an address as in `[192.0.2.1]` or `[IPv6:2001:db8::1]`"),
            Self::AccessToken(_) => Diagnosis::new(ErrorKind::Invalid, "invalid-access-token-login")
                .say("give a user, a client, an installed certificate, a scope and the https address of a token endpoint"),
            Self::Directory { .. } => Diagnosis::new(ErrorKind::Invalid, "mail-directory"),
            Self::NotText(_) => {
                Diagnosis::new(ErrorKind::Invalid, "name-no-text").say("give the directory another name")
            }
            Self::Templates(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Reads a server from `smtps://HOST[:PORT]`, or from `smtp://HOST[:PORT]`, where STARTTLS is required unless
/// `unencrypted` is set. The result has no login and trusts the system's authorities.
///
/// # Errors
/// When the text is something else, and when it holds a user or a password, which others could read.
pub fn server_from_url(url: &str, unencrypted: bool) -> Result<SmtpServer, UrlError> {
    let wrong = |why| UrlError {
        given: without_secrets(url),
        why,
    };
    let uri: http::Uri = url.parse().map_err(|_| wrong("it can't be parsed as a URL"))?;
    let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("it contains a user or a password"));
    }
    if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
        return Err(wrong("it has a path or a query after the port"));
    }
    let (protection, port) = match (uri.scheme_str(), unencrypted) {
        (Some("smtps"), false) => (SmtpProtection::Tls, SUBMISSIONS_PORT),
        (Some("smtps"), true) => return Err(wrong("without encryption its scheme has to be `smtp`")),
        (Some("smtp"), false) => (SmtpProtection::StartTls, SUBMISSION_PORT),
        (Some("smtp"), true) => (SmtpProtection::None, RELAY_PORT),
        _ => return Err(wrong("its scheme is neither `smtp` nor `smtps`")),
    };
    let host = authority.host().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err(wrong("it has no host"));
    }
    Ok(SmtpServer {
        host: host.to_owned(),
        port: authority.port_u16().unwrap_or(port),
        protection,
        user: None,
        password: None,
        trusted_authorities_pem: None,
        hello_name: None,
        access_token: None,
    })
}

/// Checks mail settings as far as that is possible without sending. Makes the directory if there is none.
pub(super) fn check(settings: &MailSettings) -> Result<(), MailSettingsError> {
    sender(&settings.from)?;
    match &settings.delivery {
        MailDelivery::Smtp(server) => check_server(server)?,
        MailDelivery::Directory(path) => {
            check_name(path)?;
            directory::prepare(path).map_err(|source| MailSettingsError::Directory {
                path: path.clone(),
                source,
            })?;
        }
    }
    if let Some(directory) = &settings.templates {
        check_name(directory)?;
        templates::check(directory)?;
    }
    Ok(())
}

fn check_name(directory: &Path) -> Result<(), MailSettingsError> {
    match directory.to_str() {
        Some(_) => Ok(()),
        None => Err(MailSettingsError::NotText(directory.to_owned())),
    }
}

fn check_server(server: &SmtpServer) -> Result<(), MailSettingsError> {
    let has_credential = server.password.is_some() || server.access_token.is_some();
    if server.user.is_some() != has_credential {
        return Err(MailSettingsError::HalfLogin);
    }
    if has_credential && server.protection == SmtpProtection::None {
        return Err(MailSettingsError::UnprotectedPassword);
    }
    if let Some(login) = &server.access_token {
        if server.password.is_some() {
            return Err(MailSettingsError::AccessToken("there is a password as well"));
        }
        check_access_token_login(login)?;
    }
    if let Some(name) = &server.hello_name
        && !is_hello_name(name)
    {
        return Err(MailSettingsError::HelloName(one_line(name)));
    }
    check_authorities(server.trusted_authorities_pem.as_deref())?;
    check_tls(server).map_err(MailSettingsError::Tls)
}

fn check_authorities(pem: Option<&str>) -> Result<(), MailSettingsError> {
    match pem.is_none_or(|pem| !roots_of_pem(pem).is_empty()) {
        true => Ok(()),
        false => Err(MailSettingsError::TrustedAuthorities),
    }
}

fn check_access_token_login(login: &AccessTokenLogin) -> Result<(), MailSettingsError> {
    let is_text = |text: &str| {
        (1..=ACCESS_TOKEN_LOGIN_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if Authority::of_url(&login.token_endpoint).is_none() || !is_text(&login.token_endpoint) {
        return Err(MailSettingsError::AccessToken(
            "its token endpoint is no https address",
        ));
    }
    if !is_text(&login.client_id) || !is_text(&login.scope) {
        return Err(MailSettingsError::AccessToken(
            "its client or its scope is empty, too long or no ASCII text",
        ));
    }
    check_authorities(login.trusted_authorities_pem.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how_it_is_protected() {
        let read = |url: &str, unencrypted| {
            let server = server_from_url(url, unencrypted).unwrap();
            (server.host, server.port, server.protection)
        };
        let expected = |host: &str, port, protection| (host.to_owned(), port, protection);
        assert_eq!(
            read("smtps://mail.example", false),
            expected("mail.example", 465, SmtpProtection::Tls)
        );
        assert_eq!(
            read("smtp://mail.example", false),
            expected("mail.example", 587, SmtpProtection::StartTls)
        );
        assert_eq!(
            read("smtp://[::1]:2525", true),
            expected("::1", 2525, SmtpProtection::None)
        );
        assert_eq!(
            read("smtp://localhost/", true),
            expected("localhost", 25, SmtpProtection::None)
        );
    }

    #[test]
    fn anything_else_is_no_mail_server_and_a_password_is_not_repeated() {
        for (url, unencrypted) in [
            ("mail.example", false),
            ("https://mail.example", false),
            ("smtps://mail.example", true),
            ("smtp://mail.example?tls=none", false),
            ("smtp://", false),
            ("smtps://joe:geheim@mail.example", false),
            ("smtps://mail.example?password=geheim", false),
        ] {
            let error = server_from_url(url, unencrypted).unwrap_err().to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn without_tls_no_password_is_kept() {
        let login = |server: SmtpServer, user: Option<&str>, password: Option<&str>| SmtpServer {
            user: user.map(str::to_owned),
            password: password.map(bss_model::Secret::new),
            ..server
        };
        let clear = server_from_url("smtp://mail.example", true).unwrap();
        let protected = server_from_url("smtp://mail.example", false).unwrap();
        assert!(matches!(
            check_server(&login(clear.clone(), Some("u"), Some("p"))),
            Err(MailSettingsError::UnprotectedPassword)
        ));
        assert!(matches!(
            check_server(&login(protected.clone(), Some("u"), None)),
            Err(MailSettingsError::HalfLogin)
        ));
        check_server(&login(protected, Some("u"), Some("p"))).unwrap();
        check_server(&clear).unwrap();
    }
}
