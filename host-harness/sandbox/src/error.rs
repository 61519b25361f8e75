//! The reasons why a plugin can't be loaded, and why a call got no answer.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind};

use crate::last_words::LastWords;
use crate::limits;

/// Why a plugin can't be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The engine can't be set up on this machine.
    #[error("the WebAssembly engine can't be set up")]
    Engine(#[source] wasmtime::Error),
    /// The file can't be read.
    #[error("plugin `{path}` can't be read")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a component.
    #[error("plugin `{path}` is not a WebAssembly component: {}", one_line(cause))]
    NotAComponent {
        /// The file.
        path: String,
        /// Why not. The words have many lines where the file is none.
        cause: wasmtime::Error,
    },
    /// The component has more memories, tables or core instances than a call may have, or larger ones.
    #[error("plugin `{path}` needs more of a sandbox than a call may have")]
    TooLarge {
        /// The file.
        path: String,
        /// What there is too much of.
        #[source]
        source: wasmtime::Error,
    },
    /// The component is made for a version of the contract that is not compatible with the host's.
    #[error("plugin `{path}` is built for {wanted}, but this host implements {offered}")]
    OtherContract {
        /// The file.
        path: String,
        /// The plugin's contract.
        wanted: String,
        /// The host's.
        offered: &'static str,
    },
    /// The component asks for something that this host does not have.
    #[error("plugin `{path}` imports `{import}`, which this host does not offer; the host offers {offered}")]
    UnknownImport {
        /// The file.
        path: String,
        /// The missing import.
        import: String,
        /// The interfaces that the host offers, by package.
        offered: String,
    },
    /// The component lacks what every plugin must have.
    #[error("plugin `{path}` does not export `{export}`, which every plugin must export")]
    NoServiceManager {
        /// The file.
        path: String,
        /// The missing export.
        export: &'static str,
    },
    /// The names of the imports fit, but a function has another type, or a function that every plugin exports is
    /// missing.
    #[error("plugin `{path}` lacks a function of {offered}, or has a function of another type")]
    Contract {
        /// The file.
        path: String,
        /// The host's contract.
        offered: &'static str,
        /// The mismatch.
        #[source]
        source: wasmtime::Error,
    },
}

/// An error with its causes, on one line.
fn one_line(error: &wasmtime::Error) -> String {
    let words = format!("{error:#}");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Diagnose for LoadError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Engine(_) => Diagnosis::new(ErrorKind::Unavailable, "sandbox"),
            Self::Read { .. } => {
                Diagnosis::new(ErrorKind::Unavailable, "no-plugin").advise(Advice::NamePlugin)
            }
            Self::NotAComponent { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "not-a-component").advise(Advice::NamePlugin)
            }
            Self::TooLarge { .. } => Diagnosis::new(ErrorKind::Refused, "plugin-too-large")
                .say("take another build of the plugin: one component needs one memory and few tables"),
            Self::OtherContract { wanted, offered, .. } => {
                Diagnosis::new(ErrorKind::Damaged, "other-contract").say(format!(
                    "use a build of the plugin for {offered}, or a host that implements {wanted}"
                ))
            }
            Self::UnknownImport { .. } => Diagnosis::new(ErrorKind::Damaged, "unknown-import"),
            Self::NoServiceManager { .. } => Diagnosis::new(ErrorKind::Damaged, "no-service-manager"),
            Self::Contract { .. } => Diagnosis::new(ErrorKind::Damaged, "contract-broken"),
        }
    }
}

