//! One disk's directory: locked for one process, stamped with what its files may be used for, its space allocated.

use super::DISK_BYTES_MIN;
use super::error::OpenError;
use super::stamp::{Stamp, encode_stamp, read_stamp};
use crate::minima_log;
use crate::replace::replace;
use parking_lot::Mutex;
use rustix::fs::{AtFlags, FallocateFlags};
use rustix::io::Errno;
use seawall_purge::BootId;
use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const LOCK: &str = "lock";
pub(crate) const STAMP: &str = "stamp";
const STAMP_NEW: &str = "stamp.new";
pub(crate) const HEADS: &str = "heads";
pub(crate) const CHUNKS: &str = "chunks";
/// How foyer names the files of its blocks.
const FILE_PREFIX: &str = "foyer-storage-direct-fs-";

/// A block begins with a page that tells what lies behind it.
const PAGE: usize = 4096;
/// Descriptors for all else that a node has open.
const FILES_SPARE: u64 = 100;

/// Smaller blocks are not worth a file each.
const BLOCK_BYTES_SMALL: u64 = 64 << 20;

/// What a run found that opens a disk: files under another stamp are void.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) lineage: u128,
    pub(crate) minima: u128,
    pub(crate) placement: u64,
    /// The last run that wrote the minima log. It must have had the disk in use: what it replaced elsewhere it did not
    /// write down.
    pub(crate) last: BootId,
    /// This run.
    pub(crate) boot: BootId,
}

/// How the space of one shelf is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    pub(crate) block_bytes: u64,
    pub(crate) blocks: u64,
}

impl Layout {
    /// Blocks are what is evicted at once, and each is a file that stays open: 64 of them where they would be small,
    /// else 256. Offsets in a block are of 32 bits, so there are more of them on a very large disk.
    fn new(name: &'static str, bytes: u64, block_bytes_min: u64) -> Self {
        let block_bytes = (bytes / 64)
            .min(BLOCK_BYTES_SMALL)
            .max(bytes / 256)
            .clamp(block_bytes_min, 2 << 30)
            .next_multiple_of(4096);
        Self {
            name,
            block_bytes,
            blocks: bytes / block_bytes,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.block_bytes * self.blocks
    }

    fn files(&self, directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
        let directory = directory.join(self.name);
        (0..self.blocks).map(move |i| directory.join(format!("{FILE_PREFIX}{i:08}")))
    }
}

/// The shelves of a disk of `bytes`: a quarter for heads (they are many and small), the rest for chunks. A block holds
/// several of the longest records.
pub(crate) fn layouts(bytes: u64) -> [Layout; 2] {
    [
        Layout::new(HEADS, bytes / 4, 1 << 20),
        Layout::new(CHUNKS, bytes - bytes / 4, 4 << 20),
    ]
}

/// A directory that this process holds.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    bytes: u64,
    /// The same, open: this one is meant, whatever lies at the path by now.
    opened: File,
    /// Held as long as anything may be written here.
    lock: File,
    /// When each file was written last, as of the last look at it: who was not written since needs no sync.
    looked_at: Mutex<HashMap<PathBuf, SystemTime>>,
}

impl Directory {
    /// Creates the directory where it is missing, and locks it.
    pub(crate) fn lock(path: &Path, bytes: u64) -> Result<Self, OpenError> {
        if bytes < DISK_BYTES_MIN {
            return Err(OpenError::TooSmall {
                path: path.to_owned(),
                bytes,
                min: DISK_BYTES_MIN,
            });
        }
        let failed = |what| failed(path, what);
        create_dir(path).map_err(failed("create the directory"))?;
        foreign(path)?;
        let opened = File::open(path).map_err(failed("open the directory"))?;
        let lock = lock_file(&path.join(LOCK)).map_err(failed("create the lock file"))?;
        let lock = lock.ok_or_else(|| OpenError::Locked {
            path: path.to_owned(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            opened,
            lock,
            looked_at: Mutex::default(),
        })
    }

    /// Under what the files here are used in the run of `found`.
    fn stamp(&self, found: &Found) -> Stamp {
        Stamp {
            lineage: found.lineage,
            minima: found.minima,
            placement: found.placement,
            bytes: self.bytes,
            boot: found.boot,
        }
    }

    /// Why the files here must not be used in the run of `found`; `None`: they may be.
    fn void(&self, found: &Found) -> Option<&'static str> {
        let ours = self.stamp(found);
        match read_stamp(&self.path) {
            Err(why) => Some(why),
            Ok(None) => Some("their stamp is missing"),
            Ok(Some(stamp)) if stamp.lineage != ours.lineage => {
                Some("they belong to another lineage of the purge log")
            }
            Ok(Some(stamp)) if stamp.minima != ours.minima => {
                Some("they belong to another node or to a lost minima.log")
            }
            Ok(Some(stamp)) if stamp.placement != ours.placement => Some("the disks changed"),
            Ok(Some(stamp)) if stamp.bytes != ours.bytes => Some("the configured size changed"),
            Ok(Some(stamp)) if stamp.boot < found.last => {
                Some("they were not in use in the last run")
            }
            Ok(Some(stamp)) if stamp.boot >= ours.boot => {
                Some("they were written by this or a later boot")
            }
            Ok(Some(_)) => None,
        }
    }

