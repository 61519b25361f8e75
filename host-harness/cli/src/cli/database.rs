//! Where this program has the address of the record's database from, if a server keeps it.
//!
//! An address that the command line names wins. Else the environment and the configuration file may name one. A variable that is
//! empty is a mistake, and is not taken for none: the program would look for the record in its data directory.

use std::path::{Path, PathBuf};

use bss_model::Secret;
use host_harness::{DatabaseAddress, HostKeySource, Record, RecordError};

use super::failure::Failure;
use super::input;
use super::settings::{Origin, Settings};

/// What the options say of the database, wherever their values come from.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) address: Option<Secret>,
    pub(super) file: Option<PathBuf>,
}

/// The address of the database. `None`: the record is in the data directory.
pub(super) fn address(asked: &Asked, settings: &Settings) -> Result<Option<DatabaseAddress>, Failure> {
    for variable in ["BSS_DATABASE_URL", "BSS_DATABASE_URL_FILE"] {
        if std::env::var_os(variable).is_some_and(|value| value.is_empty()) {
            return Err(Failure::usage(format!("the environment variable `{variable}` is empty")).hint(
                "give it the address of the database, or unset it: the record is in the data directory then",
            ));
        }
    }
    let is_typed = |key| settings.is_on_command_line(key);
    let typed = is_typed("database") || is_typed("database-file");
    let text = asked.address.as_ref().filter(|_| !typed || is_typed("database"));
    let file = asked
        .file
        .as_deref()
        .filter(|_| !typed || is_typed("database-file"));
    match (text, file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Failure::usage(
            "the database is named twice: by its address, and by the file of its address",
        )
        .hint("leave one of them out")),
        (Some(text), None) => {
            let address = parsed(text.expose())?;
            let is_typed = settings
                .given("database")
                .is_some_and(|given| given.origin == Origin::CommandLine);
            if is_typed && address.has_password() {
                let message = "`--database` takes no password, because others can read a command's arguments; what stood there has stayed in \
                               your shell's history: have the password changed";
                return Err(Failure::usage(message).hint(
                    "put the address into a file that only you can read and name it with `--database-file`, or into the variable \
                     `BSS_DATABASE_URL`",
                ));
            }
            Ok(Some(address))
        }
        (None, Some(file)) => Ok(Some(of_file(file)?)),
    }
}

fn of_file(file: &Path) -> Result<DatabaseAddress, Failure> {
    let line = input::secret_line(file, "database address file")?;
    parsed(line.expose())
}

fn parsed(text: &str) -> Result<DatabaseAddress, Failure> {
    text.trim().parse().map_err(|error| Failure::of(&error))
}

/// Where the record is: in the data directory, or in a database for a host whose other files are there.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) data_dir: &'p Path,
    pub(super) host_key: &'p HostKeySource,
    pub(super) database: Option<&'p DatabaseAddress>,
}

impl Place<'_> {
    /// Opens the record that is there.
    pub(super) async fn open(self) -> Result<Record, RecordError> {
        match self.database {
            None => Record::open_with(self.data_dir, self.host_key).await,
            Some(database) => Record::open_database(self.data_dir, self.host_key, database).await,
        }
    }

    /// Makes a record.
    pub(super) async fn create(self) -> Result<Record, RecordError> {
        match self.database {
            None => Record::create(self.data_dir, self.host_key).await,
            Some(database) => Record::create_database(self.data_dir, self.host_key, database).await,
        }
    }
}
