//! PFX files that no program at hand makes: a small writer, and OpenSSL's files in the BER of other programs.

use aws_lc_rs::{hmac, pbkdf2};
use rcgen::KeyPair;

const DATA: &str = "1.2.840.113549.1.7.1";
const X509_CERTIFICATE: &str = "1.2.840.113549.1.9.22.1";
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";

/// A value of DER.
pub(crate) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut written = vec![tag];
    match content.len() {
        short @ 0..0x80 => written.push(short as u8),
        long => {
            written.push(0x83);
            written.extend(&(long as u32).to_be_bytes()[1..]);
        }
    }
    [written, content.to_vec()].concat()
}

pub(crate) fn sequence(members: &[&[u8]]) -> Vec<u8> {
    value(0x30, &members.concat())
}

pub(crate) fn octets(content: &[u8]) -> Vec<u8> {
    value(0x04, content)
}

pub(crate) fn integer(content: &[u8]) -> Vec<u8> {
    value(0x02, content)
}

fn number(number: u32) -> Vec<u8> {
    integer(
        &[&[0], &number.to_be_bytes()[1..]]
            .concat()
            .into_iter()
            .skip_while(|byte| *byte == 0)
            .collect::<Vec<_>>(),
    )
}

pub(crate) fn oid(text: &str) -> Vec<u8> {
    let arcs: Vec<u32> = text.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut content = vec![(40 * arcs[0] + arcs[1]) as u8];
    for arc in &arcs[2..] {
        let digits = (0..5).rev().map(|digit| (arc >> (7 * digit)) as u8 & 0x7f);
        let digits: Vec<u8> = digits.skip_while(|digit| *digit == 0).collect();
        let (last, before) = digits.split_last().unwrap_or((&0, &[]));
        content.extend(before.iter().map(|digit| digit | 0x80));
        content.push(*last);
    }
    value(0x06, &content)
}

pub(crate) fn bag(kind: &str, content: &[u8]) -> Vec<u8> {
    sequence(&[&oid(kind), &value(0xa0, content)])
}

/// A private key in clear.
pub(crate) fn key_bag(pkcs8: &[u8]) -> Vec<u8> {
    bag("1.2.840.113549.1.12.10.1.1", pkcs8)
}

pub(crate) fn certificate_bag(der: &[u8]) -> Vec<u8> {
    other_certificate_bag(X509_CERTIFICATE, der)
}

pub(crate) fn other_certificate_bag(kind: &str, content: &[u8]) -> Vec<u8> {
    let content = sequence(&[&oid(kind), &value(0xa0, &octets(content))]);
    bag("1.2.840.113549.1.12.10.1.3", &content)
}

/// The part of a file that its MAC protects, with its bags in clear.
pub(crate) fn auth_safe(bags: &[Vec<u8>]) -> Vec<u8> {
    let bags = octets(&value(0x30, &bags.concat()));
    sequence(&[&sequence(&[&oid(DATA), &value(0xa0, &bags)])])
}

/// A PBMAC1 as its parameters say it (RFC 9579).
pub(crate) struct Pbmac1 {
    pub(crate) iterations: u32,
    pub(crate) key_bytes: Option<usize>,
    pub(crate) salt: Vec<u8>,
}

impl Default for Pbmac1 {
    fn default() -> Self {
        Self {
            iterations: 2048,
            key_bytes: Some(32),
            salt: b"a salt 4".to_vec(),
        }
    }
}

impl Pbmac1 {
    /// The MAC of a part, made with these parameters, which are told as `told`.
    pub(crate) fn mac(&self, told: &Self, code: &str, auth_safe: &[u8]) -> Vec<u8> {
        let hmac_sha256 = sequence(&[&oid("1.2.840.113549.2.9"), &[0x05, 0]]);
        let mut key = vec![0; self.key_bytes.unwrap_or(32)];
        let iterations = self.iterations.try_into().unwrap();
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            &self.salt,
            code.as_bytes(),
            &mut key,
        );
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), auth_safe);
        let key_bytes = told
            .key_bytes
            .map(|bytes| number(bytes as u32))
            .unwrap_or_default();
        let derivation = sequence(&[
            &octets(&told.salt),
            &number(told.iterations),
            &key_bytes,
            &hmac_sha256,
        ]);
        let derivation = sequence(&[&oid("1.2.840.113549.1.5.12"), &derivation]);
        let algorithm = sequence(&[
            &oid("1.2.840.113549.1.5.14"),
            &sequence(&[&derivation, &hmac_sha256]),
        ]);
        // Salt and iterations of the older MAC stand there without meaning.
        sequence(&[
            &sequence(&[&algorithm, &octets(tag.as_ref())]),
            &octets(b"NOT USED"),
            &number(1),
        ])
    }
}