    /// Makes the files here fit for use in the run of `found`: void ones are deleted, with a warning. What the shelves
    /// still have to write is the stamp ([`Self::seal`]), after their files are there.
    pub(crate) fn prepare(&self, found: &Found) -> Result<(), OpenError> {
        self.may_be_opened()?;
        let void = self.void(found);
        if let Some(why) = void {
            if self.has_data() {
                tracing::warn!(
                    disk = %self.path.display(),
                    why,
                    "the files of the disk cache are discarded: it starts empty"
                );
            }
            self.discard()
                .map_err(failed(&self.path, "discard the old files"))?;
        } else {
            self.tell_cut_files();
            self.leave_a_block_to_begin_with()
                .map_err(failed(&self.path, "clear a block"))?;
        }
        for layout in layouts(self.bytes) {
            create_dir(&self.path.join(layout.name))
                .map_err(failed(&self.path, "create a directory"))?;
        }
        match self.reserve() {
            // what is there is good: the watchdog sees when there is no room for more
            Err(error @ OpenError::NoSpace { .. }) if void.is_none() => {
                tracing::warn!(%error, "lost files of the disk cache cannot be made up for: it may run full");
                Ok(())
            }
            Err(error @ OpenError::NoSpace { .. }) => {
                // give back what was taken: the next one to need it is not us
                let _ = self.discard();
                Err(error)
            }
            other => other,
        }
    }

    /// Whether this process may have all its files open, with some to spare for clients.
    fn may_be_opened(&self) -> Result<(), OpenError> {
        let needed = layouts(self.bytes).iter().map(|l| l.blocks).sum::<u64>() + FILES_SPARE;
        match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            Some(limit) if limit < needed => Err(OpenError::OpenFiles {
                path: self.path.clone(),
                needed,
                limit,
            }),
            _ => Ok(()),
        }
    }

    fn has_data(&self) -> bool {
        [HEADS, CHUNKS, STAMP]
            .iter()
            .any(|name| self.path.join(name).exists())
    }

    /// Deletes the stamp first: what is left of the files after a crash in here is void.
    fn discard(&self) -> io::Result<()> {
        self.unstamp()?;
        for layout in layouts(self.bytes) {
            let directory = self.path.join(layout.name);
            let entries = match std::fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(FILE_PREFIX) {
                    std::fs::remove_file(entry.path())?;
                }
            }
            // a file that came back after a power failure would be taken for one of the next stamp's
            sync_directory(&directory)?;
        }
        Ok(())
    }

    /// The files here are void from now on.
    pub(crate) fn unstamp(&self) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.opened, STAMP, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => self.opened.sync_all(),
            Err(error) => Err(error.into()),
        }
    }

    fn tell_cut_files(&self) {
        for layout in layouts(self.bytes) {
            let whole = |path: &PathBuf| {
                std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == layout.block_bytes)
            };
            let cut = layout.files(&self.path).filter(|f| !whole(f)).count();
            if cut > 0 {
                tracing::warn!(
                    disk = %self.path.display(),
                    files = cut,
                    "files of the disk cache were cut or are missing: their records are lost"
                );
            }
        }
    }

    /// foyer reclaims blocks only after it was given one that is free: a shelf without any would never write again. So
    /// the block that was written the longest ago is cleared where none is free.
    fn leave_a_block_to_begin_with(&self) -> io::Result<()> {
        for layout in layouts(self.bytes) {
            let mut oldest: Option<(SystemTime, PathBuf)> = None;
            let mut free = false;
            for path in layout.files(&self.path) {
                let Ok(file) = File::open(&path) else {
                    // missing, so made anew
                    free = true;
                    break;
                };
                let mut page = [0; PAGE];
                if file.read_exact_at(&mut page, 0).is_err() || page == [0; PAGE] {
                    free = true;
                    break;
                }
                let modified = file.metadata()?.modified()?;
                if oldest.as_ref().is_none_or(|(oldest, _)| modified < *oldest) {
                    oldest = Some((modified, path));
                }
            }
            if let (false, Some((_, path))) = (free, oldest) {
                let file = File::options().write(true).open(path)?;
                file.write_all_at(&[0; PAGE], 0)?;
            }
        }
        Ok(())
    }

    /// Allocates every block, so that no write can find the disk full later (files that are only as long are sparse).
    fn reserve(&self) -> Result<(), OpenError> {
        let layouts = layouts(self.bytes);
        let files = || {
            layouts
                .iter()
                .flat_map(|l| l.files(&self.path).map(|file| (file, l.block_bytes)))
        };
        let needed: u64 = files()
            .map(|(file, bytes)| {
                let allocated = std::fs::metadata(file).map_or(0, |m| m.blocks() * 512);
                bytes.saturating_sub(allocated)
            })
            .sum();
        let space = rustix::fs::statvfs(&self.path).map_err(|error| {
            failed(&self.path, "ask for the free space")(io::Error::from(error))
        })?;
        let free = space.f_bavail * space.f_frsize;
        let no_space = || OpenError::NoSpace {
            path: self.path.clone(),
            needed,
            free,
        };
        if free < needed {
            return Err(no_space());
        }
        for (file, bytes) in files() {
            // one that has its room stays as it is: when it was written last tells its age
            if std::fs::metadata(&file).is_ok_and(|m| m.len() == bytes && m.blocks() * 512 >= bytes)
            {
                continue;
            }
            match allocate(&file, bytes) {
                Ok(()) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                    ) =>
                {
                    return Err(no_space());
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::warn!(
                        disk = %self.path.display(),
                        "this file system cannot allocate space up front: the disk may run full"
                    );
                    return Ok(());
                }
                Err(error) => return Err(failed(&self.path, "allocate its files")(error)),
            }
        }
        Ok(())
    }

    /// Says under what the files here may be used from now on: complete or not at all, and on the device.
    pub(crate) fn seal(&self, found: &Found) -> Result<(), OpenError> {
        let stamp = encode_stamp(self.stamp(found));
        replace(&self.opened, &self.path, STAMP, |file| {
            file.write_all(&stamp)
        })
        .map_err(io::Error::from)
        .map(drop)
        .map_err(failed(&self.path, "write its stamp"))
    }

    /// Lets another process have the directory. Nothing may be written here any more.
    pub(crate) fn unlock(&self) {
        let _ = self.lock.unlock();
    }

    /// What is wrong with the files here, if anything is: one is not in its place, or what was written to it does not
    /// reach the device. Writes themselves tell nothing of that: they end in the page cache.
    pub(crate) fn trouble(&self) -> Option<String> {
        let same = || -> io::Result<bool> {
            let (here, held) = (
                std::fs::metadata(self.path.join(LOCK))?,
                self.lock.metadata()?,
            );
            Ok((here.dev(), here.ino()) == (held.dev(), held.ino()))
        };
        match same() {
            Ok(true) => {}
            Ok(false) => return Some("the directory was replaced".into()),
            Err(error) => return Some(format!("the directory is gone: {error}")),
        }
        let mut looked_at = self.looked_at.lock();
        let mut length = |path: &Path| -> io::Result<u64> {
            let found = std::fs::metadata(path)?;
            let written = found.modified()?;
            if looked_at.get(path) != Some(&written) {
                // an error of writing back that nobody was told of yet is told to whoever syncs next
                File::open(path)?.sync_data()?;
                looked_at.insert(path.to_owned(), written);
            }
            Ok(found.len())
        };
        layouts(self.bytes).iter().find_map(|layout| {
            layout
                .files(&self.path)
                .find_map(|file| match length(&file) {
                    Ok(bytes) if bytes == layout.block_bytes => None,
                    Ok(bytes) => Some(format!("{} is {bytes} bytes long", file.display())),
                    // not the disk's fault; the next look will do
                    Err(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => None,
                    Err(error) => Some(format!("{}: {error}", file.display())),
                })
        })
    }

    /// What the operating system says to a small write here, for the log.
    pub(crate) fn write_error(&self) -> Option<io::Error> {
        let path = self.path.join(STAMP_NEW);
        let tried = File::create(&path).and_then(|mut file| {
            file.write_all(&[0; 4096])?;
            file.sync_data()
        });
        let _ = std::fs::remove_file(path);
        tried.err()
    }
}

