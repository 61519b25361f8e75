//! Names by which the spans of calls are found.

/// The target of every span of a call.
pub const TARGET: &str = "bss::call";

/// The field of a call's last words, which are longer than other texts.
pub(crate) const LAST_WORDS: &str = "last_words";
