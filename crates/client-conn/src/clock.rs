//! Coarse time: seconds, and the `Date` text that is made once a second on each thread.
#![allow(
    unsafe_code,
    reason = "the coarse clock has no safe binding; it costs a quarter of the exact one"
)]

use seawall_http_cache::Timestamp;
use std::cell::{Cell, RefCell};
use std::time::Duration;

thread_local! {
    /// Where this thread's clock stands still; 0: it is the kernel's.
    static STANDS_AT: Cell<u64> = const { Cell::new(0) };
    static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// From now on this thread's clock stands at `at`; `None`: it is the kernel's again. For specs that move time themselves,
/// on one thread.
pub fn stand_at(at: Option<Timestamp>) {
    STANDS_AT.set(at.map_or(0, |at| at.0));
}

/// Seconds since the Unix epoch, at most a few milliseconds late.
pub fn now() -> Timestamp {
    let at = STANDS_AT.get();
    if at != 0 {
        return Timestamp(at);
    }
    Timestamp(coarse(libc::CLOCK_REALTIME_COARSE).tv_sec.max(0) as u64)
}

/// Milliseconds since the Unix epoch, at most a few late.
pub fn now_ms() -> u64 {
    let time = coarse(libc::CLOCK_REALTIME_COARSE);
    time.tv_sec.max(0) as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Time that nobody sets, at most a few milliseconds late.
pub(crate) fn uptime() -> Duration {
    let time = coarse(libc::CLOCK_MONOTONIC_COARSE);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
}

fn coarse(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec to the address of one.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time
}

/// Calls `f` with the time and its text for `Date`.
pub fn with_date<R>(f: impl FnOnce(Timestamp, &str) -> R) -> R {
    let now = now();
    DATE.with_borrow_mut(|(second, text)| {
        if *second != now.0 || text.is_empty() {
            (*second, *text) = (now.0, now.to_http_date());
        }
        f(now, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_stopped_stands_on_its_thread_alone_until_it_goes_on() {
        let at = Timestamp(784_111_777);
        stand_at(Some(at));
        assert_eq!(now(), at);
        with_date(|now, text| {
            assert_eq!((now, text), (at, "Sun, 06 Nov 1994 08:49:37 GMT"));
        });
        let elsewhere = std::thread::spawn(now).join().unwrap();
        assert!(elsewhere > at);
        stand_at(None);
        assert!(now() > at);
    }
}
