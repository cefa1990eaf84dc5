//! A node's log of purges on disk: written ahead of the table, read back at the start.

use super::files::{
    HEADER_BYTES, Header, read_header, read_record, read_table, write_header, write_record,
    write_table,
};
use crate::replace::{ReplaceError, replace};
use seawall_purge::lineage::{Held, Recovered};
use seawall_purge::{Purge, PurgeSeq, Table};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

const LOG: &str = "purges.log";
const TABLE: &str = "purges.table";
/// Lies there for as long as purges may be missing that were acknowledged.
const CUT: &str = "purges.cut";
/// A log that is longer is replaced by the table it led to; reading it back takes some milliseconds.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// Why purges are not durable here: none of them may be acknowledged.
#[derive(Debug, Error)]
pub enum JournalError {
    #[error("the log of purges in {path} cannot be written: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the purge at {at} stands where that after {last} belongs")]
    Gap { last: PurgeSeq, at: PurgeSeq },
}

#[derive(Debug)]
pub(super) struct Journal {
    dir: PathBuf,
    /// The same, open: to sync it takes no descriptor that there may not be.
    directory: File,
    file: File,
    bytes: u64,
    /// Length of the log from which it is compacted; raised where that failed.
    compact_at: u64,
    lineage: u128,
    held: Held,
    records_max: usize,
    /// A write failed: what the file holds behind `bytes` is not known, or it is not the one in the directory. Nothing
    /// is appended to it any more; a new one takes its place.
    broken: bool,
    /// The end of the log was cut, at this start or before, and the control plane was not heard since.
    cut: bool,
}

impl Journal {
    /// Reads the files in `dir`, which is made where it is missing.
    pub(super) fn open(
        dir: &Path,
        records_max: usize,
    ) -> Result<(Self, Table, Recovered), JournalError> {
        let io = |source| JournalError::Io {
            path: dir.to_owned(),
            source,
        };
        fs::create_dir_all(dir).map_err(io)?;
        let directory = File::open(dir).map_err(io)?;
        let log = read_if_there(&dir.join(LOG)).map_err(io)?;
        let table = read_if_there(&dir.join(TABLE)).map_err(io)?;
        let fresh = log.is_none() && table.is_none();
        let found = log
            .as_ref()
            .and_then(|log| Found::of(log, table.as_deref(), records_max));
        let (Some(log), Some(found)) = (&log, found) else {
            if !fresh {
                let dir = dir.display();
                tracing::warn!(%dir, "the log of purges is lost: what was stored before is not used");
            }
            let lineage = fresh_lineage().map_err(io)?;
            let header = Header {
                lineage,
                after: Held::default(),
            };
            let bytes = write_header(&header);
            let file = replace(&directory, dir, LOG, |file| file.write_all(&bytes));
            let file = file.map_err(|error| io(error.into()))?;
            let table = Table::with_records_max(header.after.at, records_max);
            let bytes = bytes.len() as u64;
            let mut journal = Self::new(dir, directory, file, bytes, &header, records_max);
            // another lineage: copies from before are not judged by this log at all
            journal.cut = marked(dir).map_err(io)?;
            journal.is_whole();
            return Ok((journal, table, Recovered::Lost));
        };
        if found.cut {
            let (dir, at) = (dir.display(), found.held.at);
            tracing::warn!(%dir, %at, "the log of purges has an unreadable end: it is cut there");
        }
        let cut = found.cut || marked(dir).map_err(io)?;
        if cut {
            // before it is cut: the next start finds nothing amiss in the log itself
            File::create(dir.join(CUT))
                .and_then(|mark| mark.sync_all())
                .and_then(|()| directory.sync_all())
                .map_err(io)?;
        }
        // Written anew rather than trusted: after an fsync that failed, what is read back may be in memory alone.
        let whole = &log[..found.bytes as usize];
        let file = replace(&directory, dir, LOG, |file| file.write_all(whole))
            .map_err(|error| io(error.into()))?;
        let header = Header {
            lineage: found.lineage,
            after: found.held,
        };
        let mut journal = Self::new(dir, directory, file, found.bytes, &header, records_max);
        journal.cut = cut;
        let recovered = if cut {
            Recovered::Cut
        } else {
            Recovered::Whole
        };
        Ok((journal, found.table, recovered))
    }

