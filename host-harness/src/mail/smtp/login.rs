//! Logging in to a mail server (RFC 4954): which of the ways that it offers is taken, and what is said then.

use std::time::Duration;

use data_encoding::BASE64;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use super::dialogue::{Dialogue, DialogueError};
use super::reply::Reply;

/// What a user logs in with.
pub(super) enum Credential<'a> {
    Password(&'a str),
    AccessToken(&'a str),
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// RFC 4616.
    Plain,
    /// No standard, but there where PLAIN is not.
    Login,
    /// <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>.
    Xoauth2,
}

impl Credential<'_> {
    /// The ways that the credential can be used in, the best first.
    fn mechanisms(&self) -> &'static [Mechanism] {
        match self {
            Self::Password(_) => &[Mechanism::Plain, Mechanism::Login],
            Self::AccessToken(_) => &[Mechanism::Xoauth2],
        }
    }

    /// The way to take at a server that offers these. `None`: it offers none that can be used.
    pub(super) fn choose(&self, offered: &[String]) -> Option<Mechanism> {
        let is_offered = |mechanism: &Mechanism| {
            offered
                .iter()
                .any(|offered| offered.eq_ignore_ascii_case(mechanism.name()))
        };
        self.mechanisms().iter().copied().find(is_offered)
    }

    /// Why a server that offers these can't be logged in to, and what to do.
    pub(super) fn unusable_at(&self, offered: &[String]) -> (String, &'static str) {
        let ours: Vec<_> = self
            .mechanisms()
            .iter()
            .map(|mechanism| mechanism.name())
            .collect();
        let (with, ours) = match self {
            Self::Password(_) => ("a password", ours.join(" or ")),
            Self::AccessToken(_) => ("an access token", ours.join(" or ")),
        };
        if offered.is_empty() {
            let why = format!("it offers no login (AUTH) on this connection, and {with} needs {ours}");
            return (
                why,
                "leave the user out of the mail settings, or use the port and the protection with which users log in",
            );
        }
        let offers_tokens = Credential::AccessToken("").choose(offered).is_some();
        let offers_passwords = Credential::Password("").choose(offered).is_some();
        let advice = match self {
            Self::Password(_) if offers_tokens => {
                "log in with an access token: name a client and its certificate in the mail settings"
            }
            Self::AccessToken(_) if offers_passwords => "log in with a password in the mail settings",
            _ => {
                "have the mail server's operator allow one of these ways to log in, or use another mail server"
            }
        };
        let why = format!(
            "to log in it offers {}, but {with} needs {ours}",
            offered.join(", ")
        );
        (why, advice)
    }
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::Xoauth2 => "XOAUTH2",
        }
    }
}

/// Logs a user in. The reply is the server's last one, good or not.
pub(super) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    mechanism: Mechanism,
    user: &str,
    credential: &Credential<'_>,
    limit: Duration,
) -> Result<Reply, DialogueError> {
    let (Credential::Password(secret) | Credential::AccessToken(secret)) = credential;
    let first = match mechanism {
        Mechanism::Plain => Zeroizing::new(format!("\0{user}\0{secret}")),
        Mechanism::Login => return by_login(dialogue, user, secret, limit).await,
        Mechanism::Xoauth2 => Zeroizing::new(format!("user={user}\x01auth=Bearer {secret}\x01\x01")),
    };
    let login = encoded(&first);
    let line = Zeroizing::new(["AUTH ", mechanism.name(), " ", &login].concat());
    let reply = dialogue.command(&line, limit).await?.without(&login);
    if reply.code != 334 {
        return Ok(reply);
    }
    match mechanism {
        // The server has not read what came with the command (RFC 4954 section 4).
        Mechanism::Plain => Ok(dialogue.command(&login, limit).await?.without(&login)),
        // The challenge says why the access token is refused; the refusal itself comes after an empty line.
        _ => {
            let said = reply.lines.concat();
            let refusal = dialogue.command("", limit).await?;
            Ok(with_reason(refusal.without(&login), &said))
        }
    }
}

async fn by_login<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    user: &str,
    password: &str,
    limit: Duration,
) -> Result<Reply, DialogueError> {
    let mut reply = dialogue.command("AUTH LOGIN", limit).await?;
    for answer in [user, password] {
        if reply.code != 334 {
            return Ok(reply);
        }
        let answer = encoded(answer);
        reply = dialogue.command(&answer, limit).await?.without(&answer);
    }
    Ok(reply)
}

fn encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(BASE64.encode(text.as_bytes()))
}

/// What a server says of an access token that it refuses.
#[derive(Deserialize)]
struct TokenRefusal {
    status: String,
}

