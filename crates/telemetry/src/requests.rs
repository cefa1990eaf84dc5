//! Counters of the hit path: each thread counts in cells of its own, which are summed when they are read.
//!
//! Two threads that count in one cell pass its cache line to and fro, some 50 ns a request; a cell of one's own costs
//! about one.

use crate::per_thread::{Mine, part_of};
use parking_lot::Mutex;
use seawall_http_cache::Outcome;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const OUTCOMES: usize = Outcome::ALL.len();
/// 1xx to 5xx, and a last one for numbers outside.
pub(crate) const CLASSES: usize = 6;

/// One thread's cells.
#[derive(Debug)]
pub(crate) struct Cells {
    counts: [[AtomicU64; CLASSES]; OUTCOMES],
    bytes: [AtomicU64; OUTCOMES],
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            bytes: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Cells {
    /// Adds what another thread has counted.
    fn take_over(&self, other: &Cells) {
        let (ours, theirs) = (self.counts.as_flattened(), other.counts.as_flattened());
        let pairs = ours.iter().zip(theirs);
        for (ours, theirs) in pairs.chain(self.bytes.iter().zip(&other.bytes)) {
            ours.fetch_add(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// Requests and bytes by outcome. What threads that have ended counted stays counted; their cells do not stay.
#[derive(Debug, Default)]
pub struct RequestCounters {
    /// The first ones are nobody's: the sum over threads that have ended.
    cells: Mutex<Vec<Arc<Cells>>>,
}

thread_local! {
    /// This thread's cells, by node.
    static MINE: RefCell<Mine<RequestCounters, Cells>> = const { RefCell::new(Vec::new()) };
}

fn add(cell: &AtomicU64, n: u64) {
    // this thread alone writes here: no read-modify-write is needed
    cell.store(
        cell.load(Ordering::Relaxed).wrapping_add(n),
        Ordering::Relaxed,
    );
}

impl RequestCounters {
    /// Counts one request.
    pub fn count(self: &Arc<Self>, outcome: Outcome, status: u16, bytes: u64) {
        MINE.with_borrow_mut(|mine| {
            let cells = part_of(mine, self, || self.enlist());
            let class = usize::from(status / 100).wrapping_sub(1).min(CLASSES - 1);
            add(&cells.counts[outcome.index()][class], 1);
            add(&cells.bytes[outcome.index()], bytes);
        });
    }

    /// Cells for a thread that counts its first request here.
    fn enlist(&self) -> Arc<Cells> {
        let mut cells = self.cells.lock();
        let mut kept = vec![Arc::new(Cells::default())];
        for mut old in cells.drain(..) {
            // held by nobody else: its thread has ended, and all that it wrote can be seen
            if let Some(left) = Arc::get_mut(&mut old) {
                kept[0].take_over(left);
            } else {
                kept.push(old);
            }
        }
        let mine = Arc::new(Cells::default());
        kept.push(mine.clone());
        *cells = kept;
        mine
    }

    /// Requests of `outcome` whose status is of the class `class` (0: 1xx).
    pub fn requests(&self, outcome: Outcome, class: usize) -> u64 {
        self.cells
            .lock()
            .iter()
            .map(|c| c.counts[outcome.index()][class].load(Ordering::Relaxed))
            .sum()
    }

    /// Bytes of bodies sent for `outcome`.
    pub fn bytes(&self, outcome: Outcome) -> u64 {
        self.cells
            .lock()
            .iter()
            .map(|c| c.bytes[outcome.index()].load(Ordering::Relaxed))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_are_summed_also_of_those_that_ended() {
        let counters = Arc::new(RequestCounters::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| counters.count(Outcome::Hit, 200, 10)));
            }
        });
        counters.count(Outcome::Hit, 304, 0);
        assert_eq!(counters.requests(Outcome::Hit, 1), 4000);
        assert_eq!(counters.requests(Outcome::Hit, 2), 1);
        assert_eq!(counters.bytes(Outcome::Hit), 40_000);
    }

    #[test]
    fn cells_of_threads_that_ended_do_not_pile_up() {
        let counters = Arc::new(RequestCounters::default());
        for _ in 0..50 {
            let counters = counters.clone();
            let thread = std::thread::spawn(move || counters.count(Outcome::Hit, 200, 3));
            thread.join().unwrap();
        }
        counters.count(Outcome::Hit, 200, 3);
        assert_eq!(counters.requests(Outcome::Hit, 1), 51);
        assert_eq!(counters.bytes(Outcome::Hit), 153);
        assert!(counters.cells.lock().len() <= 3);
    }

    #[test]
    fn counters_of_two_nodes_on_one_thread_are_kept_apart() {
        let (a, b) = (
            Arc::new(RequestCounters::default()),
            Arc::new(RequestCounters::default()),
        );
        a.count(Outcome::Miss, 200, 1);
        b.count(Outcome::Miss, 999, 1);
        assert_eq!(
            (a.requests(Outcome::Miss, 1), b.requests(Outcome::Miss, 1)),
            (1, 0)
        );
        assert_eq!(b.requests(Outcome::Miss, CLASSES - 1), 1);
    }
}
