//! What each row was when it was written: SQLite looks after the structure of its pages, not after what they hold. A bit
//! that flipped in a purge or in a service is found when the file is opened, rather than by the nodes.

use rusqlite::Connection;
use xxhash_rust::xxh3::Xxh3;

/// The sum of a record of the log, as SQLite keeps numbers.
pub(super) fn record(n: i64, term: i64, appended_ms: i64, body: &[u8]) -> i64 {
    let mut sum = Xxh3::new();
    for number in [n, term, appended_ms] {
        sum.update(&number.to_le_bytes());
    }
    sum.update(body);
    sum.digest() as i64
}

/// The sum of a document, or of its deletion.
pub(super) fn document(revision: i64, key: &str, body: Option<&[u8]>) -> i64 {
    let mut sum = Xxh3::new();
    sum.update(&revision.to_le_bytes());
    sum.update(&(key.len() as u64).to_le_bytes());
    sum.update(key.as_bytes());
    sum.update(&[u8::from(body.is_some())]);
    sum.update(body.unwrap_or_default());
    sum.digest() as i64
}

/// The first row that is not what was written. Reads all of them, one at a time.
pub(super) fn first_wrong(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut select =
        connection.prepare("SELECT n, term, appended_ms, body, sum FROM records ORDER BY n")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let n = row.get(0)?;
        let sum = record(n, row.get(1)?, row.get(2)?, row.get_ref(3)?.as_blob()?);
        if sum != row.get::<_, i64>(4)? {
            return Ok(Some(format!("purge {n} is not what was written")));
        }
    }
    let mut select = connection.prepare("SELECT revision, key, body, sum FROM documents")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(1)?;
        let sum = document(row.get(0)?, &key, row.get_ref(2)?.as_blob_or_null()?);
        if sum != row.get::<_, i64>(3)? {
            return Ok(Some(format!("document {key:?} is not what was written")));
        }
    }
    Ok(None)
}
