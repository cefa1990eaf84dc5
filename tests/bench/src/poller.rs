//! Which sockets are ready: epoll, level-triggered.

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use std::io;
use std::time::Duration;

/// Sockets at a time that one look tells of.
const READY_MAX: usize = 512;

/// A set of sockets, each under a number of the caller's.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(READY_MAX),
        })
    }

    /// From now on told when it can be read. A socket that is closed leaves by itself.
    pub(crate) fn add(&self, socket: impl AsFd, number: usize) -> io::Result<()> {
        let data = EventData::new_u64(number as u64);
        Ok(epoll::add(&self.epoll, socket, data, EventFlags::IN)?)
    }

    /// Told when it can be written, and no longer when it can be read; or the other way round.
    pub(crate) fn writable(
        &self,
        socket: impl AsFd,
        number: usize,
        writable: bool,
    ) -> io::Result<()> {
        let data = EventData::new_u64(number as u64);
        let wanted = if writable {
            EventFlags::OUT
        } else {
            EventFlags::IN
        };
        Ok(epoll::modify(&self.epoll, socket, data, wanted)?)
    }

    /// How many are ready, after `wait` at most; their numbers are then told by [`Poller::ready`].
    pub(crate) fn wait(&mut self, wait: Option<Duration>) -> io::Result<usize> {
        self.events.clear();
        let wait = wait.map(|wait| Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), wait.as_ref()) {
            Ok(ready) => Ok(ready),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }

    /// The number of the `n`th that is ready.
    pub(crate) fn ready(&self, n: usize) -> usize {
        self.events[n].data.u64() as usize
    }
}
