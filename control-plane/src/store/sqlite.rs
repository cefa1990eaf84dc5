//! The engine on disk: one SQLite file, used by one process.
//!
//! **Durability.** The journal is written ahead and synchronised at every commit (`synchronous=FULL`). What was
//! answered `Ok` is there after the process or the machine has ended at any point, as far as the disk keeps what it has
//! confirmed.
//!
//! **One writer.** One thread owns the one connection that writes; changes wait for it in a bounded queue, and whoever
//! finds it full waits. A lock on a file beside (`<path>.lock`) keeps other processes out.
//!
//! **Group commit.** A commit costs one synchronisation, whatever it holds. So the writer takes all that waits into one
//! transaction, each change under a savepoint of its own: a refused one leaves the others whole. Answers are given
//! after the commit. When a commit fails, none of its changes is known to be done or not done, and all are told so.
//!
//! **Reads** see the last commit, on connections and threads of their own; they never wait for the writer, nor it for
//! them. Where the log and the documents stand is kept in memory as well, for those who only wait.
//!
//! **Damage** is looked for when the file is opened. A damaged file is refused and left as it is; [`restore`] puts a
//! backup in its place.
//!
//! - `file`: the file: lock, creation, check, connections
//! - `tables`: what a transaction is, and where the store stands; with `log`, `names` and `documents`: what is asked and changed
//! - `upgrade`: what an earlier version wrote, as this one has it
//! - `sums`: whether rows are what was written
//! - `threads`: the writer and the readers
//! - `backup`: a copy while the store runs, and the way back

mod backup;
mod documents;
mod file;
mod log;
mod names;
mod sums;
mod tables;
#[cfg(test)]
mod tests;
mod threads;
mod upgrade;

pub use backup::{BackupError, backup, restore};

use self::tables::{Fault, Tables};
use self::threads::{Asked, Change, Question};
use super::{
    Answer, Appended, Document, Documents, Entry, Expect, Head, IdempotencyKey, Record, Revision,
    Store, StoreError, Term, check_append, check_find, check_put,
};
use rusqlite::Connection;
use seawall_purge::{Epoch, PurgeSeq};
use std::fs::File;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::thread::JoinHandle;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// Changes, or questions, that wait at a time; further ones wait before the queue.
const QUEUE_MAX: usize = 256;
/// KiB of the changes in the queue together: two of the largest appends (1000 records of 64 KiB) and some.
const QUEUE_KIB_MAX: usize = 128 * 1024;

/// Why a store was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("{path} is in use by another process")]
    Locked { path: PathBuf },
    #[error("{path} is damaged: {reason}; restore it with `seawall control-plane restore`")]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "{path} is in format {found}, and this version knows only format {known}: start the version that wrote it, or use another data directory"
    )]
    Format {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("{path} cannot be used: {reason}")]
    Unusable { path: PathBuf, reason: String },
    #[error("the backup {path} is damaged: {reason}")]
    Backup { path: PathBuf, reason: String },
}

/// The engine. Dropping it waits for what was begun, and closes the file.
pub struct SqliteStore {
    path: PathBuf,
    /// `None` once the store is closing: this is what ends the threads.
    queues: Option<Queues>,
    /// The writer's first.
    threads: Vec<JoinHandle<()>>,
    /// Room in the queue of changes, in KiB.
    room: Arc<Semaphore>,
    head: watch::Receiver<Head>,
    revision: watch::Receiver<Revision>,
    /// Let go after the connections are closed, and after a backup that still runs.
    lock: Arc<File>,
}

struct Queues {
    changes: mpsc::Sender<Box<dyn Change>>,
    questions: mpsc::Sender<Question>,
}

