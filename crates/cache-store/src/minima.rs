//! The minima of one store: what was invalidated, by key or by group, and what was replaced while an older head may lie
//! on a disk.

use crate::durability::Durability;
use crate::head::Head;
use crate::key::HeadKey;
use crate::minima_log::{Fact, MinimaLog, Table, Urgency};
use crate::minimum::{Minimums, Version};
use seawall_purge::{Generation, ScopeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::xxh3_128;

/// Keys with a minimum of their own, in each of these two tables, before a shard of them folds.
const MINIMA_MAX: usize = 1 << 20;
/// The same for groups.
const GROUPS_MAX: usize = 1 << 18;

/// The tables in memory. The log's thread reads them to write the log anew.
#[derive(Debug)]
pub(crate) struct Tables {
    /// By key: every variant below is dead. Asked at each lookup.
    pub(crate) keys: Minimums,
    /// By slot (key and variant): what was replaced there. Asked only of heads that come from a disk, since memory
    /// holds the last one put into a slot by itself; so hits in memory do not pay for it.
    pub(crate) slots: Minimums,
    /// By the id of a scope: every head below is dead that carries it. Asked at each lookup, of a head once after each
    /// change of the table.
    pub(crate) groups: Minimums,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            keys: Minimums::new(MINIMA_MAX),
            slots: Minimums::new(MINIMA_MAX),
            groups: Minimums::new(GROUPS_MAX),
        }
    }
}

impl Tables {
    pub(crate) fn of(&self, table: Table) -> &Minimums {
        match table {
            Table::Keys => &self.keys,
            Table::Slots => &self.slots,
            Table::Groups => &self.groups,
        }
    }
}

/// The tables, and the log that keeps them over a restart where there is a disk tier.
#[derive(Debug, Default)]
pub(crate) struct Minima {
    tables: Arc<Tables>,
    log: Option<MinimaLog>,
    /// Changes of the table of groups since the start, after they were made.
    grouped: AtomicU64,
}

impl Minima {
    pub(crate) fn logged(tables: Arc<Tables>, log: MinimaLog) -> Self {
        Self {
            tables,
            log: Some(log),
            // what the log brought along is a change too
            grouped: AtomicU64::new(1),
        }
    }

    pub(crate) fn log(&self) -> Option<&MinimaLog> {
        self.log.as_ref()
    }

    /// Every head of `key` with a generation below `minimum` is dead, at once in memory. It is in the log when this
    /// returns (so a killed process does not forget it), and on the device once what is returned has been waited for
    /// (the log's thread groups the fsyncs). `None`: nothing outlives the process.
    pub(crate) fn invalidate(&self, key: u128, minimum: Generation) -> Option<Durability> {
        self.raise(Table::Keys, key, minimum.into(), Urgency::Sync)
    }

    /// Every head below `minimum` that carries one of `scopes` is dead, as [`Self::invalidate`] has it of a key's heads.
    pub(crate) fn invalidate_scopes(
        &self,
        scopes: &[ScopeId],
        minimum: Generation,
    ) -> Option<Durability> {
        let mut last = None;
        for scope in scopes {
            last = self.raise(
                Table::Groups,
                scope_key(*scope),
                minimum.into(),
                Urgency::Sync,
            );
        }
        self.grouped.fetch_add(1, Ordering::AcqRel);
        // what was appended last is durable last
        last
    }

    /// Heads in `slot` below `minimum` that come from a disk are dead.
    pub(crate) fn supersede(&self, slot: HeadKey, minimum: Version) {
        drop(self.raise(Table::Slots, slot_id(slot), minimum, Urgency::Lazy));
    }

    /// Nothing is left on the disks of what was replaced before the last turn.
    pub(crate) fn turn(&self) {
        self.tables.slots.turn();
        if let Some(log) = &self.log {
            log.compact_soon();
        }
    }

    /// Every head below `minimum` is dead, on the device too when this returns. Should that fail, the log has given up
    /// the disks: they start empty.
    pub(crate) fn kill_all(&self, minimum: Generation) {
        let version = minimum.into();
        self.tables.keys.raise_floors(version);
        let Some(log) = &self.log else {
            return;
        };
        for key in Minimums::shard_keys() {
            let fact = Fact {
                table: Table::Keys,
                floor: true,
                key,
                version,
            };
            drop(log.append(fact, Urgency::Lazy));
        }
        log.sync();
    }

    fn raise(
        &self,
        table: Table,
        key: u128,
        version: Version,
        urgency: Urgency,
    ) -> Option<Durability> {
        // memory first: a log that is written anew in between then has it already
        self.tables.of(table).raise(key, version);
        let fact = Fact {
            table,
            floor: false,
            key,
            version,
        };
        self.log.as_ref().map(|log| log.append(fact, urgency))
    }

    /// Whether a head of `generation` under `key` with these scopes could be used.
    pub(crate) fn generation_alive(
        &self,
        key: u128,
        scopes: &[ScopeId],
        generation: Generation,
    ) -> bool {
        let (version, groups) = (Version::from(generation), &self.tables.groups);
        self.tables.keys.alive(key, version)
            && scopes
                .iter()
                .all(|scope| groups.alive(scope_key(*scope), version))
    }

    /// Whether `head`, which lies under `key`, may be used. Without any invalidation of a group, or any since it was asked
    /// of this head last, that costs what its key costs.
    #[inline]
    pub(crate) fn alive(&self, key: u128, head: &Head) -> bool {
        self.tables.keys.alive(key, head.generation().into()) && self.alive_by_groups(head)
    }

    #[inline]
    fn alive_by_groups(&self, head: &Head) -> bool {
        // the count first, then the table: a change meanwhile makes the memory too old, never too new
        let at = self.grouped.load(Ordering::Acquire);
        if at == 0 || head.memo.is_alive(at) {
            return true;
        }
        let version = Version::from(head.generation());
        let groups = &self.tables.groups;
        let alive = (head.scopes().iter()).all(|scope| groups.alive(scope_key(*scope), version));
        if alive {
            head.memo.set_alive(at);
        }
        alive
    }

    /// Whether a head that came from a disk is still what its slot holds, as far as is known.
    pub(crate) fn current(&self, slot: HeadKey, version: Version) -> bool {
        self.tables.slots.alive(slot_id(slot), version)
    }
}

/// Spread over the shards, which the upper half chooses.
fn scope_key(scope: ScopeId) -> u128 {
    u128::from(scope.0) << 64 | u128::from(scope.0)
}

fn slot_id(slot: HeadKey) -> u128 {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&slot.primary.to_le_bytes());
    bytes[16..].copy_from_slice(&slot.variant.to_le_bytes());
    xxh3_128(&bytes)
}
