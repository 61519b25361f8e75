//! BER (X.690) brought into definite lengths, so that what reads DER reads it too.
//!
//! BouncyCastle, NSS and Firefox write PFX files with indefinite lengths and with octet strings in chunks. The `ber` feature of
//! `der` takes neither chunks of definite length nor chunks within chunks, and leaves their bytes unwiped in memory.

use zeroize::Zeroizing;

/// The deepest nesting that is followed. The parameters of an encrypted key, the deepest of a PFX file, are at a dozen.
const DEPTH_MAX: usize = 32;

/// The most octets of a length: more than any file here has, with zeros in front.
const LENGTH_OCTETS_MAX: usize = 8;

const CONSTRUCTED: u8 = 0x20;
/// The bits of a tag's number. All set, they announce a longer tag, which no PFX file has.
const NUMBER: u8 = 0x1f;
const OCTET_STRING: u8 = 0x04;
const INDEFINITE: u8 = 0x80;

/// A value with its tag.
struct Element<'a> {
    tag: u8,
    content: Content<'a>,
}

enum Content<'a> {
    /// The octets of a primitive value, or the chunks of an octet string.
    Octets(Vec<&'a [u8]>),
    Elements(Vec<Element<'a>>),
}

/// The first value in `bytes` with definite and minimal lengths and whole octet strings, and what stands behind the value.
/// `None`: there is no whole value, or it is nested too deeply.
pub(crate) fn definite(bytes: &[u8]) -> Option<(Zeroizing<Vec<u8>>, &[u8])> {
    let mut rest = bytes;
    let element = element(&mut rest, 0)?;
    // Of the right size at once: a vector that grows leaves what it held in freed memory.
    let mut written = Zeroizing::new(Vec::with_capacity(element.encoded_bytes()));
    element.write(&mut written);
    Some((written, rest))
}

/// As [`definite`], of bytes that are one value and nothing else.
pub(crate) fn whole(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    definite(bytes).and_then(|(value, rest)| rest.is_empty().then_some(value))
}

fn element<'a>(rest: &mut &'a [u8], depth: usize) -> Option<Element<'a>> {
    let tag = take(rest, 1)?.first().copied()?;
    if depth > DEPTH_MAX || tag & NUMBER == NUMBER || tag == 0 {
        return None;
    }
    let is_constructed = tag & CONSTRUCTED != 0;
    let mut content = match length(rest)? {
        Some(bytes) => take(rest, bytes)?,
        None if is_constructed => {
            let elements = elements_to_end(rest, depth)?;
            return joined(tag, elements);
        }
        None => return None,
    };
    if !is_constructed {
        return Some(Element {
            tag,
            content: Content::Octets(vec![content]),
        });
    }
    let mut elements = Vec::new();
    while !content.is_empty() {
        elements.push(element(&mut content, depth + 1)?);
    }
    joined(tag, elements)
}

/// The values up to the mark that ends an indefinite length.
fn elements_to_end<'a>(rest: &mut &'a [u8], depth: usize) -> Option<Vec<Element<'a>>> {
    let mut elements = Vec::new();
    while !rest.starts_with(&[0, 0]) {
        elements.push(element(rest, depth + 1)?);
    }
    take(rest, 2)?;
    Some(elements)
}

/// A constructed value. The chunks of an octet string become one.
fn joined(tag: u8, elements: Vec<Element<'_>>) -> Option<Element<'_>> {
    if tag != OCTET_STRING | CONSTRUCTED {
        let content = Content::Elements(elements);
        return Some(Element { tag, content });
    }
    let mut chunks = Vec::new();
    for element in elements {
        match element {
            Element {
                tag: OCTET_STRING,
                content: Content::Octets(octets),
            } => chunks.extend(octets),
            _ => return None,
        }
    }
    Some(Element {
        tag: OCTET_STRING,
        content: Content::Octets(chunks),
    })
}

/// The length that stands next. `None` within: it is indefinite.
#[allow(
    clippy::option_option,
    reason = "the outer one is a length that can't be read"
)]
fn length(rest: &mut &[u8]) -> Option<Option<usize>> {
    let first = take(rest, 1)?.first().copied()?;
    if first < INDEFINITE {
        return Some(Some(usize::from(first)));
    }
    if first == INDEFINITE {
        return Some(None);
    }
    let octets = usize::from(first & !INDEFINITE);
    if octets > LENGTH_OCTETS_MAX {
        return None;
    }
    let octets = take(rest, octets)?;
    let value = octets.iter().try_fold(0_usize, |sum, octet| {
        sum.checked_mul(256)?.checked_add(usize::from(*octet))
    })?;
    Some(Some(value))
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(bytes)?;
    *rest = left;
    Some(taken)
}

impl Element<'_> {
    fn content_bytes(&self) -> usize {
        match &self.content {
            Content::Octets(chunks) => chunks.iter().map(|chunk| chunk.len()).sum(),
            Content::Elements(elements) => elements.iter().map(Element::encoded_bytes).sum(),
        }
    }

    fn encoded_bytes(&self) -> usize {
        let content = self.content_bytes();
        2 + length_octets(content).len() + content
    }

    fn write(&self, written: &mut Vec<u8>) {
        written.push(self.tag);
        let content = self.content_bytes();
        let octets = length_octets(content);
        match octets.len() {
            // Below 128, the length is its own octet.
            0 => written.push(content as u8),
            count => written.push(INDEFINITE | count as u8),
        }
        written.extend_from_slice(&octets);
        match &self.content {
            Content::Octets(chunks) => chunks.iter().for_each(|chunk| written.extend_from_slice(chunk)),
            Content::Elements(elements) => elements.iter().for_each(|element| element.write(written)),
        }
    }
}

