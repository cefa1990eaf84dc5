//! What an engine that keeps the control plane's state must do: the purge log, and documents.
//!
//! One suite (`store/suite.rs`) runs over every engine. Readers are never pushed to: each keeps its own cursor (a
//! position of the log, a revision of the documents) and waits until there is more, so that no engine holds a queue for
//! a node. Leases and messages between replicas join the trait with the first engine that has replicas.

mod memory;
mod sqlite;
#[cfg(test)]
mod suite;
mod watched;

pub use memory::MemoryStore;
pub use sqlite::{BackupError, OpenError, SqliteStore, backup, restore};
pub use watched::{Damage, Watched};

use seawall_purge::{Epoch, PurgeSeq};
use std::pin::Pin;
use std::sync::Arc;
use thiserror::Error;

/// Records of one append.
pub const APPEND_RECORDS_MAX: usize = 1000;
/// Bytes of one record of the log: a purge names scopes, it carries no content.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Names that one record is found by.
pub const NAMES_MAX: usize = seawall_purge::record::SCOPES_MAX;
/// Appends of one question.
pub const FOUND_MAX: usize = 1000;
/// Names that one question asks for: every service there is, and the scopes of one URL.
pub const ASKED_NAMES_MAX: usize = 16 * 1024;
/// Bytes of a document's key.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of a document: one service, or the map of the shields, as whole state.
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Documents that exist at a time.
pub const DOCUMENTS_MAX: usize = 250_000;
/// Deletions that are remembered for cursors; the oldest are forgotten.
pub const DELETIONS_MAX: usize = 10_000;

/// What every question to a store gives. Dropping it before it is ready leaves an append or a put done or not done,
/// never half done.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Compare-and-set: the document is at another revision (`None`: there is none). Nothing was changed.
    #[error("the document is at another revision: {current:?}")]
    Conflict { current: Option<Revision> },
    /// The position is of another lineage of the log.
    #[error("the log is in epoch {}", .current.0)]
    OtherEpoch { current: Epoch },
    /// The position is beyond the log: whoever holds it has seen a log that was rolled back since.
    #[error("the log ends at {head}")]
    Beyond { head: PurgeSeq },
    /// What was asked for is no longer kept; `first` is the oldest record that is.
    #[error("the log begins at {first}")]
    Trimmed { first: u64 },
    /// Deletions since that revision are no longer kept: list anew.
    #[error("changes are known only since revision {}", .since.0)]
    Forgotten { since: Revision },
    /// Against the bounds of this module. Nothing was changed.
    #[error("{what} is more than {max}")]
    TooLarge { what: &'static str, max: usize },
    #[error("an append has at least one record")]
    Empty,
    /// It is not known whether it was done: ask again with the same idempotency key.
    #[error("it is not known whether the store has done it")]
    Unknown,
    #[error("the store cannot be reached")]
    Unavailable,
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// Drawn at random at each start of a writer; tells apart two records of one position in a log that was rolled back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Term(pub u64);

/// What makes an append that is tried again the same append. Kept as long as the first of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub u128);

/// A record that is to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub body: Arc<[u8]>,
    /// What it is found by ([`Store::find`]).
    pub names: Vec<u64>,
}

/// One that is found by nothing.
#[cfg(test)]
impl From<&[u8]> for Entry {
    fn from(body: &[u8]) -> Self {
        let names = Vec::new();
        let body = body.into();
        Self { body, names }
    }
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub at: PurgeSeq,
    pub term: Term,
    /// When it was appended, milliseconds since the Unix epoch, by the writer's clock.
    pub appended_ms: u64,
    pub body: Arc<[u8]>,
}

/// Where the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last record; n = 0 before the first one of an epoch.
    pub at: PurgeSeq,
    /// The term of that record; that of no writer before the first one.
    pub term: Term,
    /// The oldest record that is kept; one past `at` where none is.
    pub first: u64,
}

/// The positions that one append was given, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub first: PurgeSeq,
    pub last: PurgeSeq,
}

/// Counts the changes of all documents of a store: never used twice, not even by a key that was deleted and came again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// What a document must be for a change to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Any,
    Absent,
    At(Revision),
}

/// One version of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub key: String,
    pub revision: Revision,
    /// `None`: deleted. Only [`Store::changes`] tells of such.
    pub body: Option<Arc<[u8]>>,
}

