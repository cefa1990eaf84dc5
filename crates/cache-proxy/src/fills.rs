//! Fills in progress: one for each key, variant and purge floor.

use crate::growing::{Budget, Growing, Reader};
use ahash::AHashMap;
use parking_lot::Mutex;
use seawall_purge::join::Floor;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const SHARDS: usize = 64;

/// What two requests must agree in to wait for the same fill. The floor is the last purge of anything that the key's
/// copy is known to carry: a request after a purge never joins a fill from before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FillKey {
    pub(crate) key: u128,
    pub(crate) variant: u64,
    pub(crate) floor: Floor,
    /// Of requests that only an origin's word answers: it is asked no earlier than this, by the clock of leases. Zero: of
    /// all others.
    pub(crate) since: Duration,
}

/// One fill: its copy, and the fields of the request that began it.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) key: FillKey,
    pub(crate) growing: Arc<Growing>,
    pub(crate) request: Arc<http::HeaderMap>,
    /// The key under which its answer is stored.
    pub(crate) own: u128,
    /// What else it is joined by, since its answer's head said what it varies by.
    also: OnceLock<FillKey>,
    /// Counted while it runs.
    _slot: Slot,
    /// Of a fill that nobody can join, or that is joined by another key than the one it is stored under: known by that
    /// while it runs.
    _mark: Option<Mark>,
}

/// Keys that fills are stored under and cannot be joined by, and how many of each are running; no more than there are
/// fills.
type Alone = Mutex<AHashMap<u128, usize>>;

#[derive(Debug)]
struct Mark {
    alone: Arc<Alone>,
    key: u128,
}

impl Mark {
    fn new(alone: &Arc<Alone>, key: u128) -> Self {
        *alone.lock().entry(key).or_default() += 1;
        Self {
            alone: alone.clone(),
            key,
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut alone = self.alone.lock();
        if let Entry::Occupied(mut running) = alone.entry(self.key) {
            *running.get_mut() -= 1;
            if *running.get() == 0 {
                running.remove();
            }
        }
    }
}

#[derive(Debug)]
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// All fills of a node.
#[derive(Debug)]
pub(crate) struct Fills {
    shards: Vec<Mutex<AHashMap<FillKey, Arc<Fill>>>>,
    alone: Arc<Alone>,
    running: Arc<AtomicUsize>,
    max: usize,
    budget: Arc<Budget>,
}

/// How a request takes part in a fill.
pub(crate) enum Join {
    /// Somebody else's fill is followed.
    Follow(Reader, Arc<Fill>),
    /// This request begins it: the caller runs it.
    Lead(Reader, Arc<Fill>),
    /// What was looked up has changed since: look again.
    Again,
    /// As many fills as are allowed are running.
    Full,
}

impl Fills {
    pub(crate) fn new(max: usize, budget: Arc<Budget>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            alone: Arc::default(),
            running: Arc::default(),
            max,
            budget,
        }
    }

    /// Fills running now.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Whether a fill that could be joined is running.
    pub(crate) fn has(&self, key: &FillKey) -> bool {
        self.shard(key).lock().contains_key(key)
    }

    fn shard(&self, key: &FillKey) -> &Mutex<AHashMap<FillKey, Arc<Fill>>> {
        &self.shards[key.key as usize % SHARDS]
    }

    fn make(
        &self,
        key: FillKey,
        request: &Arc<http::HeaderMap>,
        own: u128,
        mark: Option<Mark>,
    ) -> Option<Arc<Fill>> {
        if self.running.fetch_add(1, Ordering::AcqRel) >= self.max {
            self.running.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Arc::new(Fill {
            key,
            growing: Growing::new(self.budget.clone()),
            request: request.clone(),
            own,
            also: OnceLock::new(),
            _slot: Slot(self.running.clone()),
            _mark: mark,
        }))
    }