/// A file of a part and its MAC.
pub(crate) fn file(auth_safe: &[u8], mac: &[u8]) -> Vec<u8> {
    let content = sequence(&[&oid(DATA), &value(0xa0, &octets(auth_safe))]);
    sequence(&[&number(3), &content, mac])
}

/// A file of bags in clear with a PBMAC1.
pub(crate) fn pfx(bags: &[Vec<u8>], code: &str) -> Vec<u8> {
    let auth_safe = auth_safe(bags);
    let mac = Pbmac1::default();
    file(&auth_safe, &mac.mac(&mac, code, &auth_safe))
}

/// The members of a constructed value: whole values of DER.
pub(crate) fn members(der: &[u8]) -> Vec<&[u8]> {
    let mut rest = content(der);
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (member, left) = rest.split_at(whole(rest));
        members.push(member);
        rest = left;
    }
    members
}

/// The length of a header, and of its content.
fn header(der: &[u8]) -> (usize, usize) {
    match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let octets = usize::from(long & 0x7f);
            let length = der[2..2 + octets]
                .iter()
                .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            (2 + octets, length)
        }
    }
}

fn whole(der: &[u8]) -> usize {
    let (header, content) = header(der);
    header + content
}

pub(crate) fn content(der: &[u8]) -> &[u8] {
    let (header, content) = header(der);
    &der[header..header + content]
}

/// Indefinite lengths, and octet strings in chunks of so many bytes, in everything down to a depth. Chunks of context tags too,
/// where an encrypted content is.
pub(crate) fn ber(der: &[u8], depth: usize, chunk: usize) -> Vec<u8> {
    let (tag, content) = (der[0], content(der));
    let chunks = || content.chunks(chunk).flat_map(octets).collect::<Vec<_>>();
    let indefinite = |tag: u8, content: Vec<u8>| [&[tag, 0x80][..], &content, &[0, 0]].concat();
    match tag {
        _ if depth == 0 => der.to_vec(),
        0x04 if content.len() > chunk => indefinite(0x24, chunks()),
        0x80 if content.len() > chunk => indefinite(0xa0, chunks()),
        _ if tag & 0x20 == 0 => der.to_vec(),
        _ => {
            let members = members(der);
            indefinite(
                tag,
                members
                    .iter()
                    .flat_map(|member| ber(member, depth - 1, chunk))
                    .collect(),
            )
        }
    }
}

/// A file of OpenSSL's with a PBMAC1 in place of its MAC, and its inside in BER, as NSS and BouncyCastle write it.
pub(crate) fn with_ber_inside(file: &[u8], code: &str) -> Vec<u8> {
    let content_info = members(file)[1];
    let auth_safe = content(content(members(content_info)[1]));
    let contents: Vec<u8> = members(auth_safe)
        .iter()
        .flat_map(|info| ber(info, 9, 50))
        .collect();
    let auth_safe = [&[0x30, 0x80][..], &contents, &[0, 0]].concat();
    let mac = Pbmac1::default();
    self::file(&auth_safe, &mac.mac(&mac, code, &auth_safe))
}

/// The numbers of an RSA key, from its version on, each as its octets.
pub(crate) fn rsa_numbers(key: &KeyPair) -> Vec<Vec<u8>> {
    let pkcs8 = key.serialize_der();
    let key = content(members(&pkcs8)[2]);
    members(key)
        .iter()
        .map(|number| content(number).to_vec())
        .collect()
}

/// PKCS #8 of the numbers of an RSA key; the parameters of the algorithm, and what stands behind the key.
pub(crate) fn rsa_pkcs8(numbers: &[Vec<u8>], parameters: &[u8], attributes: &[u8]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| integer(number)).collect();
    let algorithm = sequence(&[&oid(RSA_ENCRYPTION), parameters]);
    sequence(&[
        &integer(&[0]),
        &algorithm,
        &octets(&value(0x30, &numbers)),
        attributes,
    ])
}