/// Why a call got no answer. The change that the call was to make may or may not have happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The sandbox was not entered: the plugin has done nothing.
    #[error("the sandbox for the call could not be set up")]
    Setup(#[source] wasmtime::Error),
    /// No sandbox became free for the call in half of its time: the plugin has done nothing.
    #[error("no sandbox became free for the call within {0:?}")]
    NoSandbox(Duration),
    /// The plugin broke a rule of the sandbox, or aborted.
    #[error("the plugin crashed or broke a rule of the sandbox")]
    Trap(#[source] wasmtime::Error),
    /// The plugin ran out of its time on the processor.
    #[error("the plugin was stopped because it used more than {0:?} of processor time")]
    Busy(Duration),
    /// The plugin did not answer in time.
    #[error("the plugin was stopped because it did not answer within {0:?}")]
    Deadline(Duration),
    /// The plugin asked for more memory than a call may have.
    #[error("the plugin was stopped because it asked for more than {0} bytes of memory")]
    Memory(usize),
    /// The plugin called a function of the host with more than it takes.
    #[error("the plugin was stopped: {0}")]
    Limit(#[from] HostLimit),
    /// The plugin answered with something that can't be what it should be.
    #[error("the plugin's answer can't be taken: {0}")]
    Defect(#[from] PluginDefect),
}

impl CallError {
    /// Whether the call ended before the plugin was entered, so that no function of the plugin has run.
    pub fn is_not_entered(&self) -> bool {
        match self {
            Self::Setup(_) | Self::NoSandbox(_) => true,
            Self::Trap(_)
            | Self::Busy(_)
            | Self::Deadline(_)
            | Self::Memory(_)
            | Self::Limit(_)
            | Self::Defect(_) => false,
        }
    }
}

/// A call that got no answer: why, and the last lines that the plugin wrote in it.
#[derive(Debug)]
pub struct FailedCall {
    /// Why there is no answer.
    pub error: CallError,
    /// The plugin's last lines; none where it was not entered.
    pub last_words: LastWords,
}

impl fmt::Display for FailedCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.error, self.last_words)
    }
}

impl Error for FailedCall {
    /// The error's own cause: the error itself is this one's text.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl From<CallError> for FailedCall {
    /// A call whose plugin wrote nothing.
    fn from(error: CallError) -> Self {
        Self {
            error,
            last_words: LastWords::default(),
        }
    }
}

impl Diagnose for FailedCall {
    fn diagnosis(&self) -> Diagnosis {
        self.error.diagnosis()
    }
}

/// A part of a plugin's answer that can neither be taken as it is nor be cut. Its text is not quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginDefect {
    /// A name is too long to be one.
    #[error("a {what} has more than {chars_max} characters")]
    LongName {
        /// The thing that it names.
        what: &'static str,
        /// The most that it may have.
        chars_max: usize,
    },
    /// A name has characters that can't be seen, or that turn what is read.
    #[error("a {what} has control characters")]
    UnprintableName {
        /// The thing that it names.
        what: &'static str,
    },
    /// A list is too long.
    #[error("it has more than {most} {what}")]
    LongList {
        /// The things in it.
        what: &'static str,
        /// The most that it may have.
        most: usize,
    },
}

/// A limit of the host's functions that a plugin went beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostLimit {
    /// A call uses too many names of access tokens.
    #[error("it used more than {} names of access tokens", limits::ACCESS_TOKEN_NAMES)]
    AccessTokenNames,
    /// The name of an access token is too long.
    #[error(
        "a name of an access token had more than {} bytes",
        limits::ACCESS_TOKEN_NAME_BYTES
    )]
    AccessTokenName,
    /// An access token is too long.
    #[error("an access token had more than {} bytes", limits::ACCESS_TOKEN_BYTES)]
    AccessToken,
    /// A reading brings too many products.
    #[error("it handed over more than {} products", limits::PRODUCTS)]
    Products,
    /// The products of a reading take too much memory.
    #[error("it handed over products of more than {} bytes", limits::PRODUCT_BYTES)]
    ProductBytes,
    /// A product has too many attribute values.
    #[error(
        "it handed over a product with more than {} attribute values",
        limits::PRODUCT_VALUES
    )]
    ProductValues,
}

impl Diagnose for CallError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Setup(_) => Diagnosis::new(ErrorKind::Unavailable, "sandbox")
                .say("try again when the machine is less busy"),
            Self::NoSandbox(_) => Diagnosis::new(ErrorKind::Unavailable, "no-sandbox")
                .say("try again when fewer calls are under way, or make fewer at once"),
            Self::Trap(_) => {
                Diagnosis::new(ErrorKind::Unavailable, "plugin-broke-off").advise(Advice::ShowTraces)
            }
            Self::Busy(_) => Diagnosis::new(ErrorKind::Unavailable, "plugin-busy"),
            Self::Deadline(_) => Diagnosis::new(ErrorKind::Unavailable, "plugin-silent"),
            Self::Memory(_) => Diagnosis::new(ErrorKind::Unavailable, "plugin-memory"),
            Self::Defect(_) => {
                Diagnosis::new(ErrorKind::Unavailable, "plugin-defect").advise(Advice::ShowTraces)
            }
            Self::Limit(_) => {
                Diagnosis::new(ErrorKind::Unavailable, "plugin-limit").advise(Advice::ShowTraces)
            }
        }
    }
}
