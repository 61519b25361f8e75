//! Bodies of answers made plain: decompressed although nobody asked for that, and without a byte order mark.
//!
//! No request asks for a content coding, and servers and caches on the way use one all the same; .NET writes a byte order
//! mark where a stream was opened as text.

use std::io::Read as _;

use flate2::read::{GzDecoder, ZlibDecoder};
use zeroize::Zeroizing;

use crate::http::{HttpResponse, SendFailure};

/// The first bytes of gzip (RFC 1952 section 2.3.1), with which no JSON begins.
const GZIP: [u8; 2] = [0x1F, 0x8B];
/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Makes the body of an answer plain, up to a length in bytes.
///
/// # Errors
/// When the body can't be decompressed, or is longer.
pub(crate) fn made_plain(mut response: HttpResponse, bytes_max: usize) -> Result<HttpResponse, SendFailure> {
    let coding = response.header("content-encoding").unwrap_or_default();
    let coding = coding.trim().to_ascii_lowercase();
    let body = &response.body[..];
    if body.starts_with(&GZIP) {
        response.body = decompressed(GzDecoder::new(body), bytes_max)?;
    } else if coding == "deflate" && !body.is_empty() {
        response.body = decompressed(ZlibDecoder::new(body), bytes_max)?;
    } else if matches!(coding.as_str(), "br" | "zstd" | "compress") {
        return Err(SendFailure::ResponseUnreadable(format!(
            "the answer is compressed with `{coding}`, for which no request asks"
        )));
    }
    if response.body.starts_with(&BYTE_ORDER_MARK) {
        response.body = Zeroizing::new(response.body[BYTE_ORDER_MARK.len()..].to_vec());
    }
    Ok(response)
}

fn decompressed(decoder: impl std::io::Read, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, SendFailure> {
    let mut plain = Zeroizing::new(Vec::new());
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    match decoder.take(limit).read_to_end(&mut plain) {
        Ok(_) if plain.len() > bytes_max => Err(SendFailure::ResponseTooLarge),
        Ok(_) => Ok(plain),
        Err(_) => Err(SendFailure::ResponseUnreadable(
            "the compressed answer is damaged or ends early".to_owned(),
        )),
    }
}

/// Whether a body is certainly whole although nobody said where it ends: a JSON object shows its own end.
pub(crate) fn shows_its_end(body: &[u8]) -> bool {
    let body = body.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(body);
    body.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: usize = 100;

    fn answer(coding: Option<&str>, body: &[u8]) -> HttpResponse {
        let coding = coding.map(|coding| ("content-encoding".to_owned(), coding.to_owned()));
        HttpResponse {
            status: 200,
            headers: coding.into_iter().collect(),
            body: Zeroizing::new(body.to_vec()),
        }
    }

    fn plain(coding: Option<&str>, body: &[u8]) -> Result<Vec<u8>, SendFailure> {
        made_plain(answer(coding, body), BYTES_MAX).map(|response| response.body.to_vec())
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_body_is_the_same_whether_it_was_compressed_or_marked() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"{}").unwrap();
        let zlib = zlib.finish().unwrap();
        let marked = [&BYTE_ORDER_MARK[..], b"{}"].concat();
        for (coding, body) in [
            (None, b"{}".to_vec()),
            (Some("identity"), b"{}".to_vec()),
            (Some("gzip"), gzip(b"{}")),
            (Some(" X-GZIP"), gzip(b"{}")),
            (None, gzip(b"{}")),
            (Some("deflate"), zlib),
            (None, marked.clone()),
            (Some("gzip"), gzip(&marked)),
        ] {
            assert_eq!(plain(coding, &body).unwrap(), b"{}", "{coding:?}");
        }
        assert_eq!(plain(Some("deflate"), b"").unwrap(), b"");
    }

    #[test]
    fn a_body_that_is_too_long_damaged_or_compressed_in_another_way_is_not_taken() {
        assert!(plain(None, &gzip(&[b' '; BYTES_MAX])).is_ok());
        let too_long = plain(None, &gzip(&[b' '; BYTES_MAX + 1]));
        assert_eq!(too_long, Err(SendFailure::ResponseTooLarge));
        let whole = gzip(b"{\"a\":1}");
        let mut damaged = whole.clone();
        damaged[12] ^= 1;
        for body in [&whole[..whole.len() - 1], &damaged] {
            assert!(matches!(
                plain(None, body),
                Err(SendFailure::ResponseUnreadable(_))
            ));
        }
        for coding in ["br", "zstd"] {
            let Err(failure) = plain(Some(coding), b"{}") else {
                panic!("{coding}");
            };
            assert!(failure.to_string().contains(coding) && !failure.is_definitely_not_sent());
        }
    }

    #[test]
    fn only_a_whole_object_shows_its_end() {
        for whole in ["{}", " {\"a\":[1]}\r\n", "\u{FEFF}{}"] {
            assert!(shows_its_end(whole.as_bytes()), "{whole}");
        }
        for other in ["", "{", "{\"a\":1", "1", "tru", "null", "[]", "{}{", "<html>"] {
            assert!(!shows_its_end(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_beginning_of_an_object_is_taken_for_the_whole(text in "[a-z\"\\\\{}\\[\\], ]{0,20}", at in 0_usize..100) {
            let whole = serde_json::json!({ "text": text, "more": [1, {}] }).to_string();
            prop_assert!(shows_its_end(whole.as_bytes()));
            let beginning = &whole.as_bytes()[..at % whole.len()];
            prop_assert!(!shows_its_end(beginning));
        }

        #[test]
        fn no_body_breaks_the_reader(body in any::<Vec<u8>>(), is_gzip in any::<bool>()) {
            let body = if is_gzip { [&GZIP[..], &body].concat() } else { body };
            let read = plain(None, &body);
            prop_assert!(read.is_err() || read.unwrap().len() <= BYTES_MAX.max(body.len()));
        }
    }
}
