//! A certificate and its private key, from two files in a folder that `--dir` opens to the guest.

use std::fs;

use rsa::RsaPrivateKey;
use rsa::pkcs1v15;
use rsa::pkcs8::DecodePrivateKey;
use rsa::pkcs8::der::pem;
use rsa::pss;
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::sha2::Sha256;
use rsa::signature::{RandomizedSigner, SignatureEncoding};

use super::Adapter;
use super::bindings::exports::bss::service_manager::certificate_store::{
    Guest, SignatureAlgorithm, SigningFailure,
};
use super::bindings::wasi::random::random;

/// The files that `bss-host simulator --plain-http-without-certificates` leaves, as the guest sees them.
const CERTIFICATE: &str = "/identity/certificate.pem";
const PRIVATE_KEY: &str = "/identity/private-key.pem";

impl Guest for Adapter {
    fn certificate() -> Option<Vec<u8>> {
        let text = fs::read(CERTIFICATE).ok()?;
        let (label, der) = pem::decode_vec(&text).ok()?;
        (label == "CERTIFICATE").then_some(der)
    }

    fn sign(algorithm: SignatureAlgorithm, message: Vec<u8>) -> Result<Vec<u8>, SigningFailure> {
        let text = fs::read_to_string(PRIVATE_KEY).map_err(|_error| SigningFailure::NoCertificate)?;
        let unusable = |error: &dyn std::fmt::Display| SigningFailure::Unusable(error.to_string());
        let key = RsaPrivateKey::from_pkcs8_pem(&text).map_err(|error| unusable(&error))?;
        match algorithm {
            SignatureAlgorithm::Ps256 => pss::SigningKey::<Sha256>::new(key)
                .try_sign_with_rng(&mut Wasi, &message)
                .map(|signature| signature.to_vec()),
            SignatureAlgorithm::Rs256 => pkcs1v15::SigningKey::<Sha256>::new(key)
                .try_sign_with_rng(&mut Wasi, &message)
                .map(|signature| signature.to_vec()),
        }
        .map_err(|error| unusable(&error))
    }
}

/// wasi:random, which is cryptographically secure.
struct Wasi;

impl RngCore for Wasi {
    fn next_u32(&mut self) -> u32 {
        rsa::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        random::get_random_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        rsa::rand_core::impls::fill_bytes_via_next(self, bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Wasi {}
