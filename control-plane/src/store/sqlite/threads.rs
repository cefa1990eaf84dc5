//! The threads that own the connections: one that writes, a few that read.

use super::tables::{Fault, Tables};
use crate::store::{Head, Revision, StoreError};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

/// Readers: a long list of documents does not hold up a node that reads the log.
pub(super) const READERS: usize = 2;
/// Changes of one commit. The whole queue: a greater one would only have the first of them wait longer.
const BATCH_MAX: usize = super::QUEUE_MAX;

pub(super) type Question = Box<dyn FnOnce(&mut Connection) + Send>;

/// What the writer does with a change: within the transaction, and once the transaction's fate is known.
pub(super) trait Change: Send {
    /// An error means that the transaction is lost; that this change is refused is none.
    fn apply(&mut self, tables: &mut Tables) -> Result<(), StoreError>;

    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A change that waits for its turn, and where its answer goes.
pub(super) struct Asked<F, T> {
    change: Option<F>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
    _room: OwnedSemaphorePermit,
}

impl<F, T> Asked<F, T> {
    pub(super) fn new(
        change: F,
        answer: oneshot::Sender<Result<T, StoreError>>,
        room: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            change: Some(change),
            result: None,
            answer,
            _room: room,
        }
    }
}

impl<F, T> Change for Asked<F, T>
where
    F: FnOnce(&mut Tables) -> Result<T, Fault> + Send,
    T: Send,
{
    fn apply(&mut self, tables: &mut Tables) -> Result<(), StoreError> {
        if let Some(change) = self.change.take() {
            self.result = Some(tables.alone(change)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = self.result.unwrap_or(Err(StoreError::Unavailable));
        // who asked may have gone
        let _ = self.answer.send(committed.and(result));
    }
}

/// Ends when the queue is closed and empty.
pub(super) fn spawn_writer(
    mut tables: Tables,
    mut queue: mpsc::Receiver<Box<dyn Change>>,
    head: watch::Sender<Head>,
    revision: watch::Sender<Revision>,
) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            while queue.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
                let committed = tables
                    .commit(|tables| batch.iter_mut().try_for_each(|change| change.apply(tables)));
                // told before the answers are given: who has an answer finds the head there
                announce(&head, tables.head());
                announce(&revision, tables.revision());
                for change in batch.drain(..) {
                    change.answer(committed.clone());
                }
            }
        })
}

fn announce<T: PartialEq>(watched: &watch::Sender<T>, now: T) {
    watched.send_if_modified(|told| {
        let other = *told != now;
        *told = now;
        other
    });
}

/// Ends when the queue is closed and empty.
pub(super) fn spawn_reader(
    mut connection: Connection,
    queue: Arc<Mutex<mpsc::Receiver<Question>>>,
) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name("store-reader".to_owned())
        .spawn(move || {
            loop {
                // one reader waits for the queue, the others for this lock; it is free while a question is answered
                let next = queue.lock().blocking_recv();
                let Some(question) = next else { return };
                question(&mut connection);
            }
        })
}
