//! Where this program has its host key from.
//!
//! A key that the command line names wins. Else the environment, the configuration file and systemd may each name one, and
//! must mean the same keys; where nobody names one, it is the file in the data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bss_keys::HOST_KEY_VARIABLE;
use bss_model::ErrorKind;
use host_harness::{HostKey, HostKeySource};

use super::failure::Failure;
use super::host_key_command::HostKeyCommand;
use super::settings::Settings;

/// The variable in which systemd names the directory of a service's credentials.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// The name of the credential that is the host key.
const CREDENTIAL: &str = "host-key";

/// What the options say of the host key, wherever their values come from.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) file: Option<PathBuf>,
    pub(super) command: Option<String>,
}

/// A source that is named, and how it is called in an error.
struct Named {
    name: String,
    key: HostKey,
}

/// The source of the host key. A command is run here, and once.
pub(super) fn source(asked: &Asked, settings: &Settings) -> Result<HostKeySource, Failure> {
    let is_typed = |key| settings.is_on_command_line(key);
    let of_line = is_typed("host-key-file") || is_typed("host-key-command");
    let mut named = Vec::new();
    if let Some(command) = asked
        .command
        .as_deref()
        .filter(|_| !of_line || is_typed("host-key-command"))
    {
        let command = HostKeyCommand::parse(command)?;
        named.push(Named {
            name: command.to_string(),
            key: command.run()?,
        });
    }
    if let Some(file) = asked
        .file
        .as_deref()
        .filter(|_| !of_line || is_typed("host-key-file"))
    {
        named.push(of_file(file)?);
    }
    if !of_line {
        named.extend(of_variable()?);
        named.extend(credential().as_deref().map(of_file).transpose()?);
    }
    the_same(named)
}

fn of_file(file: &Path) -> Result<Named, Failure> {
    Ok(Named {
        name: format!("the file `{}`", file.display()),
        key: HostKey::from_credential(file)?,
    })
}

fn of_variable() -> Result<Option<Named>, Failure> {
    let name = || format!("the variable `{HOST_KEY_VARIABLE}`");
    let key = HostKey::from_environment()?;
    Ok(key.map(|key| Named { name: name(), key }))
}

/// The credential that systemd has for this process, where it has one.
fn credential() -> Option<PathBuf> {
    let folder = std::env::var_os(CREDENTIALS_VARIABLE).filter(|folder| !folder.is_empty())?;
    let file = Path::new(&folder).join(CREDENTIAL);
    // A credential that is there and can't be reached must not be passed over in silence.
    file.try_exists().unwrap_or(true).then_some(file)
}

/// The one key that all mean. Which of two is right, nobody can guess: with the wrong one, secrets would be sealed that another
/// host can't open.
fn the_same(named: Vec<Named>) -> Result<HostKeySource, Failure> {
    let mut named = named.into_iter();
    let Some(first) = named.next() else {
        return Ok(HostKeySource::File);
    };
    for other in named {
        if !first.key.is_same(&other.key) {
            let message = format!("{} and {} hold different host keys", first.name, other.name);
            return Err(Failure::new(ErrorKind::Conflict, "host-keys-differ", message).hint(
                "leave all but one of them out, or have all hold the same keys in the same order; one that the command line names wins",
            ));
        }
    }
    Ok(HostKeySource::Given(Arc::new(first.key)))
}
