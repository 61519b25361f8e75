//! The address of a database on a PostgreSQL server, and what it must say so that nobody else is taken for that server.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// Where servers listen unless they are told otherwise.
const PORT: u16 = 5432;
/// How the server's operator sees our connections.
pub(crate) const APPLICATION_NAME: &str = "bss-host";
/// What an address may say after its `?`.
const PARAMETERS: [&str; 6] = [
    "host",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "statement-cache-capacity",
];

/// The address of a database, such as `postgres://bss:secret@db.example/bss?sslmode=verify-full`. Shown without its password, which
/// nothing prints.
///
/// The host is a name, an IP address, or the directory of a server's socket: `postgres:///bss?host=/run/postgresql`, or
/// `postgres://%2Frun%2Fpostgresql/bss`. To a server that is not on this machine, `sslmode` has to be `verify-full`: by any other,
/// whoever is in between can be that server. The certificate is checked against the authorities that browsers know and those in the
/// file `sslrootcert`. What an address leaves out of user, password and certificates is taken from the variables of PostgreSQL's own
/// programs, such as `PGPASSWORD` and `PGSSLROOTCERT`; how to verify is not.
#[derive(Clone)]
pub struct DatabaseAddress {
    options: PgConnectOptions,
    shown: String,
    has_password: bool,
    forgets_statements: bool,
}

/// Why a text is no address of a database. Nothing of the text is repeated: in one that is written wrongly, the password may
/// be anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseAddressError {
    /// Not a URL.
    #[error("the address of the database is no URL")]
    NoUrl,
    /// A URL of something else.
    #[error("the address of the database does not begin with `postgres://`")]
    OtherScheme,
    /// No server is named.
    #[error("the address of the database names no host")]
    NoHost,
    /// No database is named.
    #[error("the address of the database names no database")]
    NoDatabase,
    /// A part that is no text, or has a character that it can't have.
    #[error("the {part} in the address of the database is not usable")]
    Part {
        /// What the part is.
        part: &'static str,
    },
    /// A parameter that would be ignored, or is there twice.
    #[error("parameter {number} after the `?` in the address of the database is unknown or repeated")]
    Parameter {
        /// From 1.
        number: usize,
    },
    /// A server on another machine that could be anybody.
    #[error("the server of the database is on another machine, and would not have to prove who it is")]
    Unverified,
}

impl Diagnose for DatabaseAddressError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Parameter { .. } => Diagnosis::new(ErrorKind::Invalid, "database-address-invalid")
                .say(format!("known are {}, each once", PARAMETERS.join(", "))),
            Self::NoHost => Diagnosis::new(ErrorKind::Invalid, "database-address-invalid").say(
                "name the server, or the directory of its socket as in `postgres:///DATABASE?host=/run/postgresql`",
            ),
            Self::NoUrl | Self::OtherScheme | Self::NoDatabase | Self::Part { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "database-address-invalid").say(
                    "write it as `postgres://USER:PASSWORD@HOST/DATABASE`, and what is no letter or digit in the password as `%` and \
                     two hexadecimal digits",
                )
            }
            Self::Unverified => Diagnosis::new(ErrorKind::Invalid, "database-address-unverified").say(
                "add `sslmode=verify-full`, and `sslrootcert=FILE` where the server's certificate is of an authority of your own",
            ),
        }
    }
}

impl fmt::Display for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            options: _,
            shown,
            has_password: _,
            forgets_statements: _,
        } = self;
        f.debug_tuple("DatabaseAddress").field(shown).finish()
    }
}

impl DatabaseAddress {
    /// Whether the address itself holds a password.
    pub fn has_password(&self) -> bool {
        self.has_password
    }

    /// Whether no connection keeps a prepared statement, as behind a pooler that gives each transaction another one.
    pub(crate) fn forgets_statements(&self) -> bool {
        self.forgets_statements
    }

    /// What a connection is made with.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

impl FromStr for DatabaseAddress {
    type Err = DatabaseAddressError;

    fn from_str(text: &str) -> Result<Self, DatabaseAddressError> {
        let url = Url::parse(text).map_err(|_| DatabaseAddressError::NoUrl)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(DatabaseAddressError::OtherScheme);
        }
        if url.cannot_be_a_base() || url.fragment().is_some() {
            return Err(DatabaseAddressError::NoUrl);
        }
        let database = decoded(url.path().trim_start_matches('/'), "database")?;
        if database.is_empty() {
            return Err(DatabaseAddressError::NoDatabase);
        }
        if database.contains('/') {
            return Err(DatabaseAddressError::Part { part: "database" });
        }
        let parameters = Parameters::of(&url)?;
        let server = Server::of(&url, &parameters)?;
        let port = url.port().unwrap_or(PORT);
        let mut options = PgConnectOptions::new_without_pgpass()
            .port(port)
            .database(&database)
            .application_name(APPLICATION_NAME);
        options = server.reach(options, parameters.text("sslmode")?)?;
        let user = decoded(url.username(), "user")?;
        if !user.is_empty() {
            options = options.username(&user);
        }
        if let Some(password) = url.password() {
            options = options.password(&decoded(password, "password")?);
        }
        options = parameters.files(options)?;
        let mut forgets_statements = false;
        if let Some(capacity) = parameters.text("statement-cache-capacity")? {
            let unusable = |_| DatabaseAddressError::Part {
                part: "statement-cache-capacity",
            };
            let capacity: usize = capacity.parse().map_err(unusable)?;
            forgets_statements = capacity == 0;
            options = options.statement_cache_capacity(capacity);
        }
        let shown = format!("database `{}` on {server}, port {port}", database.escape_debug());
        Ok(Self {
            options,
            shown,
            has_password: url.password().is_some(),
            forgets_statements,
        })
    }
}

