//! Signatures of what receivers are told, as Standard Webhooks 1.0.0 has them: HMAC-SHA256 (`v1`) and Ed25519 (`v1a`).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bss_model::{Secret, WebhookKeys};
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// The signatures of a message by each of several pairs of keys, as the header `webhook-signature` has them. Keys that can't be
/// read sign nothing.
pub(super) fn signatures(keys: &[WebhookKeys], id: &str, timestamp_s: i64, body: &str) -> String {
    let message = format!("{id}.{timestamp_s}.{body}");
    let mut signatures = Vec::new();
    for keys in keys {
        if let Some(secret) = decoded(&keys.secret, "whsec_") {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            let tag = hmac::sign(&key, message.as_bytes());
            signatures.push(format!("v1,{}", BASE64.encode(tag.as_ref())));
        }
        if let Some(pair) = key_pair(keys) {
            let signature = pair.sign(message.as_bytes());
            signatures.push(format!("v1a,{}", BASE64.encode(signature.as_ref())));
        }
    }
    signatures.join(" ")
}

/// The public key of a pair of keys: `whpk_` and 32 bytes in Base64.
pub(super) fn public_key(keys: &WebhookKeys) -> Option<String> {
    let pair = key_pair(keys)?;
    Some(format!("whpk_{}", BASE64.encode(pair.public_key().as_ref())))
}

fn key_pair(keys: &WebhookKeys) -> Option<Ed25519KeyPair> {
    let seed = decoded(&keys.signing_key, "whsk_")?;
    Ed25519KeyPair::from_seed_unchecked(&seed).ok()
}

fn decoded(key: &Secret, prefix: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = key.expose().strip_prefix(prefix)?;
    BASE64.decode(text.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn a_message_is_signed_as_the_specification_signs_its_example() {
        let keys = WebhookKeys {
            secret: Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            signing_key: Secret::new(format!("whsk_{}", BASE64.encode(&[7; 32]))),
        };
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "{\"test\": 2432232314}");
        let signed = signatures(std::slice::from_ref(&keys), id, 1_614_265_330, body);
        let (secret, signing) = signed.split_once(' ').unwrap();
        assert_eq!(secret, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");

        let public = public_key(&keys).unwrap();
        let public = BASE64
            .decode(public.strip_prefix("whpk_").unwrap().as_bytes())
            .unwrap();
        let signature = signing.strip_prefix("v1a,").unwrap();
        let signature = BASE64.decode(signature.as_bytes()).unwrap();
        let message = format!("{id}.1614265330.{body}");
        let key = UnparsedPublicKey::new(&ED25519, public);
        key.verify(message.as_bytes(), &signature).unwrap();
        assert!(key.verify(b"another message", &signature).is_err());
    }

    #[test]
    fn former_keys_sign_as_well_and_unreadable_ones_do_not() {
        let pair = |byte: u8| WebhookKeys {
            secret: Secret::new(format!("whsec_{}", BASE64.encode(&[byte; 32]))),
            signing_key: Secret::new(format!("whsk_{}", BASE64.encode(&[byte; 32]))),
        };
        let unreadable = WebhookKeys {
            secret: Secret::new("whsec_?"),
            signing_key: Secret::new("?"),
        };
        let of = |keys: &[WebhookKeys]| signatures(keys, "id", 1, "{}").split(' ').count();
        assert_eq!(of(&[pair(1), pair(2)]), 4);
        assert_eq!(of(&[pair(1), unreadable]), 2);
    }
}