/// Documents as of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// In the order of their revisions.
    pub documents: Vec<Document>,
    /// The cursor for the next question.
    pub revision: Revision,
}

/// An engine. What it answered `Ok` to is durable as far as the engine promises durability at all.
pub trait Store: Send + Sync + 'static {
    /// Where the log stands.
    fn head(&self) -> Answer<'_, Head>;

    /// Appends `entries` at consecutive positions, all or none. The same key again gives the same positions and appends
    /// nothing. Bounds: [`APPEND_RECORDS_MAX`], [`RECORD_BYTES_MAX`], [`NAMES_MAX`].
    fn append(
        &self,
        term: Term,
        appended_ms: u64,
        entries: Vec<Entry>,
        key: IdempotencyKey,
    ) -> Answer<'_, Appended>;

    /// At most `max` records after a position, in order and without a gap; none where it is the head. A position that
    /// is of another epoch, beyond the head or older than what is kept is an error that says so.
    fn read(&self, after: PurgeSeq, max: usize) -> Answer<'_, Vec<Record>>;

    /// The last appends before a position of which a record has one of these names, latest first, at most `max`; those
    /// of which not all records are kept are left out. Its cost does not grow with the log. Of another epoch than the
    /// log's: an error. Bounds: [`ASKED_NAMES_MAX`], [`FOUND_MAX`].
    fn find(&self, names: Vec<u64>, before: PurgeSeq, max: usize) -> Answer<'_, Vec<Appended>>;

    /// Ready once the head is another than `seen`, at once where it is already. Cancel-safe.
    fn moved(&self, seen: PurgeSeq) -> Answer<'_, ()>;

    /// Lets go of the records before `first`, at most of all; of another epoch than the log's: an error. The head stays.
    fn trim(&self, first: PurgeSeq) -> Answer<'_, ()>;

    /// Starts a new lineage in place of `current`, empty and with no key remembered. If the log is no longer in
    /// `current`, that is an error and nothing happens, so that two who noticed one rollback start one epoch.
    /// `fresh` must never have been an epoch of this log; one equal to `current` is refused in the same way.
    fn start_epoch(&self, current: Epoch, fresh: Epoch) -> Answer<'_, ()>;

    fn get(&self, key: &str) -> Answer<'_, Option<Document>>;

    /// All documents whose keys begin with `prefix`.
    fn list(&self, prefix: &str) -> Answer<'_, Documents>;

    /// Bounds: [`KEY_BYTES_MAX`], [`DOCUMENT_BYTES_MAX`].
    fn put(&self, key: &str, body: Arc<[u8]>, expect: Expect) -> Answer<'_, Revision>;

    /// The deletion's own revision. Deleting what is not there is a conflict.
    fn delete(&self, key: &str, expect: Expect) -> Answer<'_, Revision>;

    /// The last change of each document whose key begins with `prefix` and that changed after `since`, deletions among
    /// them. An old cursor may be [`StoreError::Forgotten`].
    fn changes(&self, prefix: &str, since: Revision) -> Answer<'_, Documents>;

    /// Ready once any document has changed after `since`. Cancel-safe.
    fn changed(&self, since: Revision) -> Answer<'_, ()>;
}

/// Whether an append is within the bounds; every engine asks this first.
pub(crate) fn check_append(entries: &[Entry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Err(StoreError::Empty);
    }
    at_most("number of records", entries.len(), APPEND_RECORDS_MAX)?;
    entries.iter().try_for_each(|entry| {
        at_most("size of a record", entry.body.len(), RECORD_BYTES_MAX)?;
        at_most("number of names", entry.names.len(), NAMES_MAX)
    })
}

/// Whether a question is within the bounds; every engine asks this first.
pub(crate) fn check_find(names: &[u64], max: usize) -> Result<(), StoreError> {
    at_most("number of names", names.len(), ASKED_NAMES_MAX)?;
    at_most("number of appends", max, FOUND_MAX)
}

/// Whether a document is within the bounds; every engine asks this first.
pub(crate) fn check_put(key: &str, body: &[u8]) -> Result<(), StoreError> {
    at_most("length of a key", key.len(), KEY_BYTES_MAX)?;
    at_most("size of a document", body.len(), DOCUMENT_BYTES_MAX)
}

fn at_most(what: &'static str, is: usize, max: usize) -> Result<(), StoreError> {
    if is > max {
        return Err(StoreError::TooLarge { what, max });
    }
    Ok(())
}