    /// Follows the fill of `key`, or begins it; what is begun is stored under `own`. `changed` is asked under the lock before a fill begins: a fill stores
    /// its copy before it leaves the map, so that no gap is left for a second fetch.
    pub(crate) fn join(
        &self,
        key: FillKey,
        request: &Arc<http::HeaderMap>,
        own: u128,
        changed: impl FnOnce() -> bool,
    ) -> Join {
        let mut shard = self.shard(&key).lock();
        match shard.entry(key) {
            Entry::Occupied(running) => {
                let fill = running.get().clone();
                Join::Follow(fill.growing.reader(), fill)
            }
            Entry::Vacant(place) => {
                if changed() {
                    return Join::Again;
                }
                let Some(fill) = self.make(key, request, own, self.mark(key, own)) else {
                    return Join::Full;
                };
                place.insert(fill.clone());
                Join::Lead(fill.growing.reader(), fill)
            }
        }
    }

    /// A fill that nobody can join: for answers that may not be shared.
    pub(crate) fn alone(&self, key: FillKey, request: &Arc<http::HeaderMap>, own: u128) -> Join {
        let mark = Mark::new(&self.alone, own);
        match self.make(key, request, own, Some(mark)) {
            Some(fill) => Join::Lead(fill.growing.reader(), fill),
            None => Join::Full,
        }
    }

    /// Begins a fill that nobody reads yet, unless one is running.
    pub(crate) fn begin(
        &self,
        key: FillKey,
        request: &Arc<http::HeaderMap>,
        own: u128,
    ) -> Option<Arc<Fill>> {
        let mut shard = self.shard(&key).lock();
        match shard.entry(key) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                let fill = self.make(key, request, own, self.mark(key, own))?;
                place.insert(fill.clone());
                // the first reader ever gets what is for the one who asked, and that one is nobody here
                drop(fill.growing.reader());
                Some(fill)
            }
        }
    }

    /// The answer of `fill` varies: who comes from now on and selects `variant`, as it does, finds it by that. Nothing
    /// changes for one that cannot be joined, or where another fill of that variant is running.
    pub(crate) fn varies(&self, fill: &Arc<Fill>, variant: u64) {
        let key = FillKey {
            variant,
            ..fill.key
        };
        let mut shard = self.shard(&key).lock();
        let is_joined = shard
            .get(&fill.key)
            .is_some_and(|running| Arc::ptr_eq(running, fill));
        if is_joined
            && let Entry::Vacant(place) = shard.entry(key)
            && fill.also.set(key).is_ok()
        {
            place.insert(fill.clone());
        }
    }

    fn mark(&self, key: FillKey, own: u128) -> Option<Mark> {
        (key.key != own).then(|| Mark::new(&self.alone, own))
    }

    /// Whether a fill of anything under `key` is running, one that can be joined or not.
    pub(crate) fn knows(&self, key: u128) -> bool {
        let shard = self.shards[key as usize % SHARDS].lock();
        let joinable = shard.keys().any(|fill| fill.key == key);
        drop(shard);
        joinable || self.alone.lock().contains_key(&key)
    }

    /// No further request joins a fill of anything under `key`.
    pub(crate) fn forget(&self, key: u128) {
        let mut shard = self.shards[key as usize % SHARDS].lock();
        shard.retain(|fill, _| fill.key != key);
        drop(shard);
        // some are joined by another key, and there are few of them
        if self.alone.lock().contains_key(&key) {
            for shard in &self.shards {
                shard.lock().retain(|_, fill| fill.own != key);
            }
        }
    }

    /// No further request joins `fill`.
    pub(crate) fn leave(&self, fill: &Arc<Fill>) {
        let mut shard = self.shard(&fill.key).lock();
        for key in [Some(&fill.key), fill.also.get()].into_iter().flatten() {
            if let Entry::Occupied(entry) = shard.entry(*key)
                && Arc::ptr_eq(entry.get(), fill)
            {
                entry.remove();
            }
        }
    }
}
