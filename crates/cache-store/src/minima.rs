//! The minima of one store: what was invalidated, and what was replaced while an older head may lie on a disk.

use crate::durability::Durability;
use crate::key::HeadKey;
use crate::minima_log::{Fact, MinimaLog, Table, Urgency};
use crate::minimum::{Minimums, Version};
use seawall_purge::Generation;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// Keys with a minimum of their own, in each of the two tables, before a shard of them folds.
const MINIMA_MAX: usize = 1 << 20;

/// The tables in memory. The log's thread reads them to write the log anew.
#[derive(Debug)]
pub(crate) struct Tables {
    /// By key: every variant below is dead. Asked at each lookup.
    pub(crate) keys: Minimums,
    /// By slot (key and variant): what was replaced there. Asked only of heads that come from a disk, since memory
    /// holds the last one put into a slot by itself; so hits in memory do not pay for it.
    pub(crate) slots: Minimums,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            keys: Minimums::new(MINIMA_MAX),
            slots: Minimums::new(MINIMA_MAX),
        }
    }
}

impl Tables {
    pub(crate) fn of(&self, table: Table) -> &Minimums {
        match table {
            Table::Keys => &self.keys,
            Table::Slots => &self.slots,
        }
    }
}

/// The tables, and the log that keeps them over a restart where there is a disk tier.
#[derive(Debug, Default)]
pub(crate) struct Minima {
    tables: Arc<Tables>,
    log: Option<MinimaLog>,
}

impl Minima {
    pub(crate) fn logged(tables: Arc<Tables>, log: MinimaLog) -> Self {
        Self {
            tables,
            log: Some(log),
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

    /// Whether a head of `key` may be used.
    #[inline]
    pub(crate) fn alive(&self, key: u128, generation: Generation) -> bool {
        self.tables.keys.alive(key, generation.into())
    }

    /// Whether a head that came from a disk is still what its slot holds, as far as is known.
    pub(crate) fn current(&self, slot: HeadKey, version: Version) -> bool {
        self.tables.slots.alive(slot_id(slot), version)
    }
}

fn slot_id(slot: HeadKey) -> u128 {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&slot.primary.to_le_bytes());
    bytes[16..].copy_from_slice(&slot.variant.to_le_bytes());
    xxh3_128(&bytes)
}