    fn new(
        dir: &Path,
        directory: File,
        file: File,
        bytes: u64,
        header: &Header,
        records_max: usize,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            directory,
            file,
            bytes,
            compact_at: LOG_BYTES_MAX,
            lineage: header.lineage,
            held: header.after,
            records_max,
            broken: false,
            cut: false,
        }
    }

    /// Every purge that was acknowledged is in the log, or what it would judge is dead: a cut is forgotten.
    pub(super) fn is_whole(&mut self) {
        if !self.cut {
            return;
        }
        let removed = fs::remove_file(self.dir.join(CUT)).and_then(|()| self.directory.sync_all());
        match removed {
            Ok(()) => self.cut = false,
            // the next start waits for the control plane once more than it has to
            Err(error) => tracing::warn!(%error, "the mark of a cut log of purges stays"),
        }
    }

    pub(super) fn lineage(&self) -> u128 {
        self.lineage
    }

    pub(super) fn held(&self) -> Held {
        self.held
    }

    pub(super) fn error(&self, source: io::Error) -> JournalError {
        JournalError::Io {
            path: self.dir.clone(),
            source,
        }
    }

    /// Makes purges durable, all of them or an error. `table` holds all those before.
    pub(super) fn append(&mut self, purges: &[Purge], table: &Table) -> Result<(), JournalError> {
        let Some(last) = purges.last() else {
            return Ok(());
        };
        if self.broken {
            self.write_table(table)?;
            self.put(self.held)?;
        }
        let mut records = Vec::with_capacity(64 * purges.len());
        for purge in purges {
            write_record(&mut records, purge);
        }
        let written = self
            .file
            .write_all(&records)
            .and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // a second fsync can say "done" of what the first one lost: this file is not written again, unless the
            // part that may be there can be cut off
            let cut = self.file.set_len(self.bytes).and_then(|()| {
                self.file.seek(SeekFrom::End(0))?;
                self.file.sync_all()
            });
            self.broken = cut.is_err() || source.kind() != io::ErrorKind::StorageFull;
            return Err(self.error(source));
        }
        self.bytes += records.len() as u64;
        self.held = Held {
            at: last.at,
            term: last.term,
        };
        Ok(())
    }

    /// Begins anew after `held`, with no purge. After an error the node holds what it held before.
    pub(super) fn start(&mut self, held: Held) -> Result<(), JournalError> {
        let before = self.held;
        let started = self.try_start(held);
        if started.is_ok() {
            self.is_whole();
        } else {
            self.held = before;
            // the file may be the new one already, which does not go on from `before`
            self.broken = true;
        }
        started
    }

    fn try_start(&mut self, held: Held) -> Result<(), JournalError> {
        // the new log first: with it, the old table is of another epoch or of before its beginning
        self.put(held)?;
        match fs::remove_file(self.dir.join(TABLE)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.error(source)),
            _ => self.write_table(&Table::after(held, self.records_max)),
        }
    }

    /// Replaces a log that grew long by the table it led to.
    pub(super) fn compact_where_long(&mut self, table: &Table) -> Result<(), JournalError> {
        if self.bytes < self.compact_at {
            return Ok(());
        }
        self.compact_at = self.bytes + LOG_BYTES_MAX;
        self.write_table(table)?;
        self.put(self.held)?;
        self.compact_at = LOG_BYTES_MAX;
        Ok(())
    }

    fn write_table(&self, table: &Table) -> Result<(), JournalError> {
        let bytes = write_table(self.lineage, self.held.term, &table.dump());
        replace(&self.directory, &self.dir, TABLE, |file| {
            file.write_all(&bytes)
        })
        .map_err(|error| self.error(error.into()))
        .map(drop)
    }

    /// Puts an empty log in place of the one there is.
    fn put(&mut self, after: Held) -> Result<(), JournalError> {
        let bytes = write_header(&Header {
            lineage: self.lineage,
            after,
        });
        let new = replace(&self.directory, &self.dir, LOG, |file| {
            file.write_all(&bytes)
        });
        match new {
            Ok(file) => {
                (self.file, self.bytes, self.held) = (file, bytes.len() as u64, after);
                self.broken = false;
                Ok(())
            }
            Err(error) => {
                // the file that is open may have no name any more: what is appended to it would be gone
                self.broken |= matches!(error, ReplaceError::After(_));
                Err(self.error(error.into()))
            }
        }
    }
}

/// What the two files say together.
struct Found {
    lineage: u128,
    table: Table,
    held: Held,
    /// Readable bytes of the log.
    bytes: u64,
    cut: bool,
}

impl Found {
    /// `None`: purges before the first of the log are not known, or nothing can be read.
    fn of(log: &[u8], table: Option<&[u8]>, records_max: usize) -> Option<Self> {
        let header = read_header(log)?;
        let (mut held, table) = match table.and_then(read_table) {
            Some((lineage, term, dump))
                if lineage == header.lineage
                    && dump.at.epoch == header.after.at.epoch
                    && dump.at.n >= header.after.at.n =>
            {
                let at = dump.at;
                (Held { at, term }, Table::restore(&dump, records_max))
            }
            // nothing came before
            _ if header.after.at.n == 0 => (
                header.after,
                Table::with_records_max(header.after.at, records_max),
            ),
            _ => return None,
        };
        let mut rest = &log[HEADER_BYTES..];
        while let Some((purge, after)) = read_record(rest, held.at.epoch) {
            if table.apply(&purge).is_err() {
                break;
            }
            if purge.at.n > held.at.n {
                held = Held {
                    at: purge.at,
                    term: purge.term,
                };
            }
            rest = after;
        }
        Some(Self {
            lineage: header.lineage,
            table,
            held,
            bytes: (log.len() - rest.len()) as u64,
            cut: !rest.is_empty(),
        })
    }
}

fn fresh_lineage() -> io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(u128::from_le_bytes(bytes))
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a cut was marked.
fn marked(dir: &Path) -> io::Result<bool> {
    dir.join(CUT).try_exists()
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
