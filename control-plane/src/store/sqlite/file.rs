//! The file: who may use it, how it comes into being, whether it is whole, and connections to it.

use super::tables::{FORMAT, FORMAT_BEFORE, SCHEMA, is_damage};
use super::{OpenError, sums};
use rusqlite::{Connection, OpenFlags};
use seawall_purge::Epoch;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files that belong to a database, as SQLite names them.
pub(super) const JOURNALS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Where a restored file lies until it takes its place.
pub(super) const RESTORED: &str = ".restored";
/// Up to this size the indexes are compared with their tables as well, which takes many times longer.
const THOROUGH_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A reader of the file beside the store, such as a shell, may hold it for a moment.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// The journal grows with a large transaction, and is cut to this (64 MiB) when it begins anew.
const JOURNAL_BYTES: &str = "67108864";
/// Characters of a reason that are told.
const REASON_CHARS_MAX: usize = 300;

/// `path` with `suffix` at the end of its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn one_line(error: &(impl ToString + ?Sized)) -> String {
    let text = error.to_string();
    let chars = text.chars().take(REASON_CHARS_MAX);
    chars
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

pub(super) fn unusable(path: &Path, reason: &(impl ToString + ?Sized)) -> OpenError {
    OpenError::Unusable {
        path: path.to_owned(),
        reason: one_line(reason),
    }
}

fn damaged(path: &Path, reason: &(impl ToString + ?Sized)) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        reason: one_line(reason),
    }
}

pub(super) fn refuse(path: &Path, error: &rusqlite::Error) -> OpenError {
    if is_damage(error) {
        damaged(path, error)
    } else {
        unusable(path, error)
    }
}

/// Keeps other processes out as long as it is held. The lock's file stays: to remove it would let two hold one each.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(beside(path, ".lock"))
        .map_err(|e| unusable(path, &e))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::Locked {
            path: path.to_owned(),
        },
        TryLockError::Error(error) => unusable(path, &error),
    })?;
    Ok(lock)
}

/// Whether a new store may begin. Where there are traces of an old one it may not: its journal would be taken for the
/// new one's, and whoever lost a store must not find an empty one instead.
pub(super) fn is_missing(path: &Path) -> Result<bool, OpenError> {
    let exists = |path: &Path| path.try_exists().map_err(|e| unusable(path, &e));
    if exists(path)? {
        return Ok(false);
    }
    if exists(&beside(path, RESTORED))? {
        return Err(damaged(path, "restoring it was not finished"));
    }
    for journal in JOURNALS {
        if exists(&beside(path, journal))? {
            let reason = "it is missing though its journal is there";
            return Err(damaged(path, reason));
        }
    }
    Ok(true)
}

/// An epoch that no log has had; 0 would be taken for "none".
pub(super) fn draw_epoch() -> Result<Epoch, String> {
    loop {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
        let epoch = u64::from_ne_bytes(bytes);
        if epoch != 0 {
            return Ok(Epoch(epoch));
        }
    }
}

/// Made beside and then renamed: a file of no bytes at `path` is one that was cut, never one that was begun.
pub(super) fn create(
    path: &Path,
    epoch: impl FnOnce() -> Result<Epoch, String>,
) -> Result<(), OpenError> {
    let failed = |e: rusqlite::Error| unusable(path, &e);
    let epoch = epoch().map_err(|e| unusable(path, &e))?;
    let new = beside(path, ".new");
    let connection = open_new(&new).map_err(|e| unusable(path, &e))?;
    connection
        .execute_batch(&format!(
            "BEGIN; {SCHEMA}
            INSERT INTO meta VALUES ({FORMAT});
            INSERT INTO state VALUES ({}, 0, 0, 1, 0, 0);
            COMMIT",
            epoch.0 as i64
        ))
        .map_err(failed)?;
    connection.close().map_err(|(_, e)| failed(e))?;
    put_in_place(&new, path).map_err(|e| unusable(path, &e))
}

/// An empty file that only its owner may read, and a connection to it; what was left there by a crash goes.
pub(super) fn open_new(path: &Path) -> Result<Connection, String> {
    let text = |e: io::Error| e.to_string();
    for suffix in [""].into_iter().chain(JOURNALS) {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
            _ => {}
        }
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(text)?;
    // the journals get the file's mode from SQLite
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| e.to_string())
}

/// Renames a file that is closed, so that it is there for sure once this returned.
pub(super) fn put_in_place(new: &Path, path: &Path) -> io::Result<()> {
    File::open(new)?.sync_all()?;
    fs::rename(new, path)?;
    sync_dir_of(path)
}

pub(super) fn sync_dir_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    Ok(connection)
}

pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

pub(super) fn open_to_write(path: &Path) -> Result<Connection, OpenError> {
    let failed = |e: rusqlite::Error| refuse(path, &e);
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    // SQLite answers with the mode it is in, which is another one where it could not be changed
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(failed)?;
    if mode != "wal" {
        return Err(unusable(path, &format!("its journal is in mode {mode}")));
    }
    for (pragma, value) in [
        ("synchronous", "FULL"),
        ("journal_size_limit", JOURNAL_BYTES),
    ] {
        connection
            .pragma_update(None, pragma, value)
            .map_err(failed)?;
    }
    Ok(connection)
}

/// Whether the file is whole and of our format. Only reads it: what is damaged stays as it is, for whoever wants to
/// save something from it.
pub(super) fn check(path: &Path) -> Result<(), OpenError> {
    let bytes = fs::metadata(path).map_err(|e| unusable(path, &e))?.len();
    if bytes == 0 {
        return Err(damaged(path, "it is empty"));
    }
    let failed = |e: rusqlite::Error| refuse(path, &e);
    let connection = open_to_read(path).map_err(failed)?;
    let pragma = if bytes <= THOROUGH_BYTES_MAX {
        "integrity_check(1)"
    } else {
        "quick_check(1)"
    };
    let verdict: String = connection
        .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
        .map_err(failed)?;
    if verdict != "ok" {
        return Err(damaged(path, &verdict));
    }
    let found: i64 = connection
        .query_row("SELECT format FROM meta", [], |row| row.get(0))
        .map_err(failed)?;
    if found != FORMAT && found != FORMAT_BEFORE {
        let (path, known) = (path.to_owned(), FORMAT);
        return Err(OpenError::Format { path, found, known });
    }
    let sound: bool = connection
        .query_row(
            "SELECT first >= 1 AND head >= first - 1 AND forgotten >= 0 AND revision >= forgotten
                AND (SELECT coalesce(max(revision), 0) FROM documents) <= state.revision
                AND (SELECT count(*) FROM records) = head - first + 1
                AND (SELECT count(*) FROM records WHERE n BETWEEN first AND head) = head - first + 1
            FROM state",
            [],
            |row| row.get(0),
        )
        .map_err(failed)?;
    if !sound {
        let reason = "records of the log are missing, or its numbers contradict each other";
        return Err(damaged(path, reason));
    }
    if found == FORMAT {
        let sql = "SELECT EXISTS (SELECT 1 FROM names WHERE n < (SELECT first FROM state))
            OR EXISTS (SELECT 1 FROM names WHERE n > (SELECT head FROM state))";
        let stray: bool = connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(failed)?;
        if stray {
            return Err(damaged(path, "names of records that are not there"));
        }
    }
    match sums::first_wrong(&connection).map_err(failed)? {
        Some(reason) => Err(damaged(path, &reason)),
        None => Ok(()),
    }
}
