//! Key derivation and decryption of PFX files, with a limit on all of it together.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac, pbkdf2};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use der::asn1::{ObjectIdentifier, OctetStringRef, UintRef};
use der::{Choice, DecodeValue, Sequence};
use des::{TdesEde2, TdesEde3};
use rc2::Rc2;
use zeroize::Zeroizing;

use super::code::Spelling;
use super::error::{PfxError, unsupported};
use super::limits::ITERATIONS_MAX;
use super::structure::{Algorithm, MacData};

/// The most rounds of a hash for one file, about two seconds: MAC, certificates and key at 600,000 iterations
/// each, where the oldest algorithm takes three derivations for one key and its initialization vector.
const ROUNDS_MAX: u64 = 6_000_000;

const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA224: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const TRIPLE_DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
const TRIPLE_DES_2_KEYS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.4");
const RC2_128: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.5");
const RC2_40: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.6");
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBMAC1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.14");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.7");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const HMAC_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.10");
const HMAC_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.11");
const AES_128_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.2");
const AES_192_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.22");
const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
const DES_EDE3_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.3.7");
const RC2_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.3.2");

/// The shortest and the longest key of a PBMAC1, in bytes. A short one is guessed instead of the code (RFC 9579, section 9);
/// OpenSSL draws the line at the same lengths.
const PBMAC1_KEY_BYTES: std::ops::RangeInclusive<u16> = 20..=64;

/// The purpose of a derived key (RFC 7292, B.3).
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    InitializationVector = 2,
    Mac = 3,
}

#[derive(Sequence)]
struct Pbes1Parameters<'a> {
    salt: &'a OctetStringRef,
    iterations: UintRef<'a>,
}

#[derive(Sequence)]
struct Pbes2Parameters<'a> {
    key_derivation: Algorithm<'a>,
    encryption: Algorithm<'a>,
}

#[derive(Sequence)]
struct Pbkdf2Parameters<'a> {
    salt: &'a OctetStringRef,
    iterations: UintRef<'a>,
    key_bytes: Option<u16>,
    pseudo_random_function: Option<Algorithm<'a>>,
}

/// RFC 8018, A.5.
#[derive(Sequence)]
struct Pbmac1Parameters<'a> {
    key_derivation: Algorithm<'a>,
    authentication: Algorithm<'a>,
}

/// RFC 8018, B.2.3. The version stands for the effective bits of the key.
#[derive(Sequence)]
struct Rc2Parameters<'a> {
    version: Option<u16>,
    iv: &'a OctetStringRef,
}

/// The key derivations that one file may still cause.
pub(super) struct Budget {
    rounds_left: u64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            rounds_left: ROUNDS_MAX,
        }
    }

    /// Takes a key derivation's rounds from those that are left, before it starts.
    fn pay(&mut self, iterations: u64, blocks: u64) -> Result<(), PfxError> {
        if iterations > ITERATIONS_MAX {
            return Err(PfxError::TooManyIterations { iterations });
        }
        self.rounds_left = self
            .rounds_left
            .checked_sub(iterations.saturating_mul(blocks))
            .ok_or(PfxError::TooMuchWork)?;
        Ok(())
    }
}

/// The code of one file in one spelling, and how much work it may still cause.
pub(super) struct Work<'a> {
    spelling: &'a Spelling,
    budget: &'a mut Budget,
}

impl<'a> Work<'a> {
    pub(super) fn new(spelling: &'a Spelling, budget: &'a mut Budget) -> Self {
        Self { spelling, budget }
    }

    /// Checks that the code is right and that the file was not altered (RFC 7292, section 4; RFC 9579).
    pub(super) fn verify_mac(&mut self, mac: &MacData<'_>, data: &[u8]) -> Result<(), PfxError> {
        let (digest, hmac) = match mac.mac.algorithm.oid {
            PBMAC1 => return self.verify_pbmac1(mac, data),
            SHA1 => (
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            ),
            SHA224 => (&digest::SHA224, hmac::HMAC_SHA224),
            SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
            SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
            SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
            other => return Err(unsupported("MAC", other)),
        };
        let iterations = mac.iterations.map_or(1, |count| integer(&count));
        let salt = mac.salt.as_bytes();
        let key = self.derive_pkcs12(digest, Purpose::Mac, salt, iterations, digest.output_len())?;
        verify_hmac(hmac, &key, mac, data)
    }

