//! Hints: the last line of an error, which says what to do about it.

use std::fmt::Display;

use anyhow::{Result, anyhow};

/// A result whose error can get a hint.
pub(crate) trait Hint<T> {
    /// Adds a hint below the error and all its causes, where a context would come before them.
    ///
    /// # Errors
    /// The error, with the hint.
    fn hint(self, hint: impl Display) -> Result<T>;
}

impl<T> Hint<T> for Result<T> {
    fn hint(self, hint: impl Display) -> Result<T> {
        self.map_err(|error| anyhow!("{error:#}\nhint: {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_hint_is_the_last_line_behind_every_cause() {
        let failed: Result<()> = Err(anyhow!("the cause")).context("the file can't be read");
        let error = failed
            .hint("run it again")
            .context("the step failed")
            .unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "the step failed: the file can't be read: the cause\nhint: run it again"
        );
    }
}
