//! Remembers which texts came before by their digests, so that a large catalog is not kept in memory for it.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

/// Texts that came before.
#[derive(Default)]
pub(super) struct Seen {
    /// The hash key, random for every reading: nobody can make up two texts with one digest.
    key: RandomState,
    digests: HashSet<Digest, BuildHasherDefault<AsItIs>>,
}

/// 128 bits of two keyed hashes: among a million texts, two share one with a probability below 10^-26.
#[derive(PartialEq, Eq)]
struct Digest(u64, u64);

impl Seen {
    /// Takes a text in; `false` when it came before.
    pub(super) fn insert(&mut self, text: &str) -> bool {
        let half = |number: u8| self.key.hash_one((number, text));
        self.digests.insert(Digest(half(0), half(1)))
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// A hasher for what is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_known_if_and_only_if_it_came_before(texts in prop::collection::vec("[ab]{0,6}", 0..200)) {
            let (mut seen, mut model) = (Seen::default(), BTreeSet::new());
            for text in texts {
                prop_assert_eq!(seen.insert(&text), model.insert(text));
            }
        }
    }

    #[test]
    fn neighbors_among_very_many_are_told_apart() {
        let mut seen = Seen::default();
        assert!((0..200_000).all(|number| seen.insert(&format!("GEN-{number:06}"))));
        assert!((0..200_000).all(|number| !seen.insert(&format!("GEN-{number:06}"))));
    }
}