pub(crate) fn failed(path: &Path, what: &'static str) -> impl Fn(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Directory {
        path: path.clone(),
        what,
        source,
    }
}

pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// `None`: another process holds it.
pub(crate) fn lock_file(path: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// A directory without our stamp or lock that holds other things was named by mistake.
fn foreign(path: &Path) -> Result<(), OpenError> {
    const OURS: [&str; 9] = [
        LOCK,
        STAMP,
        STAMP_NEW,
        HEADS,
        CHUNKS,
        minima_log::FILE,
        minima_log::FILE_NEW,
        minima_log::LOCK,
        "lost+found",
    ];
    let read = failed(path, "read the directory");
    for entry in std::fs::read_dir(path).map_err(&read)? {
        let name = entry.map_err(&read)?.file_name();
        if !OURS.iter().any(|ours| name == *ours) {
            return Err(OpenError::Foreign {
                path: path.to_owned(),
                name: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}

fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
    Ok(())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fill_the_space_and_hold_the_longest_records() {
        for bytes in [DISK_BYTES_MIN, 1 << 30, 1_000_000_000_007, 8 << 40] {
            let [heads, chunks] = layouts(bytes);
            assert!(heads.bytes() + chunks.bytes() <= bytes);
            assert!(heads.bytes() + chunks.bytes() > bytes - bytes / 8);
            for layout in [heads, chunks] {
                assert!(layout.blocks >= 12, "{layout:?}");
                assert!(layout.block_bytes <= 2 << 30 && layout.block_bytes % 4096 == 0);
            }
            assert!(heads.block_bytes >= 2 * super::super::codec::ENTRY_BYTES_MAX as u64);
        }
    }
}
