//! Counters of the hit path: each thread counts in cells of its own, which are summed when they are read.
//!
//! Two threads that count in one cell pass its cache line to and fro, some 50 ns a request; a cell of one's own costs
//! about one.

use parking_lot::Mutex;
use seawall_http_cache::Outcome;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

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

/// Requests and bytes by outcome. Cells of threads that have ended stay counted.
#[derive(Debug, Default)]
pub struct RequestCounters {
    cells: Mutex<Vec<Arc<Cells>>>,
}

/// One node's counters and this thread's cells in them.
type Mine = (Weak<RequestCounters>, Arc<Cells>);

thread_local! {
    /// Almost always one node a thread.
    static MINE: RefCell<Vec<Mine>> = const { RefCell::new(Vec::new()) };
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
            let at = match mine
                .iter()
                .position(|(owner, _)| std::ptr::eq(owner.as_ptr(), &raw const **self))
            {
                Some(at) => at,
                None => {
                    mine.retain(|(owner, _)| owner.strong_count() > 0);
                    let cells = Arc::new(Cells::default());
                    self.cells.lock().push(cells.clone());
                    mine.push((Arc::downgrade(self), cells));
                    mine.len() - 1
                }
            };
            let cells = &mine[at].1;
            let class = usize::from(status / 100).wrapping_sub(1).min(CLASSES - 1);
            add(&cells.counts[outcome.index()][class], 1);
            add(&cells.bytes[outcome.index()], bytes);
        });
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
