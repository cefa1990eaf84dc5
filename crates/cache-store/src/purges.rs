//! The purges that this node has acknowledged: durable first, then in the table, then counted in S.

mod files;
mod journal;

use crate::purges::journal::Journal;
pub use crate::purges::journal::JournalError;
use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use seawall_purge::lineage::{Contact, Held, Recovered, serves_stored, tells_position};
use seawall_purge::record::news;
use seawall_purge::table::{ApplyError, RECORDS_MAX};
use seawall_purge::tier::Told;
use seawall_purge::{Epoch, Purge, PurgeSeq, Table};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The purges of one node. One caller applies at a time; any number judge by [`Purges::table`].
#[derive(Debug)]
pub struct Purges {
    table: ArcSwap<Table>,
    journal: Mutex<Journal>,
    recovered: Recovered,
    serves_stored: AtomicBool,
    tells_position: AtomicBool,
    strangers: Strangers,
}

/// Positions of lineages that nobody is of.
#[derive(Debug, Default)]
struct Strangers {
    random: RandomState,
    drawn: AtomicU64,
}

impl Strangers {
    /// Another one each time.
    fn next(&self) -> PurgeSeq {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        PurgeSeq::new(Epoch(self.random.hash_one(drawn)), 1)
    }
}

impl Purges {
    /// Reads back what was acknowledged before, from files in `dir`. What cannot be read is not an error: see
    /// [`Purges::recovered`]. An error says that the directory cannot be used at all.
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        let (journal, table, recovered) = Journal::open(dir, RECORDS_MAX)?;
        Ok(Self {
            table: ArcSwap::from_pointee(table),
            journal: Mutex::new(journal),
            recovered,
            serves_stored: AtomicBool::new(serves_stored(recovered, Contact::Waiting)),
            tells_position: AtomicBool::new(tells_position(recovered, Contact::Waiting)),
            strangers: Strangers::default(),
        })
    }

    /// Identity of this log of purges: copies that were stored beside another one are not judged by it.
    pub fn lineage(&self) -> u128 {
        self.journal.lock().lineage()
    }

    /// What was found when it was opened.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// The last purge that is durable here.
    pub fn held(&self) -> Held {
        self.journal.lock().held()
    }

    /// What judges copies; another one after [`Purges::start_empty`].
    pub fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    pub fn table_full(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Applies consecutive purges: when this returns they are durable, and every copy that they cover is covered. Ones
    /// applied before change nothing. After an error nothing of it may be acknowledged. Blocks for an fsync.
    pub fn apply(&self, purges: &[Purge]) -> Result<PurgeSeq, JournalError> {
        let mut journal = self.journal.lock();
        let table = self.table.load_full();
        let last = table.at();
        let new = news(last, purges)
            .map_err(|ApplyError::Gap { last, at }| JournalError::Gap { last, at })?;
        if new.is_empty() {
            return Ok(last);
        }
        journal.append(new, &table)?;
        for purge in new {
            let last = table.at();
            table
                .apply(purge)
                .map_err(|_| JournalError::Gap { last, at: purge.at })?;
        }
        // a journal that grew long is a slow start later; should this fail, it only goes on growing
        if let Err(error) = journal.compact_where_long(&table) {
            tracing::warn!(%error, "the log of purges could not be compacted");
        }
        Ok(table.at())
    }

    /// Lets go of everything known and begins at `held`, with no purge. Before that, `kill` has to make every stored
    /// copy dead for good: it cannot be judged any more.
    pub fn start_empty(&self, held: Held, kill: impl FnOnce()) -> Result<(), JournalError> {
        let mut journal = self.journal.lock();
        kill();
        journal.start(held)?;
        self.table.store(Arc::new(Table::after(held, RECORDS_MAX)));
        Ok(())
    }

    /// How far the node has come with the control plane decides whether copies from before its start are used.
    pub fn contact(&self, contact: Contact) {
        if contact == Contact::CaughtUp {
            self.journal.lock().is_whole();
        }
        let serves = serves_stored(self.recovered, contact);
        // never taken back: what has caught up once hears of every purge before it acknowledges it
        if serves {
            self.serves_stored.store(true, Ordering::Release);
        }
        if tells_position(self.recovered, contact) {
            self.tells_position.store(true, Ordering::Release);
        }
    }

    /// What to tell neighbours, of a node that would tell `known`: that, unless purges that this node has acknowledged may
    /// be forgotten and the control plane was not heard since, or `known` is none. Then a position that nobody is at: the
    /// origin is asked.
    pub fn told(&self, known: Option<Told>) -> Told {
        let tells = self.tells_position.load(Ordering::Acquire);
        known.filter(|_| tells).unwrap_or_else(|| Told {
            at: self.nobodys(),
            term: None,
        })
    }

    /// A position of a lineage that nobody is of, another one each time: no copy and no fill reaches it.
    pub fn nobodys(&self) -> PurgeSeq {
        self.strangers.next()
    }

    /// Whether copies that were stored before this start may be used.
    pub fn serves_stored(&self) -> bool {
        self.serves_stored.load(Ordering::Acquire)
    }
}
