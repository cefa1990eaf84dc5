//! A copy of the store while it runs, and the way back from it.

use super::{OpenError, SqliteStore, file};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use seawall_purge::Epoch;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf, absolute};
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// How far the revisions of a restored store are from those of the backup. Between the backup and the restoration the
/// store went on, nobody knows how far; no revision may come twice, and 2³² changes are more than a year of a hundred a
/// second.
const REVISIONS_SKIPPED: i64 = 1 << 32;

/// Why there is no backup.
#[derive(Debug, Error)]
pub enum BackupError {
    #[error("{path} exists already")]
    Exists { path: PathBuf },
    #[error("{path} cannot be backed up: {reason}")]
    Source { path: PathBuf, reason: String },
    #[error("{path} cannot be written: {reason}")]
    Failed { path: PathBuf, reason: String },
}

impl SqliteStore {
    /// Copies the store, as of one commit, into a new file `to`, which only its owner may read; on disk once this
    /// returned. The store goes on meanwhile. Dropped before it is ready, the copy may still come into being.
    pub async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        let (from, to) = (self.path.clone(), to.to_owned());
        let path = to.clone();
        // held until the copy is done, lest a restoration takes the file away below it
        let lock = self.lock.clone();
        let copied = tokio::task::spawn_blocking(move || {
            let copied = backup(&from, &to);
            drop(lock);
            copied
        });
        copied.await.unwrap_or_else(|e| Err(failed(&path, e)))
    }
}

fn failed(path: &Path, reason: impl std::fmt::Display) -> BackupError {
    BackupError::Failed {
        path: path.to_owned(),
        reason: file::one_line(&reason.to_string()),
    }
}

/// The same for a store that another process may be running. Blocks.
pub fn backup(from: &Path, to: &Path) -> Result<(), BackupError> {
    let source = |reason: String| BackupError::Source {
        path: from.to_owned(),
        reason: file::one_line(&reason),
    };
    let whole = absolute(from).map_err(|e| source(e.to_string()))?;
    let to = absolute(to).map_err(|e| failed(to, e))?;
    if to.try_exists().map_err(|e| failed(&to, e))? {
        return Err(BackupError::Exists { path: to });
    }
    // SQLite's own words for a file that is not there say nothing of which
    fs::metadata(&whole).map_err(|e| source(e.to_string()))?;
    let store = file::open_to_read(&whole).map_err(|e| source(e.to_string()))?;
    let part = file::beside(&to, ".part");
    let done = back_up(&store, &part, &to);
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done.map_err(|error| match error {
        // a damaged store is found now, not when its backup is needed
        OpenError::Damaged { reason, .. } => source(format!("it is damaged: {reason}")),
        OpenError::Unusable { reason, .. } => failed(&to, reason),
        other => source(other.to_string()),
    })
}

fn back_up(store: &Connection, part: &Path, to: &Path) -> Result<(), OpenError> {
    let failed = |reason: String| file::unusable(to, &reason);
    let copy = copy(store, part).map_err(failed)?;
    copy.close().map_err(|(_, e)| failed(e.to_string()))?;
    file::check(part)?;
    file::put_in_place(part, to).map_err(|e| failed(e.to_string()))
}

/// Copies all pages as of one commit into a file of its own, without a journal beside it.
fn copy(from: &Connection, to: &Path) -> Result<Connection, String> {
    let text = |e: rusqlite::Error| e.to_string();
    let mut copy = file::open_new(to)?;
    // in one step: between steps a change would have it begin anew, and in write-ahead mode a reader holds up nobody
    let step = Backup::new(from, &mut copy).and_then(|backup| backup.step(-1));
    match step.map_err(text)? {
        StepResult::Done => {}
        other => return Err(format!("the copy stopped: {other:?}")),
    }
    let mode = copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| {
        row.get::<_, String>(0)
    });
    match mode.map_err(text)?.as_str() {
        "delete" => Ok(copy),
        other => Err(format!("the copy's journal is in mode {other}")),
    }
}

/// Puts the backup `from` in the place of the store `to`, which no process may be using. Blocks.
///
/// The log keeps its records and goes into a new epoch, drawn at random: nodes have seen positions that came after the
/// backup, and those numbers will be given to other purges. Cursors into the documents have to list anew. The replaced
/// file is kept, with its journals, as `<to>.before-restore-<unix seconds>`.
pub fn restore(from: &Path, to: &Path) -> Result<Epoch, OpenError> {
    let from = absolute(from).map_err(|e| file::unusable(from, &e))?;
    let to = absolute(to).map_err(|e| file::unusable(to, &e))?;
    // the directory may be lost with all that was in it
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir).map_err(|e| file::unusable(&to, &e))?;
    }
    let _lock = file::lock(&to)?;
    file::check(&from).map_err(|error| match error {
        OpenError::Damaged { path, reason } => OpenError::Backup { path, reason },
        other => other,
    })?;
    let restored = file::beside(&to, file::RESTORED);
    let epoch = prepare(&from, &restored).map_err(|e| file::unusable(&restored, &e))?;
    put_aside(&to).map_err(|e| file::unusable(&to, &e))?;
    file::put_in_place(&restored, &to).map_err(|e| file::unusable(&to, &e))?;
    Ok(epoch)
}

fn prepare(from: &Path, restored: &Path) -> Result<Epoch, String> {
    let from = file::open_to_read(from).map_err(|e| e.to_string())?;
    let copy = copy(&from, restored)?;
    let epoch = file::draw_epoch()?;
    copy.execute_batch(&format!(
        "BEGIN;
        DELETE FROM documents WHERE body IS NULL;
        UPDATE state SET
            epoch = {},
            revision = revision + {REVISIONS_SKIPPED},
            forgotten = revision + {REVISIONS_SKIPPED};
        COMMIT",
        epoch.0 as i64
    ))
    .map_err(|e| e.to_string())?;
    copy.close().map_err(|(_, e)| e.to_string())?;
    // there for sure before the file that it replaces goes
    let synced = File::open(restored).and_then(|file| file.sync_all());
    synced
        .and_then(|()| file::sync_dir_of(restored))
        .map_err(|e| e.to_string())?;
    Ok(epoch)
}

/// The file first: a crash before the restored one is in place leaves none, which [`file::is_missing`] tells from a
/// store that is yet to begin. Its journals must be gone by then, or SQLite would take them for the restored file's.
fn put_aside(path: &Path) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut seconds = now.unwrap_or_default().as_secs();
    let aside = loop {
        let aside = file::beside(path, &format!(".before-restore-{seconds}"));
        if !aside.try_exists()? {
            break aside;
        }
        seconds += 1;
    };
    for suffix in [""].into_iter().chain(file::JOURNALS) {
        match fs::rename(file::beside(path, suffix), file::beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // one after the other on disk as well
        file::sync_dir_of(path)?;
    }
    Ok(())
}
