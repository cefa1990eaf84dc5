//! One disk: its directory, its two shelves and its health.

use super::directory::{CHUNKS, Directory, HEADS, Layout, layouts};
use super::error::OpenError;
use super::shelf::Shelf;
use crate::key::{Chunk, Entry};
use foyer::Device;
use seawall_purge::BootId;
use seawall_telemetry::DiskMetrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// A look that takes longer shows a disk that hangs: it syncs all that waits in the page cache, which on a slow disk with
/// much memory before it takes minutes.
const LOOK_WAIT: Duration = Duration::from_secs(300);

/// Whether a drive is used. Off is for good: what it missed meanwhile nobody has written down.
pub(crate) struct Health {
    pub(crate) directory: Directory,
    up: AtomicBool,
    /// Nothing that lies here is used after this run.
    void: AtomicBool,
    pub(crate) metrics: DiskMetrics,
}

impl Health {
    pub(crate) fn new(directory: Directory, metrics: DiskMetrics) -> Self {
        Self {
            directory,
            up: AtomicBool::new(false),
            void: AtomicBool::new(false),
            metrics,
        }
    }

    #[inline]
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    fn start(&self, capacity: u64) {
        self.metrics.capacity.set(capacity as i64);
        self.metrics.up.set(1);
        self.up.store(true, Ordering::Release);
    }

    /// Whether what was replaced here may come back after a restart.
    pub(crate) fn may_come_back(&self) -> bool {
        !self.void.load(Ordering::Acquire)
    }

    /// Turns the drive off, and says so once. What lies on it is void from then on, since nobody writes down what it
    /// misses. Does not block: the disk may hang.
    pub(crate) fn fail(self: &Arc<Self>, reason: &str) {
        if !self.stop() {
            return;
        }
        let (health, why) = (self.clone(), reason.to_owned());
        let told = std::thread::Builder::new()
            .name("seawall-disk-off".into())
            .spawn(move || {
                let disk = health.directory.path.display();
                tracing::error!(%disk, reason = why, "the disk cache is turned off");
                health.void();
                if let Some(error) = health.directory.write_error() {
                    tracing::error!(%disk, %error, "the disk cache takes no write");
                }
            });
        if let Err(error) = told {
            let disk = self.directory.path.display();
            tracing::error!(%disk, reason, %error, "the disk cache is turned off");
        }
    }

    /// Makes what lies here void for the next start. Blocks.
    pub(crate) fn void(&self) {
        match self.directory.unstamp() {
            Ok(()) => self.void.store(true, Ordering::Release),
            Err(error) => {
                let disk = self.directory.path.display();
                tracing::error!(%disk, %error, "the stamp of the disk cache could not be deleted");
            }
        }
    }

    /// Turns the drive off. `false`: it was off.
    pub(crate) fn stop(&self) -> bool {
        self.metrics.up.set(0);
        self.up.swap(false, Ordering::AcqRel)
    }
}

#[derive(Clone)]
pub(crate) struct Drive {
    pub(crate) health: Arc<Health>,
    pub(crate) runtime: Handle,
    pub(crate) heads: Arc<Shelf<Entry>>,
    pub(crate) chunks: Arc<Shelf<Chunk>>,
}

/// foyer reads and writes by the bare numbers of files that these own.
pub(crate) type Devices = Vec<Arc<dyn Device>>;

impl Drive {
    /// Opens the shelves in a directory that is prepared, and begins to watch. Runs on `runtime`. The devices may be in
    /// use also after an error.
    pub(crate) async fn open(
        health: Arc<Health>,
        bytes: u64,
        boot: BootId,
        runtime: Handle,
        probe: Duration,
    ) -> (Result<Self, OpenError>, Devices) {
        let path = health.directory.path.clone();
        let engine = |error: foyer::Error| OpenError::Engine {
            path: path.clone(),
            reason: error.to_string(),
        };
        let [heads, chunks] = layouts(bytes);
        let at = |layout: Layout| path.join(layout.name);
        debug_assert!(heads.name == HEADS && chunks.name == CHUNKS);
        let mut devices = Devices::new();
        // boots are never used twice, so neither are the nonces of probes
        let nonce = u64::from(boot.0) << 32;
        let opened = Shelf::open(&at(heads), heads, &runtime, health.clone(), nonce).await;
        let head_shelf = match opened {
            Ok((shelf, device)) => {
                devices.push(device);
                shelf
            }
            Err(error) => return (Err(engine(error)), devices),
        };
        let opened = Shelf::open(&at(chunks), chunks, &runtime, health.clone(), nonce).await;
        let chunk_shelf = match opened {
            Ok((shelf, device)) => {
                devices.push(device);
                shelf
            }
            Err(error) => return (Err(engine(error)), devices),
        };
        health.start(heads.bytes() + chunks.bytes());
        let drive = Self {
            health,
            runtime: runtime.clone(),
            heads: head_shelf,
            chunks: chunk_shelf,
        };
        runtime.spawn(drive.clone().watch(probe));
        (Ok(drive), devices)
    }

    /// The watchdog: every `period`, whether files are in their place and records come back. Errors of writes are seen
    /// by the shelves themselves, with the batch that failed.
    async fn watch(self, period: Duration) {
        loop {
            tokio::time::sleep(period).await;
            if !self.health.is_up() {
                return;
            }
            if let Err(reason) = self.probe().await {
                self.health.fail(&reason);
                return;
            }
        }
    }

    async fn probe(&self) -> Result<(), String> {
        let health = self.health.clone();
        // what was written goes to the device: this may block, also for good where the disk is in trouble
        let looked = tokio::task::spawn_blocking(move || health.directory.trouble());
        match tokio::time::timeout(LOOK_WAIT, looked).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(missing))) => return Err(missing),
            Ok(Err(error)) => return Err(format!("its files could not be looked at: {error}")),
            Err(_) => return Err("its files could not be looked at in time".into()),
        }
        self.heads.probe().await?;
        self.chunks.probe().await
    }
}