/// The refusal with the status that the challenge gave.
fn with_reason(refusal: Reply, challenge: &str) -> Reply {
    let json = BASE64.decode(challenge.trim().as_bytes()).ok();
    let status = json.and_then(|json| serde_json::from_slice::<TokenRefusal>(&json).ok());
    let mut lines = refusal.lines;
    if let Some(TokenRefusal { status }) = status {
        lines.push(format!("(the access token was refused with status {status})"));
    }
    Reply { lines, ..refusal }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

    use super::*;

    fn offered(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_way_is_taken_that_the_server_offers_and_the_credential_fits() {
        let (password, token) = (Credential::Password(""), Credential::AccessToken(""));
        for (names, by_password, by_token) in [
            (
                &["LOGIN", "PLAIN", "XOAUTH2"][..],
                Some(Mechanism::Plain),
                Some(Mechanism::Xoauth2),
            ),
            (&["login"], Some(Mechanism::Login), None),
            (&["XOAUTH2"], None, Some(Mechanism::Xoauth2)),
            (&["CRAM-MD5", "GSSAPI"], None, None),
            (&[], None, None),
        ] {
            assert_eq!(password.choose(&offered(names)), by_password, "{names:?}");
            assert_eq!(token.choose(&offered(names)), by_token, "{names:?}");
        }
    }

    #[test]
    fn where_none_fits_what_is_offered_is_told_and_what_to_do() {
        let of = |credential: Credential<'_>, names: &[&str]| credential.unusable_at(&offered(names));
        let (why, advice) = of(Credential::Password(""), &["XOAUTH2", "GSSAPI"]);
        assert_eq!(
            why,
            "to log in it offers XOAUTH2, GSSAPI, but a password needs PLAIN or LOGIN"
        );
        assert!(advice.contains("access token"), "{advice}");
        let (_, advice) = of(Credential::AccessToken(""), &["PLAIN"]);
        assert!(advice.contains("password"), "{advice}");
        let (why, advice) = of(Credential::Password(""), &[]);
        assert!(
            why.contains("offers no login") && advice.contains("leave the user out"),
            "{why}"
        );
        let (_, advice) = of(Credential::Password(""), &["GSSAPI"]);
        assert!(advice.contains("operator"), "{advice}");
    }

    /// What is kept of the reply of a server that does not know AUTH and repeats the line.
    async fn kept_of_an_echo(mechanism: Mechanism, credential: Credential<'_>) -> String {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let server = tokio::spawn(async move {
            let mut lines = BufReader::new(theirs).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                let reply = match line == "AUTH LOGIN" {
                    true => "334 VXNlcm5hbWU6\r\n".to_owned(),
                    false => format!("500 5.5.1 Command unrecognized: \"{line}\"\r\n"),
                };
                lines.get_mut().write_all(reply.as_bytes()).await.unwrap();
            }
        });
        let mut dialogue = Dialogue::new(ours);
        let limit = Duration::from_secs(20);
        let reply = log_in(&mut dialogue, mechanism, "shop@host.example", &credential, limit).await;
        drop(dialogue);
        server.await.unwrap();
        reply.unwrap().shown()
    }

    #[tokio::test]
    async fn a_login_that_the_server_repeats_is_not_kept() {
        for (mechanism, credential, kept) in [
            (
                Mechanism::Plain,
                Credential::Password("open sesame"),
                "AUTH PLAIN [elided]",
            ),
            (Mechanism::Login, Credential::Password("open sesame"), "[elided]"),
            (
                Mechanism::Xoauth2,
                Credential::AccessToken("ey.0.1"),
                "AUTH XOAUTH2 [elided]",
            ),
        ] {
            assert_eq!(
                kept_of_an_echo(mechanism, credential).await,
                format!("500 5.5.1 Command unrecognized: \"{kept}\""),
                "{mechanism:?}"
            );
        }
    }

    #[test]
    fn the_status_of_a_refused_access_token_is_told_and_anything_else_is_left_out() {
        let refusal = || Reply {
            code: 535,
            lines: vec!["5.7.3 Authentication unsuccessful".to_owned()],
        };
        let challenge = BASE64.encode(br#"{"status":"401","schemes":"bearer","scope":"x"}"#);
        let told = with_reason(refusal(), &challenge).shown();
        assert_eq!(
            told,
            "535 5.7.3 Authentication unsuccessful (the access token was refused with status 401)"
        );
        for other in ["", "?", "e30=", "bm8="] {
            assert_eq!(with_reason(refusal(), other), refusal());
        }
    }
}
