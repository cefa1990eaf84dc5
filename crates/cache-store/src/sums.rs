//! The checksums of a body's chunks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::xxh3_64;

/// The checksum of a chunk; never 0, which says that it is not known.
pub(crate) fn sum_of(chunk: &[u8]) -> u64 {
    xxh3_64(chunk).max(1)
}

/// Checksums by the chunks' index, shared by all heads of one generation. Those of chunks that have not come yet are not
/// known; the first that comes says it, and it stays so.
#[derive(Clone, Debug, Default)]
pub struct Sums(Arc<[AtomicU64]>);

impl Sums {
    /// Of a body of `chunks` chunks of which none has come.
    pub fn unknown(chunks: usize) -> Self {
        (0..chunks).map(|_| 0).collect()
    }

    /// Of how many chunks, known or not.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no chunks.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The checksum of chunk `index`, if there is one and it is known.
    pub fn get(&self, index: usize) -> Option<u64> {
        let sum = self.0.get(index)?.load(Ordering::Acquire);
        (sum != 0).then_some(sum)
    }

    /// Whether chunk `index` has this checksum. Of one that is not known yet it has from now on.
    pub(crate) fn admit(&self, index: usize, sum: u64) -> bool {
        self.0.get(index).is_some_and(|known| {
            let first = known.compare_exchange(0, sum, Ordering::AcqRel, Ordering::Acquire);
            first.is_ok_and(|_| sum != 0) || first == Err(sum)
        })
    }

    /// How many are known.
    pub fn known(&self) -> usize {
        (0..self.len()).filter(|i| self.get(*i).is_some()).count()
    }

    /// As they are written to a disk: 0 where it is not known.
    pub(crate) fn raw(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|sum| sum.load(Ordering::Acquire))
    }
}

impl FromIterator<u64> for Sums {
    fn from_iter<I: IntoIterator<Item = u64>>(sums: I) -> Self {
        Self(sums.into_iter().map(AtomicU64::new).collect())
    }
}

impl From<Vec<u64>> for Sums {
    fn from(sums: Vec<u64>) -> Self {
        sums.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_comes_says_the_checksum_and_others_are_held_against_it() {
        let sums = Sums::from(vec![7, 0]);
        let of_another_head = sums.clone();
        assert_eq!((sums.get(0), sums.get(1), sums.known()), (Some(7), None, 1));
        assert!(sums.admit(0, 7) && !sums.admit(0, 8));
        assert!(sums.admit(1, 9) && of_another_head.admit(1, 9));
        assert!(!of_another_head.admit(1, 8) && !sums.admit(2, 9));
        assert_eq!(of_another_head.raw().collect::<Vec<_>>(), [7, 9]);
    }

    #[test]
    fn no_chunk_has_the_checksum_that_says_nothing() {
        assert!(!Sums::unknown(1).admit(0, 0));
        assert_ne!(sum_of(b""), 0);
    }
}
