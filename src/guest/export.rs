//! Exports the plugin as the component.
#![expect(unsafe_code, reason = "generated code")]

use super::Plugin;
use super::bindings::{self, export};

export!(Plugin with_types_in bindings);
