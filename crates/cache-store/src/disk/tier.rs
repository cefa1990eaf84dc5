//! All disks of a store, with the threads that serve them.

use super::DiskConfig;
use super::directory::{self, Directory, Found};
use super::drive::{Devices, Drive, Health};
use super::error::{Missing, OpenError};
use super::shelf::Loaded;
use super::turn::{Stand, Turn};
use crate::StoreConfig;
use crate::key::{Chunk, ChunkKey, Entry, HeadKey};
use crate::minima::{Minima, Tables};
use crate::minima_log::{self, MinimaLog};
use crate::sums::sum_of;
use foyer::CacheEntry;
use parking_lot::Mutex;
use seawall_purge::BootId;
use seawall_telemetry::Metrics;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Threads that wait for one disk. Reads beyond them queue (at most `FLIGHTS_MAX` a shelf).
const BLOCKING_THREADS: usize = 32;
/// How long threads that still wait for a disk keep a directory locked after everything else has ended.
const REAP_WAIT: Duration = Duration::from_secs(60);
/// A store that is dropped without being closed waits no longer for its threads.
const DROP_WAIT: Duration = Duration::from_secs(2);

pub(crate) struct Tier {
    /// In the order of the configuration, which places keys. `None`: it could not be opened at this start. What lies
    /// there is void at the next one, since its stamp is not of this run.
    drives: Vec<Option<Drive>>,
    machines: Mutex<Vec<Machine>>,
    turn: Mutex<Turn>,
}

/// What must outlive every read and write of one disk. foyer's I/O threads know files by their numbers only: were the
/// files closed while one of them writes, it could write into whatever is opened next under the number. So the threads
/// end first. Each disk has threads of its own: one that hangs holds up no other.
struct Machine {
    runtime: Runtime,
    health: Arc<Health>,
    drive: Option<Drive>,
    devices: Devices,
}

impl Tier {
    /// Opens all disks of `config`, of which there are some. A disk that cannot be used is left out, and said; an error
    /// is only what the operator has to decide. Blocks; may be called on any thread.
    pub(crate) fn open(
        config: &StoreConfig,
        metrics: &Metrics,
    ) -> Result<(Self, Minima), OpenError> {
        let mut directories = Vec::new();
        for disk in &config.disks {
            let label = disk.path.display().to_string();
            let disk_metrics = metrics.disk(&label);
            disk_metrics.capacity.set(0);
            disk_metrics.up.set(0);
            match Directory::lock(&disk.path, disk.bytes) {
                Ok(directory) => directories.push(Some((directory, disk_metrics))),
                Err(error) if error.is_configuration() => return Err(error),
                Err(error) => {
                    left_out(&error);
                    directories.push(None);
                }
            }
        }
        let state = config.state.as_deref().unwrap_or(&config.disks[0].path);
        let failed = |what: &'static str| directory::failed(state, what);
        directory::create_dir(state).map_err(failed("create the directory"))?;
        let lock = directory::lock_file(&state.join(minima_log::LOCK))
            .map_err(failed("create the lock file"))?
            .ok_or_else(|| OpenError::Locked {
                path: state.to_owned(),
            })?;
        let tables = Arc::new(Tables::default());
        let read = minima_log::read(state, config.boot, &tables)
            .map_err(failed("make an identity for minima.log"))?;
        let found = Found {
            lineage: config.lineage,
            minima: read.id,
            placement: placement(&config.disks),
            last: read.last,
            boot: config.boot,
        };
        let (mut drives, mut machines) = (Vec::new(), Vec::new());
        for (directory, disk) in directories.into_iter().zip(&config.disks) {
            let opened = directory.map(|(directory, disk_metrics)| {
                let health = Arc::new(Health::new(directory, disk_metrics));
                Machine::open(health, found, disk, config.disk_probe)
            });
            let drive = match opened {
                None => None,
                Some(Err(error)) => {
                    left_out(&error);
                    None
                }
                Some(Ok((machine, opened))) => {
                    let drive = machine.drive.clone();
                    machines.push(machine);
                    if let Err(error) = opened {
                        left_out(&error);
                    }
                    drive
                }
            };
            drives.push(drive);
        }
        // not before the stamps: a start that was killed in between leaves them good
        let turn = Turn::new(Instant::now(), drives.len());
        let tier = Self {
            drives,
            machines: Mutex::new(machines),
            turn: Mutex::new(turn),
        };
        let log = MinimaLog::begin(state, lock, config.boot, tables.clone(), read.id)
            .map_err(failed("write minima.log"))?;
        let healths = tier.drives.iter().flatten();
        log.on_failure(distrust(healths.map(|d| d.health.clone()).collect()));
        Ok((tier, Minima::logged(tables, log)))
    }

