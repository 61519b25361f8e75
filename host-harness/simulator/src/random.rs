//! Random values that Microsoft makes up: product keys, access tokens, channel ids.

use aws_lc_rs::rand;
use bss_model::Secret;
use data_encoding::{BASE64, BASE64URL_NOPAD};

/// The letters of Microsoft's product keys: without those that are read as others, and without vowels, which make
/// words.
const PRODUCT_KEY_LETTERS: &[u8; 24] = b"BCDFGHJKMPQRTVWXY2346789";

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system provided no random bytes")]
pub struct NoRandomness;

fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// A random (version 4) UUID.
pub(super) fn uuid() -> Result<uuid::Uuid, NoRandomness> {
    Ok(uuid::Builder::from_random_bytes(bytes::<16>()?).into_uuid())
}

/// A product key: five groups of five letters.
pub(super) fn product_key() -> Result<Secret, NoRandomness> {
    let mut key = String::with_capacity(29);
    let mut letters = 0;
    while letters < 25 {
        for byte in bytes::<32>()? {
            // 240 is the largest multiple of 24 in a byte: below it every letter is as likely as the next.
            if letters == 25 || byte >= 240 {
                continue;
            }
            if letters > 0 && letters % 5 == 0 {
                key.push('-');
            }
            let letter = PRODUCT_KEY_LETTERS
                .get(usize::from(byte % 24))
                .copied()
                .unwrap_or(b'B');
            key.push(char::from(letter));
            letters += 1;
        }
    }
    Ok(Secret::new(key))
}

/// An access token of 256 random bits, opaque as Entra asks its clients to treat its access tokens.
pub(super) fn access_token() -> Result<Secret, NoRandomness> {
    Ok(Secret::new(BASE64URL_NOPAD.encode(&bytes::<32>()?)))
}

/// A value for the `token` parameter of an activation link.
pub(super) fn activation_code() -> Result<Secret, NoRandomness> {
    Ok(Secret::new(BASE64.encode(&bytes::<24>()?)))
}

/// A channel id of ten digits, as a Bill To account has.
pub(super) fn channel_id() -> Result<String, NoRandomness> {
    Ok(format!(
        "{:010}",
        u64::from_be_bytes(bytes::<8>()?) % 10_000_000_000
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_key_is_five_groups_of_five() {
        let key = product_key().unwrap();
        let groups: Vec<&str> = key.expose().split('-').collect();
        assert_eq!(groups.len(), 5, "{} groups", groups.len());
        let letters =
            |group: &str| group.len() == 5 && group.bytes().all(|byte| PRODUCT_KEY_LETTERS.contains(&byte));
        assert!(groups.iter().all(|group| letters(group)));
        assert_ne!(key, product_key().unwrap());
    }
}
