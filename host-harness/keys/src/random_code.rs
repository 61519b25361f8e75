//! Codes that nobody can guess: what a browser shows for its session, and what an invitation has in its link.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use bss_model::{Diagnose, Diagnosis, ErrorKind, Secret};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

/// The bytes of a code. Nobody guesses 256 bits, so a digest that is quick to make is enough.
const BYTES: usize = 32;

/// Error of a code that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("there is no randomness for a code")]
pub struct CodeNotMade;

impl Diagnose for CodeNotMade {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Unavailable, "code-not-made").say("try again")
    }
}

/// Makes a code: 256 random bits in letters, digits, `-` and `_`.
///
/// # Errors
/// When there is no randomness.
pub fn random_code() -> Result<Secret, CodeNotMade> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| CodeNotMade)?;
    Ok(Secret::new(BASE64URL_NOPAD.encode(&*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_codes_are_alike_and_a_code_stands_in_an_address_as_it_is() {
        let (one, other) = (random_code().unwrap(), random_code().unwrap());
        assert_ne!(one.expose(), other.expose());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(one.expose().len() == 43 && one.expose().bytes().all(is_plain));
    }
}