    /// A run without disks: copies on disks that were used beside the log in `state` are void afterwards.
    pub(crate) fn none(state: &Path) -> Result<(), OpenError> {
        minima_log::forget(state).map_err(directory::failed(state, "delete minima.log"))
    }

    /// The disk on which everything of `key` lies: one that fails takes whole objects with it rather than parts of all.
    fn drive(&self, key: u128) -> Option<&Drive> {
        let index = xxh3_64(&key.to_le_bytes()) as usize % self.drives.len();
        self.drives[index].as_ref()
    }

    pub(crate) fn offer_head(&self, record: CacheEntry<HeadKey, Entry>) {
        if let Some(drive) = self.drive(record.key().primary) {
            drive.heads.offer(record);
        }
    }

    pub(crate) fn offer_chunk(&self, record: CacheEntry<ChunkKey, Chunk>) {
        if let Some(drive) = self.drive(record.key().object) {
            drive.chunks.offer(record);
        }
    }

    pub(crate) fn may_hold_head(&self, key: &HeadKey) -> bool {
        self.drive(key.primary)
            .is_some_and(|drive| drive.heads.may_hold(key))
    }

    #[inline]
    pub(crate) fn may_load_head(&self, key: &HeadKey) -> bool {
        self.drive(key.primary)
            .is_some_and(|drive| drive.heads.may_load(key))
    }

    pub(crate) fn may_load_chunk(&self, key: &ChunkKey) -> bool {
        self.drive(key.object)
            .is_some_and(|drive| drive.chunks.may_load(key) || drive.chunks.waiting(key).is_some())
    }

    /// Whether all disks are used.
    pub(crate) fn is_up(&self) -> bool {
        let mut drives = self.drives.iter();
        drives.all(|drive| drive.as_ref().is_some_and(|drive| drive.health.is_up()))
    }

    pub(crate) async fn load_head(&self, key: HeadKey) -> Result<Loaded<Entry>, Missing> {
        let drive = self.drive(key.primary).ok_or(Missing::Gone)?;
        drive.heads.load(&drive.runtime, key, |_| true).await
    }

    /// Chunk `key`, if it is `length` bytes long and its checksum is `sum`.
    pub(crate) async fn load_chunk(
        &self,
        key: ChunkKey,
        length: u64,
        sum: u64,
    ) -> Result<Loaded<Chunk>, Missing> {
        let drive = self.drive(key.object).ok_or(Missing::Gone)?;
        let whole = move |chunk: &Chunk| chunk.0.len() as u64 == length && sum_of(&chunk.0) == sum;
        if let Some(value) = drive.chunks.waiting(&key).filter(whole) {
            let leaving = false;
            return Ok(Loaded { value, leaving });
        }
        drive.chunks.load(&drive.runtime, key, whole).await
    }

    /// Whether every head that lay on a disk or waited for it when this last said yes is gone from there by now, also
    /// after a restart.
    pub(crate) fn turned(&self) -> bool {
        let stands = self.drives.iter().map(|drive| match drive {
            None => Stand::Void,
            Some(drive) if drive.health.is_up() => {
                let (position, turn_bytes) = drive.heads.position();
                Stand::At(position, turn_bytes)
            }
            Some(drive) if drive.health.may_come_back() => Stand::MayComeBack,
            Some(_) => Stand::Void,
        });
        self.turn.lock().turned(Instant::now(), stands)
    }

    /// Waits until all that was offered is written or given up. `false`: not before `deadline`.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        self.drives
            .iter()
            .flatten()
            .all(|drive| drive.heads.flush(deadline) && drive.chunks.flush(deadline))
    }

    /// Writes what waits, and lets go of the directories, both until `deadline`.
    pub(crate) fn close(&self, deadline: Instant) {
        let machines = std::mem::take(&mut *self.machines.lock());
        if machines.is_empty() {
            return;
        }
        if !self.flush(deadline) {
            tracing::warn!("the disk cache was closed before everything was written");
        }
        reap(machines, deadline);
    }
}

