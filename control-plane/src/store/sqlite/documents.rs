//! The documents in their table.

use super::sums;
use super::tables::{self, Fault, Tables};
use crate::store::{
    DELETIONS_MAX, DOCUMENTS_MAX, Document, Documents, Expect, Revision, StoreError,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// What the table has of a key.
enum Found {
    Nothing,
    Deleted,
    At(Revision),
}

impl Tables {
    /// The bounds of key and body are checked before.
    pub(super) fn put(
        &mut self,
        key: &str,
        body: &[u8],
        expect: Expect,
    ) -> Result<Revision, Fault> {
        let found = self.find(key)?;
        if check(&found, expect)?.is_none() {
            if self.state.existing >= DOCUMENTS_MAX {
                let (what, max) = ("number of documents", DOCUMENTS_MAX);
                return Err(StoreError::TooLarge { what, max }.into());
            }
            self.state.existing += 1;
        }
        if matches!(found, Found::Deleted) {
            self.state.deletions -= 1;
        }
        self.set(key, Some(body))
    }

    pub(super) fn delete(&mut self, key: &str, expect: Expect) -> Result<Revision, Fault> {
        if check(&self.find(key)?, expect)?.is_none() {
            return Err(StoreError::Conflict { current: None }.into());
        }
        let revision = self.set(key, None)?;
        self.state.existing -= 1;
        self.state.deletions += 1;
        if self.state.deletions > DELETIONS_MAX {
            self.forget_one()?;
        }
        Ok(revision)
    }

    fn find(&self, key: &str) -> Result<Found, Fault> {
        let sql = "SELECT revision, body IS NULL FROM documents WHERE key = ?1";
        let mut select = self.connection.prepare_cached(sql)?;
        let found = select.query_row([key], |row| {
            let revision = Revision(row.get::<_, i64>(0)? as u64);
            Ok(if row.get(1)? {
                Found::Deleted
            } else {
                Found::At(revision)
            })
        });
        Ok(found.optional()?.unwrap_or(Found::Nothing))
    }

    fn set(&mut self, key: &str, body: Option<&[u8]>) -> Result<Revision, Fault> {
        self.state.revision.0 += 1;
        let revision = self.state.revision;
        let sql = "REPLACE INTO documents (revision, key, body, sum) VALUES (?1, ?2, ?3, ?4)";
        let mut replace = self.connection.prepare_cached(sql)?;
        let sum = sums::document(revision.0 as i64, key, body);
        replace.execute(params![revision.0 as i64, key, body, sum])?;
        Ok(revision)
    }

    fn forget_one(&mut self) -> Result<(), Fault> {
        // without the hint SQLite might look for it among all documents
        let sql = "SELECT revision FROM documents INDEXED BY deletions WHERE body IS NULL ORDER BY revision LIMIT 1";
        let mut select = self.connection.prepare_cached(sql)?;
        let oldest: i64 = select.query_row([], |row| row.get(0))?;
        let sql = "DELETE FROM documents WHERE revision = ?1";
        self.connection.prepare_cached(sql)?.execute([oldest])?;
        self.state.deletions -= 1;
        self.state.forgotten = Revision(oldest as u64);
        Ok(())
    }
}

/// Judges `expect`; gives the revision of the document that exists.
fn check(found: &Found, expect: Expect) -> Result<Option<Revision>, StoreError> {
    let current = match found {
        Found::At(revision) => Some(*revision),
        Found::Nothing | Found::Deleted => None,
    };
    let met = match expect {
        Expect::Any => true,
        Expect::Absent => current.is_none(),
        Expect::At(revision) => current == Some(revision),
    };
    met.then_some(current)
        .ok_or(StoreError::Conflict { current })
}

pub(super) fn get(connection: &mut Connection, key: &str) -> Result<Option<Document>, Fault> {
    let sql = "SELECT revision, key, body FROM documents WHERE key = ?1 AND body IS NOT NULL";
    let mut select = connection.prepare_cached(sql)?;
    Ok(select.query_row([key], document).optional()?)
}

pub(super) fn list(connection: &mut Connection, prefix: &str) -> Result<Documents, Fault> {
    // one transaction: the documents and the cursor are of one commit
    let connection = connection.transaction()?;
    let (revision, _) = tables::revisions(&connection)?;
    let sql = "SELECT revision, key, body FROM documents WHERE key >= ?1 ORDER BY key";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([prefix])?;
    let mut documents = Vec::new();
    while let Some(row) = rows.next()?
        && is_below(row, prefix)?
    {
        documents.push(document(row)?);
    }
    documents.retain(|d| d.body.is_some());
    documents.sort_unstable_by_key(|d| d.revision);
    Ok(Documents {
        documents,
        revision,
    })
}

pub(super) fn changes(
    connection: &mut Connection,
    prefix: &str,
    since: Revision,
) -> Result<Documents, Fault> {
    let connection = connection.transaction()?;
    let (revision, forgotten) = tables::revisions(&connection)?;
    if since < forgotten {
        return Err(StoreError::Forgotten { since: forgotten }.into());
    }
    let mut documents = Vec::new();
    // one beyond has no changes; and as a number with a sign it might be before all
    if since < revision {
        let sql = "SELECT revision, key, body FROM documents WHERE revision > ?1 ORDER BY revision";
        let mut select = connection.prepare_cached(sql)?;
        let mut rows = select.query([since.0 as i64])?;
        while let Some(row) = rows.next()? {
            if is_below(row, prefix)? {
                documents.push(document(row)?);
            }
        }
    }
    Ok(Documents {
        documents,
        revision,
    })
}

fn is_below(row: &Row<'_>, prefix: &str) -> rusqlite::Result<bool> {
    Ok(row.get_ref(1)?.as_str()?.starts_with(prefix))
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        revision: Revision(row.get::<_, i64>(0)? as u64),
        key: row.get(1)?,
        body: row.get(2)?,
    })
}
