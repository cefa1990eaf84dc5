//! Records by what they are found by.

use super::log::check_epoch;
use super::tables::{self, Fault};
use crate::store::Appended;
use rusqlite::{Connection, OptionalExtension as _};
use seawall_purge::PurgeSeq;
use std::collections::BTreeSet;

/// One name of one record. A record may be given a name twice.
pub(super) const INSERT: &str = "INSERT OR IGNORE INTO names (n, name) VALUES (?1, ?2)";

pub(super) fn find(
    connection: &mut Connection,
    names: &[u64],
    before: PurgeSeq,
    max: usize,
) -> Result<Vec<Appended>, Fault> {
    // one transaction: the names and the appends are of one commit
    let connection = connection.transaction()?;
    check_epoch(&tables::head(&connection)?, before.epoch)?;
    let sql = "SELECT n FROM names WHERE name = ?1 AND n < ?2 ORDER BY n DESC LIMIT 1";
    let mut last_of = connection.prepare_cached(sql)?;
    let mut last = |name: u64, before: u64| {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let found = last_of.query_row([name as i64, before], |row| row.get::<_, i64>(0));
        found.optional().map(|n| n.map(|n| n as u64))
    };
    let sql = "SELECT first, last FROM appends WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
    let mut append_of = connection.prepare_cached(sql)?;
    // of each name the last record that was not looked at yet: the latest of all is the next
    let mut next = BTreeSet::new();
    for name in names {
        next.extend(last(*name, before.n)?.map(|n| (n, *name)));
    }
    let mut found: Vec<Appended> = Vec::new();
    while found.len() < max
        && let Some((n, name)) = next.pop_last()
    {
        let append = append_of.query_row([n as i64], |row| {
            let at = |n: i64| PurgeSeq::new(before.epoch, n as u64);
            let (first, last) = (at(row.get(0)?), at(row.get(1)?));
            Ok(Appended { first, last })
        });
        // one that was cut by trimming is not kept
        let append = append.optional()?.filter(|append| append.last.n >= n);
        next.extend(last(name, append.map_or(n, |append| append.first.n))?.map(|n| (n, name)));
        if let Some(append) = append
            && append.last.n < before.n
            && found.last() != Some(&append)
        {
            found.push(append);
        }
    }
    Ok(found)
}
