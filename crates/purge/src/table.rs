//! Which copies the purges up to now cover, in bounded memory.
//!
//! Per scope the last hard and the last soft purge are known, and of the soft ones before that the last position and the
//! earliest time: a copy that the second last covers too has been stale since before the last one. A part of the table
//! that is full lets go of its older half by raising its floor to their highest position: every copy with a scope in
//! that part and a label below the floor counts as purged from then on. So folding can only cover more copies, never
//! fewer.

use crate::branch::Branch;
use crate::lineage::{Held, TermStart};
use crate::{Epoch, Label, Purge, PurgeSeq, ScopeId, Strength};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use thiserror::Error;

/// Parts with a lock and a floor of their own.
const SHARDS: usize = 64;
/// Records (a scope's last hard, its last soft purge, the soft ones before that) of a whole table: at most 64 MiB. A
/// million scopes fit without folding: a part has room for 16,384, which is six standard deviations more than the
/// 15,625 that come to it on average.
pub const RECORDS_MAX: usize = SHARDS * 16_384;

/// What the purges up to now make of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No purge covers it.
    Live,
    /// A soft purge covers it: stale since then (milliseconds since the Unix epoch), whatever its lifetime.
    Stale { since_ms: u64 },
    /// A hard purge covers it, or it is of another lineage of the log: not even its validators are used.
    Gone,
}

/// Why a purge cannot be applied; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    #[error("the purge at {at} stands where that after {last} belongs")]
    Gap { last: PurgeSeq, at: PurgeSeq },
}

/// Scope ids are digests already.
#[derive(Default)]
struct Digest(u64);

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}

type ByScope<V> = HashMap<u64, V, BuildHasherDefault<Digest>>;

/// A soft purge: its position, and when it was appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Soft {
    n: u64,
    appended_ms: u64,
}

#[derive(Debug, Default)]
struct Shard {
    hard: ByScope<u64>,
    soft: ByScope<Soft>,
    /// Of scopes that were softly purged more than once: the position of the second last, the time of the earliest.
    earlier: ByScope<Soft>,
    hard_floor: u64,
    /// The highest position folded, and the earliest time of any folded soft purge.
    soft_floor: Option<Soft>,
}

impl Shard {
    fn note(&mut self, scope: ScopeId, purge: &Purge, records_max: usize) {
        let n = purge.at.n;
        match purge.strength {
            Strength::Hard => {
                let last = self.hard.entry(scope.0).or_default();
                *last = (*last).max(n);
                // what they cover is gone
                self.soft.remove(&scope.0);
                self.earlier.remove(&scope.0);
            }
            Strength::Soft => {
                let appended_ms = purge.appended_ms;
                let last = self.soft.entry(scope.0).or_default();
                if n > last.n {
                    let before = std::mem::replace(last, Soft { n, appended_ms });
                    if before.n > 0 {
                        let earlier = self.earlier.entry(scope.0).or_insert(before);
                        earlier.n = before.n;
                        earlier.appended_ms = earlier.appended_ms.min(before.appended_ms);
                    }
                }
            }
        }
        if self.records() > records_max {
            self.fold();
        }
    }

    fn records(&self) -> usize {
        self.hard.len() + self.soft.len() + self.earlier.len()
    }

    /// Lets go of the older half of the records.
    fn fold(&mut self) {
        let soft = self.soft.values().chain(self.earlier.values());
        let soft = soft.map(|soft| soft.n);
        let mut positions: Vec<u64> = self.hard.values().copied().chain(soft).collect();
        let half = positions.len() / 2;
        let (_, &mut floor, _) = positions.select_nth_unstable(half);
        let before = self.hard.len();
        self.hard.retain(|_, n| *n > floor);
        if self.hard.len() < before {
            self.hard_floor = self.hard_floor.max(floor);
        }
        let mut folded = self.soft_floor;
        let mut stays = |_: &u64, soft: &mut Soft| {
            if soft.n > floor {
                return true;
            }
            let earliest = folded.map_or(soft.appended_ms, |f| f.appended_ms.min(soft.appended_ms));
            folded = Some(Soft {
                n: floor,
                appended_ms: earliest,
            });
            false
        };
        self.soft.retain(&mut stays);
        self.earlier.retain(&mut stays);
        self.soft_floor = folded;
        // what one kind of records leaves another may take, within the same memory
        self.hard.shrink_to_fit();
        self.soft.shrink_to_fit();
        self.earlier.shrink_to_fit();
    }
}

