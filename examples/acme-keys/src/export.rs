//! Exports the plugin as the component.
#![expect(unsafe_code, reason = "generated code")]

use crate::Plugin;
use crate::bindings::{self, export};

export!(Plugin with_types_in bindings);
