//! All disks of a store, with the threads that serve them.

use super::DiskConfig;
use super::directory::{self, Directory};
use super::drive::{Devices, Drive, Health};
use super::error::OpenError;
use super::shelf::Loaded;
use crate::StoreConfig;
use crate::key::{Chunk, ChunkKey, Entry, HeadKey};
use crate::minima::{Minima, Tables};
use crate::minima_log::{self, MinimaLog};
use foyer::CacheEntry;
use parking_lot::Mutex;
use seawall_telemetry::Metrics;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};
use xxhash_rust::xxh3::xxh3_64;

/// Threads that wait for disks. Reads beyond them queue (at most `FLIGHTS_MAX` a shelf).
const BLOCKING_THREADS: usize = 32;
/// How long threads that still wait for a disk keep a directory locked after everything else has ended.
const REAP_WAIT: Duration = Duration::from_secs(60);
/// A store that is dropped without being closed waits no longer for its threads.
const DROP_WAIT: Duration = Duration::from_secs(2);

pub(crate) struct Tier {
    drives: Vec<Drive>,
    runtime: Handle,
    machinery: Mutex<Option<Machinery>>,
}

/// What must outlive every read and write. foyer's I/O threads know files by their numbers only: were the files closed
/// while one of them writes, it could write into whatever is opened next under the number. So the threads end first.
struct Machinery {
    runtime: Runtime,
    drives: Vec<Drive>,
    devices: Devices,
}

impl Tier {
    /// Opens all disks of `config`, of which there are some. Blocks; may be called on any thread.
    pub(crate) fn open(
        config: &StoreConfig,
        metrics: &Metrics,
    ) -> Result<(Self, Minima), OpenError> {
        let directories: Vec<Directory> = config
            .disks
            .iter()
            .map(|disk| Directory::lock(&disk.path, disk.bytes))
            .collect::<Result<_, _>>()?;
        let state = config.state.as_deref().unwrap_or(&config.disks[0].path);
        let minima = open_minima(state, config)?;
        let Some(log) = minima.log() else {
            unreachable!("it was opened with a log")
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("seawall-disk")
            .enable_time()
            .build()
            .map_err(OpenError::Threads)?;
        let mut machinery = Machinery {
            runtime,
            drives: Vec::new(),
            devices: Vec::new(),
        };
        if let Err(error) = machinery.open(directories, config, log.id(), metrics) {
            machinery.reap(DROP_WAIT);
            return Err(error);
        }
        let healths = machinery.drives.iter().map(|d| d.health.clone()).collect();
        log.on_failure(distrust(healths));
        let tier = Self {
            drives: machinery.drives.clone(),
            runtime: machinery.runtime.handle().clone(),
            machinery: Mutex::new(Some(machinery)),
        };
        Ok((tier, minima))
    }

    /// The disk on which everything of `key` lies: one that fails takes whole objects with it rather than parts of all.
    fn drive(&self, key: u128) -> &Drive {
        &self.drives[xxh3_64(&key.to_le_bytes()) as usize % self.drives.len()]
    }

    pub(crate) fn offer_head(&self, record: CacheEntry<HeadKey, Entry>) {
        self.drive(record.key().primary).heads.offer(record);
    }

    pub(crate) fn offer_chunk(&self, record: CacheEntry<ChunkKey, Chunk>) {
        self.drive(record.key().object).chunks.offer(record);
    }

    pub(crate) fn may_hold_head(&self, key: &HeadKey) -> bool {
        self.drive(key.primary).heads.may_hold(key)
    }

    #[inline]
    pub(crate) fn may_load_head(&self, key: &HeadKey) -> bool {
        self.drive(key.primary).heads.may_load(key)
    }

    pub(crate) fn may_load_chunk(&self, key: &ChunkKey) -> bool {
        self.drive(key.object).chunks.may_load(key)
    }

    pub(crate) async fn load_head(&self, key: HeadKey) -> Option<Loaded<Entry>> {
        let shelf = &self.drive(key.primary).heads;
        shelf.load(&self.runtime, key, |_| true).await
    }

    /// Chunk `key`, if it is `length` bytes long and its checksum is `sum`.
    pub(crate) async fn load_chunk(
        &self,
        key: ChunkKey,
        length: u64,
        sum: u64,
    ) -> Option<Loaded<Chunk>> {
        let shelf = &self.drive(key.object).chunks;
        let whole = move |chunk: &Chunk| chunk.0.len() as u64 == length && xxh3_64(&chunk.0) == sum;
        shelf.load(&self.runtime, key, whole).await
    }

    /// Waits until all that was offered is written or given up. `false`: not before `deadline`.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        self.drives
            .iter()
            .all(|drive| drive.heads.flush(deadline) && drive.chunks.flush(deadline))
    }

