//! A file of the format before: its records are as they were, and are given the names that they are found by.
//!
//! In one transaction: a crash leaves the file as it was, and the next start begins anew.

use super::names;
use super::tables::{FORMAT, FORMAT_BEFORE};
use crate::record;
use rusqlite::{Connection, TransactionBehavior, params};

/// What has come since. The tables' own words are in [`super::tables::SCHEMA`].
const CAME: [&str; 2] = [
    "
CREATE TABLE names (
    n INTEGER NOT NULL,
    name INTEGER NOT NULL,
    PRIMARY KEY (n, name)
) WITHOUT ROWID;
",
    // once all are there: names have no order, and one by one each would be a page of the journal
    "CREATE UNIQUE INDEX named ON names (name, n)",
];

/// Makes a file of the format before one of this format; leaves all others. A million records take some seconds.
pub(super) fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let found: i64 = connection.query_row("SELECT format FROM meta", [], |row| row.get(0))?;
    if found != FORMAT_BEFORE {
        return Ok(());
    }
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let [table, index] = CAME;
    change.execute_batch(table)?;
    {
        let mut records = change.prepare("SELECT n, body FROM records ORDER BY n")?;
        let mut insert = change.prepare(names::INSERT)?;
        let mut rows = records.query([])?;
        while let Some(row) = rows.next()? {
            let n: i64 = row.get(0)?;
            // what cannot be read is damage that its readers tell of; here it only has no names
            for name in record::names_of(row.get_ref(1)?.as_blob()?) {
                insert.execute(params![n, name as i64])?;
            }
        }
    }
    change.execute_batch(index)?;
    change.execute("UPDATE meta SET format = ?1", [FORMAT])?;
    change.commit()?;
    tracing::info!(
        from = found,
        to = FORMAT,
        "the store has another format now"
    );
    Ok(())
}
