//! Identities of requests.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that a thread takes at a time: two threads that count in one cell would pass its cache line to and fro.
const TAKEN: u64 = 1024;

/// An identity that no other request of this process has. Where it starts is drawn, so that those of several nodes in one
/// log rarely meet.
pub(crate) fn next() -> u64 {
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0)));
    thread_local! {
        /// The next one, and how many are left.
        static MINE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    }
    let (number, left) = match MINE.get() {
        (_, 0) => (NEXT.fetch_add(TAKEN, Ordering::Relaxed), TAKEN),
        mine => mine,
    };
    MINE.set((number.wrapping_add(1), left - 1));
    // spread: two that follow each other look nothing alike
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_requests_have_one_identity_on_whatever_threads() {
        let draw = || (0..3 * TAKEN).map(|_| next()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let drawn = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        let drawn: HashSet<u64> = drawn.collect();
        assert_eq!(drawn.len() as u64, 4 * 3 * TAKEN);
    }
}