/// The octets of a length behind their count; none of a length that needs no count.
fn length_octets(length: usize) -> Vec<u8> {
    match length {
        0..0x80 => Vec::new(),
        _ => length
            .to_be_bytes()
            .into_iter()
            .skip_while(|octet| *octet == 0)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn read(bytes: &[u8]) -> Option<Vec<u8>> {
        whole(bytes).map(|value| value.to_vec())
    }

    #[test]
    fn indefinite_lengths_become_definite_at_every_depth() {
        let ber = [0x30, 0x80, 0x30, 0x80, 0x02, 0x01, 0x03, 0, 0, 0x05, 0x00, 0, 0];
        assert_eq!(
            read(&ber).unwrap(),
            [0x30, 7, 0x30, 3, 0x02, 0x01, 0x03, 0x05, 0x00]
        );
    }

    #[test]
    fn chunks_of_an_octet_string_are_joined_also_those_of_definite_length_and_within_each_other() {
        let whole = [0x04, 4, 1, 2, 3, 4];
        for chunks in [
            &[0x24, 0x80, 0x04, 2, 1, 2, 0x04, 2, 3, 4, 0, 0][..],
            &[0x24, 8, 0x04, 2, 1, 2, 0x04, 2, 3, 4],
            &[
                0x24, 0x80, 0x24, 0x80, 0x04, 1, 1, 0x04, 1, 2, 0, 0, 0x04, 2, 3, 4, 0, 0,
            ],
        ] {
            assert_eq!(read(chunks).unwrap(), whole, "{chunks:?}");
        }
        assert_eq!(read(&[0x24, 0x80, 0x02, 1, 1, 0, 0]), None);
    }

    #[test]
    fn a_length_with_more_octets_than_it_needs_is_read() {
        assert_eq!(read(&[0x04, 0x83, 0, 0, 1, 9]).unwrap(), [0x04, 1, 9]);
        assert_eq!(read(&[0x04, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]), None);
        assert_eq!(
            read(&[0x04, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            None
        );
    }

    #[test]
    fn what_stands_behind_the_value_is_left_over() {
        let (value, rest) = definite(&[0x30, 0, 0, 0, 10]).unwrap();
        assert_eq!((&**value, rest), (&[0x30, 0][..], &[0, 0, 10][..]));
        assert_eq!(read(&[0x30, 0, 0]), None);
    }

    #[test]
    fn nesting_is_followed_to_its_limit_and_no_further() {
        let nested = |levels: usize| [[0x30, 0x80].repeat(levels), vec![0; 2 * levels]].concat();
        assert!(read(&nested(DEPTH_MAX + 1)).is_some());
        assert_eq!(read(&nested(DEPTH_MAX + 2)), None);
        assert_eq!(read(&[0x30, 0x80].repeat(100_000)), None);
    }

    /// A value in DER, and the same in BER.
    fn twins() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let leaf = prop::collection::vec(any::<u8>(), 0..300).prop_flat_map(|octets| {
            let der = value(0x04, &octets);
            let chunked = prop::collection::vec(1_usize..100, 0..5).prop_map(move |sizes| {
                let mut rest = octets.as_slice();
                let mut chunks = Vec::new();
                for size in sizes {
                    let (chunk, left) = rest.split_at(size.min(rest.len()));
                    chunks.extend(value(0x04, chunk));
                    rest = left;
                }
                chunks.extend(value(0x04, rest));
                [&[0x24, 0x80][..], &chunks, &[0, 0]].concat()
            });
            (prop::strategy::Just(der), chunked)
        });
        leaf.prop_recursive(6, 40, 5, |inner| {
            (prop::collection::vec(inner, 0..5), any::<bool>()).prop_map(|(inner, is_indefinite)| {
                let (der, ber): (Vec<_>, Vec<_>) = inner.into_iter().unzip();
                let ber = match is_indefinite {
                    true => [&[0x30, 0x80][..], &ber.concat(), &[0, 0]].concat(),
                    false => value(0x30, &ber.concat()),
                };
                (value(0x30, &der.concat()), ber)
            })
        })
    }

    fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut written = vec![tag];
        match content.len() {
            short @ 0..0x80 => written.push(short as u8),
            long => {
                written.push(0x84);
                written.extend((long as u32).to_be_bytes());
            }
        }
        [written, content.to_vec()].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_two_forms_of_a_value_are_read_alike((der, ber) in twins()) {
            prop_assert_eq!(read(&ber).unwrap(), read(&der).unwrap());
        }

        #[test]
        fn what_was_read_is_read_again_as_itself((_, ber) in twins()) {
            let once = read(&ber).unwrap();
            prop_assert_eq!(read(&once), Some(once.clone()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some((value, rest)) = definite(&bytes) {
                prop_assert!(rest.len() < bytes.len() && !value.is_empty());
            }
        }
    }
}
