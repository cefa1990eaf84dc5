//! `minima.log`: the minima, so that what was invalidated or replaced stays so over a restart.
//!
//! A header, then records of one length, each with a checksum. The log is written anew when it is opened and when it has
//! grown much beyond what is in force. It has a random identity that the disks' stamps repeat: copies on a disk are
//! used only together with the log that knows what became of them.

use crate::durability::{Durability, Position};
use crate::minima::Tables;
use crate::minimum::Version;
use crate::replace::{ReplaceError, put_new, write_new};
use bytes::{Buf, BufMut};
use parking_lot::{Condvar, Mutex};
use seawall_purge::{BootId, Generation};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) const FILE: &str = "minima.log";
pub(crate) const FILE_NEW: &str = "minima.log.new";
pub(crate) const LOCK: &str = "minima.lock";

const MAGIC: &[u8; 8] = b"SEAWMINI";
const FORMAT: u32 = 1;
/// Magic, format, identity, boot, checksum.
const HEADER_BYTES: usize = 8 + 4 + 16 + 4 + 8;
/// Kind, key, boot, counter, revision, checksum.
const RECORD_BYTES: usize = 1 + 16 + 4 + 8 + 4 + 8;
/// Below this the log is not written anew while it is open.
const COMPACT_BYTES_MIN: u64 = 16 << 20;
/// A log that cannot be written anew grows no further.
const COMPACT_BYTES_MAX: u64 = FILE_BYTES_MAX - 2 * COMPACT_BYTES_MIN;
/// More than this is not kept while the log is written anew, which is then tried again later.
const TAIL_BYTES_MAX: usize = 32 << 20;
/// A longer file is none of ours: the tables' capacity, after growing threefold, is less ((2^20 * 2 + 2^18) * 41 * 3).
const FILE_BYTES_MAX: u64 = 512 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Keys,
    Slots,
    Groups,
}

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) table: Table,
    /// For the whole shard of `key` rather than for `key`.
    pub(crate) floor: bool,
    pub(crate) key: u128,
    pub(crate) version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// To the device soon, together with what else waits.
    Sync,
    /// When the operating system likes.
    Lazy,
}

type OnFailure = Box<dyn Fn(&str) + Send + Sync>;

pub(crate) struct MinimaLog {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Of the directory: nobody else may put a log in this one's place.
    _lock: File,
}

struct Shared {
    path: PathBuf,
    /// The same, open: to sync it takes no descriptor that there may not be.
    directory: File,
    id: u128,
    boot: BootId,
    tables: Arc<Tables>,
    file: Mutex<Writing>,
    wake: Condvar,
    /// How much of what was appended is on the device.
    durable: watch::Sender<Position>,
    broken: AtomicBool,
    /// Whether what follows from that was done.
    given_up: Mutex<bool>,
    on_failure: OnceLock<OnFailure>,
}

struct Writing {
    file: Arc<File>,
    bytes: u64,
    /// Records appended since the log was opened, in whatever file they are now.
    appended: Position,
    compact_at: u64,
    /// It is to be written anew whatever its length.
    anew: bool,
    unsynced: bool,
    /// While the log is written anew: what was appended since.
    tail: Option<Vec<u8>>,
    /// Why the log is broken.
    failure: Option<String>,
    stop: bool,
}

impl std::fmt::Debug for MinimaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MinimaLog")
            .field("directory", &self.shared.path)
            .finish_non_exhaustive()
    }
}

/// What was read of a log before it is written on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// What the disks' stamps must repeat.
    pub(crate) id: u128,
    /// The last boot that wrote the log.
    pub(crate) last: BootId,
}

/// Reads the log in `directory` into `tables`. A log that cannot be trusted as a whole (missing, not readable, of a later
/// boot) begins anew under another identity, which makes the disks' copies void.
pub(crate) fn read(directory: &Path, boot: BootId, tables: &Tables) -> io::Result<Read> {
    let bytes = match bytes(directory) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(%error, "minima.log cannot be read");
            Some(Vec::new())
        }
    };
    if let Some(bytes) = bytes {
        match replay(&bytes, boot, tables) {
            Ok(read) => return Ok(read),
            Err(why) => {
                tracing::warn!(
                    directory = %directory.display(),
                    why,
                    "minima.log is not usable: the disks' copies are discarded"
                );
            }
        }
    }
    Ok(Read {
        id: random()?,
        last: BootId::default(),
    })
}

