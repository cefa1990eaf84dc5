//! Coarse time: seconds, and the `Date` text that is made once a second on each thread.
#![allow(
    unsafe_code,
    reason = "the coarse clock has no safe binding; it costs a quarter of the exact one"
)]

use seawall_http_cache::Timestamp;
use std::cell::RefCell;

thread_local! {
    static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// Seconds since the Unix epoch, at most a few milliseconds late.
pub fn now() -> Timestamp {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec to the address of one.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut time) };
    Timestamp(time.tv_sec.max(0) as u64)
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