    /// Checks a PBMAC1, whose salt and iterations stand in its parameters and not in the file's `MacData`.
    fn verify_pbmac1(&mut self, mac: &MacData<'_>, data: &[u8]) -> Result<(), PfxError> {
        let parameters: Pbmac1Parameters<'_> = parameter(&mac.mac.algorithm)?;
        let hmac = match parameters.authentication.oid {
            HMAC_SHA1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            HMAC_SHA256 => hmac::HMAC_SHA256,
            HMAC_SHA384 => hmac::HMAC_SHA384,
            HMAC_SHA512 => hmac::HMAC_SHA512,
            other => return Err(unsupported("MAC", other)),
        };
        if parameters.key_derivation.oid != PBKDF2 {
            return Err(unsupported("MAC", parameters.key_derivation.oid));
        }
        let derivation: Pbkdf2Parameters<'_> = parameter(&parameters.key_derivation)?;
        // The length must be there (RFC 9579, section 4): it depends on nothing else.
        let key_bytes = derivation
            .key_bytes
            .filter(|bytes| PBMAC1_KEY_BYTES.contains(bytes));
        let key_bytes = key_bytes.ok_or(PfxError::Damaged)?;
        let key = self.derive_pbkdf2(&derivation, usize::from(key_bytes))?;
        verify_hmac(hmac, &key, mac, data)
    }

    /// Decrypts a key, or a list of bags.
    pub(super) fn decrypt(
        &mut self,
        algorithm: &Algorithm<'_>,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, PfxError> {
        match algorithm.oid {
            PBES2 => self.decrypt_pbes2(&parameter(algorithm)?, encrypted),
            TRIPLE_DES => self.decrypt_pbes1::<TdesEde3>(24, &parameter(algorithm)?, encrypted),
            TRIPLE_DES_2_KEYS => self.decrypt_pbes1::<TdesEde2>(16, &parameter(algorithm)?, encrypted),
            RC2_128 => self.decrypt_pbes1::<Rc2>(16, &parameter(algorithm)?, encrypted),
            RC2_40 => self.decrypt_pbes1::<Rc2>(5, &parameter(algorithm)?, encrypted),
            other => Err(unsupported("encryption", other)),
        }
    }

    fn decrypt_pbes1<C: BlockCipherDecrypt + KeyInit>(
        &mut self,
        key_bytes: usize,
        parameters: &Pbes1Parameters<'_>,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, PfxError> {
        let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
        let salt = parameters.salt.as_bytes();
        let iterations = integer(&parameters.iterations);
        let key = self.derive_pkcs12(sha1, Purpose::Key, salt, iterations, key_bytes)?;
        let iv = self.derive_pkcs12(sha1, Purpose::InitializationVector, salt, iterations, 8)?;
        decrypt_cbc(
            C::new_from_slice(&key).map_err(|_| PfxError::NotDecrypted)?,
            &iv,
            encrypted,
        )
    }

