//! Owners: whose an instance or a certificate is, where one host serves many tenants.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};
use crate::text::takes_no_place;

/// The most characters of an owner's name: enough for a UUID, an address or a name of any platform's.
const OWNER_CHARS_MAX: usize = 100;

/// The owner of instances and certificates, by the name that the embedder has for a tenant. Tenants see nothing of each
/// other; what has no owner is the operator's own.
///
/// ```
/// use bss_model::Owner;
///
/// let owner: Owner = "reseller-7".parse().unwrap();
/// assert_eq!(owner.as_str(), "reseller-7");
/// assert!("".parse::<Owner>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Owner(String);

/// Error of a text that can't be the name of an owner.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{text}` can't be the name of an owner: it has 1 to {OWNER_CHARS_MAX} characters, all of them visible, and no blanks around it"
)]
pub struct NotAnOwner {
    /// The text that was given, shortened.
    text: String,
}

impl Diagnose for NotAnOwner {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "invalid-owner")
    }
}

impl Owner {
    /// The name, as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        owner.0
    }
}

impl TryFrom<String> for Owner {
    type Error = NotAnOwner;

    fn try_from(text: String) -> Result<Self, NotAnOwner> {
        text.parse()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl FromStr for Owner {
    type Err = NotAnOwner;

    /// Takes a name as it is, to the letter: `A` and `a` are two owners.
    fn from_str(text: &str) -> Result<Self, NotAnOwner> {
        let chars = text.chars().count();
        let is_hidden = |character: char| character.is_control() || takes_no_place(character);
        match (1..=OWNER_CHARS_MAX).contains(&chars) && text.trim() == text && !text.chars().any(is_hidden) {
            true => Ok(Self(text.to_owned())),
            false => Err(NotAnOwner {
                text: text
                    .chars()
                    .take(OWNER_CHARS_MAX)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_a_name_that_can_be_seen() {
        for name in [
            "a",
            "reseller-7",
            "Händler & Söhne",
            "東京",
            &"x".repeat(OWNER_CHARS_MAX),
        ] {
            assert_eq!(
                name.parse::<Owner>().map(|owner| owner.to_string()),
                Ok(name.to_owned())
            );
        }
        for name in [
            "",
            " ",
            " a",
            "a ",
            "a\nb",
            "a\0",
            "a\u{200b}b",
            "a\u{1f}",
            &"x".repeat(OWNER_CHARS_MAX + 1),
        ] {
            let error = name.parse::<Owner>().expect_err("it is no name");
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
    }

    #[test]
    fn two_spellings_are_two_owners() {
        assert_ne!("A".parse::<Owner>(), "a".parse());
    }
}