impl SqliteStore {
    /// Opens the store, or creates an empty one where there is none, its log in an epoch drawn at random. Reads the
    /// whole file to look for damage. Blocks.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_or_begin(path, file::draw_epoch)
    }

    fn open_or_begin(
        path: &Path,
        epoch: impl FnOnce() -> Result<Epoch, String>,
    ) -> Result<Self, OpenError> {
        // SQLite takes a name such as `file:x` for a URI; a path that begins at the root is none
        let path = absolute(path).map_err(|e| file::unusable(path, &e))?;
        let lock = file::lock(&path)?;
        if file::is_missing(&path)? {
            file::create(&path, epoch)?;
        }
        file::check(&path)?;
        let failed = |e: rusqlite::Error| file::refuse(&path, &e);
        let mut writer = file::open_to_write(&path)?;
        upgrade::upgrade(&mut writer).map_err(failed)?;
        let tables = Tables::new(writer).map_err(failed)?;
        // the journals came into being just now, and their names have to last as well
        file::sync_dir_of(&path).map_err(|e| file::unusable(&path, &e))?;

        let (head, head_seen) = watch::channel(tables.head());
        let (revision, revision_seen) = watch::channel(tables.revision());
        let (changes, queue) = mpsc::channel(QUEUE_MAX);
        let writer = threads::spawn_writer(tables, queue, head, revision);
        let mut threads = vec![writer.map_err(|e| file::unusable(&path, &e))?];
        let (questions, queue) = mpsc::channel(QUEUE_MAX);
        let queue = Arc::new(parking_lot::Mutex::new(queue));
        for _ in 0..threads::READERS {
            let connection = file::open_to_read(&path).map_err(failed)?;
            let reader = threads::spawn_reader(connection, queue.clone());
            threads.push(reader.map_err(|e| file::unusable(&path, &e))?);
        }
        Ok(Self {
            path,
            queues: Some(Queues { changes, questions }),
            threads,
            room: Arc::new(Semaphore::new(QUEUE_KIB_MAX)),
            head: head_seen,
            revision: revision_seen,
            lock: Arc::new(lock),
        })
    }

    /// Has the writer do `change`, which holds about `bytes`.
    async fn change<T: Send + 'static>(
        &self,
        bytes: usize,
        change: impl FnOnce(&mut Tables) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let queues = self.queues.as_ref().ok_or(StoreError::Unavailable)?;
        let kib = (1 + bytes / 1024).min(QUEUE_KIB_MAX) as u32;
        let room = self.room.clone().acquire_many_owned(kib).await;
        let room = room.map_err(|_| StoreError::Unavailable)?;
        let (answer, answered) = oneshot::channel();
        let asked = Box::new(Asked::new(change, answer, room));
        let queued = queues.changes.send(asked).await;
        queued.map_err(|_| StoreError::Unavailable)?;
        // no answer: the writer ended in the middle of it
        answered.await.unwrap_or(Err(StoreError::Unknown))
    }

    /// Has a reader answer `question`.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let queues = self.queues.as_ref().ok_or(StoreError::Unavailable)?;
        let (answer, answered) = oneshot::channel();
        let asked: Question = Box::new(move |connection| {
            // who asked may have gone while this waited
            if !answer.is_closed() {
                let _ = answer.send(question(connection).map_err(StoreError::from));
            }
        });
        let queued = queues.questions.send(asked).await;
        queued.map_err(|_| StoreError::Unavailable)?;
        answered.await.unwrap_or(Err(StoreError::Unavailable))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        let Some(Queues { changes, questions }) = self.queues.take() else {
            return;
        };
        // One that panicked has nothing left to close. Readers may not write, so that the writer closes last and leaves
        // one file: what its journal holds is in it.
        drop(questions);
        for reader in self.threads.drain(1..) {
            let _ = reader.join();
        }
        drop(changes);
        for writer in self.threads.drain(..) {
            let _ = writer.join();
        }
    }
}

impl Store for SqliteStore {
    fn head(&self) -> Answer<'_, Head> {
        Box::pin(async { Ok(*self.head.borrow()) })
    }

    fn append(
        &self,
        term: Term,
        appended_ms: u64,
        entries: Vec<Entry>,
        key: IdempotencyKey,
    ) -> Answer<'_, Appended> {
        Box::pin(async move {
            check_append(&entries)?;
            let bytes = |entry: &Entry| entry.body.len() + entry.names.len() * size_of::<u64>();
            let bytes = entries.iter().map(bytes).sum();
            let append = move |tables: &mut Tables| tables.append(term, appended_ms, &entries, key);
            self.change(bytes, append).await
        })
    }

    fn read(&self, after: PurgeSeq, max: usize) -> Answer<'_, Vec<Record>> {
        Box::pin(self.ask(move |connection| log::read(connection, after, max)))
    }

    fn find(&self, names: Vec<u64>, before: PurgeSeq, max: usize) -> Answer<'_, Vec<Appended>> {
        Box::pin(async move {
            check_find(&names, max)?;
            self.ask(move |connection| names::find(connection, &names, before, max))
                .await
        })
    }

    fn moved(&self, seen: PurgeSeq) -> Answer<'_, ()> {
        let mut head = self.head.clone();
        Box::pin(async move {
            let moved = head.wait_for(|head| head.at != seen).await;
            moved.map(|_| ()).map_err(|_| StoreError::Unavailable)
        })
    }

    fn trim(&self, first: PurgeSeq) -> Answer<'_, ()> {
        Box::pin(self.change(0, move |tables| tables.trim(first)))
    }

    fn start_epoch(&self, current: Epoch, fresh: Epoch) -> Answer<'_, ()> {
        Box::pin(self.change(0, move |tables| tables.start_epoch(current, fresh)))
    }

    fn get(&self, key: &str) -> Answer<'_, Option<Document>> {
        let key = key.to_owned();
        Box::pin(self.ask(move |connection| documents::get(connection, &key)))
    }

    fn list(&self, prefix: &str) -> Answer<'_, Documents> {
        let prefix = prefix.to_owned();
        Box::pin(self.ask(move |connection| documents::list(connection, &prefix)))
    }

    fn put(&self, key: &str, body: Arc<[u8]>, expect: Expect) -> Answer<'_, Revision> {
        let checked = check_put(key, &body);
        let key = key.to_owned();
        Box::pin(async move {
            checked?;
            let bytes = body.len();
            let put = move |tables: &mut Tables| tables.put(&key, &body, expect);
            self.change(bytes, put).await
        })
    }

    fn delete(&self, key: &str, expect: Expect) -> Answer<'_, Revision> {
        let key = key.to_owned();
        Box::pin(self.change(0, move |tables| tables.delete(&key, expect)))
    }

    fn changes(&self, prefix: &str, since: Revision) -> Answer<'_, Documents> {
        let prefix = prefix.to_owned();
        Box::pin(self.ask(move |connection| documents::changes(connection, &prefix, since)))
    }

    fn changed(&self, since: Revision) -> Answer<'_, ()> {
        let mut revision = self.revision.clone();
        Box::pin(async move {
            let changed = revision.wait_for(|revision| *revision > since).await;
            changed.map(|_| ()).map_err(|_| StoreError::Unavailable)
        })
    }
}
