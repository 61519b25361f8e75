//! Passwords of operators: how long one is, and the Argon2id hash by which one is checked.

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use bss_model::{Diagnose, Diagnosis, ErrorKind, Secret};

/// The shortest password, in characters: the least of NIST SP 800-63B-4, section 3.1.1.2, where a password is all that is asked for.
const CHARS_MIN: usize = 15;

/// The longest password, in bytes: a longer one costs time and is no safer.
const BYTES_MAX: usize = 1_024;

/// Why a password was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The password is too short to be safe.
    #[error("a password has at least {CHARS_MIN} characters")]
    TooShort,
    /// The password is longer than any that is needed.
    #[error("a password has at most {BYTES_MAX} bytes")]
    TooLong,
    /// No hash could be made.
    #[error("no hash of the password could be made")]
    NotHashed,
}

impl Diagnose for PasswordError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::TooShort => Diagnosis::new(ErrorKind::Invalid, "password-too-short")
                .say("a few words that don't belong together are easy to remember"),
            Self::TooLong => Diagnosis::new(ErrorKind::Invalid, "password-too-long"),
            Self::NotHashed => Diagnosis::new(ErrorKind::Unavailable, "password-not-hashed").say("try again"),
        }
    }
}

/// The Argon2id hash of a password, with its salt and its costs, as a PHC string. Not printed: who has it can try passwords.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash of a password that is chosen now. Takes tens of milliseconds of a processor, and 19 MiB.
    ///
    /// # Errors
    /// When the password is too short or too long, and when there is no randomness or memory.
    pub fn of(password: &Secret) -> Result<Self, PasswordError> {
        let text = password.expose();
        if text.chars().count() < CHARS_MIN {
            return Err(PasswordError::TooShort);
        }
        if text.len() > BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        let hash = argon2().hash_password(text.as_bytes());
        let hash = hash.map_err(|_| PasswordError::NotHashed)?;
        Ok(Self(hash.to_string()))
    }

    /// The hash that a database has.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The text for a database.
    pub fn as_text(&self) -> &str {
        &self.0
    }

    /// Whether the hash is of a password. Takes as long as making it, also where the password can be nobody's.
    pub fn is_of(&self, password: &Secret) -> bool {
        match Phc::new(&self.0) {
            Ok(hash) if password.expose().len() <= BYTES_MAX => argon2()
                .verify_password(password.expose().as_bytes(), &hash)
                .is_ok(),
            _ => {
                Self::waste_time(password);
                false
            }
        }
    }

    /// Takes as long as [`PasswordHash::is_of`], for somebody who is no operator: how long an answer takes tells nothing.
    pub fn waste_time(password: &Secret) {
        let length = password.expose().len().min(BYTES_MAX);
        let mut hash = [0; 32];
        // Only the time counts.
        let _ = argon2().hash_password_into(
            &password.expose().as_bytes()[..length],
            b"nobody's salt",
            &mut hash,
        );
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash([elided])")
    }
}

/// Argon2id with the first of the costs that OWASP's Password Storage Cheat Sheet names: 19 MiB, twice, one lane.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "four words of a page";

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn a_hash_is_of_one_password_and_no_two_hashes_are_alike() {
        let hash = PasswordHash::of(&secret(PASSWORD)).unwrap();
        assert!(hash.as_text().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(hash.is_of(&secret(PASSWORD)));
        assert!(!hash.is_of(&secret("four words of a Page")));
        assert!(!hash.is_of(&secret("")));
        let again = PasswordHash::of(&secret(PASSWORD)).unwrap();
        assert_ne!(again.as_text(), hash.as_text());
        assert!(PasswordHash::from_text(again.as_text().to_owned()).is_of(&secret(PASSWORD)));
        assert!(!PasswordHash::from_text("odd".to_owned()).is_of(&secret("odd")));
        assert_eq!(format!("{hash:?}"), "PasswordHash([elided])");
        PasswordHash::waste_time(&secret(&"a".repeat(2_000)));
    }

    #[test]
    fn a_password_has_fifteen_characters_in_any_script_and_is_not_endless() {
        assert!(PasswordHash::of(&secret(&"ö".repeat(15))).is_ok());
        let code = |text: &str| PasswordHash::of(&secret(text)).unwrap_err().diagnosis().code;
        assert_eq!(code(&"ö".repeat(14)), "password-too-short");
        assert_eq!(code(&"a".repeat(1_025)), "password-too-long");
    }
}
