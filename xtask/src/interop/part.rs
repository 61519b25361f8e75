//! A part of the tests against software that is not ours: what it needs, and how it gets that.

use anyhow::Result;

use crate::workspace::Workspace;

/// An environment variable for a part's tests.
pub(crate) type Variable = (&'static str, std::ffi::OsString);

/// A group of tests that need the same things.
pub(super) struct Part {
    /// The part's module below `tests/interop/`.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The programs that the part needs, each with the Debian package that brings it.
    pub(super) programs: &'static [(&'static str, &'static str)],
    /// Builds everything else that the part needs, and says in variables where it is.
    pub(super) prepare: fn(&Workspace) -> Result<Vec<Variable>>,
}