/// Deletes the log in `directory`: what is replaced from now on is not written down, so the disks' copies are void.
pub(crate) fn forget(directory: &Path) -> io::Result<()> {
    match std::fs::remove_file(directory.join(FILE)) {
        Ok(()) => File::open(directory)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

impl MinimaLog {
    /// Writes the log `id` in `directory` anew, with what is in `tables`, and goes on with it. `lock` is the lock of the
    /// directory.
    pub(crate) fn begin(
        directory: &Path,
        lock: File,
        boot: BootId,
        tables: Arc<Tables>,
        id: u128,
    ) -> io::Result<Self> {
        let opened = File::open(directory)?;
        let (file, bytes) = write_anew(directory, id, boot, &tables)?;
        put_new(&opened, directory, FILE)?;
        let shared = Arc::new(Shared {
            path: directory.to_owned(),
            directory: opened,
            id,
            boot,
            tables,
            file: Mutex::new(Writing {
                file: Arc::new(file),
                bytes,
                appended: 0,
                compact_at: compact_at(bytes),
                anew: false,
                unsynced: false,
                tail: None,
                failure: None,
                stop: false,
            }),
            wake: Condvar::new(),
            durable: watch::Sender::new(0),
            broken: AtomicBool::new(false),
            given_up: Mutex::new(false),
            on_failure: OnceLock::new(),
        });
        let keeper = shared.clone();
        let thread = std::thread::Builder::new()
            .name("seawall-minima".into())
            .spawn(move || keeper.keep())?;
        Ok(Self {
            shared,
            thread: Some(thread),
            _lock: lock,
        })
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> u128 {
        self.shared.id
    }

    /// From now on its file takes no writes, as on a disk that is full or gone.
    #[cfg(test)]
    pub(crate) fn take_no_more(&self) {
        let file = File::open(self.shared.path.join(FILE)).expect("it is there");
        self.shared.file.lock().file = Arc::new(file);
    }

    /// Calls `f` once, with the reason, when the log can no longer be written. From then on what lies on the disks must
    /// not be used after a restart. It is called on a thread that may block.
    pub(crate) fn on_failure(&self, f: OnFailure) {
        let _ = self.shared.on_failure.set(f);
    }

    /// Writes one record; it survives the process from here on. What is returned waits for the device; it is worth
    /// waiting for where the record is for [`Urgency::Sync`].
    pub(crate) fn append(&self, fact: Fact, urgency: Urgency) -> Durability {
        let record = encode(fact, self.shared.id);
        let mut writing = self.shared.file.lock();
        writing.appended += 1;
        let durability = Durability::new(&self.shared.durable, writing.appended);
        if self.shared.broken.load(Ordering::Acquire) {
            return durability;
        }
        if let Err(error) = (&*writing.file).write_all(&record) {
            self.shared.fail(&mut writing, &error);
            return durability;
        }
        match &mut writing.tail {
            Some(tail) if tail.len() > TAIL_BYTES_MAX => writing.tail = None,
            Some(tail) => tail.extend_from_slice(&record),
            None => {}
        }
        writing.bytes += RECORD_BYTES as u64;
        writing.unsynced |= urgency == Urgency::Sync;
        if urgency == Urgency::Sync || writing.bytes > writing.compact_at {
            self.shared.wake.notify_one();
        }
        durability
    }

    /// Writes the log anew, soon: what was let go of is not to be read back.
    pub(crate) fn compact_soon(&self) {
        let mut writing = self.shared.file.lock();
        writing.anew = true;
        self.shared.wake.notify_one();
    }

    /// Everything written so far is on the device when this returns, or the disks were given up.
    pub(crate) fn sync(&self) {
        self.shared.sync_now();
        if self.shared.broken.load(Ordering::Acquire) {
            self.shared.give_up();
        }
    }
}

impl Drop for MinimaLog {
    fn drop(&mut self) {
        self.shared.file.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The thread: fsync in groups, a new file when the old one has grown, and what follows from a failure.
    fn keep(&self) {
        loop {
            let (unsynced, compact) = {
                let mut writing = self.file.lock();
                while !writing.stop
                    && !writing.unsynced
                    && writing.failure.is_none()
                    && writing.bytes <= writing.compact_at
                    && !writing.anew
                {
                    self.wake.wait(&mut writing);
                }
                if writing.failure.is_some() {
                    drop(writing);
                    return self.give_up();
                }
                if writing.stop && !writing.unsynced {
                    return;
                }
                let compact = writing.anew || writing.bytes > writing.compact_at;
                (writing.unsynced, compact)
            };
            if unsynced {
                self.sync_now();
            }
            if compact {
                self.compact();
            }
        }
    }

    fn sync_now(&self) {
        let (file, position) = {
            let mut writing = self.file.lock();
            writing.unsynced = false;
            (writing.file.clone(), writing.appended)
        };
        match file.sync_data() {
            // a record that could not be appended is counted too: for that the disks are given up first
            Ok(()) if self.file.lock().failure.is_none() => self.reached(position),
            Ok(()) => {}
            Err(error) => self.fail(&mut self.file.lock(), &error),
        }
    }

    /// Appends go on meanwhile: to the old file, and to a tail that the new one gets behind what the tables held.
    fn compact(&self) {
        {
            let mut writing = self.file.lock();
            // before the tables are read: what is in neither was not appended yet, and who asks from now on for it to be
            // written anew means another time
            writing.tail = Some(Vec::new());
            writing.anew = false;
        }
        let new = write_anew(&self.path, self.id, self.boot, &self.tables).and_then(
            |(mut file, mut bytes)| {
                // most of the tail goes to the device while appends go on
                let tail = self.file.lock().tail.as_mut().map(std::mem::take);
                let tail = tail.ok_or_else(overrun)?;
                file.write_all(&tail)?;
                file.sync_data()?;
                bytes += tail.len() as u64;
                Ok((file, bytes))
            },
        );
        let mut writing = self.file.lock();
        let tail = writing.tail.take();
        let put = new
            .and_then(|(mut file, bytes)| {
                let tail = tail.ok_or_else(overrun)?;
                file.write_all(&tail)?;
                file.sync_data()?;
                Ok((file, bytes + tail.len() as u64))
            })
            .map_err(ReplaceError::Before)
            .and_then(|new| put_new(&self.directory, &self.path, FILE).map(|()| new));
        match put {
            Ok((file, bytes)) => {
                writing.file = Arc::new(file);
                writing.bytes = bytes;
                writing.compact_at = compact_at(bytes);
                writing.unsynced = false;
                self.reached(writing.appended);
            }
            Err(ReplaceError::Before(error)) if writing.bytes < COMPACT_BYTES_MAX => {
                // the old one goes on, and can be read back whole
                writing.compact_at = writing.bytes + COMPACT_BYTES_MIN;
                tracing::warn!(%error, "minima.log could not be written anew: it goes on growing");
            }
            Err(error) => self.fail(&mut writing, &error.into()),
        }
    }

    /// What was appended up to `position` is on the device, in a file that counts.
    fn reached(&self, position: Position) {
        self.durable.send_if_modified(|reached| {
            let further = *reached < position;
            *reached = position.max(*reached);
            further
        });
    }

    /// The log is not written any more; its thread does what follows.
    fn fail(&self, writing: &mut Writing, error: &io::Error) {
        self.broken.store(true, Ordering::Release);
        writing
            .failure
            .get_or_insert_with(|| format!("minima.log cannot be written: {error}"));
        self.wake.notify_one();
    }

    /// Makes what lies on the disks void, once: when this returns it is.
    fn give_up(&self) {
        let mut given_up = self.given_up.lock();
        if std::mem::replace(&mut *given_up, true) {
            return;
        }
        let reason = self.file.lock().failure.clone().unwrap_or_default();
        // without it the next start takes another identity, which no stamp on a disk repeats
        let _ = std::fs::remove_file(self.path.join(FILE));
        let _ = self.directory.sync_all();
        match self.on_failure.get() {
            Some(tell) => tell(&reason),
            None => tracing::error!(reason, "what is invalidated may come back"),
        }
        // nobody waits for this log any more
        self.reached(Position::MAX);
    }
}

fn compact_at(bytes: u64) -> u64 {
    bytes.saturating_mul(3).max(COMPACT_BYTES_MIN)
}

fn overrun() -> io::Error {
    io::Error::other("more was appended meanwhile than is kept")
}

fn random() -> io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u128::from_le_bytes(bytes))
}

/// `None`: there is no log.
fn bytes(directory: &Path) -> io::Result<Option<Vec<u8>>> {
    let path = directory.join(FILE);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => Ok(Some(Vec::new())),
        Ok(_) => std::fs::read(&path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads `bytes` into `tables`, or says why they do not count.
fn replay(bytes: &[u8], boot: BootId, tables: &Tables) -> Result<Read, &'static str> {
    let (id, logged) = header(bytes).ok_or("its header is damaged or of another version")?;
    if logged >= boot {
        // generations would be used twice, and minima of a later boot would kill new heads for ever
        return Err("it was written by this or a later boot");
    }
    let records = bytes[HEADER_BYTES..].chunks(RECORD_BYTES);
    let mut damaged = false;
    let mut torn = false;
    for record in records {
        match decode(record, id) {
            Some(fact) => {
                // good after bad: the bad one was no torn end
                damaged |= torn;
                apply(fact, tables);
            }
            None => torn = true,
        }
    }
    if damaged {
        tracing::warn!("minima.log is damaged in the middle: all heads of earlier boots are dead");
        let floor = Version::from(Generation { boot, counter: 0 });
        tables.keys.raise_floors(floor);
    } else if torn {
        tracing::info!("the torn end of minima.log is cut");
    }
    Ok(Read { id, last: logged })
}

fn apply(fact: Fact, tables: &Tables) {
    let table = tables.of(fact.table);
    if fact.floor {
        table.raise_floor(fact.key, fact.version);
    } else {
        table.raise(fact.key, fact.version);
    }
}

/// Writes what is in force to a new file beside the log. Returns it, ready for more, and its length.
fn write_anew(path: &Path, id: u128, boot: BootId, tables: &Tables) -> io::Result<(File, u64)> {
    let mut bytes = HEADER_BYTES as u64;
    let file = write_new(path, FILE, |file| {
        let mut out = io::BufWriter::with_capacity(1 << 20, file);
        out.write_all(&encode_header(id, boot))?;
        for table in [Table::Keys, Table::Slots, Table::Groups] {
            let mut written = Ok(());
            tables.of(table).each(&mut |floor, key, version| {
                let fact = Fact {
                    table,
                    floor,
                    key,
                    version,
                };
                if written.is_ok() {
                    written = out.write_all(&encode(fact, id));
                    bytes += RECORD_BYTES as u64;
                }
            });
            written?;
        }
        out.flush()
    })?;
    Ok((file, bytes))
}

fn encode_header(id: u128, boot: BootId) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.put_slice(MAGIC);
    out.put_u32_le(FORMAT);
    out.put_u128_le(id);
    out.put_u32_le(boot.0);
    let sum = xxh3_64_with_seed(&out, 0);
    out.put_u64_le(sum);
    out
}

fn header(bytes: &[u8]) -> Option<(u128, BootId)> {
    let header = bytes.get(..HEADER_BYTES)?;
    let (signed, mut sum) = header.split_at(HEADER_BYTES - 8);
    if sum.try_get_u64_le().ok()? != xxh3_64_with_seed(signed, 0) {
        return None;
    }
    let mut rest = signed.strip_prefix(MAGIC)?;
    if rest.try_get_u32_le().ok()? != FORMAT {
        return None;
    }
    let id = rest.try_get_u128_le().ok()?;
    Some((id, BootId(rest.try_get_u32_le().ok()?)))
}

fn encode(fact: Fact, id: u128) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let mut out = &mut record[..];
    let table = match fact.table {
        Table::Keys => 0,
        Table::Slots => 1,
        Table::Groups => 4,
    };
    out.put_u8(table | u8::from(fact.floor) << 1);
    out.put_u128_le(fact.key);
    out.put_u32_le(fact.version.generation.boot.0);
    out.put_u64_le(fact.version.generation.counter);
    out.put_u32_le(fact.version.revision);
    // seeded with the identity: what an earlier log left in the blocks of this one does not count
    let sum = xxh3_64_with_seed(&record[..RECORD_BYTES - 8], id as u64);
    record[RECORD_BYTES - 8..].copy_from_slice(&sum.to_le_bytes());
    record
}

fn decode(record: &[u8], id: u128) -> Option<Fact> {
    if record.len() != RECORD_BYTES {
        return None;
    }
    let (mut signed, mut sum) = record.split_at(RECORD_BYTES - 8);
    if sum.try_get_u64_le().ok()? != xxh3_64_with_seed(signed, id as u64) {
        return None;
    }
    let kind = signed.try_get_u8().ok()?;
    Some(Fact {
        table: match kind & 5 {
            0 => Table::Keys,
            1 => Table::Slots,
            4 => Table::Groups,
            _ => return None,
        },
        floor: kind & 2 != 0,
        key: signed.try_get_u128_le().ok()?,
        version: Version {
            generation: Generation {
                boot: BootId(signed.try_get_u32_le().ok()?),
                counter: signed.try_get_u64_le().ok()?,
            },
            revision: signed.try_get_u32_le().ok()?,
        },
    })
}

#[cfg(test)]
#[path = "minima_log/tests.rs"]
mod tests;