/// Where a server is.
#[derive(Debug, PartialEq, Eq)]
enum Server {
    /// On this machine, with its socket in a directory.
    Socket(String),
    /// On this machine, over the network that does not leave it.
    Loopback(String),
    /// On another machine.
    Elsewhere(String),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Socket(place) | Self::Loopback(place) | Self::Elsewhere(place)) = self;
        write!(f, "`{}`", place.escape_debug())
    }
}

impl Server {
    fn of(url: &Url, parameters: &Parameters<'_>) -> Result<Self, DatabaseAddressError> {
        let part = "host";
        let named = decoded(url.host_str().unwrap_or_default(), part)?;
        let host = match (parameters.text(part)?, named) {
            (None, named) => named,
            (Some(given), named) if named.is_empty() => given.into(),
            (Some(_), _) => return Err(DatabaseAddressError::Part { part }),
        };
        if host.is_empty() {
            return Err(DatabaseAddressError::NoHost);
        }
        if host.starts_with('/') {
            return Ok(Self::Socket(host.into_owned()));
        }
        // PostgreSQL's own programs take several, one after the other; sqlx takes the list for one name.
        if host.contains([',', ' ', '/']) {
            return Err(DatabaseAddressError::Part { part });
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_loopback = match bare.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            // The name that no resolver answers with another machine (RFC 6761, 6.3).
            Err(_) => bare.eq_ignore_ascii_case("localhost"),
        };
        Ok(if is_loopback {
            Self::Loopback(bare)
        } else {
            Self::Elsewhere(bare)
        })
    }

    /// Adds where the server is, and how it proves that it is the one. Each is said, so that no variable says it instead.
    fn reach(
        &self,
        options: PgConnectOptions,
        mode: Option<&str>,
    ) -> Result<PgConnectOptions, DatabaseAddressError> {
        let unusable = |_| DatabaseAddressError::Part { part: "sslmode" };
        let mode = mode.map(PgSslMode::from_str).transpose().map_err(unusable)?;
        match (self, mode) {
            // Sockets have no TLS; who may make one is for the file system to say.
            (Self::Socket(directory), _) => Ok(options.socket(directory).ssl_mode(PgSslMode::Disable)),
            (Self::Loopback(host), mode) => {
                Ok(options.host(host).ssl_mode(mode.unwrap_or(PgSslMode::Prefer)))
            }
            (Self::Elsewhere(host), Some(PgSslMode::VerifyFull)) => {
                Ok(options.host(host).ssl_mode(PgSslMode::VerifyFull))
            }
            (Self::Elsewhere(_), _) => Err(DatabaseAddressError::Unverified),
        }
    }
}

/// What an address says after its `?`: known names, each once.
struct Parameters<'u>(Vec<(Cow<'u, str>, Cow<'u, str>)>);

impl<'u> Parameters<'u> {
    fn of(url: &'u Url) -> Result<Self, DatabaseAddressError> {
        let all: Vec<_> = url.query_pairs().collect();
        for (place, (name, _)) in all.iter().enumerate() {
            let is_repeated = all.iter().take(place).any(|(before, _)| before == name);
            if is_repeated || !PARAMETERS.contains(&&**name) {
                return Err(DatabaseAddressError::Parameter { number: place + 1 });
            }
        }
        Ok(Self(all))
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, DatabaseAddressError> {
        let value = self.0.iter().find(|(given, _)| given == name);
        match value {
            Some((_, value)) if is_unusable(value) => Err(DatabaseAddressError::Part { part: name }),
            Some((_, value)) => Ok(Some(value)),
            None => Ok(None),
        }
    }

    /// Adds the files of certificates and of the key.
    fn files(&self, mut options: PgConnectOptions) -> Result<PgConnectOptions, DatabaseAddressError> {
        if let Some(file) = self.text("sslrootcert")? {
            options = options.ssl_root_cert(file);
        }
        if let Some(file) = self.text("sslcert")? {
            options = options.ssl_client_cert(file);
        }
        if let Some(file) = self.text("sslkey")? {
            options = options.ssl_client_key(file);
        }
        Ok(options)
    }
}

/// A part of a URL as it is meant.
fn decoded<'t>(text: &'t str, part: &'static str) -> Result<Cow<'t, str>, DatabaseAddressError> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    match decoded {
        Ok(text) if !is_unusable(&text) => Ok(text),
        _ => Err(DatabaseAddressError::Part { part }),
    }
}

/// Whether a text has a character that ends texts in PostgreSQL's protocol, where the next one would begin.
fn is_unusable(text: &str) -> bool {
    text.contains('\0')
}

#[cfg(test)]
mod tests;
