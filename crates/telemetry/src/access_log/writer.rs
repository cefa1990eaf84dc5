//! The thread that writes.

use super::sheets::{News, Sheets};
use super::{Destination, Out};
use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between the first line and the write: what else comes goes with it.
const GATHER: Duration = Duration::from_millis(50);
/// Room that is kept from one write to the next (1 MiB): a full sheet, and what came while it was collected.
const KEEP_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn open(destination: &Destination) -> io::Result<Out> {
    Ok(match destination {
        Destination::Stdout => Box::new(io::stdout()),
        Destination::File(path) => {
            Box::new(OpenOptions::new().create(true).append(true).open(path)?)
        }
    })
}

/// What the writer was told since it last listened.
#[derive(Debug, Default)]
struct Told {
    lines: bool,
    full: bool,
    end: bool,
    /// The writer waits for nothing but to be told: else it looks by itself before long.
    idle: bool,
}

/// How the writer is told.
#[derive(Debug, Default)]
pub(super) struct Bell {
    told: Mutex<Told>,
    rung: Condvar,
    /// Looked at between taking lines and writing them, so that what was added behind it goes to the new file.
    reopen: AtomicBool,
}

impl Bell {
    pub(super) fn ring(&self, news: News) {
        let full = match news {
            News::Nothing => return,
            News::First => false,
            News::Full => true,
        };
        let mut told = self.told.lock();
        told.lines = true;
        told.full |= full;
        if full || told.idle {
            self.rung.notify_one();
        }
    }

    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.ring(News::Full);
    }

    pub(super) fn end(&self) {
        self.told.lock().end = true;
        self.rung.notify_one();
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.told.lock().idle
    }

    /// Waits until something is to be done. `gathering`: lines were written just now, so more will come, and they may
    /// gather. False: this is the last time.
    fn wait(&self, gathering: bool) -> bool {
        let mut told = self.told.lock();
        while !(gathering || told.lines || told.end) {
            told.idle = true;
            self.rung.wait(&mut told);
        }
        told.idle = false;
        let until = Instant::now() + GATHER;
        while !(told.full || told.end) {
            if self.rung.wait_until(&mut told, until).timed_out() {
                break;
            }
        }
        let end = told.end;
        *told = Told::default();
        !end
    }
}

pub(super) struct Writer {
    out: Out,
    destination: Destination,
    sheets: Arc<Sheets>,
    bell: Arc<Bell>,
    dropped: IntCounter,
    /// The last write failed: it may have left a part of a line.
    failed: bool,
}

impl Writer {
    pub(super) fn new(
        out: Out,
        destination: Destination,
        sheets: Arc<Sheets>,
        bell: Arc<Bell>,
        dropped: IntCounter,
    ) -> Self {
        Self {
            out,
            destination,
            sheets,
            bell,
            dropped,
            failed: false,
        }
    }

    /// Until the log ends.
    pub(super) fn run(mut self) {
        let (mut text, mut gathering) = (Vec::new(), false);
        loop {
            let goes_on = self.bell.wait(gathering);
            gathering = false;
            let sheets = self.sheets.clone();
            sheets.collect(&mut text, |text, lines| {
                gathering = true;
                self.write(text, lines);
                text.clear();
                if text.capacity() > KEEP_BYTES_MAX {
                    *text = Vec::new();
                }
            });
            if self.bell.reopen.swap(false, Ordering::AcqRel) {
                self.open_anew();
            }
            if !goes_on {
                return;
            }
        }
    }

    fn write(&mut self, text: &[u8], lines: usize) {
        if self.bell.reopen.swap(false, Ordering::AcqRel) {
            self.open_anew();
        }
        // ends the part of a line that a failed write may have left, so that it spoils no other
        let start = if self.failed { &b"\n"[..] } else { b"" };
        let written = self
            .out
            .write_all(start)
            .and_then(|()| self.out.write_all(text))
            .and_then(|()| self.out.flush());
        if let Err(error) = &written {
            self.dropped.inc_by(lines as u64);
            // said once, until it works again
            if !self.failed {
                tracing::error!(%error, "the access log cannot be written, lines are dropped");
            }
        }
        self.failed = written.is_err();
    }

    fn open_anew(&mut self) {
        match open(&self.destination) {
            Ok(out) => {
                self.out = out;
                self.failed = false;
            }
            Err(error) => {
                tracing::error!(%error, "the access log cannot be opened anew, the old file stays");
            }
        }
    }
}
