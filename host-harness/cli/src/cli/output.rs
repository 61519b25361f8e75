//! Lines of results on the standard output, and of what goes on beside them on the standard error.

use std::io::Write as _;

/// Writes a line of results to the standard output.
pub(super) fn line(text: impl AsRef<str>) {
    // A reader that has had enough closes the pipe; that is no failure of this program.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
}

/// Writes a line about what is going on to the standard error.
pub(super) fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}
