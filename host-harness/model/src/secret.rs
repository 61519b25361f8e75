//! Texts that must not show by accident.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text, such as a product key, an activation link or an access token: wiped when dropped, and shown only on
/// request.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with all but its last group hidden: `*****-*****-*****-*****-ABCDE`. A text that is not made of
    /// groups of equal length, as a product key is, is hidden completely, and so is its length.
    pub fn masked(&self) -> String {
        let groups: Vec<&str> = self.0.split('-').collect();
        match groups.as_slice() {
            [hidden @ .., shown]
                if !hidden.is_empty()
                    && !shown.is_empty()
                    && groups.iter().all(|group| group.len() == shown.len())
                    && shown.chars().all(|c| c.is_ascii_alphanumeric()) =>
            {
                let stars = format!("{}-", "*".repeat(shown.len()));
                stars.repeat(hidden.len()) + shown
            }
            _ => "*****".to_owned(),
        }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        formatter.write_str("Secret([elided])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_key_shows_its_last_group_only() {
        let key = Secret::new("AAAAA-BBBBB-CCCCC-DDDDD-EEEEE");
        assert_eq!(key.masked(), "*****-*****-*****-*****-EEEEE");
        assert_eq!(format!("{key:?}"), "Secret([elided])");
        assert_eq!(key.expose(), "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE");
    }

    #[test]
    fn anything_else_shows_nothing() {
        for text in [
            "",
            "secret",
            "https://example.test/activate/a?b",
            "-",
            "a-",
            "-a",
            "a-bcdefg",
            "https://a.test/?token=1-22",
        ] {
            assert_eq!(Secret::new(text).masked(), "*****", "{text}");
        }
    }
}