    /// Decrypts with PBES2 (RFC 8018, section 6.2).
    fn decrypt_pbes2(
        &mut self,
        parameters: &Pbes2Parameters<'_>,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, PfxError> {
        let encryption = &parameters.encryption;
        let cipher = match encryption.oid {
            AES_128_CBC => &AES_128,
            AES_192_CBC => &AES_192,
            AES_256_CBC => &AES_256,
            DES_EDE3_CBC => {
                let key = self.derive_cipher_key(&parameters.key_derivation, 24)?;
                let iv: &OctetStringRef = parameter(encryption)?;
                let cipher = TdesEde3::new_from_slice(&key).map_err(|_| PfxError::NotDecrypted)?;
                return decrypt_cbc(cipher, iv.as_bytes(), encrypted);
            }
            RC2_CBC => return self.decrypt_rc2(parameters, encrypted),
            other => return Err(unsupported("encryption", other)),
        };
        let key = self.derive_cipher_key(&parameters.key_derivation, cipher_key_bytes(cipher))?;
        let iv: &OctetStringRef = parameter(encryption)?;
        let iv: [u8; 16] = iv.as_bytes().try_into().map_err(|_| PfxError::NotDecrypted)?;
        let decrypt = |buffer: &mut Vec<u8>| {
            let key = UnboundCipherKey::new(cipher, &key)?;
            let key = PaddedBlockDecryptingKey::cbc_pkcs7(key)?;
            let context = DecryptionContext::Iv128(FixedLength::from(iv));
            key.decrypt(buffer, context).map(|plaintext| plaintext.len())
        };
        let mut buffer = Zeroizing::new(encrypted.to_vec());
        let bytes = decrypt(&mut buffer).map_err(|_| PfxError::NotDecrypted)?;
        buffer.truncate(bytes);
        Ok(buffer)
    }

    /// Decrypts with PBES2 and RC2, whose key has as many bytes as the key derivation says, or 16.
    fn decrypt_rc2(
        &mut self,
        parameters: &Pbes2Parameters<'_>,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, PfxError> {
        let rc2: Rc2Parameters<'_> = parameter(&parameters.encryption)?;
        let effective_bits = match rc2.version {
            None => 32,
            Some(160) => 40,
            Some(120) => 64,
            Some(58) => 128,
            Some(bits @ 256..=1024) => usize::from(bits),
            Some(_) => return Err(unsupported("encryption", RC2_CBC)),
        };
        let derivation = pbkdf2_parameters(&parameters.key_derivation)?;
        let key_bytes = match derivation.key_bytes {
            None => 16,
            Some(bytes @ 1..=128) => usize::from(bytes),
            Some(_) => return Err(unsupported("encryption", RC2_CBC)),
        };
        let key = self.derive_pbkdf2(&derivation, key_bytes)?;
        let cipher = Rc2::new_with_eff_key_len(&key, effective_bits);
        decrypt_cbc(cipher, rc2.iv.as_bytes(), encrypted)
    }

    /// The key of a cipher that takes keys of one length.
    fn derive_cipher_key(
        &mut self,
        algorithm: &Algorithm<'_>,
        key_bytes: usize,
    ) -> Result<Zeroizing<Vec<u8>>, PfxError> {
        let parameters = pbkdf2_parameters(algorithm)?;
        match parameters.key_bytes {
            Some(bytes) if usize::from(bytes) != key_bytes => Err(PfxError::NotDecrypted),
            _ => self.derive_pbkdf2(&parameters, key_bytes),
        }
    }

    fn derive_pbkdf2(
        &mut self,
        parameters: &Pbkdf2Parameters<'_>,
        key_bytes: usize,
    ) -> Result<Zeroizing<Vec<u8>>, PfxError> {
        let function = match parameters.pseudo_random_function.map_or(HMAC_SHA1, |f| f.oid) {
            HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
            HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
            HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
            HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
            other => return Err(unsupported("key derivation", other)),
        };
        let iterations = integer(&parameters.iterations);
        // As if each were SHA-1, which gives the fewest bytes at a time.
        self.budget.pay(iterations, key_bytes.div_ceil(20) as u64)?;
        let iterations = u32::try_from(iterations).ok().and_then(NonZeroU32::new);
        let iterations = iterations.ok_or(PfxError::Damaged)?;
        let mut key = Zeroizing::new(vec![0; key_bytes]);
        pbkdf2::derive(
            function,
            iterations,
            parameters.salt.as_bytes(),
            &self.spelling.pbes2,
            &mut key,
        );
        Ok(key)
    }

