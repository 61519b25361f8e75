//! Why a call brought no answer of the plugin's.

use std::time::Duration;

/// Why a plugin can't be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The engine can't be set up on this machine.
    #[error("the sandbox can't be set up")]
    Engine(#[source] wasmtime::Error),
    /// The file can't be read.
    #[error("plugin `{path}` can't be read; hint: build it with `cargo xtask build`, or name it with --plugin")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is no component.
    #[error("plugin `{path}` is not a WebAssembly component")]
    NotAComponent {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: wasmtime::Error,
    },
    /// The component asks for something that this host does not offer, or lacks what every plugin must have.
    #[error("plugin `{path}` does not fit this host, which speaks bss:service-manager@0.1.0")]
    Contract {
        /// The file.
        path: String,
        /// What is missing.
        #[source]
        source: wasmtime::Error,
    },
}

/// Why a call brought no answer. What the call was about to change may or may not have happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The sandbox was not entered: the plugin has done nothing.
    #[error("the sandbox could not be set up")]
    Setup(#[source] wasmtime::Error),
    /// The plugin broke a rule of the sandbox or gave itself up.
    #[error("the plugin broke off; hint: this is a defect of the plugin, `-v` shows what it wrote last")]
    Trap(#[source] wasmtime::Error),
    /// The plugin ran out of its time on the processor.
    #[error("the plugin was stopped: it was busy for more than {0:?}, which looks like a loop without end")]
    Busy(Duration),
    /// The plugin did not answer in time.
    #[error("the plugin was stopped: it had no answer after {0:?}")]
    Deadline(Duration),
    /// The plugin asked for more memory than a call may have.
    #[error("the plugin was stopped: it asked for more than {0} bytes of memory")]
    Memory(usize),
}
