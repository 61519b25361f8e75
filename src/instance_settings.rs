//! The settings of an instance: the form that an operator fills in, judged all at once, and what the
//! other calls read of it, parsed once. The shapes are those of `wit/instance-settings.wit`.

mod fields;
mod form;
mod places;
mod settings;
mod uniqueness;
mod values;

pub use bss_plugin::{
    Authority, Choice, Draft, Field, FieldKind, FieldRole, FieldValue, Form, InstalledCertificate, Instance,
    KeyKind, OtherInstance, Standing,
};
pub use form::configure_instance;
pub use settings::Settings;

pub(crate) use places::is_country;
pub(crate) use values::guid;
