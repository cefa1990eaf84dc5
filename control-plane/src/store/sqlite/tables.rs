//! What the writer has before it: the tables, where the store stands, and a transaction over both.

use super::file;
use crate::store::{Head, Revision, StoreError, Term};
use rusqlite::{Connection, ErrorCode, params};
use seawall_purge::{Epoch, PurgeSeq};

/// The number of the tables' format; another one is refused when the file is opened.
pub(super) const FORMAT: i64 = 3;
/// The one before: opening a file of it makes it one of this.
pub(super) const FORMAT_BEFORE: i64 = 2;

/// Numbers of 64 bits without a sign are kept as SQLite's, which have one, by the same bits.
pub(super) const SCHEMA: &str = "
CREATE TABLE meta (format INTEGER NOT NULL);
-- one row
CREATE TABLE state (
    epoch INTEGER NOT NULL,
    head INTEGER NOT NULL,
    term INTEGER NOT NULL,
    first INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    forgotten INTEGER NOT NULL
);
-- from state.first to state.head, without a gap
CREATE TABLE records (
    n INTEGER PRIMARY KEY,
    term INTEGER NOT NULL,
    appended_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL
);
-- which key gave which records; as long as the first of them
CREATE TABLE appends (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    key BLOB NOT NULL UNIQUE
);
-- what records are found by; as long as they
CREATE TABLE names (
    n INTEGER NOT NULL,
    name INTEGER NOT NULL,
    PRIMARY KEY (n, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX named ON names (name, n);
-- the last change of each document; no body: deleted
CREATE TABLE documents (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    body BLOB,
    sum INTEGER NOT NULL
);
CREATE INDEX deletions ON documents (revision) WHERE body IS NULL;
";

/// Statements that a connection keeps ready: all that it ever has.
const STATEMENTS: usize = 32;

/// Why a change or a question failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// By the rules of the store.
    Refused(StoreError),
    /// SQLite, or the disk below it.
    Engine(rusqlite::Error),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            Fault::Engine(error) => {
                tracing::warn!(%error, "the store failed");
                if is_damage(&error) {
                    Self::Corrupt(file::one_line(&error))
                } else {
                    Self::Unavailable
                }
            }
        }
    }
}

/// Whether the file is to blame, rather than the disk or the moment: it is not a database, its pages contradict each
/// other, or what it holds is not what this engine writes.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code().is_none_or(|code| {
        matches!(
            code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                // "no such table"
                | ErrorCode::Unknown
        )
    })
}

/// Where the store stands: the row that is kept, and what is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) head: Head,
    pub(super) revision: Revision,
    /// Deletions up to this one are forgotten.
    pub(super) forgotten: Revision,
    pub(super) existing: usize,
    pub(super) deletions: usize,
}

impl State {
    fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let documents = count("SELECT count(*) FROM documents")?;
        let deletions = count("SELECT count(*) FROM documents WHERE body IS NULL")?;
        let (revision, forgotten) = revisions(connection)?;
        Ok(Self {
            head: head(connection)?,
            revision,
            forgotten,
            existing: (documents - deletions) as usize,
            deletions: deletions as usize,
        })
    }
}

/// Where the log stands, as a reader sees it.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<Head> {
    let sql = "SELECT epoch, head, term, first FROM state";
    connection.prepare_cached(sql)?.query_row([], |row| {
        let number = |i: usize| row.get::<_, i64>(i).map(|n| n as u64);
        Ok(Head {
            at: PurgeSeq::new(Epoch(number(0)?), number(1)?),
            term: Term(number(2)?),
            first: number(3)?,
        })
    })
}

/// The last change of any document, and up to which one deletions are forgotten; as a reader sees it.
pub(super) fn revisions(connection: &Connection) -> rusqlite::Result<(Revision, Revision)> {
    let sql = "SELECT revision, forgotten FROM state";
    connection.prepare_cached(sql)?.query_row([], |row| {
        let revision = |i: usize| row.get::<_, i64>(i).map(|n| Revision(n as u64));
        Ok((revision(0)?, revision(1)?))
    })
}

/// The writer's side of the store.
pub(super) struct Tables {
    pub(super) connection: Connection,
    pub(super) state: State,
    /// After a failure: what the file says is to be read again before anything else.
    stale: bool,
}

impl Tables {
    pub(super) fn new(connection: Connection) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self {
            state: State::load(&connection)?,
            connection,
            stale: false,
        })
    }

    pub(super) fn head(&self) -> Head {
        self.state.head
    }

    pub(super) fn revision(&self) -> Revision {
        self.state.revision
    }

    /// Makes `changes` one transaction. After an error nothing of it was done; except [`StoreError::Unknown`], after
    /// which that is not known.
    pub(super) fn commit(
        &mut self,
        changes: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let done = self.transact(changes);
        if done.is_err() {
            self.stale = true;
            // now if it can be had now; what was done in spite of the error is told to those who wait for it
            if let Err(error) = self.recover() {
                tracing::warn!(%error, "the store does not say where it stands");
            }
        }
        done
    }

    fn transact(
        &mut self,
        changes: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.recover().map_err(Fault::from)?;
        let before = self.state;
        self.run("BEGIN IMMEDIATE").map_err(Fault::from)?;
        changes(self)?;
        if self.state != before {
            self.keep_state().map_err(Fault::from)?;
        }
        self.run("COMMIT").map_err(|error| {
            // the journal may hold the commit though it was not confirmed
            tracing::warn!(%error, "a commit failed");
            StoreError::Unknown
        })
    }

    /// One change of the transaction. Where it is refused or fails, nothing of it is done; the transaction goes on. The
    /// outer error: the transaction is lost, because the disk has ended it, or because what a damaged file says must
    /// not be committed.
    pub(super) fn alone<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Result<T, StoreError>, StoreError> {
        let before = self.state;
        self.run("SAVEPOINT change").map_err(Fault::from)?;
        let result = change(self).map_err(StoreError::from);
        if let Err(error) = &result {
            let damaged = matches!(error, StoreError::Corrupt(_));
            if damaged || self.connection.is_autocommit() {
                return Err(error.clone());
            }
            self.run("ROLLBACK TO change").map_err(Fault::from)?;
            self.state = before;
        }
        self.run("RELEASE change").map_err(Fault::from)?;
        Ok(result)
    }

    fn recover(&mut self) -> rusqlite::Result<()> {
        if self.stale {
            if !self.connection.is_autocommit() {
                self.run("ROLLBACK")?;
            }
            self.state = State::load(&self.connection)?;
            self.stale = false;
        }
        Ok(())
    }

    fn keep_state(&self) -> rusqlite::Result<()> {
        let State { head, .. } = self.state;
        let sql = "UPDATE state SET epoch = ?1, head = ?2, term = ?3, first = ?4, revision = ?5, forgotten = ?6";
        self.connection.prepare_cached(sql)?.execute(params![
            head.at.epoch.0 as i64,
            head.at.n as i64,
            head.term.0 as i64,
            head.first as i64,
            self.state.revision.0 as i64,
            self.state.forgotten.0 as i64,
        ])?;
        Ok(())
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}