    /// The key derivation of PKCS #12 itself (RFC 7292, B.2).
    fn derive_pkcs12(
        &mut self,
        algorithm: &'static digest::Algorithm,
        purpose: Purpose,
        salt: &[u8],
        iterations: u64,
        bytes: usize,
    ) -> Result<Zeroizing<Vec<u8>>, PfxError> {
        self.budget
            .pay(iterations, bytes.div_ceil(algorithm.output_len()) as u64)?;
        let block_bytes = algorithm.block_len();
        let diversifier = vec![purpose as u8; block_bytes];
        let mut input = Zeroizing::new(repeated(salt, block_bytes));
        input.extend_from_slice(&Zeroizing::new(repeated(&self.spelling.pkcs12, block_bytes)));

        let mut output = Zeroizing::new(Vec::with_capacity(bytes + algorithm.output_len()));
        while output.len() < bytes {
            let mut context = digest::Context::new(algorithm);
            context.update(&diversifier);
            context.update(&input);
            let mut hash = context.finish();
            for _ in 1..iterations {
                hash = digest::digest(algorithm, hash.as_ref());
            }
            output.extend_from_slice(hash.as_ref());
            let increment = repeated_to(hash.as_ref(), block_bytes);
            for block in input.chunks_mut(block_bytes) {
                add_one_and(block, &increment);
            }
        }
        output.truncate(bytes);
        Ok(output)
    }
}

fn verify_hmac(hmac: hmac::Algorithm, key: &[u8], mac: &MacData<'_>, data: &[u8]) -> Result<(), PfxError> {
    let expected = mac.mac.digest.as_bytes();
    hmac::verify(&hmac::Key::new(hmac, key), data, expected).map_err(|_| PfxError::WrongCode)
}

fn pbkdf2_parameters<'a>(algorithm: &Algorithm<'a>) -> Result<Pbkdf2Parameters<'a>, PfxError> {
    match algorithm.oid {
        PBKDF2 => parameter(algorithm),
        other => Err(unsupported("key derivation", other)),
    }
}

fn decrypt_cbc<C: BlockCipherDecrypt>(
    cipher: C,
    iv: &[u8],
    encrypted: &[u8],
) -> Result<Zeroizing<Vec<u8>>, PfxError> {
    let cipher = cbc::Decryptor::<C>::inner_iv_slice_init(cipher, iv).map_err(|_| PfxError::NotDecrypted)?;
    let mut buffer = Zeroizing::new(encrypted.to_vec());
    let plaintext = cipher
        .decrypt_padded::<Pkcs7>(&mut buffer)
        .map_err(|_| PfxError::NotDecrypted)?;
    let bytes = plaintext.len();
    buffer.truncate(bytes);
    Ok(buffer)
}

fn cipher_key_bytes(cipher: &'static aws_lc_rs::cipher::Algorithm) -> usize {
    if cipher == &AES_128 {
        16
    } else if cipher == &AES_192 {
        24
    } else {
        32
    }
}

fn parameter<'a, T>(algorithm: &Algorithm<'a>) -> Result<T, PfxError>
where
    T: Choice<'a> + DecodeValue<'a, Error = der::Error>,
{
    match algorithm.parameters {
        Some(parameters) => Ok(parameters.decode_as()?),
        None => Err(PfxError::Damaged),
    }
}

/// A count of iterations. A count of more than 64 bits becomes `u64::MAX`, which is refused.
fn integer(count: &UintRef<'_>) -> u64 {
    let bytes = count.as_bytes();
    if bytes.len() > 8 {
        return u64::MAX;
    }
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Repeats `bytes` up to the next multiple of a block; empty when `bytes` is.
fn repeated(bytes: &[u8], block_bytes: usize) -> Vec<u8> {
    repeated_to(bytes, bytes.len().next_multiple_of(block_bytes))
}

fn repeated_to(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.iter().copied().cycle().take(length).collect()
}

/// `block = block + increment + 1`, as numbers with the high byte first; what overflows is lost.
fn add_one_and(block: &mut [u8], increment: &[u8]) {
    let mut carry = 1;
    for (byte, increment) in block.iter_mut().zip(increment).rev() {
        let sum = u16::from(*byte) + u16::from(*increment) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
}
