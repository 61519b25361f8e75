//! Words by which enums are stored and shown.

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};

/// Error of a word that stands for none of an enum's cases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a value of {of}")]
pub struct UnknownWord {
    /// The word.
    pub word: String,
    /// The enum's name.
    pub of: &'static str,
}

impl Diagnose for UnknownWord {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "unknown-word")
    }
}

/// Gives an enum one word per case for the database, which must never change, and one for people.
macro_rules! stored_enum {
    ($name:ident { $($case:ident = $word:literal, $shown:literal;)* }) => {
        impl $name {
            /// Every case, in the order of the enum.
            pub const ALL: &'static [Self] = &[$(Self::$case),*];

            /// The word that stands for the case in the database.
            pub fn word(self) -> &'static str {
                match self { $(Self::$case => $word,)* }
            }

            /// The case for which a word stands.
            ///
            /// # Errors
            /// When the word stands for none.
            pub fn from_word(word: &str) -> Result<Self, $crate::words::UnknownWord> {
                match word {
                    $($word => Ok(Self::$case),)*
                    _ => Err($crate::words::UnknownWord {
                        word: word.to_owned(),
                        of: stringify!($name),
                    }),
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::from_word(word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(match self { $(Self::$case => $shown,)* })
            }
        }
    };
}

pub(crate) use stored_enum;
