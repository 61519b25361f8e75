//! Text encodings that certificates and keys travel in: PEM, bare base64 as key vaults hand it out, UTF-16 as PowerShell
//! writes it.

use data_encoding::{BASE64, BASE64_NOPAD};
use zeroize::Zeroizing;

/// The bytes of a line of PEM, which are 64 characters.
const PEM_LINE_BYTES: usize = 48;

/// The bytes of one block of a file.
pub(crate) struct Block {
    /// What stands behind `BEGIN` (RFC 7468). `None`: the bytes are the file's own, or bare base64.
    pub(crate) label: Option<String>,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

/// A file without its text encoding: the blocks of PEM, the bytes of bare base64, or else the file as it is.
pub(crate) fn blocks(file: &[u8]) -> Vec<Block> {
    let in_text = text(file).map(|text| match text.contains("-----BEGIN ") {
        true => pem(&text),
        false => base64(&text)
            .map(|bytes| Block { label: None, bytes })
            .into_iter()
            .collect(),
    });
    match in_text {
        Some(blocks) if !blocks.is_empty() => blocks,
        _ => vec![Block {
            label: None,
            bytes: Zeroizing::new(file.to_vec()),
        }],
    }
}

/// The text of a file in UTF-8, or in UTF-16 with its byte order mark, which is left out. `None`: it is no text.
pub fn text(file: &[u8]) -> Option<Zeroizing<String>> {
    let units: fn([u8; 2]) -> u16 = match file {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
            let text = std::str::from_utf8(text).ok()?;
            return Some(Zeroizing::new(text.to_owned()));
        }
    };
    let (pairs, odd) = file.as_chunks::<2>();
    let units = pairs.iter().skip(1).map(|pair| units(*pair));
    // A character takes at most three bytes of UTF-8 for two of UTF-16.
    let mut text = Zeroizing::new(String::with_capacity(2 * file.len()));
    for character in char::decode_utf16(units) {
        text.push(character.ok()?);
    }
    odd.is_empty().then_some(text)
}

/// A structure as PEM (RFC 7468): a certificate, or a request for one.
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(PEM_LINE_BYTES) {
        text.push_str(&BASE64.encode(line));
        text.push('\n');
    }
    text + "-----END " + label + "-----\n"
}

/// The blocks of a text in PEM. A block that is not base64, such as one that is encrypted in PEM's own way, has no bytes.
fn pem(text: &str) -> Vec<Block> {
    let blocks = text.split("-----BEGIN ").skip(1).filter_map(|block| {
        let (label, rest) = block.split_once("-----")?;
        let (body, _) = rest.split_once("-----END ")?;
        Some(Block {
            label: Some(label.to_owned()),
            bytes: base64(body).unwrap_or_default(),
        })
    });
    blocks.collect()
}

/// The bytes of base64 that may be wrapped, quoted as JSON does it, without padding, or in the alphabet of URLs.
fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim_matches(|character: char| character.is_whitespace() || "\0\"'".contains(character));
    let mut encoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    encoded.extend(digits.map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }));
    while encoded.last() == Some(&b'=') {
        encoded.pop();
    }
    if encoded.is_empty() {
        return None;
    }
    let bytes = BASE64_NOPAD.decode_len(encoded.len()).ok()?;
    let mut decoded = Zeroizing::new(vec![0; bytes]);
    let bytes = BASE64_NOPAD.decode_mut(&encoded, &mut decoded).ok()?;
    decoded.truncate(bytes);
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    fn bytes(file: &[u8]) -> Vec<Vec<u8>> {
        blocks(file).iter().map(|block| block.bytes.to_vec()).collect()
    }

    fn utf16(text: &str, mark: &[u8], unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let units = text.encode_utf16().flat_map(unit);
        mark.iter().copied().chain(units).collect()
    }

    #[test]
    fn bytes_stay_as_they_are() {
        for file in [&[0x30, 0x82, 0xff][..], b"", b"no base64!", b"-----BEGIN "] {
            assert_eq!(bytes(file), [file]);
        }
    }

    #[test]
    fn a_key_between_pem_lines_that_is_encrypted_in_the_old_way_is_a_block_without_bytes() {
        let file = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
        let blocks = blocks(file.as_bytes());
        let [block] = &blocks[..] else { panic!("one block") };
        assert_eq!(block.label.as_deref(), Some("RSA PRIVATE KEY"));
        assert!(block.bytes.is_empty());
    }

    proptest! {
        #[test]
        fn base64_is_read_in_every_form_that_a_tool_writes(content in prop::collection::vec(any::<u8>(), 1..400)) {
            let line = data_encoding::BASE64.encode(&content);
            let mut wrapped = String::new();
            for chunk in line.as_bytes().chunks(64) {
                wrapped.push_str(std::str::from_utf8(chunk).unwrap());
                wrapped.push_str("\r\n");
            }
            let pem = format!("comment\r\n-----BEGIN CERTIFICATE-----\r\n{wrapped}-----END CERTIFICATE-----\r\n");
            let forms = [
                line.clone().into_bytes(),
                wrapped.clone().into_bytes(),
                format!("\"{line}\"\n").into_bytes(),
                format!("\u{feff}{line}").into_bytes(),
                line.trim_end_matches('=').replace('+', "-").replace('/', "_").into_bytes(),
                utf16(&wrapped, &[0xff, 0xfe], u16::to_le_bytes),
                utf16(&wrapped, &[0xfe, 0xff], u16::to_be_bytes),
                utf16(&pem, &[0xff, 0xfe], u16::to_le_bytes),
                pem.into_bytes(),
            ];
            for form in forms {
                prop_assert_eq!(bytes(&form), std::slice::from_ref(&content), "{:?}", form);
            }
        }

        #[test]
        fn what_is_written_as_pem_is_read_again(content in prop::collection::vec(any::<u8>(), 1..200)) {
            let pem = to_pem("CERTIFICATE REQUEST", &content);
            prop_assert_eq!(pem.lines().all(|line| line.len() <= 64), true);
            prop_assert_eq!(bytes(pem.as_bytes()), [content]);
        }

        #[test]
        fn any_bytes_have_a_block(file in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(blocks(&file).is_empty(), false);
        }
    }
}