/// The purges of one lineage of the log up to a position. Shared: one writer applies, any number of readers judge.
#[derive(Debug)]
pub struct Table {
    epoch: Epoch,
    n: AtomicU64,
    branch: RwLock<Branch>,
    shards: Box<[RwLock<Shard>]>,
    records_max: usize,
}

impl Table {
    /// A table that begins at `at`. What was purged up to there is not known: older copies are gone.
    pub fn new(at: PurgeSeq) -> Self {
        Self::with_records_max(at, RECORDS_MAX)
    }

    /// The same with another bound, at least one record for each part.
    pub fn with_records_max(at: PurgeSeq, records_max: usize) -> Self {
        Self {
            epoch: at.epoch,
            n: AtomicU64::new(at.n),
            branch: RwLock::default(),
            shards: (0..SHARDS)
                .map(|_| {
                    RwLock::new(Shard {
                        hard_floor: at.n,
                        ..Shard::default()
                    })
                })
                .collect(),
            records_max: (records_max / SHARDS).max(1),
        }
    }

    /// The same, of a log whose record there has a known term.
    pub fn after(held: Held, records_max: usize) -> Self {
        let table = Self::with_records_max(held.at, records_max);
        *write(&table.branch) = Branch::after(held);
        table
    }

    /// S: every purge up to it is in the table. To be read before [`Table::judge`] if its verdict is to be remembered.
    pub fn at(&self) -> PurgeSeq {
        PurgeSeq::new(self.epoch, self.n.load(Ordering::Acquire))
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The term of the record at `n`, at most S, in the log that the table was made from. `None`: see
    /// [`Branch::term_of`].
    pub fn term_of(&self, n: u64) -> Option<u64> {
        read(&self.branch).term_of(n)
    }

    /// Bits from the middle: the lowest and the highest ones are the maps'.
    fn shard(&self, scope: ScopeId) -> &RwLock<Shard> {
        &self.shards[(scope.0 >> 40) as usize % SHARDS]
    }

    /// Takes in the purge after S, then raises S to it. One already taken in changes nothing.
    pub fn apply(&self, purge: &Purge) -> Result<(), ApplyError> {
        let last = self.at();
        let (at, next) = (purge.at, last.n.saturating_add(1));
        if at.epoch != last.epoch || at.n > next {
            return Err(ApplyError::Gap { last, at });
        }
        if at.n < next {
            return Ok(());
        }
        for &scope in &purge.scopes {
            write(self.shard(scope)).note(scope, purge, self.records_max);
        }
        write(&self.branch).note(at.n, purge.term);
        self.n.store(at.n, Ordering::Release);
        Ok(())
    }

    /// What the purges make of a copy with `label` and `scopes`.
    pub fn judge(&self, label: Label, scopes: &[ScopeId]) -> Verdict {
        if label.0.epoch != self.epoch {
            return Verdict::Gone;
        }
        let label = label.0.n;
        // a purge that covers it has a position above its label
        if label >= self.n.load(Ordering::Acquire) {
            return Verdict::Live;
        }
        let mut since: Option<u64> = None;
        for &scope in scopes {
            let shard = read(self.shard(scope));
            let hard = shard.hard.get(&scope.0).copied().unwrap_or(0);
            if hard.max(shard.hard_floor) > label {
                return Verdict::Gone;
            }
            let last = shard.soft.get(&scope.0).filter(|soft| soft.n > label);
            let earlier = last.and_then(|_| shard.earlier.get(&scope.0));
            for soft in last.into_iter().chain(earlier).chain(&shard.soft_floor) {
                if soft.n > label {
                    since = Some(since.map_or(soft.appended_ms, |s| s.min(soft.appended_ms)));
                }
            }
        }
        since.map_or(Verdict::Live, |since_ms| Verdict::Stale { since_ms })
    }

    /// The last position whose purge, hard or soft, covers anything with one of `scopes`; 0 where there is none.
    pub fn last_of(&self, scopes: &[ScopeId]) -> u64 {
        let last = |&scope: &ScopeId| {
            let shard = read(self.shard(scope));
            let hard = shard.hard.get(&scope.0).copied().unwrap_or(0);
            let soft = shard.soft.get(&scope.0).map_or(0, |soft| soft.n);
            let floor = shard.soft_floor.map_or(0, |soft| soft.n);
            hard.max(soft).max(shard.hard_floor).max(floor)
        };
        scopes.iter().map(last).max().unwrap_or(0)
    }

    /// The last purges of one scope, as far as the table can tell.
    pub fn last(&self, scope: ScopeId) -> LastPurges {
        let shard = read(self.shard(scope));
        let floor = shard.soft_floor.map_or(0, |soft| soft.n);
        LastPurges {
            hard: shard.hard.get(&scope.0).copied().unwrap_or(0),
            soft: shard.soft.get(&scope.0).map_or(0, |soft| soft.n),
            floor: floor.max(shard.hard_floor),
        }
    }

    /// Records held (a scope's last hard, its last soft purge, the soft ones before that).
    pub fn records(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).records()).sum()
    }

    /// Everything the table knows, to be kept at rest. Nothing may be applied meanwhile.
    pub fn dump(&self) -> Dump {
        let shards = self.shards.iter().map(|shard| {
            let shard = read(shard);
            let soft = |(scope, soft): (&u64, &Soft)| (ScopeId(*scope), soft.n, soft.appended_ms);
            DumpShard {
                hard_floor: shard.hard_floor,
                soft_floor: shard.soft_floor.map(|s| (s.n, s.appended_ms)),
                hard: shard.hard.iter().map(|(s, n)| (ScopeId(*s), *n)).collect(),
                soft: shard.soft.iter().map(soft).collect(),
                earlier: shard.earlier.iter().map(soft).collect(),
            }
        });
        Dump {
            at: self.at(),
            terms: read(&self.branch).starts(),
            shards: shards.collect(),
        }
    }

    /// The table that was dumped. A dump with another number of parts than this build's covers at least as much: its
    /// floors become those of all parts.
    pub fn restore(dump: &Dump, records_max: usize) -> Self {
        // what came before is in the dump
        let table = Self::with_records_max(PurgeSeq::new(dump.at.epoch, 0), records_max);
        table.n.store(dump.at.n, Ordering::Release);
        *write(&table.branch) = dump.terms.iter().copied().collect();
        let same_parts = dump.shards.len() == SHARDS;
        for (index, part) in dump.shards.iter().enumerate() {
            for (to, shard) in table.shards.iter().enumerate() {
                if same_parts && to != index {
                    continue;
                }
                let mut shard = write(shard);
                shard.hard_floor = shard.hard_floor.max(part.hard_floor);
                if let Some((n, appended_ms)) = part.soft_floor {
                    let before = shard.soft_floor.unwrap_or(Soft { n, appended_ms });
                    shard.soft_floor = Some(Soft {
                        n: before.n.max(n),
                        appended_ms: before.appended_ms.min(appended_ms),
                    });
                }
            }
            for &(scope, n) in &part.hard {
                write(table.shard(scope)).hard.insert(scope.0, n);
            }
            for &(scope, n, appended_ms) in &part.soft {
                let soft = Soft { n, appended_ms };
                write(table.shard(scope)).soft.insert(scope.0, soft);
            }
            for &(scope, n, appended_ms) in &part.earlier {
                let earlier = Soft { n, appended_ms };
                write(table.shard(scope)).earlier.insert(scope.0, earlier);
            }
        }
        table
    }
}

/// Positions of the last purges of one scope; 0 where none is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastPurges {
    pub hard: u64,
    /// After the last hard one.
    pub soft: u64,
    /// Up to here it is not known whether there was one: all older copies count as covered.
    pub floor: u64,
}

/// A table as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    pub at: PurgeSeq,
    /// Where terms begin, as far as it is known: see [`Branch`].
    pub terms: Vec<TermStart>,
    pub shards: Vec<DumpShard>,
}

/// One part of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpShard {
    pub hard_floor: u64,
    /// Highest position, earliest milliseconds since the Unix epoch.
    pub soft_floor: Option<(u64, u64)>,
    pub hard: Vec<(ScopeId, u64)>,
    /// Scope, position, milliseconds since the Unix epoch.
    pub soft: Vec<(ScopeId, u64, u64)>,
    /// Scope, position of the second last, milliseconds of the earliest.
    pub earlier: Vec<(ScopeId, u64, u64)>,
}

// What a writer does under the lock cannot stop halfway; a poisoned lock still holds whole records.
fn read<T>(part: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    part.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(part: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    part.write().unwrap_or_else(PoisonError::into_inner)
}