impl Drop for Tier {
    fn drop(&mut self) {
        let machines = std::mem::take(&mut *self.machines.lock());
        reap(machines, Instant::now() + DROP_WAIT);
    }
}

/// Says which disk this run does without.
fn left_out(error: &OpenError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, "a disk is left out until the next start: its keys are served from memory");
}

/// Which key lies on which disk follows from the order of the disks.
fn placement(disks: &[DiskConfig]) -> u64 {
    let mut digest = Xxh3::new();
    for disk in disks {
        let path = disk.path.as_os_str().as_encoded_bytes();
        digest.update(&(path.len() as u64).to_le_bytes());
        digest.update(path);
    }
    digest.digest()
}

impl Machine {
    /// Opens a drive in its directory. The machine is there also where its drive did not open: threads may have begun.
    fn open(
        health: Arc<Health>,
        found: Found,
        disk: &DiskConfig,
        probe: Duration,
    ) -> Result<(Self, Result<(), OpenError>), OpenError> {
        let directory = &health.directory;
        directory.prepare(&found)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("seawall-disk")
            .enable_time()
            .build()
            .map_err(OpenError::Threads)?;
        let (drive, devices) = open_drive(&runtime, health.clone(), disk, found.boot, probe);
        let mut machine = Self {
            runtime,
            health,
            drive: None,
            devices,
        };
        let opened = drive.and_then(|drive| {
            machine.health.directory.seal(&found)?;
            machine.drive = Some(drive);
            Ok(())
        });
        if opened.is_err() {
            machine.health.stop();
        }
        Ok((machine, opened))
    }

    /// Ends tasks and threads; tells `ended`.
    fn end(self, ended: &mpsc::Sender<()>) {
        let Self {
            runtime,
            health,
            drive,
            devices,
        } = self;
        let begun = Instant::now();
        runtime.shutdown_timeout(REAP_WAIT);
        if begun.elapsed() < REAP_WAIT {
            health.directory.unlock();
            drop((drive, devices));
        } else {
            // a thread hangs in a dead disk and still knows the files' numbers
            std::mem::forget((drive, devices));
        }
        let _ = ended.send(());
    }
}

/// Ends machines on threads of their own (a runtime cannot be ended within another), and waits for that no longer than
/// until `deadline`.
fn reap(machines: Vec<Machine>, deadline: Instant) {
    let (tell, ended) = mpsc::channel();
    for machine in machines {
        machine.health.stop();
        let tell = tell.clone();
        let spawned = std::thread::Builder::new()
            .name("seawall-reap".into())
            .spawn(move || machine.end(&tell));
        if let Err(error) = spawned {
            tracing::warn!(%error, "a disk cache was left open");
        }
    }
    drop(tell);
    while ended
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .is_ok()
    {}
}

/// What happens when minima can no longer be written down: nothing on the disks may be used after a restart.
fn distrust(healths: Vec<Arc<Health>>) -> Box<dyn Fn(&str) + Send + Sync> {
    Box::new(move |reason| {
        for health in &healths {
            health.void();
            health.fail(reason);
        }
    })
}

/// Opens a drive on the runtime's threads and waits for it: this thread may belong to another runtime.
fn open_drive(
    runtime: &Runtime,
    health: Arc<Health>,
    disk: &DiskConfig,
    boot: BootId,
    probe: Duration,
) -> (Result<Drive, OpenError>, Devices) {
    let (tell, opened) = mpsc::sync_channel(1);
    let open = Drive::open(health, disk.bytes, boot, runtime.handle().clone(), probe);
    runtime.spawn(async move {
        let _ = tell.send(open.await);
    });
    opened.recv().unwrap_or_else(|_| {
        let error = OpenError::Engine {
            path: disk.path.clone(),
            reason: "it panicked".into(),
        };
        (Err(error), Devices::new())
    })
}

#[cfg(test)]
#[path = "tier/tests.rs"]
mod tests;
