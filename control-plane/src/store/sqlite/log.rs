//! The purge log in its tables.

use super::tables::{self, Fault, Tables};
use super::{names, sums};
use crate::store::{Appended, Entry, Head, IdempotencyKey, Record, StoreError, Term};
use rusqlite::{Connection, OptionalExtension, params};
use seawall_purge::{Epoch, PurgeSeq};

impl Tables {
    /// The bounds are checked before.
    pub(super) fn append(
        &mut self,
        term: Term,
        appended_ms: u64,
        entries: &[Entry],
        key: IdempotencyKey,
    ) -> Result<Appended, Fault> {
        if let Some(before) = self.appended(key)? {
            return Ok(before);
        }
        let head = &mut self.state.head;
        let first = PurgeSeq::new(head.at.epoch, head.at.n + 1);
        let sql =
            "INSERT INTO records (n, term, appended_ms, body, sum) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut insert = self.connection.prepare_cached(sql)?;
        let mut name_of = self.connection.prepare_cached(names::INSERT)?;
        for Entry { body, names } in entries {
            head.at.n += 1;
            let (n, term, appended_ms) = (head.at.n as i64, term.0 as i64, appended_ms as i64);
            let sum = sums::record(n, term, appended_ms, body);
            insert.execute(params![n, term, appended_ms, &body[..], sum])?;
            for name in names {
                name_of.execute(params![n, *name as i64])?;
            }
        }
        head.term = term;
        let last = head.at;
        let sql = "INSERT INTO appends (first, last, key) VALUES (?1, ?2, ?3)";
        let mut insert = self.connection.prepare_cached(sql)?;
        insert.execute(params![first.n as i64, last.n as i64, key.0.to_be_bytes()])?;
        Ok(Appended { first, last })
    }

    /// What the key gave before.
    fn appended(&self, key: IdempotencyKey) -> Result<Option<Appended>, Fault> {
        let epoch = self.state.head.at.epoch;
        let sql = "SELECT first, last FROM appends WHERE key = ?1";
        let mut select = self.connection.prepare_cached(sql)?;
        let found = select.query_row(params![key.0.to_be_bytes()], |row| {
            let at = |n: i64| PurgeSeq::new(epoch, n as u64);
            let (first, last) = (at(row.get(0)?), at(row.get(1)?));
            Ok(Appended { first, last })
        });
        Ok(found.optional()?)
    }

    pub(super) fn trim(&mut self, first: PurgeSeq) -> Result<(), Fault> {
        let head = &mut self.state.head;
        check_epoch(head, first.epoch)?;
        let oldest = first.n.min(head.at.n + 1);
        if oldest <= head.first {
            return Ok(());
        }
        head.first = oldest;
        // all three tables are in the order of their numbers: what goes lies together
        for sql in [
            "DELETE FROM records WHERE n < ?1",
            "DELETE FROM appends WHERE first < ?1",
            "DELETE FROM names WHERE n < ?1",
        ] {
            let mut delete = self.connection.prepare_cached(sql)?;
            delete.execute([oldest as i64])?;
        }
        Ok(())
    }

    pub(super) fn start_epoch(&mut self, current: Epoch, fresh: Epoch) -> Result<(), Fault> {
        check_epoch(&self.state.head, current)?;
        if fresh == current {
            return Err(StoreError::OtherEpoch { current }.into());
        }
        self.connection
            .execute_batch("DELETE FROM records; DELETE FROM appends; DELETE FROM names")?;
        self.state.head = Head {
            at: PurgeSeq::new(fresh, 0),
            term: Term::default(),
            first: 1,
        };
        Ok(())
    }
}

pub(super) fn check_epoch(head: &Head, epoch: Epoch) -> Result<(), StoreError> {
    let current = head.at.epoch;
    if epoch == current {
        Ok(())
    } else {
        Err(StoreError::OtherEpoch { current })
    }
}

pub(super) fn read(
    connection: &mut Connection,
    after: PurgeSeq,
    max: usize,
) -> Result<Vec<Record>, Fault> {
    // one transaction: the head and the records are of one commit
    let connection = connection.transaction()?;
    let head = tables::head(&connection)?;
    check_epoch(&head, after.epoch)?;
    if after.n > head.at.n {
        return Err(StoreError::Beyond { head: head.at }.into());
    }
    if after.n + 1 < head.first {
        let first = head.first;
        return Err(StoreError::Trimmed { first }.into());
    }
    let count = (head.at.n - after.n).min(max as u64);
    let sql = "SELECT n, term, appended_ms, body FROM records WHERE n > ?1 ORDER BY n LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let found = select.query_map([after.n as i64, count as i64], |row| {
        let number = |i: usize| row.get::<_, i64>(i).map(|n| n as u64);
        Ok(Record {
            at: PurgeSeq::new(after.epoch, number(0)?),
            term: Term(number(1)?),
            appended_ms: number(2)?,
            body: row.get(3)?,
        })
    })?;
    let records: Vec<Record> = found.collect::<Result<_, _>>()?;
    let dense = records.iter().zip(after.n + 1..).all(|(r, n)| r.at.n == n);
    if !dense || records.len() as u64 != count {
        // a purge that a node never hears of is worse than a log that stands
        let reason = format!("a record after {after} is missing");
        return Err(StoreError::Corrupt(reason).into());
    }
    Ok(records)
}