    /// Writes what waits, and lets go of the directories, both until `deadline`.
    pub(crate) fn close(&self, deadline: Instant) {
        let Some(machinery) = self.machinery.lock().take() else {
            return;
        };
        if !self.flush(deadline) {
            tracing::warn!("the disk cache was closed before everything was written");
        }
        machinery.reap(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Drop for Tier {
    fn drop(&mut self) {
        if let Some(machinery) = self.machinery.lock().take() {
            machinery.reap(DROP_WAIT);
        }
    }
}

impl Machinery {
    /// Opens a drive in each of the directories, one for each disk of `config`.
    fn open(
        &mut self,
        directories: Vec<Directory>,
        config: &StoreConfig,
        minima: u128,
        metrics: &Metrics,
    ) -> Result<(), OpenError> {
        for (directory, disk) in directories.into_iter().zip(&config.disks) {
            let stamp = directory.stamp(config.lineage, minima);
            directory.prepare(stamp)?;
            let label = directory.path.display().to_string();
            let health = Arc::new(Health::new(directory, metrics.disk(&label)));
            let (drive, devices) =
                open_drive(&self.runtime, health.clone(), disk, config.disk_probe)?;
            self.drives.push(drive);
            self.devices.extend(devices);
            health.directory.seal(stamp)?;
        }
        Ok(())
    }

    /// Ends tasks and threads on a thread of their own (a runtime cannot be ended within another), and waits for that
    /// no longer than `wait`.
    fn reap(self, wait: Duration) {
        for drive in &self.drives {
            drive.health.stop();
        }
        let (tell, ended) = mpsc::sync_channel(1);
        let end = move || {
            let Self {
                runtime,
                drives,
                devices,
            } = self;
            let begun = Instant::now();
            runtime.shutdown_timeout(REAP_WAIT);
            if begun.elapsed() < REAP_WAIT {
                for drive in &drives {
                    drive.health.directory.unlock();
                }
                drop((drives, devices));
            } else {
                // a thread hangs in a dead disk and still knows the files' numbers
                std::mem::forget((drives, devices));
            }
            let _ = tell.send(());
        };
        match std::thread::Builder::new()
            .name("seawall-reap".into())
            .spawn(end)
        {
            Ok(_) => {
                let _ = ended.recv_timeout(wait);
            }
            Err(error) => tracing::warn!(%error, "the disk cache was left open"),
        }
    }
}

/// Opens the log beside which heads are judged, and locks its directory.
fn open_minima(state: &Path, config: &StoreConfig) -> Result<Minima, OpenError> {
    let failed = |what: &'static str| {
        move |source| OpenError::Directory {
            path: state.to_owned(),
            what,
            source,
        }
    };
    directory::create_dir(state).map_err(failed("create the directory"))?;
    let lock = directory::lock_file(&state.join(minima_log::LOCK))
        .map_err(failed("create the lock file"))?
        .ok_or_else(|| OpenError::Locked {
            path: state.to_owned(),
        })?;
    let tables = Arc::new(Tables::default());
    let log = MinimaLog::open(state, lock, config.boot, tables.clone())
        .map_err(failed("open minima.log"))?;
    Ok(Minima::logged(tables, log))
}

/// What happens when minima can no longer be written down: nothing on the disks may be used after a restart.
fn distrust(healths: Vec<Arc<Health>>) -> Box<dyn Fn(&str) + Send + Sync> {
    Box::new(move |reason| {
        for health in &healths {
            if let Err(error) = health.directory.unstamp() {
                let disk = health.directory.path.display();
                tracing::error!(%disk, %error, "delete the disk cache before the next start: what was invalidated may come back");
            }
            health.fail(reason);
        }
    })
}

/// Opens a drive on the runtime's threads and waits for it: this thread may belong to another runtime.
fn open_drive(
    runtime: &Runtime,
    health: Arc<Health>,
    disk: &DiskConfig,
    probe: Duration,
) -> Result<(Drive, Devices), OpenError> {
    let (tell, opened) = mpsc::sync_channel(1);
    let open = Drive::open(health, disk.bytes, runtime.handle().clone(), probe);
    runtime.spawn(async move {
        let _ = tell.send(open.await);
    });
    opened.recv().unwrap_or_else(|_| {
        Err(OpenError::Engine {
            path: disk.path.clone(),
            reason: "it panicked".into(),
        })
    })
}
